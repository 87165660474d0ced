//! The general key/value model, in which the state of a key is its value as a string.

use std::rc::Rc;

use super::history::{Input, Operation};
use super::search::{Interval, Model};

/// The operations of one key, excluding Gets without an answer.
pub(super) struct Plain<'a> {
    operations: Vec<&'a Operation>,
}

impl<'a> Plain<'a> {
    pub(super) fn new(operations: &[&'a Operation]) -> (Plain<'a>, Vec<Interval>) {
        let matters = |each: &&&Operation| !each.is_get() || each.answered.is_some();
        let operations: Vec<_> = operations.iter().filter(matters).copied().collect();
        let intervals = operations.iter().map(|operation| operation.interval()).collect();
        (Plain { operations }, intervals)
    }
}

impl Model for Plain<'_> {
    type State = Rc<str>;

    fn initial(&self) -> Rc<str> {
        "".into()
    }

    fn apply(&self, state: &Rc<str>, operation: usize) -> Option<Rc<str>> {
        let operation = self.operations[operation];
        match &operation.input {
            Input::Get => (**state == *operation.output).then(|| state.clone()),
            Input::Put(value) => Some(value.as_str().into()),
            Input::Append(value) => Some([state, value.as_str()].concat().into()),
        }
    }

    fn weight(&self, state: &Rc<str>) -> u64 {
        1 + state.len() as u64 / 16
    }

    /// A write copies the value. As many bytes as this are copied in the time of an attempt.
    fn effort(&self, state: &Rc<str>) -> u64 {
        state.len() as u64 / 1024
    }

    fn is_eager(&self, operation: usize) -> bool {
        self.operations[operation].is_get()
    }
}
