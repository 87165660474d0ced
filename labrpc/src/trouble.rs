//! How a simulation ends when its main task does not finish: each way with what was going on.

use std::fmt;
use std::time::Duration;

use crate::guard::Offence;
use crate::node::Node;
use crate::task::TaskInfo;

/// Why a simulation ended before its main task did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// [`Runtime::stop`](crate::Runtime::stop) was called.
    Stopped,
    /// The code under test panicked.
    Panicked {
        /// The task that was running; none when it happened while the world was built or dropped.
        task: Option<Box<TaskInfo>>,
        /// The panic's message.
        message: String,
        /// Where, as `file:line:column`.
        at: Option<String>,
        /// When a `RefCell` was found borrowed: the tasks of the same node that were suspended, one
        /// of which holds the borrow across an await.
        suspects: Vec<TaskInfo>,
    },
    /// No task is ready, no timer is set and no message is under way.
    Stuck {
        /// All tasks there are.
        waiting: Vec<TaskInfo>,
    },
    /// Virtual time would pass the limit.
    TimeLimit {
        /// The limit.
        limit: Duration,
        /// What the main task waited for.
        main: Option<TaskInfo>,
    },
    /// More polls and messages than the limit allows.
    EventLimit {
        /// The limit.
        limit: u64,
        /// The task that was polled last.
        last: Option<TaskInfo>,
    },
    /// Tasks were polled without time moving on.
    Spinning {
        /// How many polls there were at one instant.
        polls: u64,
        /// The task polled last and those that are ready to run.
        tasks: Vec<TaskInfo>,
    },
    /// The code under test did what no simulation can repeat.
    Forbidden {
        /// What it did.
        offence: Offence,
        /// The task that did it.
        task: Option<Box<TaskInfo>>,
    },
    /// A call named a method that the server does not have; labrpc ends the process here.
    UnknownMethod {
        /// The server.
        server: Node,
        /// What was called.
        method: &'static str,
        /// What the server has.
        known: Vec<&'static str>,
    },
}

impl Trouble {
    /// The node whose code was at work, when that is known.
    pub fn node(&self) -> Option<Node> {
        match self {
            Trouble::Panicked { task, .. } | Trouble::Forbidden { task, .. } => {
                task.as_ref().map(|task| task.node)
            }
            Trouble::EventLimit { last, .. } => last.as_ref().map(|task| task.node),
            Trouble::Spinning { tasks, .. } => tasks.first().map(|task| task.node),
            Trouble::UnknownMethod { server, .. } => Some(*server),
            Trouble::Stopped | Trouble::Stuck { .. } | Trouble::TimeLimit { .. } => None,
        }
    }

    /// What stands behind the sentence of `Display`, a line each: the tasks concerned.
    pub fn details(&self) -> Vec<String> {
        let list = |tasks: &[TaskInfo]| tasks.iter().map(TaskInfo::to_string).collect();
        let happened_in = |task: &Option<Box<TaskInfo>>| -> Vec<String> {
            task.iter().map(|task| format!("it happened in {task}")).collect()
        };
        match self {
            Trouble::Panicked { task, suspects, .. } if suspects.is_empty() => happened_in(task),
            Trouble::Forbidden { task, .. } => happened_in(task),
            Trouble::Panicked { task, suspects, .. } => {
                let mut lines = happened_in(task);
                lines.push("one of these holds the borrow or the lock across an await:".into());
                lines.extend(suspects.iter().map(|task| format!("  {task}")));
                lines
            }
            Trouble::Stuck { waiting } => list(waiting),
            Trouble::Spinning { tasks, .. } => list(tasks),
            Trouble::TimeLimit { main: task, .. } | Trouble::EventLimit { last: task, .. } => {
                task.iter().map(TaskInfo::to_string).collect()
            }
            Trouble::Stopped | Trouble::UnknownMethod { .. } => Vec::new(),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Stopped => f.write_str("the run was stopped"),
            Trouble::Panicked { message, at: Some(at), .. } => {
                write!(f, "panicked at {at}: {message}")
            }
            Trouble::Panicked { message, at: None, .. } => write!(f, "panicked: {message}"),
            Trouble::Stuck { waiting } => write!(
                f,
                "stuck: no task is ready, no timer is set and no message is under way; \
                 {} tasks wait for ever",
                waiting.len()
            ),
            Trouble::TimeLimit { limit, .. } => {
                write!(
                    f,
                    "not finished within the limit of {} virtual seconds",
                    limit.as_secs_f64()
                )
            }
            Trouble::EventLimit { limit, .. } => {
                write!(f, "not finished within the limit of {limit} polls and messages")
            }
            Trouble::Spinning { polls, .. } => {
                write!(
                    f,
                    "{polls} polls without letting time pass: some task wakes itself for ever"
                )
            }
            Trouble::Forbidden { offence, .. } => write!(f, "code under test {offence}"),
            Trouble::UnknownMethod { server, method, known } => write!(
                f,
                "{server} has no method {method:?}; it has {}",
                if known.is_empty() { "none".into() } else { known.join(", ") }
            ),
        }
    }
}

impl std::error::Error for Trouble {}
