//! The fewest decisions that still make a run fail the same way.
//!
//! A run is what its decisions make of it. Here all of them get their benign value, but for a set that
//! is made smaller and smaller, as long as the run breaks the same property, or the same expectation. (Zeller
//! and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002.) Decisions that a shrunk
//! run comes to and the first one did not are benign as well, so that what is left is all there is.
//!
//! | module | what it is |
//! |---|---|
//! | this one | the search |
//! | `told` | what is left, in words |
//! | `past` | what the failure rests on |

mod past;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use labrpc::{Address, Kind, RunSpec, Taken};

pub use past::protocol_steps;
pub use told::tell;

use crate::records::{FailureRecord, RunRecord};
use crate::workers::{Answer, Keep};

/// Makes a run; `None` when that was interrupted.
pub type MakeRun<'a> = &'a mut dyn FnMut(&RunSpec, Keep) -> io::Result<Option<Answer>>;

/// What a search came to.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// What the shrunk run is made of.
    pub spec: RunSpec,
    /// What became of it; none when nothing could be left out.
    pub record: Option<RunRecord>,
    /// The decisions that are needed, in the order of their times.
    pub needed: Vec<Taken>,
    /// How many decisions were not benign in the run as it was.
    pub of: usize,
    /// How many runs were made.
    pub runs: u64,
    /// Why the search ended.
    pub end: End,
}

impl Shrunk {
    /// How many of the needed decisions are faults, and how many are calls that a generated workload makes:
    /// steps of the protocol, which nobody would call a fault.
    pub fn faults_and_calls(&self) -> (usize, usize) {
        let calls = self.needed.iter().filter(|taken| is_call(taken)).count();
        (self.needed.len() - calls, calls)
    }
}

/// Whether a decision is that a client of a generated workload makes a call. The schedule of crashes and
/// cuts is number 0, those of clients follow.
fn is_call(taken: &Taken) -> bool {
    taken.address.kind == Kind::Schedule && taken.address.to > 0
}

/// Why a search ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing more can be left out.
    Smallest,
    /// As many runs were made as may be.
    Budget,
    /// Somebody wanted it to.
    Interrupted,
}

/// How far a search is.
#[derive(Copy, Clone, Debug)]
pub struct Progress {
    /// How many runs were made.
    pub runs: u64,
    /// How many decisions are left.
    pub left: usize,
}

/// Kinds that are about time and order only, from the least telling on: left out first.
const TIMING: [Kind; 5] =
    [Kind::Order, Kind::RequestTransit, Kind::ReplyTransit, Kind::Unreachable, Kind::RequestDelay];

/// Of a set that cannot be halved, so many drawn subsets are tried.
const DRAWN_SUBSETS: u64 = 6;
/// Subsets are drawn while there are more decisions than this.
const FEW: usize = 12;

/// Why the search goes no further.
enum Stop {
    End(End),
    Broken(io::Error),
}

/// A set of decisions with which the run fails the same way.
struct Failing {
    decisions: Vec<Taken>,
    /// What the run is made of.
    spec: RunSpec,
    record: Option<RunRecord>,
}

struct Search<'a> {
    make_run: MakeRun<'a>,
    progress: &'a mut dyn FnMut(Progress),
    seed: u64,
    failure: &'a FailureRecord,
    budget: u64,
    runs: u64,
    best: Failing,
}

/// Looks for the fewest decisions with which the run of `spec` still fails in this way, in at most
/// `budget` runs. `decisions` are those of that run which were not benign. It is the same search each
/// time.
///
/// # Errors
/// Those of making runs.
pub fn shrink(
    spec: &RunSpec,
    failure: &FailureRecord,
    decisions: Vec<Taken>,
    budget: u64,
    make_run: MakeRun<'_>,
    progress: &mut dyn FnMut(Progress),
) -> io::Result<Shrunk> {
    let of = decisions.len();
    let best = Failing { decisions, spec: spec.clone(), record: None };
    let seed = spec.seed;
    let mut search = Search { make_run, progress, seed, failure, budget, runs: 0, best };
    let end = match search.search() {
        Ok(()) => End::Smallest,
        Err(Stop::End(end)) => end,
        Err(Stop::Broken(error)) => return Err(error),
    };
    let Failing { decisions, spec, record } = search.best;
    Ok(Shrunk { spec, record, needed: decisions, of, runs: search.runs, end })
}

