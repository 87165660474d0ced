//! What a search finds, and how far it has come.

use std::io;

use labrpc::{Kind, RunSpec, Taken};
use serde::{Deserialize, Serialize};

use crate::records::RunRecord;
use crate::workers::{Answer, Keep};

/// Makes a run. Returns `None` if it was interrupted.
pub type MakeRun<'a> = &'a mut dyn FnMut(&RunSpec, Keep) -> io::Result<Option<Answer>>;

/// The result of a search.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The specification of the shrunk run.
    pub spec: RunSpec,
    /// The result of the shrunk run; `None` if nothing could be left out.
    pub record: Option<RunRecord>,
    /// The decisions that are needed, in the order of their times.
    pub needed: Vec<Taken>,
    /// The effort of the search, and of those that it continued.
    pub effort: Effort,
    /// How much of its budget the search used up.
    pub spent: u64,
    /// Why the search ended.
    pub end: End,
}

/// The effort of a search, which another search can continue.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effort {
    /// The number of decisions in the original run that were not neutral.
    pub of: usize,
    /// The number of runs made.
    pub runs: u64,
    /// How many seeds were tried to find a simpler run that fails in the same way.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seeds: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Counts decisions: first faults, then calls made by the clients of a generated workload, which are not
/// faults.
pub(super) fn faults_and_calls(decisions: &[Taken]) -> (usize, usize) {
    let calls = decisions.iter().filter(|taken| is_call(taken)).count();
    (decisions.len() - calls, calls)
}

/// Whether a decision is a call made by a client of a generated workload. Schedule 0 is that of
/// crashes and cuts; the schedules of the clients follow.
pub(super) fn is_call(taken: &Taken) -> bool {
    taken.address.kind == Kind::Schedule && taken.address.to > 0
}

/// How many runs a search may make. A long run counts as several.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The most runs.
    pub runs: u64,
    /// The most while so much is left that another run may well be simpler: many faults, or a long run.
    pub while_much: u64,
}

impl Budget {
    /// All runs may be made, however much is left.
    pub fn all(runs: u64) -> Budget {
        Budget { runs, while_much: runs }
    }

    /// While much is left, half of the runs are kept for finding a simpler run.
    pub fn half(runs: u64) -> Budget {
        Budget { runs, while_much: runs / 2 }
    }

    /// How many runs may be made to find a simpler run after so many were spent.
    pub fn elsewhere(self, spent: u64) -> u64 {
        (self.runs - self.while_much).min(self.runs.saturating_sub(spent))
    }
}

/// Why a search ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing more can be left out.
    Smallest,
    /// The maximum number of runs was reached.
    Budget,
    /// The user interrupted it.
    Interrupted,
}

/// The progress of a search.
#[derive(Copy, Clone, Debug)]
pub struct Progress {
    /// The number of runs made so far.
    pub runs: u64,
    /// How much of the budget is used up.
    pub spent: u64,
    /// The number of decisions in the smallest failing set so far.
    pub left: usize,
}
