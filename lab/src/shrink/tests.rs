use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use labrpc::{Address, Kind, RunSpec, Simulation, Taken, World};

use super::{Budget, End, Shrunk, shrink};
use crate::failure_record::FailureRecord;
use crate::records::{Build, RunRecord};
use crate::workers::{Answer, Keep};
use labraft::{CauseKind, Verdict};

/// The decisions of a run with a hundred faults.
fn decisions() -> Vec<Taken> {
    let kinds = [Kind::Order, Kind::RequestDrop, Kind::ReplyHold, Kind::RequestDelay];
    let taken = |n: u64| Taken {
        at: Duration::from_millis(n),
        address: Address { kind: kinds[n as usize % 4], from: 0, to: 1, n },
        value: 1 + 900 * u64::from(n % 4 == 2),
        bound: if n % 4 == 1 { 2 } else { 1000 },
        in_turn: false,
    };
    (0..100).map(taken).collect()
}

/// The decisions of the run that a specification makes.
fn made_by(spec: &RunSpec) -> Vec<Taken> {
    let is_natural = |kind: &Kind| !spec.neutral.contains_key(kind);
    let decided = |mut taken: Taken| match spec.overrides.get(&taken.address) {
        Some(&value) => {
            taken.value = value;
            Some(taken)
        }
        None => is_natural(&taken.address.kind).then_some(taken),
    };
    decisions().into_iter().filter_map(decided).filter(Taken::is_fault).collect()
}

fn failure(reason: &str) -> FailureRecord {
    FailureRecord::new(reason, CauseKind::expectation(reason))
}

fn answer(decisions: Vec<Taken>, reason: Option<&str>) -> Answer {
    let verdict = if reason.is_some() { Verdict::Failed } else { Verdict::Passed };
    let (none, build) = (failure(""), Build::default());
    let ended = RunRecord::ended(("Test", 0), "reference", verdict, none, &build);
    let record = RunRecord { failure: reason.map(failure), fingerprint: "f".into(), ..ended };
    Answer { decisions, ..Answer::new(record, "") }
}

/// Shrinks a run whose failure, if any, `fails` derives from its decisions. The search is
/// interrupted after `interrupted` runs.
fn shrunk(
    budget: u64,
    interrupted: u64,
    fails: impl Fn(&[Taken]) -> Option<&'static str>,
) -> Shrunk {
    let mut runs = 0;
    let mut make_run = |spec: &RunSpec, _: Keep| {
        runs += 1;
        let made = made_by(spec);
        let failure = fails(&made);
        Ok((runs <= interrupted).then(|| answer(made, failure)))
    };
    let (spec, failure) = (RunSpec::seed(0), failure("it broke"));
    shrink(&spec, &failure, decisions(), None, Budget::all(budget), &mut make_run, &mut |_| {})
        .unwrap()
}

/// Goes on with a search that ended before.
fn continued(before: &Shrunk, fails: impl Fn(&[Taken]) -> Option<&'static str>) -> Shrunk {
    let mut make_run = |spec: &RunSpec, _: Keep| {
        let made = made_by(spec);
        let failure = fails(&made);
        Ok(Some(answer(made, failure)))
    };
    let (made, failure) = (made_by(&before.spec), failure("it broke"));
    let earlier = Some(before.effort);
    shrink(&before.spec, &failure, made, earlier, Budget::all(10_000), &mut make_run, &mut |_| {})
        .unwrap()
}

fn needs(wanted: &[u64]) -> impl Fn(&[Taken]) -> Option<&'static str> {
    let wanted: BTreeSet<u64> = wanted.iter().copied().collect();
    move |made| {
        let there: BTreeSet<u64> = made.iter().map(|taken| taken.address.n).collect();
        wanted.is_subset(&there).then_some("it broke")
    }
}

fn numbers(shrunk: &Shrunk) -> Vec<u64> {
    shrunk.needed.iter().map(|taken| taken.address.n).collect()
}

#[test]
fn what_is_needed_is_found_and_nothing_else() {
    for wanted in [&[][..], &[13], &[0, 99], &[6, 13, 14, 57, 82]] {
        let shrunk = shrunk(10_000, u64::MAX, needs(wanted));
        assert_eq!(numbers(&shrunk), wanted);
        assert_eq!((shrunk.end, shrunk.effort.of), (End::Smallest, 100));
        assert_eq!(made_by(&shrunk.spec), shrunk.needed, "the specification makes that run");
    }
}

#[test]
fn another_failure_is_not_taken_for_the_same() {
    let shrunk = shrunk(10_000, u64::MAX, |made| {
        let is_there = |n: u64| made.iter().any(|taken| taken.address.n == n);
        Some(if is_there(13) { "it broke" } else { "something else broke" })
    });
    assert_eq!(numbers(&shrunk), [13]);
}

#[test]
fn delays_are_made_as_short_as_they_may_be() {
    let shrunk = shrunk(10_000, u64::MAX, |made| {
        let held = made.iter().find(|taken| taken.address.n == 14)?;
        (held.value > 100).then_some("it broke")
    });
    assert_eq!(numbers(&shrunk), [14]);
    assert!(shrunk.needed[0].value < 250, "{:?}", shrunk.needed);
}

