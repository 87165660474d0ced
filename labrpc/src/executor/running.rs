//! The task that is being polled, and what is known of this poll.

use std::cell::Cell;
use std::task::{Context, Waker};

use crate::node::Node;
use crate::task::{Parked, TaskRef, Waiting};

/// What is known of the current poll.
pub(super) struct Running {
    /// The task; after a panic, the one that panicked.
    task: Cell<Option<TaskRef>>,
    /// The task of this poll or, between polls, of the last one.
    last: Cell<Option<TaskRef>>,
    /// The data pointer of the task's own waker.
    waker: Cell<*const ()>,
    /// What it has said of its waiting.
    waiting: Cell<Option<Waiting>>,
    /// On whose behalf the task runs, when that is not its own node.
    on_behalf_of: Cell<Option<Node>>,
    /// Whether its server has crashed at a save: the rest of what it does is void.
    is_void: Cell<bool>,
}

impl Running {
    pub(super) fn new() -> Running {
        Running {
            task: Cell::new(None),
            last: Cell::new(None),
            waker: Cell::new(std::ptr::null()),
            waiting: Cell::new(None),
            on_behalf_of: Cell::new(None),
            is_void: Cell::new(false),
        }
    }

    /// A poll begins.
    #[inline]
    pub(super) fn begin(&self, task: TaskRef, waker: &Waker) {
        self.task.set(Some(task));
        self.last.set(Some(task));
        self.waker.set(waker.data());
        self.waiting.set(None);
    }

    /// The task has returned. It still counts as running while its destructor may run.
    #[inline]
    pub(super) fn has_returned(&self) {
        self.waker.set(std::ptr::null());
        self.is_void.set(false);
    }

    /// The poll is over.
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

    pub(super) fn note_waiting(&self, waiting: Waiting) {
        self.waiting.set(Some(waiting));
    }

    /// Whom to wake for a future that is polled with this context: the task itself, unless the future is
    /// polled with another waker than the task's.
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

    /// Calls `act` on behalf of a node.
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
}
