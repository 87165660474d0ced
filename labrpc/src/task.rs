//! What names a task, what it waits for, and what reports show of it.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::Waker;

use crate::node::Node;

pub(crate) type BoxFuture = Pin<Box<dyn Future<Output = ()>>>;

/// A task, told apart from earlier ones in the same slot.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskRef {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// Tasks that end together.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupId(pub(crate) u32);

/// Who is to be woken: a task directly where that is possible, for that is cheap.
pub(crate) enum Parked {
    Task(TaskRef),
    Foreign(Waker),
}

/// What a leaf future says of its own waiting.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) what: &'static str,
    pub(crate) detail: &'static str,
    pub(crate) at: &'static Location<'static>,
}

/// A task as a report shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskInfo {
    /// Whom the task ran for.
    pub node: Node,
    /// The name that it was spawned with.
    pub name: &'static str,
    /// Where it was spawned, as `file:line`.
    pub spawned_at: String,
    /// What it waited for when it was last polled, and where, as far as that is known.
    pub waiting: String,
}

impl fmt::Display for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TaskInfo { node, name, spawned_at, waiting } = self;
        write!(f, "{node}: task \"{name}\" (spawned at {spawned_at}) {waiting}")
    }
}
