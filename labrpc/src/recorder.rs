//! The record of a run, and its fingerprint.
//!
//! The fingerprint covers decisions, messages (sender, receiver and bytes), timers, the tester's
//! steps and whatever other crates add. It does not cover texts, source lines, type names or memory
//! addresses, so that the same source has the same fingerprint on every machine, in debug and
//! release builds, recorded or not.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use crate::event::{Event, Timed, Watch};
use crate::hash::{Fingerprint, GOLDEN};
use crate::node::Node;
use crate::task::TaskInfo;

/// The kind of a part of the fingerprint, mixed in so that equal numbers of different kinds differ.
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

/// Computes the fingerprint of a run. If asked to, it also keeps the events or shows them to a
/// watcher.
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

    /// Adds two numbers to the fingerprint.
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
            self.keep(now, node, event);
        }
    }

    /// Apart from [`push`](Self::push), so that code that makes events is out of the way of runs without a record.
    #[cold]
    fn keep(&self, now: u64, node: Node, event: impl FnOnce() -> Event) {
        let timed = Timed { at: Duration::from_nanos(now), node, event: event() };
        if let Some(watch) = &self.watch {
            watch.borrow_mut().event(&timed);
        }
        if let Some(events) = &self.events {
            events.borrow_mut().push(timed);
        }
    }

    /// Tells the watcher, if there is one, which task is about to be polled.
    #[inline]
    pub(crate) fn watch_poll(&self, task: impl FnOnce() -> Option<TaskInfo>) {
        if let Some(watch) = &self.watch
            && let Some(task) = task()
        {
            watch.borrow_mut().poll(&task);
        }
    }

    #[inline]
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
