//! Makes all runs of a test that have at most a few faults, those with fewer faults first.
//!
//! The run without faults tells where a fault can be put. Each run with a fault tells where a second one
//! can be put behind it, and so on: a tree, in which each set of faults has one place (`faults` says why).
//! Its levels are made one after the other, so the first failure that is found has the fewest faults, and
//! nothing can be left out of it.
//!
//! | module | what it is |
//! |---|---|
//! | this one | the levels of the tree |
//! | `faults` | the single faults, and where they can be put |
//! | `journal` | the file of what has been searched |
//!
//! The runs that add one fault to a given run are one job of a worker
//! ([`crate::workers::Explore`]). A share of a search has every so many of the runs with one fault,
//! and all runs with more faults that begin with one of these. So the shares have no run in common
//! but the one without faults.

pub mod faults;
pub mod journal;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use labraft::{Test, Verdict};

use crate::records::RunRecord;
use crate::seeds::Shard;
use crate::workers::{Explore, Explored, FailedRun, Keep, Pool, Runs};
use faults::{Fault, faults_to_add, run_with};
use journal::{Journal, Part};

/// The runs with one fault are made in so many parts, so that several workers have something to do.
const FIRST_PARTS: usize = 16;
/// How many parts of a level are made at a time, before those of another test.
const AT_A_TIME: usize = 32;

/// What to search, and with what.
pub struct Search<'a> {
    /// The workers.
    pub(crate) pool: &'a Pool<'a>,
    /// The test to search.
    pub(crate) test: &'static Test,
    /// The seed of everything that is not a fault.
    pub(crate) seed: u64,
    /// The most faults that a run may have.
    pub(crate) most_faults: usize,
    /// Which of the runs to make.
    pub(crate) share: Shard,
    /// How many workers to use at once.
    pub(crate) jobs: usize,
    /// Whether to stop at the first failure. What is found then depends on the number of workers no more than
    /// the result of a whole search does.
    pub(crate) fail_fast: bool,
}

/// What a search reports while it runs.
#[derive(Copy, Clone, Debug)]
pub enum News {
    /// The run without faults has been made: how many faults it has room for, and the CPU time it took.
    Begun {
        /// The number of single faults.
        faults: u64,
        /// The CPU time of the run, in milliseconds.
        cpu_ms: f64,
    },
    /// Runs with this many faults are going to be made.
    Level {
        /// The number of faults of each run.
        faults: usize,
        /// How many runs these are.
        runs: u64,
        /// How many of them have been made already.
        made: u64,
    },
    /// More runs have been made, and more failed.
    Made {
        /// How many were made.
        runs: u64,
        /// How many of them failed.
        failures: u64,
    },
}

/// What a search has found.
#[derive(Debug, Default)]
pub struct Found {
    /// The result of the run without faults; `None` if the search was interrupted before that.
    pub without_faults: Option<RunRecord>,
    /// How many runs were made with no fault, with one fault, and so on.
    pub runs: Vec<u64>,
    /// How many runs are unknown: neither passed nor failed.
    pub unknown: u64,
    /// The first failing run for each cause. All of them have as many faults as the last runs made.
    pub failures: Vec<FailingSet>,
    /// Whether all runs were made, up to the first number of faults with a failure.
    pub is_complete: bool,
}

/// Faults with which the test fails.
#[derive(Debug)]
pub struct FailingSet {
    /// The faults, in the order in which they come up.
    pub faults: Vec<Fault>,
    /// The result of the run.
    pub record: RunRecord,
    /// How many runs with this many faults failed for the same cause.
    pub count: u64,
    /// Whether the same run has passed before, so that something in it is not deterministic.
    pub has_passed: bool,
}

/// A search under way.
pub(crate) struct Progress {
    /// What it has found so far.
    pub(crate) found: Found,
    /// The runs of the level: with one fault more than those of the levels that are complete.
    units: Vec<Unit>,
    /// What came of those of them that were made.
    explored: Vec<Option<Explored>>,
}

impl Progress {
    fn new(found: Found, units: Vec<Unit>) -> Progress {
        Progress { found, units, explored: Vec::new() }
    }

    /// Whether a run of the present level has failed. Then no further level will be made.
    pub(crate) fn has_failed(&self) -> bool {
        self.explored.iter().any(has_failed)
    }

    /// How many faults the runs have that are to be made next.
    pub(crate) fn faults(&self) -> usize {
        self.found.runs.len()
    }
}

/// Runs that have one fault more than some other run.
struct Unit {
    faults: Vec<Fault>,
    plan: Explore,
    /// How many runs these are.
    runs: u64,
}

