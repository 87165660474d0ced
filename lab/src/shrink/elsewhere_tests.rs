use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use labraft::{CauseKind, Part, Property, Test, Verdict};
use labrpc::{Address, Kind, RunSpec, Taken};

use super::{Looked, Size, Wanted, Worlds, find_simpler};
use crate::failure_record::FailureRecord;
use crate::records::{Build, RunRecord};
use crate::search::faults::faults_to_add;
use crate::workers::{Answer, Bounds, Child, Explore, Explored, FailedRun, Keep, RunOptions};

const fn test(name: &'static str, part: Part) -> Test {
    Test { name, part, title: "", points: 0, cost: 1, run: |_| Box::pin(async { Ok(()) }) }
}

static SUITE: [Test; 4] = [
    test("Long", Part::Raft2C),
    test("Generated", Part::Beyond),
    test("ShortOne", Part::Search),
    test("ShortTwo", Part::Search),
];
/// The decisions of a run of a short scenario, and of any other.
const SHORT: u64 = 20;
const LONG: u64 = 200;

/// A world in which `fails` decides, by the test's name, the seed and the numbers of the requests lost. Only runs
/// under chaos and those of long tests lose any by themselves.
struct Fake<F> {
    fails: F,
    kind: CauseKind,
    /// After how many events a run fails.
    events: u64,
    runs: u64,
}

fn lost(kind: Kind, n: u64, value: u64) -> Taken {
    let address = Address { kind, from: 0, to: 1, n };
    Taken { at: Duration::from_millis(n), address, value, bound: 2, in_turn: false }
}

impl<F: Fn(&str, u64, &BTreeSet<u64>) -> bool> Fake<F> {
    fn new(kind: CauseKind, fails: F) -> Fake<F> {
        Fake { fails, kind, events: 500, runs: 0 }
    }

    /// All decisions of a run: short scenarios lose only what the specification says, unless it is under chaos;
    /// other tests lose every other request.
    fn decisions(test: &Test, spec: &RunSpec, is_chaos: bool) -> Vec<Taken> {
        let is_short = test.part == Part::Search;
        let count = if is_short { SHORT } else { LONG };
        let naturally = u64::from(!is_short || is_chaos);
        let decided = |n: u64| {
            let natural = lost(Kind::RequestDrop, n, naturally * (n % 2));
            let value = match spec.overrides.get(&natural.address) {
                Some(&value) => value,
                None if spec.neutral.contains_key(&Kind::RequestDrop) => 0,
                None => natural.value,
            };
            Taken { value, ..natural }
        };
        (0..count).map(decided).collect()
    }

    fn answer(&mut self, test: &Test, spec: &RunSpec, keep: Keep, options: RunOptions) -> Answer {
        self.runs += 1;
        let mut decisions = Self::decisions(test, spec, options.is_chaos);
        let numbers =
            decisions.iter().filter(|taken| taken.is_fault()).map(|taken| taken.address.n);
        let is_long_enough = options.bounds.is_none_or(|bounds| bounds.events >= self.events);
        let is_failing = is_long_enough && (self.fails)(test.name, spec.seed, &numbers.collect());
        let verdict = if is_failing { Verdict::Failed } else { Verdict::Passed };
        let failure = FailureRecord::new("it broke", self.kind.clone());
        let failed = (test.name, spec.seed);
        let record =
            RunRecord::ended(failed, "reference", verdict, failure.clone(), &Build::default());
        let failure = is_failing.then_some(failure);
        if keep != Keep::AllDecisions {
            decisions.retain(Taken::is_fault);
        }
        let events = self.events;
        let record = RunRecord { failure, events, fingerprint: "f".into(), ..record };
        Answer { decisions, ..Answer::new(record, "") }
    }

    /// Looks for simpler runs than one of `Long` under seed 0 with 50 faults.
    fn look(&mut self, budget: u64) -> Looked {
        let failure = FailureRecord::new("it broke", self.kind.clone());
        let size = Size { faults: 50, calls: 0, steps: 300 };
        let suite = &SUITE;
        let test = &SUITE[0];
        let bounds = Bounds { virtual_time: Duration::from_secs(100), events: 2 * self.events };
        let bounds = Some(bounds);
        let wanted = Wanted { suite, test, failure: &failure, size, bounds, tried: 0 };
        find_simpler(wanted, budget, self, &mut |_| {}).unwrap()
    }
}

impl<F: Fn(&str, u64, &BTreeSet<u64>) -> bool> Worlds for Fake<F> {
    fn run(
        &mut self,
        test: &'static Test,
        spec: &RunSpec,
        keep: Keep,
        options: RunOptions,
    ) -> io::Result<Option<Answer>> {
        Ok(Some(self.answer(test, spec, keep, options)))
    }

