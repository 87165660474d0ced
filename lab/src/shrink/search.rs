//! The search: whole kinds first, then random subsets, blocks, chunks and single decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use labrpc::{Address, RunSpec, Taken};

use super::blocks::By;
use super::draws::Draws;
use super::found::{Budget, End, MakeRun, Progress, faults_and_calls, is_call};
use super::size::PLAIN_FAULTS;
use crate::failure_record::FailureRecord;
use crate::records::RunRecord;
use crate::workers::Keep;

/// Random attempts are made only while more decisions than this are left.
pub(super) const FEW: usize = 4;
/// The share of the budget after which random subsets end if none has succeeded since.
const PATIENCE: u64 = 60;
/// While more faults than these are left, the search does not end before its budget does.
const MANY: usize = 30;
/// Into how many parts the run is divided to find those that the failure can do without, from the
/// beginning.
const PARTS: usize = 24;
/// The number of the smallest chunks, before single decisions are left out.
const CHUNKS: usize = 64;
/// A run of more events than this counts as several in the budget.
pub(super) const EVENTS_OF_A_RUN: u64 = 10_000;

/// Why the search stops early.
pub(super) enum Stop {
    End(End),
    Broken(io::Error),
}

/// A set of decisions with which the run fails in the same way.
pub(super) struct Failing {
    pub(super) decisions: Vec<Taken>,
    /// The specification of the run with these decisions.
    pub(super) spec: RunSpec,
    pub(super) record: Option<RunRecord>,
}

pub(super) struct Search<'a> {
    pub(super) make_run: MakeRun<'a>,
    pub(super) progress: &'a mut dyn FnMut(Progress),
    pub(super) seed: u64,
    pub(super) failure: &'a FailureRecord,
    pub(super) budget: Budget,
    /// How much of the budget is used up.
    pub(super) spent: u64,
    pub(super) runs: u64,
    /// How many runs earlier searches made, of which this one is the continuation.
    pub(super) runs_before: u64,
    pub(super) best: Failing,
}

