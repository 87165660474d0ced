//! Measures how long it takes to check a history for linearizability.
//!
//! Run with `cargo bench -p labraft`.

use std::time::Duration;

use divan::Bencher;
use labraft::linearizability::{DEFAULT_BUDGET, History, Input, Linearizability, Operation, check};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

fn main() {
    divan::main();
}

/// Generates the history of concurrent clients of a correct service. Each client has one operation
/// in progress at a time. As in the course's test, half of the operations are Appends, a twentieth
/// are Puts, and the rest are Gets.
fn history(clients: usize, keys: usize, operations: usize) -> Vec<Operation> {
    let mut dice = SmallRng::seed_from_u64(7);
    let mut history = History::default();
    let mut states = vec![String::new(); keys];
    // For each client, the operation's index in the history, the key, and the output once the
    // operation has taken effect.
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

/// Makes a history non-linearizable by giving a Get near the end the result of a much earlier one.
fn with_stale_get(mut history: Vec<Operation>) -> Vec<Operation> {
    let last = history.iter().rposition(Operation::is_get).expect("there is a Get");
    let key = history[last].key.clone();
    let mut early = history.iter().take(last / 2);
    let early = early.rfind(|each| each.is_get() && each.key == key);
    history[last].output = early.expect("there is an earlier Get of the key").output.clone();
    history
}

/// The measured loads: the numbers of clients, keys and operations.
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