impl<'a> Search<'a> {
    /// A search of all runs of a test, with seed 0, that stops at the first failure.
    pub fn to_first_failure(
        pool: &'a Pool<'a>,
        test: &'static Test,
        most_faults: usize,
        jobs: usize,
    ) -> Search<'a> {
        Search { pool, test, seed: 0, most_faults, share: Shard::WHOLE, jobs, fail_fast: true }
    }

    /// Makes all runs, up to the first number of faults with which one fails.
    ///
    /// # Errors
    /// If a worker cannot be started, a run has no result, or the journal cannot be written.
    pub fn search(&self, journal: &mut Journal, tell: &mut dyn FnMut(News)) -> io::Result<Found> {
        let mut progress = self.begin(tell)?;
        while self.has_more(&progress) {
            self.go_on(&mut progress, journal, tell)?;
        }
        Ok(progress.found)
    }

    /// Makes the run without faults, which tells where a fault can be put.
    pub(crate) fn begin(&self, tell: &mut dyn FnMut(News)) -> io::Result<Progress> {
        let mut found = Found::default();
        let spec = run_with(self.seed, &[]);
        let answer = self.pool.runs().run(self.test, spec.clone(), Keep::AllDecisions)?;
        let Some(answer) = answer else { return Ok(Progress::new(found, Vec::new())) };
        let record = answer.record;
        found.without_faults = Some(record.clone());
        found.runs.push(1);
        found.unknown += u64::from(record.verdict == Verdict::Unknown);
        found.is_complete = true;
        if record.verdict >= Verdict::Failed {
            let faults = Vec::new();
            found.failures.push(FailingSet { faults, record, count: 1, has_passed: false });
            return Ok(Progress::new(found, Vec::new()));
        }
        let faults = faults_to_add(&answer.decisions, &spec.overrides).unwrap_or_default();
        tell(News::Begun { faults: faults.len() as u64, cpu_ms: record.cpu_ms });
        Ok(Progress::new(found, self.first_units(faults.len())))
    }

    /// Whether there are runs left to make, with one fault more than the last.
    pub(crate) fn has_more(&self, progress: &Progress) -> bool {
        let found = &progress.found;
        found.is_complete && found.failures.is_empty() && found.runs.len() <= self.most_faults
    }

    /// Makes some of the runs with one fault more.
    pub(crate) fn go_on(
        &self,
        progress: &mut Progress,
        journal: &mut Journal,
        tell: &mut dyn FnMut(News),
    ) -> io::Result<()> {
        let Progress { found, units, explored } = progress;
        let faults = found.runs.len();
        let looks_ahead = faults < self.most_faults;
        for unit in &mut *units {
            unit.plan = Explore { looks_ahead, stops_at_failure: self.fail_fast, ..unit.plan };
        }
        let runs = units.iter().map(|unit| unit.runs).sum();
        let made = explored.iter().flatten().map(|explored| explored.runs).sum();
        tell(News::Level { faults, runs, made });
        let next = units[explored.len()..].chunks(AT_A_TIME).next().unwrap_or_default();
        explored.extend(self.explore_all(next, journal, tell)?);
        let is_over = explored.len() == units.len()
            || explored.iter().any(Option::is_none)
            || self.fail_fast && explored.iter().any(has_failed);
        if is_over {
            self.end_level(progress);
        }
        Ok(())
    }

    /// Adds up what the runs of a level have shown, and finds those of the next.
    fn end_level(&self, progress: &mut Progress) {
        let Progress { found, units, explored } = progress;
        let mut explored = std::mem::take(explored);
        explored.resize(units.len(), None);
        if self.fail_fast {
            drop_after_failure(&mut explored);
        }
        let made = explored.iter().flatten();
        found.runs.push(made.clone().map(|explored| explored.runs).sum());
        found.unknown += made.map(|explored| explored.unknown).sum::<u64>();
        found.is_complete = explored.iter().all(Option::is_some);
        found.failures = failing_sets(units, &explored);
        *units = next_units(units, explored);
    }

    /// The runs of this share that have one fault.
    fn first_units(&self, faults: usize) -> Vec<Unit> {
        let step = self.share.of() * FIRST_PARTS;
        let part = |number: usize| {
            let from = self.share.index() + number * self.share.of();
            let runs = faults.saturating_sub(from).div_ceil(step) as u64;
            let plan = Explore { from, step, looks_ahead: false, stops_at_failure: false };
            Unit { faults: Vec::new(), plan, runs }
        };
        (0..FIRST_PARTS).map(part).filter(|unit| unit.runs > 0).collect()
    }

    /// Makes the runs of all units, except for those that the journal has. `None` stands for a unit that was
    /// not finished.
    fn explore_all(
        &self,
        units: &[Unit],
        journal: &mut Journal,
        tell: &mut dyn FnMut(News),
    ) -> io::Result<Vec<Option<Explored>>> {
        let part = |unit: &Unit| Part {
            test: self.test.name.into(),
            faults: unit.faults.clone(),
            plan: unit.plan,
        };
        let mut explored: Vec<Option<Explored>> =
            units.iter().map(|unit| journal.known(&part(unit))).collect();
        for known in explored.iter().flatten() {
            tell(made(known));
        }
        let is_enough = AtomicBool::new(false);
        let is_known: Vec<bool> = explored.iter().map(Option::is_some).collect();
        let left = units.iter().enumerate().filter(|(i, _)| !is_known[*i]);
        let left = left.take_while(|_| !is_enough.load(Ordering::Relaxed));
        let mut kept = Ok(());
        let ran = self.pool.each(
            left,
            self.jobs,
            |runs, (i, unit)| Ok(self.explore(runs, unit)?.map(|explored| (i, explored))),
            |(i, done)| {
                if kept.is_ok() {
                    kept = journal.add(part(&units[i]), &done);
                }
                let is_over = kept.is_err() || self.fail_fast && !done.failures.is_empty();
                if is_over {
                    is_enough.store(true, Ordering::Relaxed);
                }
                tell(made(&done));
                explored[i] = Some(done);
            },
        );
        kept.and(ran)?;
        Ok(explored)
    }

    /// Makes the runs of one unit.
    fn explore(&self, runs: &mut Runs<'_>, unit: &Unit) -> io::Result<Option<Explored>> {
        let spec = run_with(self.seed, &unit.faults);
        let mut whole = Explored { next: Some(unit.plan.from), ..Explored::default() };
        while let Some(from) = whole.next {
            let plan = Explore { from, ..unit.plan };
            let Some(explored) = runs.explore(self.test, &spec, plan)? else { return Ok(None) };
            whole.add(explored);
        }
        Ok(Some(whole))
    }
}

