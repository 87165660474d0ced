//! Checks the operations of one key, with the faster model where it applies.

use super::chains::{Chains, Unfit};
use super::history::Operation;
use super::plain::Plain;
use super::search::{SearchResult, search};

/// Searches for an order that explains one key's operations, in at most `budget` steps.
pub(super) fn check_key(operations: &[&Operation], budget: u64) -> SearchResult {
    match Chains::new(operations) {
        Ok((chains, intervals)) => search(&chains, &intervals, budget),
        Err(Unfit::Contradiction(_)) => SearchResult::Impossible,
        Err(Unfit::Ambiguous) => {
            let (plain, intervals) = Plain::new(operations);
            search(&plain, &intervals, budget)
        }
    }
}
