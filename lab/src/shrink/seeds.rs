//! Runs under other seeds, with only some kinds of faults.
//!
//! Short scenarios have faults of their own only under chaos, among them some that a search does not have, such as
//! pauses. Of their runs ten cost no more than one of the others, and what a run of two seconds needs to fail is soon
//! found.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use labraft::{Part, Test};
use labrpc::{Address, Kind, RunSpec, Taken};

use super::draws::Dice;
use super::elsewhere::{Looking, PARTS, Stop, parts};
use super::found::{Budget, Effort, End};
use super::kinds::TIMING;
use super::search::EVENTS_OF_A_RUN;
use crate::workers::{Bounds, Keep, RunOptions};

/// A run that has not failed after so many events will not be easy to shrink, if it can fail sooner at all.
const MOST_EVENTS: u64 = 10_000;
/// Nor will it be easier than a run that failed this many times sooner.
const TIMES_SOONER: u64 = 2;
const MOST_TIME: Duration = Duration::from_secs(60);
/// The share of the budget that finding failing runs may take each time.
const FINDING: u64 = 12;
/// So many failing runs are enough to choose from.
const ENOUGH: usize = 6;
/// The share of the budget that shrinking one of them may take.
const SHRINKING: u64 = 8;
/// For the dice.
const SALT: u64 = 77;

type Neutral = BTreeMap<Kind, BTreeSet<Address>>;

/// A test, and how it has done so far.
struct Field {
    test: &'static Test,
    /// Whether its runs are made under chaos.
    is_chaos: bool,
    runs: u64,
    /// In parts of the budget's runs.
    spent: u64,
    failed: u64,
}

impl Field {
    /// The failing runs to be expected for a unit of the budget. A test that has not been tried much is
    /// trusted a little.
    fn worth(&self) -> f64 {
        (2 * self.failed + 1) as f64 / (self.spent + PARTS) as f64
    }
}

/// A run that fails as the wanted one, and can be shrunk.
struct Failing {
    test: &'static Test,
    is_chaos: bool,
    spec: RunSpec,
    decisions: Vec<Taken>,
    events: u64,
    /// How much was done already to shrink it.
    earlier: Option<Effort>,
}

/// What is known of other seeds.
struct Seeds {
    fields: Vec<Field>,
    failing: Vec<Failing>,
    dice: Dice,
    /// The kinds of faults that the run with the fewest decisions did without, and how many it had.
    fewest: Option<(usize, Neutral)>,
    /// After how many events the run failed that failed soonest.
    soonest: u64,
}

