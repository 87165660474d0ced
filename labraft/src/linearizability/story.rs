//! Of a history that fits no order, the few operations that show it.

use std::fmt;

use super::chains::{Chains, Unfit};
use super::check_key;
use super::history::Operation;
use super::search::Outcome;

/// How many steps each question may take while a story is made smaller. A question that takes longer
/// is answered with no: the story is true, if not the smallest.
const BUDGET: u64 = 100_000;

/// Operations of one key that show that all of them fit no order: these Gets, with these writes at
/// these times, and with any other write at any time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// The key.
    pub key: String,
    /// What is wrong with them.
    pub why: String,
    /// The operations, in the order of their calls. None of them is superfluous: without one of these
    /// Gets, or if one of these writes might have happened at any time, there would be an order.
    pub operations: Vec<Operation>,
    /// How many operations the key has in all.
    pub of: usize,
}

/// The story of a key's operations, which fit no order.
pub(super) fn tell(key: &str, operations: &[&Operation]) -> Story {
    let mut told: Vec<Operation> = operations.iter().map(|&each| each.clone()).collect();
    stop_early(&mut told);
    drop_gets(&mut told);
    let why = match Chains::new(&told.iter().collect::<Vec<_>>()) {
        Err(Unfit::Contradiction(what)) => what,
        _ => "no order of these operations explains the answers".into(),
    };
    let timed = writes_whose_time_matters(&told);
    let shown = operations.iter().filter(|each| {
        let is_told = |other: &&Operation| other.called == each.called;
        told.iter().find(is_told).is_some_and(|told| told.is_get())
            || timed.contains(&each.called.order)
    });
    let operations_shown = shown.map(|&each| each.clone()).collect();
    Story { key: key.into(), why, operations: operations_shown, of: operations.len() }
}

fn is_impossible(operations: &[Operation]) -> bool {
    let all: Vec<&Operation> = operations.iter().collect();
    check_key(&all, BUDGET) == Outcome::Impossible
}

/// Cuts the history off at the first answer by which it is wrong: later calls were not made yet, later
/// answers are not known.
fn stop_early(operations: &mut Vec<Operation>) {
    let cut = |at: u64| -> Vec<Operation> {
        let called = operations.iter().filter(|each| each.called.order <= at);
        let cut = called.cloned().map(|mut each| {
            each.answered = each.answered.filter(|moment| moment.order <= at);
            each
        });
        // A Get without an answer says nothing.
        cut.filter(|each| !each.is_get() || each.answered.is_some()).collect()
    };
    let answers = operations.iter().filter_map(|each| each.answered);
    let mut moments: Vec<u64> = answers.map(|moment| moment.order).collect();
    moments.sort_unstable();
    let first = moments.partition_point(|&at| !is_impossible(&cut(at)));
    if let Some(&at) = moments.get(first) {
        *operations = cut(at);
    }
}

/// Leaves out Gets, in halves and then in smaller parts, while it stays wrong.
fn drop_gets(operations: &mut Vec<Operation>) {
    let is_get: Vec<bool> = operations.iter().map(Operation::is_get).collect();
    let gets: Vec<usize> = (0..operations.len()).filter(|&i| is_get[i]).collect();
    let needed = needed(&gets, |kept| {
        let without = operations.iter().enumerate();
        let without = without.filter(|(i, _)| !is_get[*i] || kept.contains(i));
        is_impossible(&without.map(|(_, each)| each.clone()).collect::<Vec<_>>())
    });
    let mut i = 0;
    operations.retain(|_| {
        i += 1;
        !is_get[i - 1] || needed.contains(&(i - 1))
    });
}

/// The writes, by the place of their calls, that must not be taken as possible at any time.
fn writes_whose_time_matters(operations: &[Operation]) -> Vec<u64> {
    let writes: Vec<usize> = (0..operations.len()).filter(|&i| !operations[i].is_get()).collect();
    let needed = needed(&writes, |kept| {
        let mut loosened = operations.to_vec();
        for (i, each) in loosened.iter_mut().enumerate() {
            if !each.is_get() && !kept.contains(&i) {
                each.called.order = 0;
                each.answered = None;
            }
        }
        loosened.sort_by_key(|each| each.called.order);
        is_impossible(&loosened)
    });
    needed.iter().map(|&i| operations[i].called.order).collect()
}

/// Of `all`, a part that is still needed and of which nothing is superfluous: leaves out halves, then
/// smaller parts, down to single ones, as long as `is_enough` says so.
fn needed(all: &[usize], mut is_enough: impl FnMut(&[usize]) -> bool) -> Vec<usize> {
    let mut kept = all.to_vec();
    if is_enough(&[]) {
        return Vec::new();
    }
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

impl Story {
    /// The operations, a line each: client, from when to when, what.
    pub fn lines(&self) -> Vec<String> {
        let line = |operation: &Operation| {
            let called = operation.called.at.as_secs_f64();
            let answered = match operation.answered {
                Some(moment) => format!("{:.6} s", moment.at.as_secs_f64()),
                None => "no answer".into(),
            };
            format!("client {:<3} {called:.6} to {answered:<12} {operation}", operation.client)
        };
        let mut lines: Vec<String> = self.operations.iter().map(line).collect();
        if lines.len() < self.of {
            lines.push(
                "whenever its other writes happened, and whatever its other Gets were answered"
                    .into(),
            );
        }
        lines
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, of, key) = (self.operations.len(), self.of, &self.key);
        write!(f, "key {key:?}: {} ({shown} of its {of} operations)", self.why)
    }
}
