use std::time::Duration;

use labrpc::{RunSpec, Simulation};
use rand::{Rng, RngExt};

use super::plain::Plain;
use super::*;

/// Builds a history of one key from the positions of each call and answer, the request and the output.
fn history(operations: &[(u64, Option<u64>, Input, &str)]) -> Vec<Operation> {
    let moment = |order| Moment { at: Duration::from_millis(order), order };
    let mut history: Vec<Operation> = (0..)
        .zip(operations)
        .map(|(client, (called, answered, input, output))| Operation {
            client,
            key: "k".into(),
            input: input.clone(),
            called: moment(*called),
            answered: answered.map(moment),
            output: output.to_string(),
        })
        .collect();
    history.sort_by_key(|operation| operation.called.order);
    history
}

fn put(value: &str) -> Input {
    Input::Put(value.into())
}

fn append(value: &str) -> Input {
    Input::Append(value.into())
}

fn is_linearizable(operations: &[(u64, Option<u64>, Input, &str)]) -> bool {
    check(&history(operations), DEFAULT_BUDGET) == Linearizability::Holds
}

#[test]
fn one_operation_after_the_other_must_be_explained_exactly() {
    let (a, b) = ((1, Some(2), put("a"), ""), (3, Some(4), append("b"), ""));
    let get = |output| (5, Some(6), Input::Get, output);
    assert!(is_linearizable(&[a.clone(), b.clone(), get("ab")]));
    for wrong in ["", "a", "b", "ba", "abb", "abc"] {
        assert!(!is_linearizable(&[a.clone(), b.clone(), get(wrong)]), "{wrong:?}");
    }
}

#[test]
fn operations_that_overlap_may_have_happened_in_either_order() {
    let (a, b) = ((1, Some(4), put("a"), ""), (2, Some(3), put("b"), ""));
    for output in ["a", "b"] {
        assert!(is_linearizable(&[a.clone(), b.clone(), (5, Some(6), Input::Get, output)]));
    }
    // All clients must see the same order, however.
    let gets = [(5, Some(6), Input::Get, "a"), (7, Some(8), Input::Get, "b")];
    assert!(!is_linearizable(&[a, b, gets[0].clone(), gets[1].clone()]));
}

#[test]
fn an_operation_without_an_answer_may_have_happened_or_not() {
    let a = (1, None, append("a"), "");
    for output in ["", "a"] {
        assert!(is_linearizable(&[a.clone(), (5, Some(6), Input::Get, output)]));
    }
    assert!(!is_linearizable(&[a.clone(), (5, Some(6), Input::Get, "aa")]));
    let gets = [(5, Some(6), Input::Get, "a"), (7, Some(8), Input::Get, "")];
    assert!(!is_linearizable(&[a, gets[0].clone(), gets[1].clone()]));
    assert!(is_linearizable(&[(1, None, Input::Get, ""), (2, Some(3), Input::Get, "")]));
}

#[test]
fn values_that_cannot_be_told_apart_are_searched_plainly() {
    let twice = [(1, Some(2), append("a"), ""), (3, Some(4), append("a"), "")];
    let get = |output| (5, Some(6), Input::Get, output);
    let with = |output| [twice[0].clone(), twice[1].clone(), get(output)];
    assert!(is_linearizable(&with("aa")));
    assert!(!is_linearizable(&with("a")));
    assert!(is_linearizable(&[(1, Some(2), put(""), ""), get("")]));
}

#[test]
fn keys_are_judged_apart_and_a_wrong_one_counts_more_than_an_unknown_one() {
    let now = Duration::ZERO;
    let mut history = History::default();
    // Many overlapping Appends of the same value and a Get that saw too many. With a budget of 0, the
    // search gives up.
    let calls: Vec<usize> =
        (0..30).map(|client| history.call(client, "hard", append("a"), now)).collect();
    for call in calls {
        history.answer(call, "", now);
    }
    for output in ["a".repeat(31), "b".into()] {
        let get = history.call(0, "hard", Input::Get, now);
        history.answer(get, output, now);
    }
    let verdict = check(history.operations(), 0);
    assert!(matches!(verdict, Linearizability::Unknown { operations: 32, .. }), "{verdict:?}");
    let get = history.call(0, "wrong", Input::Get, now);
    history.answer(get, "x", now);
    let verdict = check(history.operations(), 0);
    assert!(
        matches!(&verdict, Linearizability::Violated(counterexample) if counterexample.key == "wrong")
    );
}

