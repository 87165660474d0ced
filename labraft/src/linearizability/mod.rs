//! Could the answers of a run have come from one copy of the data, one operation after another?
//! (Herlihy and Wing, "Linearizability: a correctness condition for concurrent objects", 1990.)
//!
//! Start here: [`History`] is what clients did and were answered; [`check`] judges it. The verdict is
//! exact, and the same on every machine: the search is bounded in steps, not in seconds.
//!
//! | module | what it is |
//! |---|---|
//! | `history` | operations with the moments of their calls and answers |
//! | `key` | the operations of one key |
//! | `search` | Wing and Gong's search with Lowe's memory of what was tried, for any [`Model`] |
//! | `counterexample` | of a history that fits no order, the few operations that show it |
//! | `plain` | the key/value model as it is: a key's state is its value |
//! | `chains` | the same model where each written value is told apart: no strings, hardly any choices |
//!
//! A history is checked key by key: it is linearizable exactly when each key's operations are.
//! A Get without an answer says nothing, and is left out. A write without an answer may have happened
//! at any time after its call, or not at all.

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

/// The usual budget, in steps for each key: a second or two, and about 200 MB for what was tried. The
/// course's tests take less than a hundredth of it.
pub const DEFAULT_BUDGET: u64 = 5_000_000;

/// Whether a history is linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Linearizability {
    /// There is an order that explains all answers.
    Holds,
    /// There is none, as the operations of one key show.
    Violated(Box<Counterexample>),
    /// The budget was used up before either was known. This is never a pass.
    Unknown {
        /// The key.
        key: String,
        /// How many operations it has.
        operations: usize,
        /// How many steps were taken.
        steps: u64,
    },
}

/// Whether the values written to each key can be told apart, so that hardly any search is needed.
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

/// Checks a history with at most `budget` steps for each key. Operations are in the order of their calls.
///
/// # Panics
/// When they are not, or one was answered before it was called. No [`History`] is like that.
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
/// // The Put was answered before the Get was called.
/// let verdict = check(history.operations(), DEFAULT_BUDGET);
/// assert!(matches!(verdict, Linearizability::Violated(_)));
/// ```
pub fn check(operations: &[Operation], budget: u64) -> Linearizability {
    assert!(operations.is_sorted_by_key(|operation| operation.called.order), "calls in order");
    for operation in operations {
        let called = operation.called.order;
        let is_after = |answered: Moment| answered.order > called;
        assert!(operation.answered.is_none_or(is_after), "{operation} was answered too early");
    }
    let mut verdict = Linearizability::Holds;
    for (key, operations) in by_key(operations) {
        let operations = without_effect_at_first(&operations);
        match check_key(operations, budget) {
            SearchResult::Possible => {}
            SearchResult::Impossible => {
                return Linearizability::Violated(Box::new(counterexample::find(key, operations)));
            }
            // Another key may still show that the history is wrong.
            SearchResult::Unknown { steps } => {
                let operations = operations.len();
                verdict = Linearizability::Unknown { key: key.into(), operations, steps };
            }
        }
    }
    verdict
}

/// The operations without those at the beginning that put the empty value, one after another and before all
/// others: an absent key has the empty value already. Some tests begin with such a Put, and an empty value
/// cannot be told apart from what follows it.
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
