//! How tasks are identified, what they wait for, and how reports describe them.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Waker;

use crate::node::Node;

pub(crate) type BoxFuture = Pin<Box<dyn Future<Output = ()>>>;

/// A function that is called after each poll of a task of these servers, with the server's number.
pub(crate) type AfterPoll = (Range<usize>, Rc<dyn Fn(usize)>);

/// Identifies a task: its slot, and a generation that tells it apart from earlier tasks in the same
/// slot.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskRef {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// Identifies a group of tasks, which end together when their server crashes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupId(pub(crate) u32);

/// A handle with which to wake a waiting task: directly if possible, since that is cheaper than
/// through a waker.
pub(crate) enum Parked {
    Task(TaskRef),
    Foreign(Waker),
}

/// What a future is waiting for, as shown in reports.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) what: &'static str,
    pub(crate) detail: &'static str,
    pub(crate) at: &'static Location<'static>,
}

impl Waiting {
    /// The sentence for reports, without its subject.
    pub(crate) fn told(self) -> String {
        let Waiting { what, detail, at } = self;
        format!("waits at {} for {what}{detail}", file_and_line(at))
    }
}

/// A place in the source as reports show it.
pub(crate) fn file_and_line(at: &Location<'_>) -> String {
    format!("{}:{}", at.file(), at.line())
}

/// A task as a report shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskInfo {
    /// The node that the task belonged to.
    pub node: Node,
    /// The name with which it was spawned.
    pub name: &'static str,
    /// The place where it was spawned, as `file:line`.
    pub spawned_at: String,
    /// What it was waiting for when it was last polled, and where, as a sentence without its
    /// subject.
    pub waiting: String,
}

impl TaskInfo {
    /// The task in a sentence, with this name for its node.
    pub fn told(&self, node: &str) -> String {
        let TaskInfo { name, spawned_at, waiting, .. } = self;
        format!("{node}: task \"{name}\" (spawned at {spawned_at}) {waiting}")
    }
}

impl fmt::Display for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(&self.node.to_string()))
    }
}
