//! Of a history that fits no order, the few operations that show it.

use std::fmt;

use super::chains::{Chains, Unfit};
use super::history::Operation;
use super::key::check_key;
use super::search::SearchResult;

/// How many steps each check may take while a counterexample is made smaller. A check that takes longer
/// counts as no: then the counterexample is right, but not the smallest.
const BUDGET: u64 = 100_000;

/// Operations of one key that show that the history fits no order: these Gets, together with these writes
/// at their times, and any other write at any time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// The key.
    pub key: String,
    /// What is wrong with them.
    pub why: String,
    /// The operations, in the order of their calls. Each is needed: without one of these Gets, or if one
    /// of these writes could have happened at any time, there would be an order.
    pub operations: Vec<Operation>,
    /// The number of operations that the key has in all.
    pub total: usize,
}

/// A counterexample among a key's operations, which fit no order.
pub(super) fn find(key: &str, operations: &[&Operation]) -> Counterexample {
    let mut left: Vec<Operation> = operations.iter().map(|&each| each.clone()).collect();
    stop_early(&mut left);
    drop_gets(&mut left);
    let why = match Chains::new(&left.iter().collect::<Vec<_>>()) {
        Err(Unfit::Contradiction(what)) => what,
        _ => "no order of these operations explains the answers".into(),
    };
    let mut shown = writes_whose_time_matters(&left);
    shown.extend(left.iter().filter(|each| each.is_get()).map(|get| get.called.order));
    let is_shown = |each: &&&Operation| shown.contains(&each.called.order);
    Counterexample {
        key: key.into(),
        why,
        operations: operations.iter().filter(is_shown).map(|&each| each.clone()).collect(),
        total: operations.len(),
    }
}

fn is_impossible(operations: &[Operation]) -> bool {
    let all: Vec<&Operation> = operations.iter().collect();
    check_key(&all, BUDGET) == SearchResult::Impossible
}

/// Cuts the history off after the first answer that makes it wrong.
fn stop_early(operations: &mut Vec<Operation>) {
    let answers = operations.iter().filter_map(|each| each.answered);
    let mut moments: Vec<u64> = answers.map(|moment| moment.order).collect();
    moments.sort_unstable();
    let first = moments.partition_point(|&at| !is_impossible(&cut_off(operations, at)));
    if let Some(&at) = moments.get(first) {
        *operations = cut_off(operations, at);
    }
}

/// The history as it was known at a moment: later calls were not made, later answers had not come.
fn cut_off(operations: &[Operation], at: u64) -> Vec<Operation> {
    let mut known = Vec::new();
    for operation in operations.iter().filter(|each| each.called.order <= at) {
        let answered = operation.answered.filter(|moment| moment.order <= at);
        // A Get without an answer says nothing.
        if !operation.is_get() || answered.is_some() {
            known.push(Operation { answered, ..operation.clone() });
        }
    }
    known
}

/// Leaves out Gets while the history stays wrong.
fn drop_gets(operations: &mut Vec<Operation>) {
    let gets: Vec<usize> = (0..operations.len()).filter(|&i| operations[i].is_get()).collect();
    let needed = smallest_part(&gets, |kept| is_impossible(&with_gets(operations, kept)));
    *operations = with_gets(operations, &needed);
}

/// All writes, and these Gets.
fn with_gets(operations: &[Operation], gets: &[usize]) -> Vec<Operation> {
    let numbered = operations.iter().enumerate();
    let kept = numbered.filter(|(i, each)| !each.is_get() || gets.contains(i));
    kept.map(|(_, each)| each.clone()).collect()
}

/// The writes, by the places of their calls, without whose times there would be an order.
fn writes_whose_time_matters(operations: &[Operation]) -> Vec<u64> {
    let writes: Vec<usize> = (0..operations.len()).filter(|&i| !operations[i].is_get()).collect();
    let needed = smallest_part(&writes, |timed| is_impossible(&with_times_of(operations, timed)));
    needed.iter().map(|&i| operations[i].called.order).collect()
}

/// The operations, but all writes except these may have happened at any time.
fn with_times_of(operations: &[Operation], timed: &[usize]) -> Vec<Operation> {
    let mut loosened = operations.to_vec();
    for (i, each) in loosened.iter_mut().enumerate() {
        if !each.is_get() && !timed.contains(&i) {
            each.called.order = 0;
            each.answered = None;
        }
    }
    loosened.sort_by_key(|each| each.called.order);
    loosened
}

/// A part of `all` that is still enough and has nothing superfluous: leaves out halves, then smaller parts,
/// down to single elements, as long as the rest is enough.
fn smallest_part(all: &[usize], mut is_enough: impl FnMut(&[usize]) -> bool) -> Vec<usize> {
    if is_enough(&[]) {
        return Vec::new();
    }
    let mut kept = all.to_vec();
    let mut size = kept.len().div_ceil(2);
    while size > 0 && !kept.is_empty() {
        let mut from = 0;
        while from < kept.len() {
            let to = (from + size).min(kept.len());
            let rest = [&kept[..from], &kept[to..]].concat();
            if is_enough(&rest) {
                kept = rest;
            } else {
                from = to;
            }
        }
        size /= 2;
    }
    kept
}

impl Counterexample {
    /// The operations, a line each: client, from when to when, what.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.operations.iter().map(line).collect();
        if lines.len() < self.total {
            lines.push(
                "whenever its other writes happened, and whatever its other Gets were answered"
                    .into(),
            );
        }
        lines
    }
}

fn line(operation: &Operation) -> String {
    let called = operation.called.at.as_secs_f64();
    let answered = match operation.answered {
        Some(moment) => format!("{:.6} s", moment.at.as_secs_f64()),
        None => "no answer".into(),
    };
    format!("client {:<3} {called:.6} to {answered:<12} {operation}", operation.client)
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counterexample { key, why, operations, total } = self;
        write!(f, "key {key:?}: {why} ({} of its {total} operations)", operations.len())
    }
}
