//! Runs in processes of their own, for the lab does not trust what it runs: code under test may
//! panic, abort, overflow its stack, block its thread, spin for ever or use up the memory. That costs
//! one run. The worker is ended and replaced, and the same run is made once more, watched.
//!
//! | module | what it is |
//! |---|---|
//! | `worker` | the process that runs what it is told |
//! | `pool` | the side that tells: starts workers, waits, ends and replaces them |
//! | `watch` | what is seen of a run that does not come to an end |

mod pool;
mod watch;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use labrpc::{RunSpec, Taken, Timed};
use serde::{Deserialize, Serialize};

pub use pool::{Pair, Pool, Runs, Settings};
pub use worker::serve;

use crate::records::RunRecord;
use labraft::Passed;
use labraft::Profile;
use labraft::RunReport;

/// What a worker is told to run: one line of JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Job {
    /// The test's name.
    test: String,
    spec: RunSpec,
    profile: Profile,
    keep: Keep,
    bounds: Option<Bounds>,
    /// Where to leave traces while it runs.
    watch: Option<PathBuf>,
    /// Drawn anew for each job: the answer repeats it.
    nonce: String,
}

/// Where a run is given up that is not wanted when it gets so far. It counts as failed then.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// The latest virtual time.
    pub virtual_time: Duration,
    /// The most polls of tasks and arrivals of messages.
    pub events: u64,
}

/// What to answer with, beside the result.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// Nothing.
    #[default]
    Result,
    /// The decisions that were not benign.
    Decisions,
    /// These, and the events.
    Events,
}

/// What became of a run: a worker's answer is one line of JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// What is to be kept.
    pub record: RunRecord,
    /// The nonce of the job. What does not know it is no answer to it.
    pub nonce: String,
    /// The faults beyond the course's network, in words.
    pub chaos: Option<String>,
    /// The title of the part that was begun last.
    pub begun: Option<String>,
    /// The figures of each part that passed.
    pub passed: Vec<Passed>,
    /// What was odd but not wrong.
    pub warnings: Vec<String>,
    /// The events, if they were asked for.
    pub events: Vec<Timed>,
    /// The decisions that had another than their benign value, if they were asked for. Those without a
    /// benign value are not among them.
    pub decisions: Vec<Taken>,
}

impl Answer {
    /// What became of a run that came to an end; `record` is what is kept of it.
    pub fn of(report: RunReport, record: RunRecord, nonce: impl Into<String>) -> Answer {
        Answer {
            events: report.events,
            decisions: report.choices,
            chaos: report.chaos,
            begun: report.begun,
            passed: report.passed,
            warnings: report.warnings,
            ..Answer::new(record, nonce)
        }
    }

    /// One with nothing but the record.
    pub fn new(record: RunRecord, nonce: impl Into<String>) -> Answer {
        Answer {
            record,
            nonce: nonce.into(),
            chaos: None,
            begun: None,
            passed: Vec::new(),
            warnings: Vec::new(),
            events: Vec::new(),
            decisions: Vec::new(),
        }
    }
}