#[test]
fn it_ends_with_the_best_so_far() {
    let bounded = shrunk(12, u64::MAX, needs(&[6, 13, 14, 57, 82]));
    assert_eq!((bounded.end, bounded.effort.runs), (End::Budget, 12));
    let interrupted = shrunk(10_000, 12, needs(&[6, 13, 14, 57, 82]));
    assert_eq!(interrupted.end, End::Interrupted);
    for shrunk in [bounded, interrupted] {
        let left = numbers(&shrunk);
        assert!((5..100).contains(&left.len()), "{left:?}");
        assert!([6, 13, 14, 57, 82].iter().all(|n| left.contains(n)), "{left:?}");
    }
}

#[test]
fn a_search_goes_on_where_another_one_ended() {
    let wanted = [6, 13, 14, 57, 82];
    let bounded = shrunk(12, u64::MAX, needs(&wanted));
    let continued = continued(&bounded, needs(&wanted));
    assert_eq!((numbers(&continued), continued.end), (wanted.to_vec(), End::Smallest));
    assert_eq!(continued.effort.of, 100);
    assert!(continued.effort.runs > bounded.effort.runs);
}

#[test]
fn a_failure_that_any_change_can_undo_is_shrunk_nevertheless() {
    // Even with all the decisions that it needs, the failure occurs with only one of eight sets of
    // decisions, chosen by a hash.
    let is_lucky = |made: &[Taken]| {
        let numbers: Vec<u8> = made.iter().map(|taken| taken.address.n as u8).collect();
        made.len() < 4 || made.len() == 100 || labrpc::hash_bytes(&numbers).is_multiple_of(8)
    };
    let shrunk = shrunk(10_000, u64::MAX, |made| needs(&[13, 57])(made).filter(|_| is_lucky(made)));
    assert!(shrunk.needed.len() <= 10, "{:?}", shrunk.needed);
}

#[test]
fn a_fault_is_moved_to_an_earlier_place() {
    let is_hold = |taken: &&Taken| taken.address.kind == Kind::ReplyHold;
    let shrunk = shrunk(10_000, u64::MAX, |made| {
        let holds: Vec<u64> = made.iter().filter(is_hold).map(|taken| taken.address.n).collect();
        (holds.len() == 1 || holds.contains(&98)).then_some("it broke")
    });
    assert!(matches!(numbers(&shrunk)[..], [..10]), "{:?}", shrunk.needed);
}

/// The number of rounds of the race.
const ROUNDS: u32 = 200;

/// A writer and a reader wake up at the same instant, round after round. It breaks when the reader is first in
/// three rounds in a row.
fn race(spec: &RunSpec) -> Answer {
    let simulation = Simulation::new(spec.clone()).record_choices(true);
    let outcome = simulation.run(|world: World| async move {
        let tester = world.tester().clone();
        let mut in_a_row = 0;
        for round in 1..=ROUNDS {
            let written = Rc::new(Cell::new(false));
            let later = |task: &'static str, act: Box<dyn FnOnce()>| {
                let sleep = tester.sleep(Duration::from_millis(10));
                tester.spawn(task, async move {
                    sleep.await;
                    act();
                })
            };
            let (flag, seen) = (written.clone(), Rc::new(Cell::new(false)));
            let writer = later("writer", Box::new(move || flag.set(true)));
            let (flag, sight) = (written, seen.clone());
            let reader = later("reader", Box::new(move || sight.set(flag.get())));
            writer.await;
            reader.await;
            in_a_row = if seen.get() { 0 } else { in_a_row + 1 };
            if in_a_row == 3 {
                return Some(round);
            }
        }
        None
    });
    let broke = outcome.result.unwrap().map(|_| "it broke");
    answer(outcome.choices.into_iter().filter(Taken::is_fault).collect(), broke)
}

#[test]
fn of_a_rare_race_only_the_tasks_that_run_out_of_turn_are_left() {
    let spec = RunSpec::seed(0);
    let first = race(&spec);
    assert!(first.record.failure.is_some(), "choose a seed under which it breaks");
    let failure = failure("it broke");
    let mut make_run = |spec: &RunSpec, _: Keep| Ok(Some(race(spec)));
    let shrunk = shrink(
        &spec,
        &failure,
        first.decisions,
        None,
        Budget::all(1000),
        &mut make_run,
        &mut |_| {},
    )
    .unwrap();
    assert_eq!(shrunk.needed.len(), 3, "{:?}", shrunk.needed);
}

#[test]
fn while_many_faults_or_a_long_run_are_left_some_runs_are_kept() {
    let (spec, failure) = (RunSpec::seed(0), failure("it broke"));
    let ends = |needed: u64, events: u64, while_much: u64| {
        let needed: Vec<u64> = (0..needed).collect();
        let fails = needs(&needed);
        let mut make_run = |spec: &RunSpec, _: Keep| {
            let made = made_by(spec);
            let failure = fails(&made);
            let mut answer = answer(made, failure);
            answer.record.events = events;
            Ok(Some(answer))
        };
        let budget = Budget { runs: 10_000, while_much };
        shrink(&spec, &failure, decisions(), None, budget, &mut make_run, &mut |_| {}).unwrap()
    };
    let many = ends(60, 100, 12);
    assert_eq!((many.end, many.spent), (End::Budget, 12));
    let few = ends(0, 100, 1);
    assert_eq!((few.end, few.spent), (End::Smallest, 2));
    // Each of these runs counts as two.
    let long = ends(0, 15_000, 2);
    assert_eq!((long.end, long.spent), (End::Budget, 2));
}
