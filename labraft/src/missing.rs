//! What an unfinished implementation does not do yet, said where it would do it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError};

use crate::lab::Results;
use crate::suite::Part;

thread_local! {
    /// Of the run on this thread. Each run has a thread of its own.
    static RESULTS: RefCell<Option<Arc<Mutex<Results>>>> = const { RefCell::new(None) };
}

/// Something that was not there: the part it belongs to, what it is, and where it is to be.
pub(crate) type Missing = BTreeSet<(Part, &'static str, &'static Location<'static>)>;

/// Says that something is not there yet: what stands in a skeleton until somebody writes the real
/// thing in its place. If the run fails, its report says it, too; otherwise nothing changes.
///
/// ```
/// labraft::not_yet(labraft::Part::Raft2A, "elections");
/// ```
#[track_caller]
pub fn not_yet(part: Part, what: &'static str) {
    let place = Location::caller();
    RESULTS.with_borrow(|results| {
        if let Some(results) = results {
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            results.missing.insert((part, what, place));
        }
    });
}

/// From now on this thread's run is the one with these results.
pub(crate) fn listen(results: Arc<Mutex<Results>>) {
    RESULTS.set(Some(results));
}

/// What was missing first: of the earliest part of which anything was, a line each.
pub(crate) fn lines(missing: &Missing) -> Vec<String> {
    let Some((first, ..)) = missing.first() else { return Vec::new() };
    let of_first = missing.iter().filter(|(part, ..)| part == first);
    let line = |(part, what, place): &(Part, &str, &Location<'_>)| {
        format!("not there yet: {what} (lab {part}), {}:{}", place.file(), place.line())
    };
    of_first.map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_the_earliest_part_is_said() {
        let results = Arc::new(Mutex::new(Results::default()));
        not_yet(Part::Raft2A, "what nobody hears");
        listen(results.clone());
        for what in ["b", "a", "b"] {
            not_yet(Part::Raft2B, what);
        }
        not_yet(Part::Raft2C, "c");
        let found = lines(&results.lock().unwrap().missing);
        let begins: Vec<&str> = found.iter().map(|line| line.split_once(", ").unwrap().0).collect();
        assert_eq!(begins, ["not there yet: a (lab 2B)", "not there yet: b (lab 2B)"]);
        assert!(found[0].contains("missing.rs:"), "{found:?}");
    }
}