impl Looking<'_> {
    /// Looks at other seeds of the same test and, if `is_telling`, of the generated scenarios and the short ones.
    pub(super) fn look_at_other_seeds(&mut self, is_telling: bool) -> Result<(), Stop> {
        let own = self.wanted.test;
        let others = [Part::Beyond, Part::Search].into_iter().flat_map(|part| self.tests_of(part));
        let others = others.filter(|test| is_telling && test.name != own.name);
        let field = |test: &'static Test| {
            let is_chaos = is_telling && test.part == Part::Search;
            Field { test, is_chaos, runs: 0, spent: 0, failed: 0 }
        };
        // A test that waits in vain does so at its end, always after as much.
        let late = self.wanted.bounds.filter(|_| !is_telling);
        let soonest = late.map_or(0, |bounds| bounds.events / TIMES_SOONER).max(MOST_EVENTS);
        let mut seeds = Seeds {
            fields: [own].into_iter().chain(others).map(field).collect(),
            failing: Vec::new(),
            dice: Dice::new(SALT + self.wanted.tried),
            fewest: None,
            soonest,
        };
        while !self.is_enough() && self.spent < self.budget {
            self.find_failing(&mut seeds)?;
            let easiest = (0..seeds.failing.len())
                .min_by_key(|&place| (seeds.failing[place].decisions.len(), place));
            if let Some(place) = easiest {
                let failing = seeds.failing.remove(place);
                let unfinished = self.shrink_and_offer(failing)?;
                seeds.failing.extend(unfinished);
            }
        }
        Ok(())
    }

    /// Shrinks a failing run and offers it. Returns it if it can be shrunk further.
    fn shrink_and_offer(&mut self, failing: Failing) -> Result<Option<Failing>, Stop> {
        let Failing { test, is_chaos, spec, decisions, events, earlier } = failing;
        let bounds = Bounds { virtual_time: self.most_time(), events: 2 * events + 1000 };
        let options = RunOptions { bounds: Some(bounds), is_chaos };
        let rest = self.budget.saturating_sub(self.spent).min(self.budget / SHRINKING);
        let worlds = &mut *self.worlds;
        let shrunk = super::shrink(
            &spec,
            self.wanted.failure,
            decisions,
            earlier,
            Budget::all(rest * PARTS / parts(test)),
            &mut |spec, keep| worlds.run(test, spec, keep, options),
            &mut |_| {},
        )?;
        let runs = shrunk.effort.runs - earlier.map_or(0, |effort| effort.runs);
        self.count(runs, shrunk.spent.max(1) * parts(test));
        if shrunk.end == End::Interrupted {
            return Err(Stop::Interrupted);
        }
        let unfinished = (shrunk.end == End::Budget).then(|| Failing {
            test,
            is_chaos,
            spec: shrunk.spec.clone(),
            decisions: shrunk.needed.clone(),
            events: shrunk.record.as_ref().map_or(events, |record| record.events),
            earlier: Some(shrunk.effort),
        });
        self.offer(test, shrunk, options)?;
        Ok(unfinished)
    }

    fn most_time(&self) -> Duration {
        self.wanted.bounds.map_or(MOST_TIME, |bounds| bounds.virtual_time.max(MOST_TIME))
    }

    /// Finds some more failing runs.
    fn find_failing(&mut self, seeds: &mut Seeds) -> Result<(), Stop> {
        let end = self.budget.min(self.spent + (self.budget / FINDING).max(1));
        let mut found = 0;
        while self.spent < end && found < ENOUGH {
            let worth = |place: &usize| seeds.fields[*place].worth();
            let best = |a: &usize, b: &usize| worth(a).total_cmp(&worth(b)).then(b.cmp(a));
            let Some(place) = (0..seeds.fields.len()).max_by(best) else { break };
            let Field { test, is_chaos, runs, .. } = seeds.fields[place];
            let neutral = seeds.draw_neutral();
            let spec =
                RunSpec { neutral: neutral.clone(), ..RunSpec::seed(self.wanted.tried + runs) };
            let virtual_time = self.most_time();
            let bounds = Bounds { virtual_time, events: TIMES_SOONER * seeds.soonest };
            let options = RunOptions { bounds: Some(bounds), is_chaos };
            let answer = self.worlds.run(test, &spec, Keep::Decisions, options)?;
            let answer = answer.ok_or(Stop::Interrupted)?;
            let events = answer.record.events;
            let decisions = answer.decisions;
            let cost = (1 + events / EVENTS_OF_A_RUN) * parts(test);
            self.count(1, cost);
            let field = &mut seeds.fields[place];
            field.runs += 1;
            field.spent += cost;
            self.found.tried = self.found.tried.max(self.wanted.tried + field.runs);
            if self.is_same(&answer.record) {
                field.failed += 1;
                found += 1;
                seeds.soonest = seeds.soonest.min(events.max(1000));
                let count = decisions.len();
                if seeds.fewest.as_ref().is_none_or(|&(fewest, _)| count < fewest) {
                    seeds.fewest = Some((count, neutral));
                }
                let earlier = None;
                seeds.failing.push(Failing { test, is_chaos, spec, decisions, events, earlier });
            }
        }
        Ok(())
    }
}

impl Seeds {
    /// Draws kinds of faults that are not to happen: often all of those that affect only time and order, and
    /// some of the others. Every other time those that the best run so far did without are among them.
    fn draw_neutral(&mut self) -> Neutral {
        let dice = self.dice.throw();
        let number = |what: u64, bound: u64| dice.below([u64::MAX, what, 0, 0], bound);
        let is_timing_out = number(0, 4) < 3;
        let known = self.fewest.as_ref().filter(|_| number(1, 2) == 0).map(|(_, neutral)| neutral);
        let is_out = |kind: &Kind| match TIMING.contains(kind) {
            _ if known.is_some_and(|known| known.contains_key(kind)) => true,
            true => is_timing_out,
            false => number(2 + *kind as u64, 2) == 0,
        };
        let kinds = Kind::ALL.into_iter().filter(|kind| kind.has_neutral());
        let kinds = kinds.filter(|kind| *kind != Kind::Schedule && is_out(kind));
        kinds.map(|kind| (kind, BTreeSet::new())).collect()
    }
}
