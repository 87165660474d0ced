//! `cargo bench -p labraft`: how long the check of a history takes.

use std::time::Duration;

use divan::Bencher;
use labraft::linearizability::{DEFAULT_BUDGET, History, Input, Linearizability, Operation, check};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

fn main() {
    divan::main();
}

/// A history of concurrent clients of a correct service, each with one operation at a time: half of
/// them Appends, a twentieth Puts and the rest Gets, as in the course's test.
fn history(clients: usize, keys: usize, operations: usize) -> Vec<Operation> {
    let mut dice = SmallRng::seed_from_u64(7);
    let mut history = History::default();
    let mut states = vec![String::new(); keys];
    // For each client the place of its operation, the key, and the output once it has taken effect.
    let mut under_way: Vec<Option<(usize, usize, Option<String>)>> = vec![None; clients];
    let mut calls = 0;
    while calls < operations || under_way.iter().any(Option::is_some) {
        let client = dice.random_range(0..clients);
        match &mut under_way[client] {
            None if calls == operations => {}
            None => {
                let key = dice.random_range(0..keys);
                let value = format!("x {client} {calls} y");
                let input = match dice.random_range(0..20) {
                    0..10 => Input::Append(value),
                    10 => Input::Put(value),
                    _ => Input::Get,
                };
                let call = history.call(client, &key.to_string(), input, Duration::ZERO);
                under_way[client] = Some((call, key, None));
                calls += 1;
            }
            Some((call, key, answer @ None)) => {
                let state = &mut states[*key];
                match &history.operations()[*call].input {
                    Input::Get => {}
                    Input::Put(value) => state.clone_from(value),
                    Input::Append(value) => state.push_str(value),
                }
                *answer = Some(state.clone());
            }
            Some((call, _, Some(answer))) => {
                history.answer(*call, std::mem::take(answer), Duration::ZERO);
                under_way[client] = None;
            }
        }
    }
    history.operations().to_vec()
}

/// The same history with one stale Get near the end.
fn with_stale_get(mut history: Vec<Operation>) -> Vec<Operation> {
    let last = history.iter().rposition(Operation::is_get).expect("there is a Get");
    let key = history[last].key.clone();
    let mut early = history.iter().take(last / 2);
    let early = early.rfind(|each| each.is_get() && each.key == key);
    history[last].output = early.expect("there is an earlier Get of the key").output.clone();
    history
}

/// Clients, keys and operations.
const LOADS: [(usize, usize, usize); 2] = [(15, 15, 2000), (15, 1, 600)];

#[divan::bench(args = LOADS)]
fn a_linearizable_history(bencher: Bencher, (clients, keys, operations): (usize, usize, usize)) {
    let history = history(clients, keys, operations);
    bencher.bench(|| assert_eq!(check(&history, DEFAULT_BUDGET), Linearizability::Holds));
}

#[divan::bench(args = LOADS)]
fn a_violation_and_its_counterexample(
    bencher: Bencher,
    (clients, keys, operations): (usize, usize, usize),
) {
    let history = with_stale_get(history(clients, keys, operations));
    bencher.bench(|| {
        assert!(matches!(check(&history, DEFAULT_BUDGET), Linearizability::Violated(_)));
    });
}
