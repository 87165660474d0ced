//! The operations of clients, with the times of their calls and answers.

use std::fmt;
use std::time::Duration;

use super::search::Interval;

/// The time of a call or an answer in a run.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The virtual time, used only for display.
    pub at: Duration,
    /// The position among all calls and answers of the history, which orders events that share a virtual
    /// time.
    pub order: u64,
}

/// The request of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Reads the value of the key; an absent key reads as empty.
    Get,
    /// Replaces the value of the key.
    Put(String),
    /// Appends to the value of the key.
    Append(String),
}

/// A Get, Put or Append that a client called, and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The number of the client that called the operation.
    pub client: usize,
    /// The key that the operation reads or writes.
    pub key: String,
    /// The kind of operation, with the value to write.
    pub input: Input,
    /// When the client called the operation.
    pub called: Moment,
    /// When the answer arrived, or `None` if none did.
    pub answered: Option<Moment>,
    /// The value that a Get returned; empty for writes and unanswered Gets.
    pub output: String,
}

impl Operation {
    /// Returns whether the operation is a Get, which only reads.
    pub fn is_get(&self) -> bool {
        self.input == Input::Get
    }

    /// Returns the interval between the call and the answer, in the form that the search
    /// uses.
    pub(super) fn interval(&self) -> Interval {
        let answered = self.answered.map(|moment| moment.order);
        Interval { called: self.called.order, answered }
    }

    /// Returns the value of a Put or an Append, or `None` for a Get.
    pub fn written(&self) -> Option<&str> {
        match &self.input {
            Input::Get => None,
            Input::Put(value) | Input::Append(value) => Some(value),
        }
    }
}

/// The recorded operations of a run, in the order of their calls.
#[derive(Clone, Debug, Default)]
pub struct History {
    operations: Vec<Operation>,
    moments: u64,
}

impl History {
    /// Records a client's call at virtual time `at`, and returns the number that
    /// [`answer`](Self::answer) needs.
    pub fn call(&mut self, client: usize, key: &str, input: Input, at: Duration) -> usize {
        let called = self.moment(at);
        let (key, output) = (key.into(), String::new());
        self.operations.push(Operation { client, key, input, called, answered: None, output });
        self.operations.len() - 1
    }

    /// Records the answer to a call at virtual time `at`. `output` is the value that a Get returned, and
    /// empty for writes.
    ///
    /// # Panics
    /// If no call has the number `call`.
    pub fn answer(&mut self, call: usize, output: impl Into<String>, at: Duration) {
        let answered = self.moment(at);
        let operation = &mut self.operations[call];
        operation.answered = Some(answered);
        operation.output = output.into();
    }

    fn moment(&mut self, at: Duration) -> Moment {
        self.moments += 1;
        Moment { at, order: self.moments }
    }

    /// Returns all recorded operations, in the order of their calls.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.input {
            Input::Get => write!(f, "Get({key:?})"),
            Input::Put(value) => write!(f, "Put({key:?}, {})", shortened(value)),
            Input::Append(value) => write!(f, "Append({key:?}, {})", shortened(value)),
        }?;
        if self.is_get() && self.answered.is_some() {
            write!(f, " -> {}", shortened(&self.output))?;
        }
        Ok(())
    }
}

/// Formats a value as a quoted string. A value of more than 72 characters is shortened to its first and
/// last 24, followed by its length in bytes.
pub fn shortened(value: &str) -> String {
    const ENDS: usize = 24;
    let length = value.chars().count();
    if length <= 3 * ENDS {
        return format!("{value:?}");
    }
    let first: String = value.chars().take(ENDS).collect();
    let last: String = value.chars().skip(length - ENDS).collect();
    format!("{first:?}...{last:?} ({} bytes)", value.len())
}