impl Search<'_> {
    pub(super) fn search(&mut self) -> Result<(), Stop> {
        // In a run that was shrunk before, this would bring back decisions that are already left
        // out.
        if self.best.spec.neutral.is_empty() {
            self.leave_out_kinds()?;
        }
        // From here on, every decision that is not listed is neutral, even one that occurs in no
        // earlier run.
        let listed = self.best.decisions.clone();
        if !self.fails_with(listed.iter())? {
            return Ok(());
        }
        self.leave_out_listed()?;
        loop {
            let before = self.best.decisions.len();
            self.make_shorter()?;
            self.make_earlier()?;
            self.leave_out_chunks(1)?;
            if self.best.decisions.len() == before {
                return Ok(());
            }
        }
    }

    /// Leaves out decisions in all ways, until nothing more can be left out.
    fn leave_out_listed(&mut self) -> Result<(), Stop> {
        let mut draws = Draws::new(self.runs_before + self.runs);
        let mut patience = self.budget.runs / PATIENCE;
        loop {
            let before = self.best.decisions.len();
            self.keep_drawn(&mut draws, patience)?;
            self.keep_latest()?;
            self.leave_out_blocks(&[By::Kind, By::Server, By::Second])?;
            self.make_earlier()?;
            self.leave_out_chunks(self.best.decisions.len() / CHUNKS)?;
            if self.best.decisions.len() < before - before / 8 {
                continue;
            }
            self.leave_out_blocks(&[By::Parties, By::Instant])?;
            self.leave_out_chunks(1)?;
            let now = self.best.decisions.len();
            let faults = self.best.decisions.iter().filter(|taken| !is_call(taken)).count();
            if now == before && faults <= MANY {
                return Ok(());
            }
            patience *= if now == before { 2 } else { 1 };
        }
    }

    /// Makes a run and returns whether it fails in the same way. If so, it becomes the best so far.
    pub(super) fn fails(&mut self, spec: RunSpec) -> Result<bool, Stop> {
        self.fails_and(spec, |_| true)
    }

    /// The same for a run that also has to be good enough, judged by the number of its decisions.
    pub(super) fn fails_and(
        &mut self,
        spec: RunSpec,
        is_good: impl Fn(usize) -> bool,
    ) -> Result<bool, Stop> {
        let is_over = self.spent >= self.budget.runs
            || self.spent >= self.budget.while_much && self.is_much_left();
        if is_over {
            return Err(Stop::End(End::Budget));
        }
        self.runs += 1;
        let answer = (self.make_run)(&spec, Keep::Decisions).map_err(Stop::Broken)?;
        let answer = answer.ok_or(Stop::End(End::Interrupted))?;
        self.spent += 1 + answer.record.events / EVENTS_OF_A_RUN;
        let is_same = answer.record.failure.as_ref().is_some_and(|now| now.is_same(self.failure));
        let mut seen = BTreeSet::new();
        let mut decisions = answer.decisions;
        // Some decisions are recorded more than once.
        decisions.retain(|taken| seen.insert(taken.address));
        let is_better =
            is_same && !answer.record.fingerprint.is_empty() && is_good(decisions.len());
        if is_better {
            self.best = Failing { decisions, spec, record: Some(answer.record) };
        }
        let left = self.best.decisions.len();
        (self.progress)(Progress { runs: self.runs, spent: self.spent, left });
        Ok(is_better)
    }

    /// Whether the run has many faults, or is so long that it counts as several.
    fn is_much_left(&self) -> bool {
        let is_long =
            self.best.record.as_ref().is_some_and(|record| record.events > EVENTS_OF_A_RUN);
        is_long || faults_and_calls(&self.best.decisions).0 > PLAIN_FAULTS
    }

    /// Whether the run still fails with only these decisions, all others being neutral.
    pub(super) fn fails_with<'b>(
        &mut self,
        decisions: impl Iterator<Item = &'b Taken>,
    ) -> Result<bool, Stop> {
        let decisions: BTreeMap<Address, u64> =
            decisions.map(|taken| (taken.address, taken.value)).collect();
        self.fails(RunSpec::only(self.seed, decisions))
    }

    /// Tries random subsets. They can succeed where leaving out one block at a time does not,
    /// because each decision that is left out changes what the others cause.
    fn keep_drawn(&mut self, draws: &mut Draws, patience: u64) -> Result<(), Stop> {
        let mut in_vain = 0;
        while in_vain < patience && self.best.decisions.len() > FEW {
            in_vain += 1;
            let before = self.best.decisions.len();
            let subset = draws.subset(&self.best.decisions);
            if subset.len() < before && self.fails_with(subset.iter())? {
                draws.succeeded(before, self.best.decisions.len());
                in_vain = 0;
            }
        }
        Ok(())
    }

    /// Leaves out everything up to some point in time, the latest such points first.
    fn keep_latest(&mut self) -> Result<(), Stop> {
        for parts in 1..PARTS {
            let decisions = &self.best.decisions;
            let first = decisions.len() - decisions.len() * parts / PARTS;
            let latest = decisions[first..].to_vec();
            if decisions.len() <= FEW || self.fails_with(latest.iter())? {
                break;
            }
        }
        Ok(())
    }

    /// Leaves out whole blocks, the large ones first.
    fn leave_out_blocks(&mut self, divisions: &[By]) -> Result<(), Stop> {
        for &by in divisions {
            for block in by.blocks(&self.best.decisions) {
                let tried = self.best.decisions.clone();
                let rest: Vec<&Taken> =
                    tried.iter().filter(|taken| by.block_of(taken) != block).collect();
                if rest.len() < tried.len() {
                    self.fails_with(rest.into_iter())?;
                }
            }
        }
        Ok(())
    }

    /// Leaves out chunks of the decisions: halves first, then smaller and smaller ones, down to this
    /// size.
    fn leave_out_chunks(&mut self, smallest: usize) -> Result<(), Stop> {
        let mut size = self.best.decisions.len().div_ceil(2);
        while size > smallest.max(1) {
            self.leave_out_chunks_of(size)?;
            size = (size / 2).min(self.best.decisions.len().div_ceil(2));
        }
        match smallest {
            0 | 1 => self.leave_out_chunks_of(1),
            _ => Ok(()),
        }
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
}
