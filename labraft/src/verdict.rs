//! The faults that a run may meet, and the verdict on a run.

use serde::{Deserialize, Serialize};

/// The faults that can occur in a run.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// The faults of the course's network: loss, delay and reordering, as configured by each test.
    #[default]
    Go,
    /// Additional faults, drawn from the seed; see [`labrpc::Chaos`]. The test serves as a workload
    /// only. The verdict depends on Raft's properties, agreement, confirmed values and
    /// linearizability.
    Chaos,
}

impl Profile {
    /// The profile's name on the command line and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Profile::Go => "go",
            Profile::Chaos => "chaos",
        }
    }
}

/// The verdict on a run. The variants are ordered from best to worst.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// No check failed.
    Passed,
    /// A bound on time, counts or exact indexes was missed under [`Profile::Chaos`]. No Raft can
    /// guarantee such bounds there, so this is not a failure.
    Missed,
    /// No check failed, but one gave up before it reached a result. This does not count as passed.
    Unknown,
    /// A check failed.
    Failed,
    /// The code under test ended its process, or exceeded the limit on memory or output.
    Crashed,
    /// A task of the code under test did not return to the executor within the limit of real time.
    Hung,
}

impl Verdict {
    /// The verdict's name in reports and files.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Missed => "missed",
            Verdict::Unknown => "unknown",
            Verdict::Failed => "failed",
            Verdict::Crashed => "crashed",
            Verdict::Hung => "hung",
        }
    }
}
