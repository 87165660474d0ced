//! Looks for the same failure in simpler runs than the one that was to be shrunk.
//!
//! A race that needs many things to come together can often not be taken apart: whatever is left out changes
//! all that comes after it. But the same rule may also be broken by a run that has hardly any faults in the first
//! place. So this looks from below, as `lab search` does, at short scenarios with no fault and with one; and
//! sideways, at runs of the same test, of generated scenarios and of short ones under chaos, under other seeds and
//! with only some kinds of faults, of which it shrinks those that seem easiest.
//!
//! What it finds is another run. It breaks the same rule, perhaps for another reason.

use std::io;

use labraft::{CauseKind, Part, Test};
use labrpc::RunSpec;

use super::found::{Effort, End, Progress, Shrunk};
use super::past::protocol_steps;
use super::size::Size;
use crate::failure_record::FailureRecord;
use crate::records::RunRecord;
use crate::workers::{Answer, Bounds, Explore, Explored, Keep, RunOptions, Runs};

/// Into how many parts a run of the budget is divided.
pub(super) const PARTS: u64 = 10;

/// How many parts of a budget's run a run of a test costs, if it is not long: all of them, but one for a short scenario.
pub(super) fn parts(test: &Test) -> u64 {
    if test.part == Part::Search { 1 } else { PARTS }
}

/// Makes runs of all tests.
pub trait Worlds {
    /// Makes a run. Returns `None` if it was interrupted.
    ///
    /// # Errors
    /// If it cannot be made.
    fn run(
        &mut self,
        test: &'static Test,
        spec: &RunSpec,
        keep: Keep,
        options: RunOptions,
    ) -> io::Result<Option<Answer>>;

    /// Makes runs that have one fault more. Returns `None` if it was interrupted.
    ///
    /// # Errors
    /// If they cannot be made.
    fn explore(
        &mut self,
        test: &'static Test,
        spec: &RunSpec,
        plan: Explore,
        options: RunOptions,
    ) -> io::Result<Option<Explored>>;
}

impl Worlds for Runs<'_> {
    fn run(
        &mut self,
        test: &'static Test,
        spec: &RunSpec,
        keep: Keep,
        options: RunOptions,
    ) -> io::Result<Option<Answer>> {
        self.set_options(options);
        Runs::run(self, test, spec.clone(), keep)
    }

    fn explore(
        &mut self,
        test: &'static Test,
        spec: &RunSpec,
        plan: Explore,
        options: RunOptions,
    ) -> io::Result<Option<Explored>> {
        self.set_options(options);
        Runs::explore(self, test, spec, plan)
    }
}

/// What to look for.
#[derive(Copy, Clone, Debug)]
pub struct Wanted<'a> {
    /// All tests.
    pub suite: &'static [Test],
    /// The test of the run that was shrunk.
    pub test: &'static Test,
    /// How it fails.
    pub failure: &'a FailureRecord,
    /// What was left of it.
    pub size: Size,
    /// Limits for runs that fail in the same way as late as that did; `None` if it came to a limit itself.
    pub bounds: Option<Bounds>,
    /// How many runs under other seeds an earlier search has tried.
    pub tried: u64,
}

/// A run that fails in the same way, and is simpler.
#[derive(Debug)]
pub struct Simpler {
    /// Its test.
    pub test: &'static Test,
    /// The run, and what it needs.
    pub shrunk: Shrunk,
    /// The run with its events.
    pub answer: Answer,
    /// How much of it there is to read.
    pub size: Size,
}

/// What came of looking.
#[derive(Debug, Default)]
pub struct Looked {
    /// The simplest run, if one is simpler than the run that was shrunk.
    pub simplest: Option<Simpler>,
    /// How many runs were made.
    pub runs: u64,
    /// How many runs under other seeds were tried, here and before.
    pub tried: u64,
    /// Whether it was interrupted.
    pub is_interrupted: bool,
}

/// Looks for a simpler run that fails in the same way. It makes at most `budget` runs, of which a long one
/// counts as several and several short ones as one, and finds the same on every machine.
///
/// # Errors
/// If a run cannot be made.
pub fn find_simpler(
    wanted: Wanted<'_>,
    budget: u64,
    worlds: &mut dyn Worlds,
    progress: &mut dyn FnMut(Progress),
) -> io::Result<Looked> {
    let mut looking = Looking {
        wanted,
        worlds,
        progress,
        budget,
        spent: 0,
        spent_parts: 0,
        found: Looked { tried: wanted.tried, ..Looked::default() },
    };
    match looking.look() {
        Ok(()) => {}
        Err(Stop::Interrupted) => looking.found.is_interrupted = true,
        Err(Stop::Broken(error)) => return Err(error),
    }
    Ok(looking.found)
}

