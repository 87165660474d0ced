//! The events of a run.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::data::Data;
use crate::node::Node;
use crate::task::TaskInfo;

/// A name: borrowed if it comes from the code, owned if it was read from a file or another process.
pub type Name = Cow<'static, str>;

/// Why a message did not arrive.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lost {
    /// The end was disabled or not connected, there was no such server, or the link was cut.
    Unreachable,
    /// The unreliable network dropped it.
    Dropped,
    /// The server was deleted or replaced, or the end disabled, before the reply left.
    Dead,
    /// The network was closed before the call.
    Closed,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Lost::Unreachable => "unreachable",
            Lost::Dropped => "dropped",
            Lost::Dead => "the server or its connection is gone",
            Lost::Closed => "the network is closed",
        })
    }
}

/// Something that happened at a [`Node`].
///
/// `call` is the number of the call in this run, counted from 0. `content` is the message in
/// `Debug` format, and `bytes` its encoded size.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields that recur are described above")]
pub enum Event {
    /// A request left for `to`.
    Sent { call: u64, to: Node, method: Name, bytes: usize, content: String },
    /// The request reached the server, and its handler starts.
    Delivered { call: u64, from: Node, method: Name },
    /// The request or its reply was lost. The event is recorded when the caller learns of it.
    Lost { call: u64, to: Node, method: Name, why: Lost },
    /// The handler's reply left for `to`. `held` is how long it is held back for long reordering.
    Replied {
        call: u64,
        to: Node,
        method: Name,
        bytes: usize,
        content: String,
        #[serde(with = "crate::nanoseconds")]
        held: Duration,
    },
    /// The reply reached the caller.
    Answered { call: u64, from: Node, method: Name },
    /// A task's timer fired.
    Woke { task: Name },
    /// A group of `tasks` tasks was ended.
    Crashed { tasks: usize },
    /// A line that the code under test logged with `tracing`.
    Note { text: String },
    /// An event of another crate: a kind to filter by, a text for people, and data for programs.
    Custom {
        kind: Name,
        text: String,
        #[serde(default, skip_serializing_if = "Data::is_empty")]
        data: Data,
    },
}

impl Event {
    /// Creates a [`Custom`](Event::Custom) event without data.
    pub fn custom(kind: impl Into<Name>, text: impl Into<String>) -> Event {
        Event::Custom { kind: kind.into(), text: text.into(), data: Data::default() }
    }

    /// What it tells programs, if it does.
    pub fn data(&self) -> Option<&Data> {
        match self {
            Event::Custom { data, .. } if !data.is_empty() => Some(data),
            _ => None,
        }
    }
}

/// An [`Event`] with the node where it happened and the virtual time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Timed {
    /// Virtual time since the start of the run.
    #[serde(with = "crate::nanoseconds")]
    pub at: Duration,
    /// The node where it happened.
    pub node: Node,
    /// The event itself. Not flattened: a run can have 150,000 events, and such a one could only be read as a whole,
    /// to find out first what it is.
    pub event: Event,
}

/// Observes a run while it happens, so that even a run that never ends can be examined.
pub trait Watch: Send {
    /// Called when an event is recorded.
    fn event(&mut self, event: &Timed);

    /// Called when a task is about to be polled.
    fn poll(&mut self, task: &TaskInfo);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_they_were_written() {
        let other = Node::server(1);
        let method: Name = "Raft.AppendEntries".into();
        let content = "Args { text: \"a\nb\" }".to_string();
        let held = Duration::from_nanos(u64::MAX);
        let (call, to, from, bytes) = (1, other, other, 2);
        let events = [
            Event::Sent { call, to, method: method.clone(), bytes, content: content.clone() },
            Event::Delivered { call, from, method: method.clone() },
            Event::Lost { call, to, method: method.clone(), why: Lost::Closed },
            Event::Replied { call, to, method: method.clone(), bytes, content, held },
            Event::Answered { call, from, method },
            Event::Woke { task: "timer".into() },
            Event::Crashed { tasks: 4 },
            Event::Note { text: "note".into() },
            Event::custom("test", "step"),
            Event::Custom {
                kind: "test".into(),
                text: "".into(),
                data: Data::of(&[Some(1), None]),
            },
        ];
        for event in events {
            let timed = Timed { at: Duration::from_nanos(7), node: Node::TESTER, event };
            let line = serde_json::to_string(&timed).unwrap();
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(serde_json::from_str::<Timed>(&line).unwrap(), timed);
        }
    }
}
