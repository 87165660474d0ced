//! The cause of a failure as data: what programs compare, group and count by. The sentences that
//! people read are written from [`Reason`](crate::Reason) and are never read back.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::property::Property;

/// Why a run did not pass, and the servers that the evidence names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// What two runs have in common when they fail in the same way.
    #[serde(flatten)]
    pub kind: CauseKind,
    /// The servers that the failure names, in ascending order; empty when it names none.
    pub servers: Vec<usize>,
}

/// What went wrong, without the numbers and values of one run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum CauseKind {
    /// A property of Raft or of its service was broken.
    Property {
        /// The property.
        property: Property,
    },
    /// A test, or the harness on its behalf, did not see what it expects.
    Expectation {
        /// The expectation's message with the names of its values in braces, as it is in the source.
        expectation: String,
    },
    /// The code under test panicked.
    Panic {
        /// Where, as `file:line:column`, when it is known.
        at: Option<String>,
    },
    /// The run reached a limit.
    Limit {
        /// The limit.
        limit: Limit,
    },
    /// Every task was waiting for something that could no longer happen.
    Stuck,
    /// The simulation was stopped before the test had finished.
    Stopped,
    /// The code under test did something that cannot be repeated, such as waiting for the real clock.
    Forbidden {
        /// What it did.
        offence: String,
    },
    /// A call named a method that its server does not have.
    UnknownMethod {
        /// The method.
        method: String,
    },
    /// The search for an order of the clients' operations gave up.
    Undecided,
    /// The code under test ended its process, or exceeded a limit of the worker.
    Crash {
        /// How.
        crash: Crash,
    },
    /// A task did not return to the executor.
    Hang,
}

/// A limit on a run.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// The course's limit on a test's virtual time.
    TestTime,
    /// The simulation's limit on virtual time.
    VirtualTime,
    /// The limit on polls of tasks and arrivals of messages.
    Events,
    /// The limit on polls at one instant of virtual time.
    Polls,
}

/// How a worker process came to an end that was not of its own making.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Crash {
    /// It exited with this code.
    Exit(i32),
    /// This signal ended it.
    Signal(i32),
    /// It needed more memory than allowed.
    Memory,
    /// Its stack overflowed.
    Stack,
    /// It printed more than allowed.
    Output,
    /// It sent something other than a result.
    Garbled,
    /// The operating system does not say.
    Unknown,
}

impl Cause {
    /// A cause that names these servers, in any order.
    pub fn new(kind: CauseKind, mut servers: Vec<usize>) -> Cause {
        servers.sort_unstable();
        servers.dedup();
        Cause { kind, servers }
    }
}

impl CauseKind {
    /// An expectation by its name.
    pub fn expectation(name: impl Into<String>) -> CauseKind {
        CauseKind::Expectation { expectation: name.into() }
    }

    /// The property that was broken, if that is the cause.
    pub const fn property(&self) -> Option<Property> {
        match self {
            CauseKind::Property { property } => Some(*property),
            _ => None,
        }
    }

    /// Whether the run reached a limit of the simulation itself.
    pub const fn is_simulation_limit(&self) -> bool {
        matches!(self, CauseKind::Limit { limit: Limit::VirtualTime | Limit::Events })
    }
}

impl fmt::Display for CauseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CauseKind::Property { property } => property.fmt(f),
            CauseKind::Expectation { expectation } => f.write_str(expectation),
            CauseKind::Panic { at: Some(at) } => write!(f, "panicked at {at}"),
            CauseKind::Panic { at: None } => f.write_str("panicked"),
            CauseKind::Limit { limit } => limit.fmt(f),
            CauseKind::Stuck => f.write_str("stuck: every task waits for ever"),
            CauseKind::Stopped => f.write_str("the run was stopped"),
            CauseKind::Forbidden { offence } => write!(f, "code under test {offence}"),
            CauseKind::UnknownMethod { method } => write!(f, "no server method {method:?}"),
            CauseKind::Undecided => {
                f.write_str("it is not known whether the history is linearizable")
            }
            CauseKind::Crash { crash } => crash.fmt(f),
            CauseKind::Hang => f.write_str("a task did not return"),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Limit::TestTime => "the test took longer than allowed",
            Limit::VirtualTime => "not finished within the limit of virtual time",
            Limit::Events => "not finished within the limit of polls and messages",
            Limit::Polls => "a task wakes itself for ever",
        })
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Crash::Exit(code) => write!(f, "it ended its process with exit code {code}"),
            Crash::Signal(signal) => {
                write!(f, "its process was ended by signal {signal}{}", signal_name(*signal))
            }
            Crash::Memory => f.write_str("it needs more memory than it may use (--memory)"),
            Crash::Stack => f.write_str("its stack overflowed: does a recursion never end?"),
            Crash::Output => f.write_str("it printed more than it may"),
            Crash::Garbled => f.write_str("it sent something other than a result"),
            Crash::Unknown => f.write_str("its process ended"),
        }
    }
}

/// The meaning of a signal on Linux, in brackets, where it is commonly known.
const fn signal_name(signal: i32) -> &'static str {
    match signal {
        4 => " (illegal instruction)",
        6 => " (abort)",
        7 => " (bus error)",
        8 => " (arithmetic)",
        9 => " (killed)",
        11 => " (segmentation fault)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_flat_in_a_file_and_can_be_read_back() {
        let property = CauseKind::Property { property: Property::LogMatching };
        let causes = [
            (property, r#"{"kind":"property","property":"log-matching","servers":[0,2]}"#),
            (CauseKind::Stuck, r#"{"kind":"stuck","servers":[0,2]}"#),
            (
                CauseKind::Limit { limit: Limit::VirtualTime },
                r#"{"kind":"limit","limit":"virtual-time","servers":[0,2]}"#,
            ),
            (
                CauseKind::Crash { crash: Crash::Signal(11) },
                r#"{"kind":"crash","crash":{"signal":11},"servers":[0,2]}"#,
            ),
        ];
        for (kind, text) in causes {
            let cause = Cause::new(kind, vec![2, 0, 2]);
            assert_eq!(serde_json::to_string(&cause).unwrap(), text);
            assert_eq!(serde_json::from_str::<Cause>(text).unwrap(), cause);
        }
    }
}