/// Why looking ends early.
pub(super) enum Stop {
    Interrupted,
    Broken(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Broken(error)
    }
}

pub(super) struct Looking<'a> {
    pub(super) wanted: Wanted<'a>,
    pub(super) worlds: &'a mut dyn Worlds,
    pub(super) progress: &'a mut dyn FnMut(Progress),
    pub(super) budget: u64,
    /// How much of the budget is used up.
    pub(super) spent: u64,
    /// What is used up and not in `spent` yet, in parts.
    spent_parts: u64,
    pub(super) found: Looked,
}

impl Looking<'_> {
    fn look(&mut self) -> Result<(), Stop> {
        // Whether a run is late, or a client waits in vain, says little about why. Only a rule that is
        // broken, or a panic, is the same elsewhere. A healthy cluster that stands still is something in between:
        // if hardly any fault is needed for that, the run is worth reading.
        let kind = &self.wanted.failure.cause.kind;
        let is_telling = matches!(kind, CauseKind::Property { .. } | CauseKind::Panic { .. });
        let is_clear = is_telling || *kind == CauseKind::Standstill;
        // An earlier search has looked at all short scenarios.
        if is_clear && self.wanted.tried == 0 {
            self.look_at_short_scenarios()?;
        }
        self.look_at_other_seeds(is_telling)
    }

    /// Whether the simplest run so far can be read as it is.
    pub(super) fn is_enough(&self) -> bool {
        self.found.simplest.as_ref().is_some_and(|simplest| simplest.size.is_plain())
    }

    /// The tests of a part.
    pub(super) fn tests_of(&self, part: Part) -> impl Iterator<Item = &'static Test> + use<> {
        self.wanted.suite.iter().filter(move |test| test.part == part)
    }

    /// Whether a run failed as the wanted one.
    pub(super) fn is_same(&self, record: &RunRecord) -> bool {
        let is_whole = !record.fingerprint.is_empty();
        is_whole && record.failure.as_ref().is_some_and(|now| now.is_same(self.wanted.failure))
    }

    /// Counts runs, which cost so much of the budget, in parts of it as [`parts`] says.
    pub(super) fn count(&mut self, runs: u64, cost: u64) {
        self.found.runs += runs;
        self.spent_parts += cost;
        self.spent += self.spent_parts / PARTS;
        self.spent_parts %= PARTS;
        self.tell();
    }

    /// Whether the budget allows for so much more, in parts of it.
    pub(super) fn can_afford(&self, cost: u64) -> bool {
        self.spent + (self.spent_parts + cost).div_ceil(PARTS) <= self.budget
    }

    pub(super) fn tell(&mut self) {
        let left = self.found.simplest.as_ref().map_or(0, |simplest| simplest.shrunk.needed.len());
        (self.progress)(Progress { runs: self.found.runs, spent: self.spent, left });
    }

    /// Takes a run that fails as the wanted one for the simplest, if it is.
    pub(super) fn offer(
        &mut self,
        test: &'static Test,
        shrunk: Shrunk,
        options: RunOptions,
    ) -> Result<(), Stop> {
        let options = RunOptions { bounds: None, ..options };
        let answer = self.worlds.run(test, &shrunk.spec, Keep::Events, options)?;
        let answer = answer.ok_or(Stop::Interrupted)?;
        self.found.runs += 1;
        let Some(failure) = answer.record.failure.as_ref().filter(|_| self.is_same(&answer.record))
        else {
            return Ok(());
        };
        let size = Size::of(&shrunk.needed, protocol_steps(&answer.events, failure));
        let known = self.found.simplest.as_ref().map_or(self.wanted.size, |known| known.size);
        if size.is_simpler_than(known) {
            self.found.simplest = Some(Simpler { test, shrunk, answer, size });
        }
        Ok(())
    }

    /// Offers a run of a short scenario, from which nothing can be left out.
    pub(super) fn offer_short(&mut self, test: &'static Test, spec: RunSpec) -> Result<(), Stop> {
        let options = RunOptions::default();
        let answer = self.worlds.run(test, &spec, Keep::Decisions, options)?;
        let answer = answer.ok_or(Stop::Interrupted)?;
        let mut needed = answer.decisions;
        needed.retain(|taken| spec.overrides.contains_key(&taken.address));
        needed.dedup_by_key(|taken| taken.address);
        let effort = Effort { of: needed.len(), ..Effort::default() };
        let record = Some(answer.record);
        let end = End::Smallest;
        self.offer(test, Shrunk { spec, record, needed, effort, spent: 0, end }, options)
    }
}
