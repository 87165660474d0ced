//! The state of the current poll.

use std::cell::Cell;
use std::task::{Context, Waker};

use crate::node::Node;
use crate::task::{Parked, TaskRef, Waiting};

/// The state of the current poll: its task, and what the task has done so far.
pub(super) struct Running {
    /// The task that is being polled or, after a panic, the one that panicked.
    task: Cell<Option<TaskRef>>,
    /// The task of the current poll or, between polls, of the previous one.
    last: Cell<Option<TaskRef>>,
    /// The data pointer of the task's own waker, to recognize it.
    waker: Cell<*const ()>,
    /// What the task is waiting for, as last noted by a future.
    waiting: Cell<Option<Waiting>>,
    /// How many futures have completed without waiting in this poll.
    immediate: Cell<u64>,
    /// The node that the task acts for, if it is not the task's own.
    on_behalf_of: Cell<Option<Node>>,
    /// Whether the server has crashed at a save in this poll, so that it cannot send any more.
    is_void: Cell<bool>,
    /// Whether the server has saved or sent something in this poll.
    has_acted: Cell<bool>,
}

impl Running {
    pub(super) fn new() -> Running {
        Running {
            task: Cell::new(None),
            last: Cell::new(None),
            waker: Cell::new(std::ptr::null()),
            waiting: Cell::new(None),
            immediate: Cell::new(0),
            on_behalf_of: Cell::new(None),
            is_void: Cell::new(false),
            has_acted: Cell::new(false),
        }
    }

    /// Called before a task is polled.
    #[inline]
    pub(super) fn begin(&self, task: TaskRef, waker: &Waker) {
        self.task.set(Some(task));
        self.last.set(Some(task));
        self.waker.set(waker.data());
        self.waiting.set(None);
        self.immediate.set(0);
        self.has_acted.set(false);
    }

    /// Called when the task's future has returned. The task still counts as running, because its
    /// destructor may follow.
    #[inline]
    pub(super) fn has_returned(&self) {
        self.waker.set(std::ptr::null());
        self.is_void.set(false);
    }

    /// Called when the poll is over.
    #[inline]
    pub(super) fn end(&self) {
        self.task.set(None);
    }

    pub(super) fn task(&self) -> Option<TaskRef> {
        self.task.get()
    }

    pub(super) fn last(&self) -> Option<TaskRef> {
        self.last.get()
    }

    pub(super) fn waiting(&self) -> Option<Waiting> {
        self.waiting.get()
    }

    /// Counts a future that completes without waiting, and returns how many have done so in this
    /// poll.
    #[inline]
    pub(super) fn count_immediate(&self) -> u64 {
        let count = self.immediate.get() + 1;
        self.immediate.set(count);
        count
    }

    pub(super) fn note_waiting(&self, waiting: Waiting) {
        self.waiting.set(Some(waiting));
    }

    /// What to wake for a future that is polled with this context: the running task if the context
    /// has its waker, otherwise the waker of the context.
    #[inline]
    pub(super) fn parked(&self, context: &Context<'_>) -> Parked {
        match self.task.get() {
            Some(task) if context.waker().data() == self.waker.get() => Parked::Task(task),
            _ => Parked::Foreign(context.waker().clone()),
        }
    }

    pub(super) fn on_behalf_of(&self) -> Option<Node> {
        self.on_behalf_of.get()
    }

    /// Calls `act`, during which the running task acts for `node`.
    pub(super) fn run_as<R>(&self, node: Node, act: impl FnOnce() -> R) -> R {
        let before = self.on_behalf_of.replace(Some(node));
        let result = act();
        self.on_behalf_of.set(before);
        self.is_void.set(false);
        result
    }

    pub(super) fn is_void(&self) -> bool {
        self.is_void.get()
    }

    pub(super) fn set_void(&self) {
        self.is_void.set(true);
    }

    pub(super) fn has_acted(&self) -> bool {
        self.has_acted.get()
    }

    pub(super) fn set_acted(&self) {
        self.has_acted.set(true);
    }
}