#[test]
fn a_counterexample_keeps_only_what_cannot_be_ordered() {
    let mut operations = vec![
        (10, Some(11), put("p"), ""),
        (20, Some(21), append("q"), ""),
        // A stale read: the Append was answered before this Get was called.
        (30, Some(31), Input::Get, "p"),
    ];
    for i in 0..40 {
        let at = 100 + 10 * i;
        operations.push((at, Some(at + 5), Input::Get, "pq"));
    }
    let Linearizability::Violated(counterexample) = check(&history(&operations), DEFAULT_BUDGET)
    else {
        panic!("the stale Get was not found");
    };
    let texts: Vec<String> = counterexample.operations.iter().map(ToString::to_string).collect();
    // The Put is needed as well: if it came after the Append, it would explain the Get.
    let told = [r#"Put("k", "p")"#, r#"Append("k", "q")"#, r#"Get("k") -> "p""#];
    assert_eq!(texts, told, "{counterexample}");
    assert_eq!(counterexample.total, 43);
    assert!(
        counterexample.lines()[1].starts_with("client 1   0.020000 to 0.021000 s"),
        "{counterexample:?}"
    );
}

#[test]
fn a_counterexample_says_what_an_answer_has_twice() {
    let operations = [(1, Some(2), append("a"), ""), (3, Some(4), Input::Get, "aa")];
    let Linearizability::Violated(counterexample) = check(&history(&operations), DEFAULT_BUDGET)
    else {
        panic!("the duplicate Append was not found");
    };
    assert_eq!(counterexample.why, r#"the answer contains "a" twice"#);
}

/// Tries all orders by brute force, as a reference for the real search.
fn is_linearizable_by_force(state: &str, left: &[&Operation]) -> bool {
    if left.iter().all(|each| each.answered.is_none()) {
        return true;
    }
    let orders = left.iter().filter_map(|each| each.answered).map(|moment| moment.order);
    let first_answer = orders.min().unwrap_or(u64::MAX);
    left.iter().enumerate().any(|(i, next)| {
        let after = match &next.input {
            Input::Get if next.answered.is_some() && next.output != state => return false,
            Input::Get => state.to_string(),
            Input::Put(value) => value.clone(),
            Input::Append(value) => state.to_string() + value,
        };
        let rest = [&left[..i], &left[i + 1..]].concat();
        next.called.order < first_answer && is_linearizable_by_force(&after, &rest)
    })
}

/// Generates a linearizable history of one key in which some operations have no answer.
///
/// The values to write are taken from `alphabet` in turn and are reused only when all have been written.
fn random_history(
    dice: &mut impl Rng,
    clients: usize,
    length: usize,
    alphabet: &[String],
) -> Vec<Operation> {
    let mut history = History::default();
    let mut state = String::new();
    // Each client's pending call: its number, and the state after it once it has taken effect.
    let mut under_way: Vec<Option<(usize, Option<String>)>> = vec![None; clients];
    let mut values = alphabet.iter().cycle();
    let mut calls = 0;
    for tick in 0.. {
        let now = Duration::from_micros(tick);
        let client = dice.random_range(0..clients);
        match &mut under_way[client] {
            None if calls == length => {
                if under_way.iter().all(Option::is_none) || dice.random_range(0..100) == 0 {
                    break;
                }
            }
            None => {
                let mut value = || values.next().expect("the alphabet is not empty").clone();
                let input = match dice.random_range(0..10) {
                    0..4 => Input::Append(value()),
                    4 => Input::Put(value()),
                    _ => Input::Get,
                };
                under_way[client] = Some((history.call(client, "k", input, now), None));
                calls += 1;
            }
            // Some calls are never answered, whether or not the operation has taken effect.
            Some(_) if dice.random_range(0..20) == 0 => under_way[client] = None,
            Some((call, answer @ None)) => {
                match &history.operations()[*call].input {
                    Input::Get => {}
                    Input::Put(value) => state.clone_from(value),
                    Input::Append(value) => state.push_str(value),
                }
                *answer = Some(state.clone());
            }
            Some((call, Some(answer))) => {
                let is_get = history.operations()[*call].is_get();
                history.answer(*call, if is_get { answer.as_str() } else { "" }, now);
                under_way[client] = None;
            }
        }
    }
    history.operations().to_vec()
}

/// Changes the answer to a random Get, which usually makes the history not linearizable.
fn spoil(dice: &mut impl Rng, history: &mut [Operation]) {
    let outputs: Vec<String> = history.iter().map(|each| each.output.clone()).collect();
    let answered = |each: &&mut Operation| each.is_get() && each.answered.is_some();
    let gets: Vec<&mut Operation> = history.iter_mut().filter(answered).collect();
    let count = gets.len().max(1);
    let Some(get) = gets.into_iter().nth(dice.random_range(0..count)) else { return };
    match dice.random_range(0..3) {
        0 => get.output = outputs[dice.random_range(0..outputs.len())].clone(),
        1 => drop(get.output.pop()),
        _ => get.output.push('a'),
    }
}

fn letters(first: char, last: char) -> Vec<String> {
    (first..=last).map(String::from).collect()
}

/// Runs a test with a random number generator whose seed is fixed.
fn with_dice<T: Send + 'static>(test: impl AsyncFnOnce(labrpc::Dice) -> T + Send + 'static) -> T {
    let outcome = Simulation::new(RunSpec::seed(1))
        .run(move |world| async move { test(world.tester().workload(0)).await });
    outcome.result.expect("the test should complete")
}

#[test]
fn all_ways_of_searching_agree_with_trying_every_order() {
    let counts = with_dice(async |mut dice| {
        let mut counts = [0; 2];
        for round in 0..60_000 {
            let clients = dice.random_range(1..5);
            let length = dice.random_range(1..9);
            // Use only three letters in some rounds, so that values repeat and chains do not apply.
            let alphabet = letters('a', if round % 4 == 0 { 'c' } else { 'z' });
            let mut history = random_history(&mut dice, clients, length, &alphabet);
            if round % 2 == 1 {
                spoil(&mut dice, &mut history);
            }
            let all: Vec<&Operation> = history.iter().collect();
            let expected = match is_linearizable_by_force("", &all) {
                true => SearchResult::Possible,
                false => SearchResult::Impossible,
            };
            let (plain, intervals) = Plain::new(&all);
            assert_eq!(search(&plain, &intervals, DEFAULT_BUDGET), expected, "plain: {history:#?}");
            assert_eq!(check_key(&all, DEFAULT_BUDGET).0, expected, "chains: {history:#?}");
            counts[usize::from(expected == SearchResult::Possible)] += 1;
        }
        counts
    });
    let [impossible, possible] = counts;
    assert!(
        impossible > 8_000 && possible > 8_000,
        "{impossible} histories are impossible and {possible} possible"
    );
}

#[test]
fn a_counterexample_of_any_wrong_history_is_wrong_in_itself() {
    with_dice(async |mut dice| {
        let mut counterexamples = 0;
        while counterexamples < 1_000 {
            let mut history = random_history(&mut dice, 4, 40, &numbered(40));
            spoil(&mut dice, &mut history);
            if let Linearizability::Violated(counterexample) = check(&history, DEFAULT_BUDGET) {
                counterexamples += 1;
                assert!(
                    counterexample.operations.iter().any(Operation::is_get),
                    "{counterexample:?}"
                );
                // The Gets of the counterexample and all writes of the history still have no valid order.
                let is_told =
                    |each: &&Operation| !each.is_get() || counterexample.operations.contains(each);
                let told: Vec<&Operation> = history.iter().filter(is_told).collect();
                assert_eq!(
                    check_key(&told, DEFAULT_BUDGET).0,
                    SearchResult::Impossible,
                    "{counterexample:?}"
                );
            }
        }
    });
}

/// Generates distinct values in the format that the course's clients write.
fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("x {} {i} y", i % 15)).collect()
}