    fn explore(
        &mut self,
        test: &'static Test,
        spec: &RunSpec,
        plan: Explore,
        options: RunOptions,
    ) -> io::Result<Option<Explored>> {
        let mut explored = Explored::default();
        let faults = faults_to_add(&Self::decisions(test, spec, false), &spec.overrides).unwrap();
        for (number, fault) in faults.into_iter().enumerate().skip(plan.from) {
            let mut spec = spec.clone();
            spec.overrides.insert(fault.address, fault.value);
            let answer = self.answer(test, &spec, Keep::AllDecisions, options);
            explored.runs += 1;
            if answer.record.failure.is_some() {
                let record = answer.record;
                explored.failures.push(FailedRun { number, fault: Some(fault), record, count: 1 });
                continue;
            }
            let more = faults_to_add(&answer.decisions, &spec.overrides).unwrap();
            explored.children.push(Child { number, fault, faults_to_add: more.len() as u64 });
        }
        Ok(Some(explored))
    }
}

fn rule() -> CauseKind {
    CauseKind::Property { property: Property::OneVote }
}

/// The test, the seed and the numbers of the faults.
fn found(looked: &Looked) -> Option<(&'static str, u64, Vec<u64>)> {
    let simplest = looked.simplest.as_ref()?;
    let needed = simplest.shrunk.needed.iter().map(|taken| taken.address.n).collect();
    Some((simplest.test.name, simplest.shrunk.spec.seed, needed))
}

#[test]
fn a_short_scenario_that_breaks_the_rule_with_one_fault_is_found() {
    let mut fake = Fake::new(rule(), |name, _, lost| {
        name == "ShortTwo" && lost.contains(&3) || name == "Long"
    });
    assert_eq!(found(&fake.look(1000)), Some(("ShortTwo", 0, vec![3])));
}

#[test]
fn a_short_scenario_without_faults_is_simpler_than_one_with_a_fault() {
    let mut fake = Fake::new(rule(), |name, _, lost| match name {
        "ShortOne" => lost.contains(&3),
        _ => name == "ShortTwo",
    });
    assert_eq!(found(&fake.look(1000)), Some(("ShortTwo", 0, vec![])));
}

#[test]
fn a_run_under_another_seed_is_found_and_shrunk() {
    let mut fake = Fake::new(rule(), |name, seed, lost| {
        name == "Generated" && seed % 4 == 3 && lost.is_superset(&BTreeSet::from([3, 7]))
    });
    let (test, seed, needed) = found(&fake.look(1000)).unwrap();
    assert_eq!((test, seed % 4, needed), ("Generated", 3, vec![3, 7]));
}

#[test]
fn a_short_scenario_under_chaos_breaks_the_rule_with_faults_that_come_together() {
    let mut fake = Fake::new(rule(), |name, seed, lost| {
        name == "ShortTwo" && seed % 50 == 31 && lost.is_superset(&BTreeSet::from([3, 7, 11]))
    });
    let looked = fake.look(1000);
    assert_eq!(found(&looked), Some(("ShortTwo", 31, vec![3, 7, 11])));
}

#[test]
fn what_says_little_about_why_is_looked_for_in_the_same_test_only() {
    let kind = CauseKind::expectation("no leader");
    let mut fake = Fake::new(kind, |name, seed, lost| {
        name != "Long" || seed % 4 == 3 && lost.is_superset(&BTreeSet::from([3, 7]))
    });
    let (test, seed, needed) = found(&fake.look(1000)).unwrap();
    assert_eq!((test, seed % 4, needed), ("Long", 3, vec![3, 7]));
}

#[test]
fn a_standstill_is_looked_for_in_short_scenarios_and_in_the_same_test() {
    let mut in_one = Fake::new(CauseKind::Standstill, |name, _, lost| {
        name == "ShortTwo" && lost.contains(&3) || name == "Generated"
    });
    assert_eq!(found(&in_one.look(1000)), Some(("ShortTwo", 0, vec![3])));
    let mut in_none = Fake::new(CauseKind::Standstill, |name, seed, lost| {
        name == "Generated" || name == "Long" && seed % 4 == 1 && lost.contains(&3)
    });
    let (test, _, needed) = found(&in_none.look(1000)).unwrap();
    assert_eq!((test, needed), ("Long", vec![3]));
}

#[test]
fn runs_of_a_test_that_fails_late_are_given_the_time() {
    let kind = CauseKind::expectation("no progress");
    let mut fake = Fake::new(kind, |_, seed, lost| seed % 4 == 1 && lost.contains(&3));
    fake.events = 150_000;
    let (test, _, needed) = found(&fake.look(20_000)).unwrap();
    assert_eq!((test, needed), ("Long", vec![3]));
}

#[test]
fn it_keeps_to_its_budget_and_repeats() {
    let look = |budget| {
        let mut fake = Fake::new(rule(), |name, seed, lost| {
            name == "Generated" && seed % 4 == 3 && lost.len() > 8
        });
        let looked = fake.look(budget);
        (found(&looked), fake.runs)
    };
    assert_eq!(look(0).0, None);
    for budget in [20, 100, 500] {
        let (found, runs) = look(budget);
        assert_eq!(look(budget), (found, runs), "the same again");
        // Short runs count as a tenth.
        assert!(runs <= 10 * budget, "{runs}");
    }
}
