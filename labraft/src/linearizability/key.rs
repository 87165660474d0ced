//! Checks the operations of one key, with the faster model where it applies.

use super::chains::{Chains, Unfit};
use super::history::Operation;
use super::plain::Plain;
use super::search::{SearchResult, search_within};

/// Searches for an order that explains one key's operations, in at most `budget` steps. Returns the number of
/// steps as well.
pub(super) fn check_key(operations: &[&Operation], budget: u64) -> (SearchResult, u64) {
    match Chains::new(operations) {
        Ok((chains, intervals)) => search_within(&chains, &intervals, budget),
        Err(Unfit::Contradiction(_)) => (SearchResult::Impossible, 0),
        Err(Unfit::Ambiguous) => {
            let (plain, intervals) = Plain::new(operations);
            search_within(&plain, &intervals, budget)
        }
    }
}