#[test]
fn one_key_with_fifteen_clients_is_decided_in_few_steps() {
    with_dice(async |mut dice| {
        for _ in 0..50 {
            let mut history = random_history(&mut dice, 15, 600, &numbered(600));
            assert_eq!(check(&history, 100_000), Linearizability::Holds);
            // A violation that no answer reveals by itself: the last Get returns the value of an earlier
            // Get.
            let gets: Vec<usize> = (0..history.len())
                .filter(|&i| history[i].is_get() && history[i].answered.is_some())
                .collect();
            let (stale, early) = (gets[gets.len() - 1], gets[gets.len() / 2]);
            history[stale].output = history[early].output.clone();
            let verdict = check(&history, 100_000);
            assert!(matches!(verdict, Linearizability::Violated(_)), "{verdict:?}");
        }
    });
}

/// A service that acknowledges Appends without executing them is detected in few steps, even though the
/// initial Put of the empty value does not suit the `chains` model.
#[test]
fn appends_that_were_never_done_are_noticed_though_the_key_began_with_the_empty_value() {
    let now = Duration::ZERO;
    let mut history = History::default();
    let put = history.call(0, "k", Input::Put(String::new()), now);
    history.answer(put, "", now);
    for round in 0..10 {
        let append = |client| Input::Append(format!("x {client} {round} y"));
        let calls: Vec<usize> =
            (0..5).map(|client| history.call(client, "k", append(client), now)).collect();
        calls.iter().for_each(|&call| history.answer(call, "", now));
    }
    let get = history.call(0, "k", Input::Get, now);
    history.answer(get, "", now);
    let verdict = check(history.operations(), 10_000);
    let Linearizability::Violated(counterexample) = verdict else { panic!("{verdict:?}") };
    assert_eq!(counterexample.operations.len(), 2, "{counterexample:?}");
}
