//! A linearizability checker for key/value histories. It decides whether the answers that clients got
//! could have come from a single copy of the data that executes one operation at a time (Herlihy and Wing,
//! "Linearizability: a correctness condition for concurrent objects", 1990).
//!
//! Start here: [`History`] holds the clients' operations and their answers, and [`check`] checks them.
//! The verdict is exact, and the same on every machine because the search is limited by a number of steps
//! rather than by time.
//!
//! | module | contents |
//! |---|---|
//! | `history` | operations, with the times of their calls and answers |
//! | `key` | the check of one key's operations |
//! | `search` | Wing and Gong's search with Lowe's cache of visited configurations, for any [`Model`] |
//! | `counterexample` | reduces a history that is not linearizable to a few operations that prove it |
//! | `plain` | the general key/value model, whose state is the key's value |
//! | `chains` | a faster model for histories in which all written values are distinguishable |
//!
//! Each key is checked on its own: a history is linearizable if and only if the operations of each key
//! are. Gets without an answer are ignored. A write without an answer may have taken effect at any time
//! after its call, or not at all.

mod chains;
mod counterexample;
mod history;
mod key;
mod plain;
mod search;

use std::collections::BTreeMap;

use chains::{Chains, Unfit};
pub use counterexample::Counterexample;
pub use history::{History, Input, Moment, Operation, shortened};
use key::check_key;
pub use search::{Interval, Model, SearchResult, search};

/// The default budget for each key, in steps. Using all of it takes a second or two and about 200 MB of
/// memory; the course's tests need less than a hundredth of it.
pub const DEFAULT_BUDGET: u64 = 5_000_000;

/// The result of checking whether a history is linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Linearizability {
    /// Some order of the operations explains all answers.
    Holds,
    /// No order explains all answers; the counterexample shows operations of one key that prove it.
    Violated(Box<Counterexample>),
    /// The budget ran out before the search found an order or ruled one out. This does not count as a
    /// pass.
    Unknown {
        /// The key whose check ran out of budget.
        key: String,
        /// The number of operations on the key.
        operations: usize,
        /// The number of steps taken.
        steps: u64,
    },
}

/// Returns whether the values written to each key are distinguishable, so that little search is needed.
/// The values must all be different, none may be empty, and none may be a prefix of another.
pub fn can_tell_apart(operations: &[Operation]) -> bool {
    by_key(operations).values().all(|of_key| !matches!(Chains::new(of_key), Err(Unfit::Ambiguous)))
}

fn by_key(operations: &[Operation]) -> BTreeMap<&str, Vec<&Operation>> {
    let mut by_key: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in operations {
        by_key.entry(&operation.key).or_default().push(operation);
    }
    by_key
}

/// Checks whether a history is linearizable, using at most `budget` steps for each key. The operations
/// must be in the order of their calls.
///
/// # Panics
/// If the operations are not in this order, or one was answered before it was called. The operations of
/// a [`History`] always meet these conditions.
///
/// ```
/// use labraft::linearizability::{DEFAULT_BUDGET, History, Input, Linearizability, check};
/// use std::time::Duration;
/// let now = Duration::ZERO;
/// let mut history = History::default();
/// let put = history.call(0, "k", Input::Put("a".into()), now);
/// history.answer(put, "", now);
/// let get = history.call(1, "k", Input::Get, now);
/// history.answer(get, "", now);
/// // The Put was answered before the Get was called, so the Get should have returned "a".
/// let verdict = check(history.operations(), DEFAULT_BUDGET);
/// assert!(matches!(verdict, Linearizability::Violated(_)));
/// ```
pub fn check(operations: &[Operation], budget: u64) -> Linearizability {
    assert!(
        operations.is_sorted_by_key(|operation| operation.called.order),
        "operations must be in call order"
    );
    for operation in operations {
        let called = operation.called.order;
        let is_after = |answered: Moment| answered.order > called;
        assert!(
            operation.answered.is_none_or(is_after),
            "{operation} was answered before its call"
        );
    }
    let mut verdict = Linearizability::Holds;
    for (key, operations) in by_key(operations) {
        let operations = without_effect_at_first(&operations);
        match check_key(operations, budget).0 {
            SearchResult::Possible => {}
            SearchResult::Impossible => {
                return Linearizability::Violated(Box::new(counterexample::find(key, operations)));
            }
            // Another key may still have a violation.
            SearchResult::Unknown { steps } => {
                let operations = operations.len();
                verdict = Linearizability::Unknown { key: key.into(), operations, steps };
            }
        }
    }
    verdict
}

/// Removes leading Puts of the empty value that were answered before any later operation was called. They
/// have no effect, because an absent key already reads as empty. Some tests begin with such a Put, and its
/// empty value would rule out the faster `chains` model.
fn without_effect_at_first<'a, 'b>(mut operations: &'a [&'b Operation]) -> &'a [&'b Operation] {
    while let [first, rest @ ..] = operations
        && matches!(&first.input, Input::Put(value) if value.is_empty())
        && let Some(answered) = first.answered
        && rest.first().is_none_or(|next| answered.order < next.called.order)
    {
        operations = rest;
    }
    operations
}

#[cfg(test)]
mod tests;
