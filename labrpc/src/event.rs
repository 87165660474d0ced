//! What happens in a run, as typed events.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::node::Node;
use crate::task::TaskInfo;

/// A name that the code has, or that was read from elsewhere.
pub type Name = Cow<'static, str>;

/// Why a message did not arrive.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lost {
    /// The end was disabled or connected to nothing, or no server had that name.
    Unreachable,
    /// An unreliable network dropped it.
    Dropped,
    /// The server was deleted or replaced, or the end disabled, before the reply was there.
    Dead,
    /// The network had been closed.
    Closed,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Lost::Unreachable => "unreachable",
            Lost::Dropped => "dropped",
            Lost::Dead => "the server or the way to it is gone",
            Lost::Closed => "the network is closed",
        })
    }
}

/// Something that happened at a [`Node`]. `call` numbers the calls of the run; `content` is the
/// message as its `Debug` shows it; `bytes` is its encoded size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields that recur are described above")]
pub enum Event {
    /// A request left for `to`.
    Sent { call: u64, to: Node, method: Name, bytes: usize, content: String },
    /// The request came to the server and its handler starts.
    Delivered { call: u64, from: Node, method: Name },
    /// The request or its reply will never arrive; told to the caller at this moment.
    Lost { call: u64, to: Node, method: Name, why: Lost },
    /// The handler's answer left for `to`. Long reordering adds `held` to its way.
    Replied {
        call: u64,
        to: Node,
        method: Name,
        bytes: usize,
        content: String,
        #[serde(with = "crate::nanoseconds")]
        held: Duration,
    },
    /// The reply came to the caller.
    Answered { call: u64, from: Node, method: Name },
    /// A task's timer fired.
    Woke { task: Name },
    /// A group of tasks was ended: how many there were.
    Crashed { tasks: usize },
    /// A line of the implementation's own logging.
    Note { text: String },
    /// What upper crates record: a kind to filter by, a text for people, and data for programs, which
    /// may be null.
    Custom {
        kind: Name,
        text: String,
        #[serde(default, skip_serializing_if = "Value::is_null")]
        data: Value,
    },
}

impl Event {
    /// What an upper crate records, without data for programs.
    pub fn custom(kind: impl Into<Name>, text: impl Into<String>) -> Event {
        Event::Custom { kind: kind.into(), text: text.into(), data: Value::Null }
    }
}

/// An [`Event`] with its place and virtual time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed {
    /// Virtual time since the start of the run.
    #[serde(with = "crate::nanoseconds")]
    pub at: Duration,
    /// Where it happened.
    pub node: Node,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Sees a run while it happens: for runs that never come to an end of their own.
pub trait Watch: Send {
    /// An event was recorded.
    fn event(&mut self, event: &Timed);

    /// A task is about to be polled.
    fn poll(&mut self, task: &TaskInfo);
}