impl Search<'_> {
    fn search(&mut self) -> Result<(), Stop> {
        // A run that is shrunk already is not to be grown again.
        if self.best.spec.benign.is_empty() {
            self.leave_out_kinds()?;
        }
        self.leave_out_chunks()?;
        self.make_shorter()?;
        self.leave_out_chunks_of(1)
    }

    /// A run: whether it fails the same way. If so, it is the best so far.
    fn fails(&mut self, spec: RunSpec) -> Result<bool, Stop> {
        if self.runs == self.budget {
            return Err(Stop::End(End::Budget));
        }
        self.runs += 1;
        let answer = (self.make_run)(&spec, Keep::Decisions).map_err(Stop::Broken)?;
        let answer = answer.ok_or(Stop::End(End::Interrupted))?;
        let is_same = answer.record.failure.as_ref().is_some_and(|now| now.is_same(self.failure));
        if is_same && !answer.record.fingerprint.is_empty() {
            let mut seen = BTreeSet::new();
            let mut decisions = answer.decisions;
            // Some are asked more than once.
            decisions.retain(|taken| seen.insert(taken.address));
            self.best = Failing { decisions, spec, record: Some(answer.record) };
        }
        (self.progress)(Progress { runs: self.runs, left: self.best.decisions.len() });
        Ok(is_same)
    }

    /// A run with nothing but these decisions.
    fn fails_with<'b>(&mut self, decisions: impl Iterator<Item = &'b Taken>) -> Result<bool, Stop> {
        let decisions: BTreeMap<Address, u64> =
            decisions.map(|taken| (taken.address, taken.value)).collect();
        self.fails(RunSpec::only(self.seed, decisions))
    }

    /// Whole kinds first: all, those about time, each one. What is not left out is as the seed says.
    fn leave_out_kinds(&mut self) -> Result<(), Stop> {
        let all = Kind::ALL.into_iter().filter(|kind| kind.has_benign());
        let mut left: BTreeSet<Kind> = all.collect();
        if self.fails(self.without(&left))? {
            return Ok(());
        }
        let timing = BTreeSet::from(TIMING);
        let mut out = BTreeSet::new();
        if self.fails(self.without(&timing))? {
            out = timing;
        }
        left.retain(|kind| !out.contains(kind));
        let others = left.iter().copied().filter(|kind| !TIMING.contains(kind));
        for kind in TIMING.into_iter().filter(|kind| left.contains(kind)).chain(others) {
            let mut more = out.clone();
            more.insert(kind);
            let is_there = self.best.decisions.iter().any(|taken| taken.address.kind == kind);
            if !is_there || self.fails(self.without(&more))? {
                out = more;
            }
        }
        Ok(())
    }

    /// The run of the seed without these kinds.
    fn without(&self, kinds: &BTreeSet<Kind>) -> RunSpec {
        let benign = kinds.iter().map(|&kind| (kind, BTreeSet::new())).collect();
        RunSpec { benign, ..RunSpec::seed(self.seed) }
    }

    /// Halves, then smaller and smaller parts, down to single decisions.
    fn leave_out_chunks(&mut self) -> Result<(), Stop> {
        // From here on nothing but what is listed is other than benign, also where the shrunk run
        // comes to decisions that no run before it came to.
        let listed = self.best.decisions.clone();
        if !self.fails_with(listed.iter())? {
            return Ok(());
        }
        let mut size = self.best.decisions.len().div_ceil(2);
        while size > 1 {
            self.leave_out_chunks_of(size)?;
            self.keep_drawn(size)?;
            size = (size / 2).min(self.best.decisions.len().div_ceil(2));
        }
        self.leave_out_chunks_of(1)
    }

    /// Leaves out parts of this size while that goes, the latest first: what is decided late sways
    /// least of the rest.
    fn leave_out_chunks_of(&mut self, size: usize) -> Result<(), Stop> {
        loop {
            let before = self.best.decisions.len();
            let mut end = before;
            while end > 0 {
                let start = end.saturating_sub(size);
                let tried = self.best.decisions.clone();
                let rest = tried[..start].iter().chain(&tried[end..]);
                self.fails_with(rest)?;
                end = start.min(self.best.decisions.len());
            }
            // What was needed beside others may not be needed without them.
            if size > 1 || self.best.decisions.len() == before {
                return Ok(());
            }
        }
    }

    /// Runs are not tame: leaving out one part changes what the others do. So some drawn subsets are
    /// tried as well.
    fn keep_drawn(&mut self, salt: usize) -> Result<(), Stop> {
        for n in 0..DRAWN_SUBSETS {
            let tried = self.best.decisions.clone();
            if tried.len() <= FEW {
                return Ok(());
            }
            let is_kept = |i: &usize| {
                let place = [salt as u64, n, *i as u64].map(u64::to_le_bytes).concat();
                labrpc::hash_bytes(&place).is_multiple_of(2 + n % 2)
            };
            let kept: Vec<usize> = (0..tried.len()).filter(is_kept).collect();
            self.fails_with(kept.iter().map(|&i| &tried[i]))?;
        }
        Ok(())
    }

    /// Delays that need not be so long.
    fn make_shorter(&mut self) -> Result<(), Stop> {
        let is_span = |taken: &Taken| taken.bound > 3;
        let spans: Vec<Address> =
            self.best.decisions.iter().filter(|taken| is_span(taken)).map(|t| t.address).collect();
        for address in spans {
            for parts in [8, 4, 2] {
                let mut tried = self.best.decisions.clone();
                let Some(taken) = tried.iter_mut().find(|taken| taken.address == address) else {
                    break;
                };
                if taken.value < 2 {
                    break;
                }
                taken.value = (taken.value / parts).max(1);
                if self.fails_with(tried.iter())? {
                    break;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
