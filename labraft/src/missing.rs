//! What an unfinished implementation does not do yet, reported where it would do it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError};

use crate::suite::Part;

/// Something that is not there: the part it belongs to, what it is, and where it should be.
type MissingPiece = (Part, &'static str, &'static Location<'static>);

/// What was missing in one run. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Missing(Arc<Mutex<BTreeSet<MissingPiece>>>);

thread_local! {
    /// That of the run on this thread: each run has a thread of its own.
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
    let place = Location::caller();
    OF_THIS_RUN.with_borrow(|missing| {
        if let Some(Missing(pieces)) = missing {
            let mut pieces = pieces.lock().unwrap_or_else(PoisonError::into_inner);
            pieces.insert((part, what, place));
        }
    });
}

impl Missing {
    /// From now on, what this thread reports goes here.
    pub(crate) fn listen(&self) {
        OF_THIS_RUN.set(Some(self.clone()));
    }

    /// What of the earliest part was missing, a line each: later parts build on it.
    pub(crate) fn lines(&self) -> Vec<String> {
        let pieces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((first, ..)) = pieces.first() else { return Vec::new() };
        let mut lines = Vec::new();
        for (part, what, place) in pieces.iter().filter(|(part, ..)| part == first) {
            let file = place.file();
            let line = place.line();
            lines.push(format!("not there yet: {what} (lab {part}), {file}:{line}"));
        }
        lines
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
        let lines = missing.lines();
        let begins: Vec<&str> = lines.iter().map(|line| line.split_once(", ").unwrap().0).collect();
        assert_eq!(begins, ["not there yet: a (lab 2B)", "not there yet: b (lab 2B)"]);
        assert!(lines[0].contains("missing.rs:"), "{lines:?}");
    }
}
