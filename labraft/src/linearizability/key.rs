//! Whether the operations of one key are linearizable.

use super::chains::{Chains, Unfit};
use super::history::Operation;
use super::plain::Plain;
use super::search::{SearchResult, search};

/// Whether there is an order of one key's operations, searched in at most `budget` steps.
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
