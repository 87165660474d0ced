//! Reports of the pieces that an unfinished implementation does not have yet.

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
    /// A short description, such as `elections`.
    pub what: String,
    /// The place of the call to [`not_yet`], as `file:line`.
    pub place: String,
}

/// The missing pieces reported during one run. Clones share one set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Missing(Arc<Mutex<BTreeSet<MissingPiece>>>);

thread_local! {
    /// The missing pieces of the run on this thread. Each run has its own thread.
    static OF_THIS_RUN: RefCell<Option<Missing>> = const { RefCell::new(None) };
}

/// Reports that a piece of the implementation is missing. Skeletons call it where that piece
/// belongs.
///
/// If the run fails, its report lists the pieces of the earliest part. A call changes nothing else,
/// and outside a run it does nothing.
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
    /// Starts collecting the pieces that are reported on this thread.
    pub(crate) fn listen(&self) {
        OF_THIS_RUN.set(Some(self.clone()));
    }

    /// The missing pieces of the earliest part that has any. Later parts depend on it, so their
    /// pieces are left out.
    pub(crate) fn earliest(&self) -> Box<[MissingPiece]> {
        let pieces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = pieces.first() else { return Box::default() };
        pieces.iter().filter(|piece| piece.part == first.part).cloned().collect()
    }
}

impl fmt::Display for MissingPiece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not implemented yet: {} (lab {}), {}", self.what, self.part, self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_missing_pieces_of_the_earliest_part_are_listed() {
        let missing = Missing::default();
        not_yet(Part::Raft2A, "before the run");
        missing.listen();
        for what in ["b", "a", "b"] {
            not_yet(Part::Raft2B, what);
        }
        not_yet(Part::Raft2C, "c");
        let lines: Vec<String> = missing.earliest().iter().map(MissingPiece::to_string).collect();
        let begins: Vec<&str> = lines.iter().map(|line| line.split_once(", ").unwrap().0).collect();
        assert_eq!(begins, ["not implemented yet: a (lab 2B)", "not implemented yet: b (lab 2B)"]);
        assert!(lines[0].contains("missing.rs:"), "{lines:?}");
    }
}