fn made(explored: &Explored) -> News {
    let failures = explored.failures.iter().map(|failed| failed.count).sum();
    News::Made { runs: explored.runs, failures }
}

fn has_failed(unit: &Option<Explored>) -> bool {
    unit.as_ref().is_some_and(|explored| !explored.failures.is_empty())
}

/// Forgets what comes after the first unit with a failure: how much of that was made depends on the machine.
fn drop_after_failure(explored: &mut [Option<Explored>]) {
    if let Some(first) = explored.iter().position(has_failed) {
        explored[first + 1..].fill(None);
    }
}

/// The first failing run for each cause, in the order in which the runs are numbered.
fn failing_sets(units: &[Unit], explored: &[Option<Explored>]) -> Vec<FailingSet> {
    let mut failed: Vec<(&Unit, &FailedRun)> = Vec::new();
    for (unit, explored) in units.iter().zip(explored) {
        failed.extend(explored.iter().flat_map(|it| &it.failures).map(|run| (unit, run)));
    }
    // The runs with one fault are divided among units, but numbered together.
    if units.first().is_some_and(|unit| unit.faults.is_empty()) {
        failed.sort_by_key(|(_, run)| run.number);
    }
    let mut causes: Vec<(&FailedRun, FailingSet)> = Vec::new();
    for (unit, run) in failed {
        if let Some((_, known)) = causes.iter_mut().find(|(known, _)| known.has_cause_of(run)) {
            known.count += run.count;
            continue;
        }
        let mut faults = unit.faults.clone();
        faults.extend(run.fault);
        let record = run.record.clone();
        let has_passed = run.fault.is_none();
        causes.push((run, FailingSet { faults, record, count: run.count, has_passed }));
    }
    causes.into_iter().map(|(_, set)| set).collect()
}

/// The runs that have one fault more than those of these units.
fn next_units(units: &[Unit], explored: Vec<Option<Explored>>) -> Vec<Unit> {
    let mut next = Vec::new();
    for (unit, explored) in units.iter().zip(explored) {
        for child in explored.into_iter().flat_map(|explored| explored.children) {
            let mut faults = unit.faults.clone();
            faults.push(child.fault);
            let plan = Explore { from: 0, step: 1, looks_ahead: false, stops_at_failure: false };
            next.push((child, Unit { faults, plan, runs: 0 }));
        }
    }
    // The likely causes of a bug come first, except that what was found together stays together.
    if units.first().is_some_and(|unit| unit.faults.is_empty()) {
        next.sort_by_key(|(child, _)| (child.fault.rank(), child.number));
    }
    let units = next.into_iter().map(|(child, unit)| Unit { runs: child.faults_to_add, ..unit });
    units.filter(|unit| unit.runs > 0).collect()
}
