//! What an unfinished implementation does not do yet, reported where it would do it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::part::Part;

/// A piece of an implementation that is not written yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MissingPiece {
    /// The part of the labs that it belongs to.
    pub part: Part,
    /// What it is, such as `elections`.
    pub what: String,
    /// Where it should be, as `file:line`.
    pub place: String,
}

/// The pieces that were found missing in one run. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Missing(Arc<Mutex<BTreeSet<MissingPiece>>>);

thread_local! {
    /// The missing pieces of the run on this thread: each run has its own thread.
    static OF_THIS_RUN: RefCell<Option<Missing>> = const { RefCell::new(None) };
}

/// Reports that something is not there yet: what stands in a skeleton until it is written. If the run
/// fails, its report lists it; otherwise nothing changes.
///
/// ```
/// labraft::not_yet(labraft::Part::Raft2A, "elections");
/// ```
#[track_caller]
pub fn not_yet(part: Part, what: &'static str) {
    let caller = Location::caller();
    OF_THIS_RUN.with_borrow(|missing| {
        if let Some(Missing(pieces)) = missing {
            let mut pieces = pieces.lock().unwrap_or_else(PoisonError::into_inner);
            let place = format!("{}:{}", caller.file(), caller.line());
            pieces.insert(MissingPiece { part, what: what.into(), place });
        }
    });
}

impl Missing {
    /// Collects from now on what is reported on this thread.
    pub(crate) fn listen(&self) {
        OF_THIS_RUN.set(Some(self.clone()));
    }

    /// The missing pieces of the earliest part, on which later parts build.
    pub(crate) fn earliest(&self) -> Box<[MissingPiece]> {
        let pieces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = pieces.first() else { return Box::default() };
        pieces.iter().filter(|piece| piece.part == first.part).cloned().collect()
    }
}

impl fmt::Display for MissingPiece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not there yet: {} (lab {}), {}", self.what, self.part, self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_of_the_earliest_part_is_listed() {
        let missing = Missing::default();
        not_yet(Part::Raft2A, "before the run");
        missing.listen();
        for what in ["b", "a", "b"] {
            not_yet(Part::Raft2B, what);
        }
        not_yet(Part::Raft2C, "c");
        let lines: Vec<String> = missing.earliest().iter().map(MissingPiece::to_string).collect();
        let begins: Vec<&str> = lines.iter().map(|line| line.split_once(", ").unwrap().0).collect();
        assert_eq!(begins, ["not there yet: a (lab 2B)", "not there yet: b (lab 2B)"]);
        assert!(lines[0].contains("missing.rs:"), "{lines:?}");
    }
}
