//! Reduces a history that is not linearizable to a few operations that prove it.

use std::fmt;

use super::chains::{Chains, Unfit};
use super::history::Operation;
use super::key::check_key;
use super::search::SearchResult;

/// The number of steps allowed for each check while a counterexample is reduced. A check that exceeds it
/// counts as not proving a violation, so the counterexample is still correct but may be larger than
/// necessary.
const BUDGET: u64 = 100_000;
/// The number of steps allowed for all of them together. When it is used up, the counterexample stays as large as it
/// is then.
const TOTAL_BUDGET: u64 = 5_000_000;

/// Operations of one key that prove that a history is not linearizable. No order explains these Gets when
/// these writes happened at their recorded times, even if the key's other writes could have happened at
/// any time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// The key whose operations are not linearizable.
    pub key: String,
    /// An explanation of the contradiction, for the report.
    pub why: String,
    /// The operations, in the order of their calls. As far as the budget allows, each is necessary:
    /// without one of these Gets, or if one of these writes could have happened at any time, an order
    /// would exist.
    pub operations: Vec<Operation>,
    /// The total number of operations on the key.
    pub total: usize,
}

/// Finds a small counterexample among a key's operations, which must not be linearizable.
pub(super) fn find(key: &str, operations: &[&Operation]) -> Counterexample {
    let mut left: Vec<Operation> = operations.iter().map(|&each| each.clone()).collect();
    let mut proof = Proof { steps_left: TOTAL_BUDGET };
    proof.stop_early(&mut left);
    proof.drop_gets(&mut left);
    let why = match Chains::new(&left.iter().collect::<Vec<_>>()) {
        Err(Unfit::Contradiction(what)) => what,
        _ => "no order of these operations explains the answers".into(),
    };
    let mut shown = proof.writes_whose_time_matters(&left);
    shown.extend(left.iter().filter(|each| each.is_get()).map(|get| get.called.order));
    let is_shown = |each: &&&Operation| shown.contains(&each.called.order);
    Counterexample {
        key: key.into(),
        why,
        operations: operations.iter().filter(is_shown).map(|&each| each.clone()).collect(),
        total: operations.len(),
    }
}

/// Makes a proof smaller, in a bounded number of steps.
struct Proof {
    steps_left: u64,
}

impl Proof {
    /// Whether it is known that no order explains these operations.
    fn is_impossible(&mut self, operations: impl FnOnce() -> Vec<Operation>) -> bool {
        if self.steps_left == 0 {
            return false;
        }
        let operations = operations();
        let all: Vec<&Operation> = operations.iter().collect();
        let (result, steps) = check_key(&all, BUDGET);
        let steps = steps + all.len() as u64;
        self.steps_left = self.steps_left.saturating_sub(steps);
        result == SearchResult::Impossible
    }

    /// Truncates the history after the first answer that makes it impossible to explain.
    fn stop_early(&mut self, operations: &mut Vec<Operation>) {
        let answers = operations.iter().filter_map(|each| each.answered);
        let mut moments: Vec<u64> = answers.map(|moment| moment.order).collect();
        moments.sort_unstable();
        let first = moments.partition_point(|&at| !self.is_impossible(|| cut_off(operations, at)));
        if let Some(&at) = moments.get(first) {
            *operations = cut_off(operations, at);
        }
    }

    /// Removes all Gets that are not needed to prove the violation.
    fn drop_gets(&mut self, operations: &mut Vec<Operation>) {
        let gets: Vec<usize> = (0..operations.len()).filter(|&i| operations[i].is_get()).collect();
        let needed =
            smallest_part(&gets, |kept| self.is_impossible(|| with_gets(operations, kept)));
        *operations = with_gets(operations, &needed);
    }

    /// Returns the writes whose times are needed to prove the violation, as the positions of their calls.
    fn writes_whose_time_matters(&mut self, operations: &[Operation]) -> Vec<u64> {
        let writes: Vec<usize> =
            (0..operations.len()).filter(|&i| !operations[i].is_get()).collect();
        let needed =
            smallest_part(&writes, |timed| self.is_impossible(|| with_times_of(operations, timed)));
        needed.iter().map(|&i| operations[i].called.order).collect()
    }
}

/// Returns the history up to position `at`, without later calls and later answers.
fn cut_off(operations: &[Operation], at: u64) -> Vec<Operation> {
    let mut known = Vec::new();
    for operation in operations.iter().filter(|each| each.called.order <= at) {
        let answered = operation.answered.filter(|moment| moment.order <= at);
        // A Get without an answer does not constrain the order.
        if !operation.is_get() || answered.is_some() {
            known.push(Operation { answered, ..operation.clone() });
        }
    }
    known
}

/// Returns all writes and the Gets with the given indices.
fn with_gets(operations: &[Operation], gets: &[usize]) -> Vec<Operation> {
    let numbered = operations.iter().enumerate();
    let kept = numbered.filter(|(i, each)| !each.is_get() || gets.contains(i));
    kept.map(|(_, each)| each.clone()).collect()
}

/// Returns the operations with only the writes in `timed` tied to their times. All other writes may
/// happen at any time, or not at all.
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

/// Returns a small part of `all` that still satisfies `is_enough`. It tries to remove halves, then ever
/// smaller chunks, down to single elements.
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
    /// Formats the operations for a report, one per line: the client, the times of the call and the
    /// answer in seconds, and the operation. If the key has other operations, a last line says that they
    /// make no difference.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.operations.iter().map(line).collect();
        if lines.len() < self.total {
            lines.push(
                "no matter when the key's other writes happened or what its other Gets returned"
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::history::{History, Input};
    use super::*;

    /// The larger a value is, the longer it takes to copy. Without a bound for all checks together, a history
    /// like this one takes hours.
    #[test]
    fn a_proof_that_takes_too_many_steps_stays_as_large_as_it_is() {
        let mut history = History::default();
        let now = Duration::ZERO;
        for client in 0..40 {
            let append = history.call(client, "k", Input::Append("same".into()), now);
            history.answer(append, "", now);
            let get = history.call(client, "k", Input::Get, now);
            history.answer(get, "other", now);
        }
        let operations: Vec<Operation> = history.operations().to_vec();
        let mut left = operations.clone();
        let mut proof = Proof { steps_left: 0 };
        proof.stop_early(&mut left);
        proof.drop_gets(&mut left);
        assert_eq!((left.len(), proof.writes_whose_time_matters(&left).len()), (80, 40));

        let mut left = operations;
        let mut proof = Proof { steps_left: TOTAL_BUDGET };
        proof.stop_early(&mut left);
        assert_eq!(left.len(), 2, "the first answer is wrong already");
        assert!(proof.steps_left < TOTAL_BUDGET);
    }
}
