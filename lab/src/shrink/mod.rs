//! Finds the fewest decisions with which a run still fails in the same way.
//!
//! A run is determined by its decisions. The search gives all of them their neutral value, except
//! for a set that it makes smaller and smaller, as long as the run still breaks the same property
//! or expectation. (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input",
//! 2002.) Decisions that occur only in the shrunk run are neutral too, so the set that remains
//! explains the failure completely.
//!
//! | module | what it is |
//! |---|---|
//! | this one | the search |
//! | `told` | descriptions of the decisions that are needed |
//! | `past` | steps of the protocol in the causal past of the failure |

mod past;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use labrpc::{Address, Kind, RunSpec, Taken};

pub use past::protocol_steps;
pub use told::tell;

use crate::failure_record::FailureRecord;
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
    /// The number of decisions in the original run that were not neutral.
    pub of: usize,
    /// The number of runs that the search made.
    pub runs: u64,
    /// Why the search ended.
    pub end: End,
}

impl Shrunk {
    /// Counts the needed decisions: first faults, then calls made by the clients of a generated
    /// workload, which are not faults.
    pub fn faults_and_calls(&self) -> (usize, usize) {
        let calls = self.needed.iter().filter(|taken| is_call(taken)).count();
        (self.needed.len() - calls, calls)
    }
}

/// Whether a decision is a call made by a client of a generated workload. Schedule 0 is that of
/// crashes and cuts; the schedules of the clients follow.
fn is_call(taken: &Taken) -> bool {
    taken.address.kind == Kind::Schedule && taken.address.to > 0
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
    /// The number of decisions in the smallest failing set so far.
    pub left: usize,
}

/// Kinds of decisions that affect only time and order. They are left out first, the least
/// informative kind before the others.
const TIMING: [Kind; 5] =
    [Kind::Order, Kind::RequestTransit, Kind::ReplyTransit, Kind::Unreachable, Kind::RequestDelay];

/// How many random subsets are tried for each chunk size.
const DRAWN_SUBSETS: u64 = 6;
/// Random subsets are tried only while more decisions than this are left.
const FEW: usize = 12;

/// Why the search stops early.
enum Stop {
    End(End),
    Broken(io::Error),
}

/// A set of decisions with which the run fails in the same way.
struct Failing {
    decisions: Vec<Taken>,
    /// The specification of the run with these decisions.
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

/// Finds the fewest decisions with which the run of `spec` still fails in the same way as
/// `failure`.
///
/// `decisions` are the decisions of that run that were not neutral. The search makes at most
/// `budget` runs, calls `progress` after each, and is deterministic.
///
/// # Errors
/// If `make_run` fails.
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
        // In a run that was shrunk before, this would bring back decisions that are already left
        // out.
        if self.best.spec.neutral.is_empty() {
            self.leave_out_kinds()?;
        }
        self.leave_out_chunks()?;
        self.make_shorter()?;
        self.leave_out_chunks_of(1)
    }

    /// Makes a run and returns whether it fails in the same way. If so, it becomes the best so far.
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
            // Some decisions are recorded more than once.
            decisions.retain(|taken| seen.insert(taken.address));
            self.best = Failing { decisions, spec, record: Some(answer.record) };
        }
        (self.progress)(Progress { runs: self.runs, left: self.best.decisions.len() });
        Ok(is_same)
    }

    /// Whether the run still fails with only these decisions, all others being neutral.
    fn fails_with<'b>(&mut self, decisions: impl Iterator<Item = &'b Taken>) -> Result<bool, Stop> {
        let decisions: BTreeMap<Address, u64> =
            decisions.map(|taken| (taken.address, taken.value)).collect();
        self.fails(RunSpec::only(self.seed, decisions))
    }

    /// Leaves out whole kinds of decisions: all at once, those that affect only time, then one kind
    /// at a time. The decisions of the other kinds follow from the seed.
    fn leave_out_kinds(&mut self) -> Result<(), Stop> {
        let all = Kind::ALL.into_iter().filter(|kind| kind.has_neutral());
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

    /// The specification of the seed's run in which decisions of these kinds are neutral.
    fn without(&self, kinds: &BTreeSet<Kind>) -> RunSpec {
        let neutral = kinds.iter().map(|&kind| (kind, BTreeSet::new())).collect();
        RunSpec { neutral, ..RunSpec::seed(self.seed) }
    }

    /// Leaves out chunks of the decisions: halves first, then smaller and smaller ones, down to
    /// single decisions.
    fn leave_out_chunks(&mut self) -> Result<(), Stop> {
        // From here on, every decision that is not listed is neutral, even one that occurs in no
        // earlier run.
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

    /// Leaves out chunks of this size, as long as the run still fails. The latest decisions come
    /// first, because they influence the fewest others.
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
            // A decision that was needed together with others may be unnecessary once they are
            // gone.
            if size > 1 || self.best.decisions.len() == before {
                return Ok(());
            }
        }
    }

    /// Tries random subsets. They can succeed where leaving out one chunk at a time does not,
    /// because each decision that is left out changes what the others cause.
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

    /// Shortens the delays that can be shorter.
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
