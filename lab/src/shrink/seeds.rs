//! Runs under other seeds, with only some kinds of faults.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use labraft::{Part, Test};
use labrpc::{Kind, RunSpec, Taken};

use super::draws::Dice;
use super::elsewhere::{Looking, Stop};
use super::found::End;
use super::kinds::TIMING;
use super::search::EVENTS_OF_A_RUN;
use crate::workers::{Bounds, Keep};

/// A run that has not failed by then will not be easy to shrink.
const BOUNDS: Bounds = Bounds { virtual_time: Duration::from_secs(60), events: 20_000 };
/// The share of the budget that is spent on finding failing runs.
const FINDING: u64 = 4;
/// So many failing runs are enough to choose from.
const ENOUGH: usize = 12;
/// How many of them are shrunk a little, and how many of these further.
const ROUNDS: [usize; 2] = [6, 2];
/// For the dice.
const SALT: u64 = 77;

/// A test, and how it has done so far.
struct Field {
    test: &'static Test,
    runs: u64,
    spent: u64,
    failed: u64,
}

/// A failing run.
struct Failing {
    test: &'static Test,
    spec: RunSpec,
    decisions: Vec<Taken>,
}

impl Looking<'_> {
    /// Looks at other seeds of the same test and, if `is_telling`, of the generated scenarios.
    pub(super) fn look_at_other_seeds(&mut self, is_telling: bool) -> Result<(), Stop> {
        let mut failing = self.find_failing(is_telling)?;
        for (round, most) in ROUNDS.into_iter().enumerate() {
            // Those with the fewest decisions seem the easiest. The sort is stable.
            failing.sort_by_key(|failing| failing.decisions.len());
            failing.truncate(most);
            let share = (self.budget.saturating_sub(self.spent)) / 2 / most as u64;
            let budget = if round == 0 { share / 2 } else { share };
            for failing in &mut failing {
                self.shrink_further(failing, budget)?;
                if self.is_enough() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn shrink_further(&mut self, failing: &mut Failing, budget: u64) -> Result<(), Stop> {
        let Failing { test, spec, decisions } = failing;
        let (worlds, test) = (&mut *self.worlds, *test);
        let shrunk = super::shrink(
            spec,
            self.wanted.failure,
            std::mem::take(decisions),
            None,
            budget,
            &mut |spec, keep| worlds.run(test, spec, keep, Some(BOUNDS)),
            &mut |_| {},
        )?;
        self.found.runs += shrunk.effort.runs;
        self.spent += shrunk.spent;
        (failing.spec, failing.decisions) = (shrunk.spec.clone(), shrunk.needed.clone());
        self.tell();
        if shrunk.end == End::Interrupted {
            return Err(Stop::Interrupted);
        }
        self.offer(test, shrunk)
    }

    /// Finds failing runs.
    fn find_failing(&mut self, is_telling: bool) -> Result<Vec<Failing>, Stop> {
        let own = [self.wanted.test];
        let generated = self.tests_of(Part::Beyond).filter(|test| is_telling && test.name != own[0].name);
        let mut fields: Vec<Field> = own
            .into_iter()
            .chain(generated)
            .map(|test| Field { test, runs: 0, spent: 0, failed: 0 })
            .collect();
        let end = self.spent + self.budget.saturating_sub(self.spent) / FINDING;
        let mut failing = Vec::new();
        let mut dice = Dice::new(SALT);
        while self.spent < end && failing.len() < ENOUGH {
            let worth = |field: &Field| (2 * field.failed + 1) as f64 / (field.spent + 1) as f64;
            let best = |a: &usize, b: &usize| {
                worth(&fields[*a]).total_cmp(&worth(&fields[*b])).then(b.cmp(a))
            };
            let Some(place) = (0..fields.len()).max_by(best) else { break };
            let field = &mut fields[place];
            let seed = self.wanted.tried + field.runs;
            let spec = RunSpec { neutral: draw_neutral(dice.throw()), ..RunSpec::seed(seed) };
            let answer = self.worlds.run(field.test, &spec, Keep::Decisions, Some(BOUNDS))?;
            let answer = answer.ok_or(Stop::Interrupted)?;
            let cost = 1 + answer.record.events / EVENTS_OF_A_RUN;
            field.runs += 1;
            field.spent += cost;
            self.spent += cost;
            self.found.runs += 1;
            let test = field.test;
            if self.is_same(&answer.record) {
                fields[place].failed += 1;
                failing.push(Failing { test, spec, decisions: answer.decisions });
            }
            self.tell();
        }
        self.found.tried += fields.iter().map(|field| field.runs).max().unwrap_or(0);
        Ok(failing)
    }
}

/// Kinds of faults that are not to happen: often those that only affect time and order, and half of the others.
fn draw_neutral(dice: Dice) -> BTreeMap<Kind, BTreeSet<labrpc::Address>> {
    let number = |what: u64, bound: u64| dice.below([u64::MAX, what, 0, 0], bound);
    let is_timing_out = number(0, 4) < 3;
    let kinds = Kind::ALL.into_iter().filter(|kind| kind.has_neutral() && *kind != Kind::Schedule);
    let is_out = |kind: &Kind| match TIMING.contains(kind) {
        true => is_timing_out,
        false => number(1 + *kind as u64, 2) == 0,
    };
    kinds.filter(is_out).map(|kind| (kind, BTreeSet::new())).collect()
}
