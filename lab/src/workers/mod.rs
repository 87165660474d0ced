//! Worker processes, which isolate the lab from the code under test.
//!
//! That code may panic, abort, overflow its stack, block its thread, spin forever or exhaust the
//! memory. In a process of its own, this costs a single run: the worker is killed and replaced, and
//! the same run is repeated under observation. The repetition also shows whether the run was to blame:
//! the system or a person may have ended the worker as well.
//!
//! | module | what it is |
//! |---|---|
//! | `worker` | the worker process: reads jobs, runs them, answers |
//! | `pool` | the parent's side: hands out jobs, replaces workers, repeats runs |
//! | `explore` | many runs of a search for one job |
//! | `settings` | how workers are started |
//! | `skipped` | the events that an answer leaves out, because the parent knows them |
//! | `process` | one worker as its parent sees it: starts it, asks it, kills it |
//! | `judge` | who ended a worker: the code under test, the machine, or somebody else |
//! | `limits` | how much memory the system lets a worker have |
//! | `progress` | how much a worker has worked, which decides whether its run hangs |
//! | `proc_stat` | what the system says about processes and threads |
//! | `watch` | the traces of a run under observation |

mod explore;
mod judge;
mod limits;
mod pool;
mod proc_stat;
mod process;
mod progress;
mod settings;
mod skipped;
mod watch;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use labrpc::{RunSpec, Taken, Timed};
use serde::{Deserialize, Serialize};

pub use explore::{Child, Explore, Explored, FailedRun};
pub use pool::{Pair, Pool, Runs};
pub use settings::{Audited, Settings};
pub use skipped::Skipped;
pub use worker::serve;

use crate::conditions::Conditions;
use crate::records::RunRecord;
use labraft::Passed;
use labraft::RunReport;

/// A run for a worker, sent as one line of JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Job {
    /// The name of the test, such as `Backup2B`.
    test: String,
    spec: RunSpec,
    conditions: Conditions,
    /// Whether to look for servers and clients that know more than they were told.
    audit: bool,
    keep: Keep,
    /// How many of the first events the answer is to leave out, because the parent knows them.
    #[serde(default)]
    skip: usize,
    /// Whether to make the runs that have one fault more, and which of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    explore: Option<Explore>,
    bounds: Option<Bounds>,
    /// The file in which to leave traces during the run.
    watch: Option<PathBuf>,
    /// Whether the worker is not to make any further runs, so that it does not matter what this one
    /// leaves behind.
    is_last: bool,
    /// Drawn anew for each job. Only an answer that repeats it is accepted.
    nonce: String,
}

/// What a worker sends, as one line of JSON each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reply {
    /// It is set up. This is sent once, before any code under test runs.
    Ready,
    /// The run of the current job has ended, and these are its next events. Sent in pieces, which the parent reads
    /// while the next one is written.
    Events {
        /// The job's.
        nonce: String,
        events: Vec<Timed>,
    },
    /// The run of the current job has ended.
    Done {
        answer: Box<Answer>,
        /// Whether the run has left nothing behind that could reach later runs.
        is_clean: bool,
    },
    /// The machine refuses what the worker needs, as a sentence.
    Broken(String),
}

/// Limits for a run that is of no use once it exceeds them. It then counts as failed.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// The maximum virtual time since the start of the run.
    pub virtual_time: Duration,
    /// The maximum number of task polls and message arrivals.
    pub events: u64,
}

/// What applies to the runs that are made next, besides the settings of all workers.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// The limits of a run.
    pub bounds: Option<Bounds>,
    /// Whether to make the run under chaos, whatever the profile is otherwise.
    pub is_chaos: bool,
}

impl RunOptions {
    /// The usual options, with these limits.
    pub fn within(bounds: Option<Bounds>) -> RunOptions {
        RunOptions { bounds, is_chaos: false }
    }
}

/// What an answer contains besides the result.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// Nothing else.
    #[default]
    Result,
    /// The decisions with a value other than their neutral one.
    Decisions,
    /// All decisions.
    AllDecisions,
    /// The decisions with a value other than their neutral one, and all events.
    Events,
}

/// The outcome of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The result, as it goes into the results file.
    pub record: RunRecord,
    /// The nonce of the job. An answer with any other nonce is rejected.
    pub nonce: String,
    /// A description of the faults drawn under chaos, beyond those of the course's network.
    pub chaos: Option<String>,
    /// The title of the last part of the test that started.
    pub begun: Option<String>,
    /// The figures of each part that passed.
    pub passed: Vec<Passed>,
    /// Observations that are unusual but not failures, as sentences.
    pub warnings: Vec<String>,
    /// The events of the run, with [`Keep::Events`].
    pub events: Vec<Timed>,
    /// The decisions with a value other than their neutral one, with [`Keep::Decisions`] or
    /// [`Keep::Events`]. Kinds of decisions that have no neutral value are not included. All decisions
    /// with [`Keep::AllDecisions`].
    pub decisions: Vec<Taken>,
    /// What was left out of the events, if the job asked for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<Skipped>,
    /// What came of the runs with one fault more, if the job asked for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explored: Option<Explored>,
}

impl Answer {
    /// The answer for a run that ended by itself, from its report and the record made of it.
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

    /// An answer that contains only the record and the nonce.
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
            skipped: None,
            explored: None,
        }
    }
}
