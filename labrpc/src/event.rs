//! The record of a run: typed events, and the fingerprint that every run keeps.
//!
//! The fingerprint covers choices, messages (who, how many bytes, which bytes), timers, the tester's
//! steps and whatever upper crates add. It does not cover text, source lines, type names or
//! addresses in memory, so that the same source gives the same fingerprint on every machine, in a
//! debug or a release build, recorded or not.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::choice::GOLDEN;
use crate::node::Node;
use crate::trouble::TaskInfo;

/// A rolling 64-bit digest.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Fingerprint {
        Fingerprint(0x243f_6a88_85a3_08d3)
    }
}

impl Fingerprint {
    /// Adds two words: one multiplication of 64 by 64 bits, both halves folded.
    #[inline]
    pub(crate) fn add(&mut self, a: u64, b: u64) {
        let product = u128::from(a ^ self.0 ^ 0xa076_1d64_78bd_642f)
            * u128::from(b ^ self.0.rotate_left(29) ^ 0xe703_7ed1_a0b4_28db);
        self.0 = (product as u64 ^ (product >> 64) as u64).wrapping_add(self.0.rotate_left(17));
    }

    pub(crate) fn value(&self) -> u64 {
        self.0
    }
}

/// A digest of bytes, the same on every machine.
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hash = Fingerprint::default();
    let mut chunks = bytes.chunks_exact(16);
    let word = |chunk: &[u8]| u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
    for chunk in &mut chunks {
        hash.add(word(&chunk[..8]), word(&chunk[8..]));
    }
    let mut tail = [0; 16];
    tail[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    hash.add(word(&tail[..8]), word(&tail[8..]));
    hash.add(bytes.len() as u64, 0);
    hash.value()
}

/// A name that the code has, or that was read from elsewhere.
pub type Name = Cow<'static, str>;

/// Durations as whole nanoseconds, for `#[serde(with = "...")]`.
pub mod nanoseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes a duration of less than 584 years.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        u64::try_from(span.as_nanos()).unwrap_or(u64::MAX).serialize(serializer)
    }

    /// Reads one.
    ///
    /// # Errors
    /// When there is no whole number.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_nanos)
    }
}

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
        #[serde(with = "nanoseconds")]
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
    #[serde(with = "nanoseconds")]
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

/// What a part of the fingerprint is about: keeps parts of different kinds apart.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Part {
    Mode,
    End,
    Server,
    Request,
    Reply,
    Answer,
    Timer,
    Crash,
    Upper,
}

/// Keeps the fingerprint always; keeps the events, or shows them to a watcher, when asked to.
pub(crate) struct Recorder {
    fingerprint: Cell<Fingerprint>,
    events: Option<RefCell<Vec<Timed>>>,
    watch: Option<RefCell<Box<dyn Watch>>>,
}

impl Recorder {
    pub(crate) fn new(record: bool, watch: Option<Box<dyn Watch>>) -> Recorder {
        Recorder {
            fingerprint: Cell::default(),
            events: record.then(RefCell::default),
            watch: watch.map(RefCell::new),
        }
    }

    /// Adds to the fingerprint.
    #[inline]
    pub(crate) fn mix(&self, part: Part, a: u64, b: u64) {
        let mut fingerprint = self.fingerprint.get();
        fingerprint.add(a ^ (part as u64).wrapping_mul(GOLDEN), b);
        self.fingerprint.set(fingerprint);
    }

    /// Records an event; `event` runs only when the run is recorded.
    #[inline]
    pub(crate) fn push(&self, now: u64, node: Node, event: impl FnOnce() -> Event) {
        if self.is_on() {
            let timed = Timed { at: Duration::from_nanos(now), node, event: event() };
            if let Some(watch) = &self.watch {
                watch.borrow_mut().event(&timed);
            }
            if let Some(events) = &self.events {
                events.borrow_mut().push(timed);
            }
        }
    }

    /// Tells the watcher, if there is one, that a task is about to be polled.
    #[inline]
    pub(crate) fn watch_poll(&self, task: impl FnOnce() -> Option<TaskInfo>) {
        if let Some(watch) = &self.watch
            && let Some(task) = task()
        {
            watch.borrow_mut().poll(&task);
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.events.is_some() || self.watch.is_some()
    }

    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint.get().value()
    }

    pub(crate) fn take_events(&self) -> Vec<Timed> {
        self.events.as_ref().map(RefCell::take).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_the_length_sway_the_digest() {
        let base = vec![0u8; 40];
        let mut seen = std::collections::BTreeSet::from([hash_bytes(&base)]);
        for i in 0..base.len() {
            let mut changed = base.clone();
            changed[i] = 1;
            assert!(seen.insert(hash_bytes(&changed)), "byte {i}");
        }
        for length in 0..40 {
            assert!(seen.insert(hash_bytes(&base[..length])), "length {length}");
        }
    }

    #[test]
    fn the_order_of_what_is_added_matters() {
        let digest = |parts: &[(u64, u64)]| {
            let mut fingerprint = Fingerprint::default();
            parts.iter().for_each(|&(a, b)| fingerprint.add(a, b));
            fingerprint.value()
        };
        assert_ne!(digest(&[(1, 2), (3, 4)]), digest(&[(3, 4), (1, 2)]));
        assert_ne!(digest(&[(1, 2)]), digest(&[(2, 1)]));
    }
}
