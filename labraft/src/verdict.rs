//! Under which faults a test runs, and how its run is judged.

use serde::{Deserialize, Serialize};

/// The faults that a run may meet.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Those of the course's network: loss, delay and reordering as each test sets them.
    #[default]
    Go,
    /// More faults, drawn from the seed: see [`labrpc::Chaos`]. A test then serves as a workload. Raft's
    /// properties, agreement, confirmed values and linearizability decide the verdict.
    Chaos,
}

impl Profile {
    /// The name on the command line and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Profile::Go => "go",
            Profile::Chaos => "chaos",
        }
    }
}

/// The judgement of a run, from best to worst.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing was wrong.
    Passed,
    /// A bound on time, counts or exact indexes was missed under [`Profile::Chaos`], where no Raft can
    /// promise it. Not a failure.
    Missed,
    /// Nothing wrong was found, but a check gave up before it had an answer. Never a pass.
    Unknown,
    /// A check found something wrong.
    Failed,
    /// The code under test ended its process, or exceeded a limit on memory or output.
    Crashed,
    /// A task of the code under test did not return to the executor within the limit of real time.
    Hung,
}

impl Verdict {
    /// The name in reports and files.
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
