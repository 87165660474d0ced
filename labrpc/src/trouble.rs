//! The reasons why a run ends before its main task does.

use std::fmt;
use std::time::Duration;

use crate::guard::Offence;
use crate::node::Node;
use crate::task::TaskInfo;

/// Gives the name by which people know a node.
pub type NameOf<'a> = &'a dyn Fn(Node) -> String;

/// Why a simulation ended before its main task did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// [`Runtime::stop`](crate::Runtime::stop) was called.
    Stopped,
    /// The code under test panicked.
    Panicked {
        /// The task that panicked; `None` if the panic happened while the world was built or
        /// dropped.
        task: Option<Box<TaskInfo>>,
        /// The message of the panic.
        message: String,
        /// The place of the panic, as `file:line:column`.
        at: Option<String>,
        /// If a `RefCell` was already borrowed: the suspended tasks of the same node, one of which
        /// holds the borrow across an await.
        suspects: Vec<TaskInfo>,
    },
    /// No task is ready, no timer is set and no message is in flight.
    Stuck {
        /// All tasks that have not ended.
        waiting: Vec<TaskInfo>,
    },
    /// The run did not finish within the limit on virtual time.
    TimeLimit {
        /// The limit on virtual time.
        limit: Duration,
        /// The main task, with what it was waiting for.
        main: Option<TaskInfo>,
    },
    /// The run did not finish within the limit on polls and messages.
    EventLimit {
        /// The limit on polls and messages.
        limit: u64,
        /// The task that was polled last.
        last: Option<TaskInfo>,
    },
    /// Tasks were polled again and again at the same instant of virtual time.
    Spinning {
        /// The number of polls at that instant.
        polls: u64,
        /// The task that was polled last, then those that are ready to run.
        tasks: Vec<TaskInfo>,
    },
    /// In a single poll, a task awaited again and again what was ready at once, such as a sleep of no
    /// length, so that neither time nor another task got its turn.
    NeverWaits {
        /// The number of awaits in that poll that completed without waiting.
        awaits: u64,
        /// The task, with its last await.
        task: Option<TaskInfo>,
    },
    /// The code under test did something that a simulation cannot repeat.
    Forbidden {
        /// What it did.
        offence: Offence,
        /// The task that did it.
        task: Option<Box<TaskInfo>>,
    },
    /// A call named a method that the server does not have. The Go labs end the process in this
    /// case.
    UnknownMethod {
        /// The server that was called.
        server: Node,
        /// The method that was called.
        method: &'static str,
        /// The methods that the server has.
        known: Vec<&'static str>,
    },
}

impl Trouble {
    /// The node whose code was running, if that is known.
    pub fn node(&self) -> Option<Node> {
        match self {
            Trouble::Panicked { task, .. } | Trouble::Forbidden { task, .. } => {
                task.as_ref().map(|task| task.node)
            }
            Trouble::EventLimit { last: task, .. } | Trouble::NeverWaits { task, .. } => {
                task.as_ref().map(|task| task.node)
            }
            Trouble::Spinning { tasks, .. } => tasks.first().map(|task| task.node),
            Trouble::UnknownMethod { server, .. } => Some(*server),
            Trouble::Stopped | Trouble::Stuck { .. } | Trouble::TimeLimit { .. } => None,
        }
    }

    /// The lines that follow the sentence of [`Display`](fmt::Display): the tasks concerned.
    pub fn details(&self) -> Vec<String> {
        self.details_among(&|node| node.to_string())
    }

    /// The same lines, with names for nodes.
    pub fn details_among(&self, name_of: NameOf<'_>) -> Vec<String> {
        let told = |task: &TaskInfo| task.told(&name_of(task.node));
        let list = |tasks: &[TaskInfo]| tasks.iter().map(told).collect();
        let happened_in = |task: &Option<Box<TaskInfo>>| -> Vec<String> {
            task.iter().map(|task| format!("this happened in {}", told(task))).collect()
        };
        match self {
            Trouble::Panicked { task, suspects, .. } if suspects.is_empty() => happened_in(task),
            Trouble::Forbidden { task, .. } => happened_in(task),
            Trouble::Panicked { task, suspects, .. } => {
                let mut lines = happened_in(task);
                lines.push(
                    "one of these tasks holds the borrow or the lock across an await:".into(),
                );
                lines.extend(suspects.iter().map(|task| format!("  {}", told(task))));
                lines
            }
            Trouble::Stuck { waiting } => list(waiting),
            Trouble::Spinning { tasks, .. } => list(tasks),
            Trouble::TimeLimit { main: task, .. }
            | Trouble::EventLimit { last: task, .. }
            | Trouble::NeverWaits { task, .. } => task.iter().map(told).collect(),
            Trouble::Stopped | Trouble::UnknownMethod { .. } => Vec::new(),
        }
    }

    /// The sentence of [`Display`](fmt::Display), with names for nodes.
    pub fn sentence_among(&self, name_of: NameOf<'_>) -> String {
        let mut sentence = String::new();
        self.tell(&mut sentence, name_of).expect("a text takes whatever is written to it");
        sentence
    }

    fn tell(&self, f: &mut impl fmt::Write, name_of: NameOf<'_>) -> fmt::Result {
        match self {
            Trouble::Stopped => f.write_str("the run was stopped"),
            Trouble::Panicked { message, at: Some(at), .. } => {
                write!(f, "panicked at {at}: {message}")
            }
            Trouble::Panicked { message, at: None, .. } => write!(f, "panicked: {message}"),
            Trouble::Stuck { waiting } => write!(
                f,
                "stuck: no task is ready, no timer is set and no message is in flight; \
                 {} tasks are waiting forever",
                waiting.len()
            ),
            Trouble::TimeLimit { limit, .. } => {
                write!(
                    f,
                    "did not finish within the limit of {} virtual seconds",
                    limit.as_secs_f64()
                )
            }
            Trouble::EventLimit { limit, .. } => {
                write!(f, "did not finish within the limit of {limit} polls and messages")
            }
            Trouble::Spinning { polls, .. } => {
                write!(f, "{polls} polls without any time passing: a task keeps waking itself")
            }
            Trouble::NeverWaits { awaits, .. } => write!(
                f,
                "{awaits} awaits in one poll, none of which had to wait: a task loops without \
                 letting time pass or another task run"
            ),
            Trouble::Forbidden { offence, .. } => write!(f, "the code under test {offence}"),
            Trouble::UnknownMethod { server, method, known } => write!(
                f,
                "{} has no method {method:?}; it has {}",
                name_of(*server),
                if known.is_empty() { "no methods".into() } else { known.join(", ") }
            ),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tell(f, &|node| node.to_string())
    }
}

impl std::error::Error for Trouble {}
