//! What clients did: operations with the moments of their calls and answers.

use std::fmt;
use std::time::Duration;

use super::search::Interval;

/// A moment of a run.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Virtual time, for people.
    pub at: Duration,
    /// Its place among all calls and answers of the history, so that two moments at the same time have
    /// an order.
    pub order: u64,
}

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The value; empty when the key is absent.
    Get,
    /// To replace the value.
    Put(String),
    /// To add to the end of the value.
    Append(String),
}

/// One operation of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The client's number.
    pub client: usize,
    /// The key.
    pub key: String,
    /// What it asked for.
    pub input: Input,
    /// The moment of the call.
    pub called: Moment,
    /// The moment of the answer; `None` when there was none.
    pub answered: Option<Moment>,
    /// The answer to a Get; empty without one.
    pub output: String,
}

impl Operation {
    /// Whether this is a Get.
    pub fn is_get(&self) -> bool {
        self.input == Input::Get
    }

    /// When it was under way, for the search.
    pub(super) fn interval(&self) -> Interval {
        let answered = self.answered.map(|moment| moment.order);
        Interval { called: self.called.order, answered }
    }

    /// The value that it wrote, if it is a write.
    pub fn written(&self) -> Option<&str> {
        match &self.input {
            Input::Get => None,
            Input::Put(value) | Input::Append(value) => Some(value),
        }
    }
}

/// The operations of a run, in the order of their calls.
#[derive(Clone, Debug, Default)]
pub struct History {
    operations: Vec<Operation>,
    moments: u64,
}

impl History {
    /// A client calls. Returns the number of the call, for [`answer`](Self::answer).
    pub fn call(&mut self, client: usize, key: &str, input: Input, at: Duration) -> usize {
        let called = self.moment(at);
        let (key, output) = (key.into(), String::new());
        self.operations.push(Operation { client, key, input, called, answered: None, output });
        self.operations.len() - 1
    }

    /// A call is answered; `output` is the value that a Get got.
    ///
    /// # Panics
    /// When no call has that number.
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

    /// All operations, in the order of their calls.
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

/// A value in quotation marks; of a long one, both ends and its length.
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
