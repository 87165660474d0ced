//! The cause of a failure as data, which programs use to compare, group and count failures. The
//! sentences for people are generated from [`Reason`](crate::Reason) and are never parsed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::property::Property;

/// The cause of a failure, and the servers involved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// What went wrong. Two runs that fail in the same way have the same kind.
    #[serde(flatten)]
    pub kind: CauseKind,
    /// The numbers of the servers that the failure names, in ascending order. May be empty.
    pub servers: Vec<usize>,
}

/// What went wrong, without the numbers and values of one run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum CauseKind {
    /// A property of Raft or of its service was violated.
    Property {
        /// The violated property.
        property: Property,
    },
    /// An expectation of a test or of the harness was not met.
    Expectation {
        /// The message as in the source, with the names of its values in braces.
        expectation: String,
    },
    /// The cluster made no progress, although a majority of its servers was healthy.
    Standstill,
    /// The code under test panicked.
    Panic {
        /// The place of the panic as `file:line:column`, if it is known.
        at: Option<String>,
    },
    /// The run reached a limit.
    Limit {
        /// The limit that was reached.
        limit: Limit,
    },
    /// Every task was waiting for something that could no longer happen.
    Stuck,
    /// The simulation was stopped before the test had finished.
    Stopped,
    /// The code under test did something that a simulation cannot repeat, such as waiting for the
    /// real clock.
    Forbidden {
        /// What the code did, as the end of a sentence that begins with `the code under test`.
        offence: String,
    },
    /// A client called a method that the server does not have.
    UnknownMethod {
        /// The name of that method.
        method: String,
    },
    /// The linearizability check gave up before it reached a result.
    Undecided,
    /// The worker process ended during the run, or was ended because it exceeded a limit.
    Crash {
        /// How the process ended.
        crash: Crash,
    },
    /// A task did not return to the executor within the limit of real time.
    Hang,
}

/// A limit that can end a run.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// The course's limit on a test's virtual time.
    TestTime,
    /// The simulation's limit on virtual time.
    VirtualTime,
    /// The limit on the number of polls of tasks and arrivals of messages.
    Events,
    /// The limit on the number of polls at one instant of virtual time.
    Polls,
    /// The limit on the number of awaits in one poll that complete without waiting.
    Awaits,
}

/// How a worker process ended before it had finished its run.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Crash {
    /// The process exited with this code.
    Exit(i32),
    /// This signal ended the process.
    Signal(i32),
    /// The process exceeded the limit on memory.
    Memory,
    /// A stack of the process overflowed.
    Stack,
    /// The process printed more than allowed.
    Output,
    /// The process sent the lab something other than the result of its run.
    Garbled,
    /// The operating system did not report how the process ended.
    Unknown,
}

impl Cause {
    /// Creates a cause. `servers` may be in any order and contain duplicates.
    pub fn new(kind: CauseKind, mut servers: Vec<usize>) -> Cause {
        servers.sort_unstable();
        servers.dedup();
        Cause { kind, servers }
    }
}

impl CauseKind {
    /// Creates the kind for an expectation that was not met, from the expectation's name.
    pub fn expectation(name: impl Into<String>) -> CauseKind {
        CauseKind::Expectation { expectation: name.into() }
    }

    /// The property that was violated, if that is the cause.
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
            CauseKind::Standstill => f.write_str("no progress although a majority is healthy"),
            CauseKind::Panic { at: Some(at) } => write!(f, "panicked at {at}"),
            CauseKind::Panic { at: None } => f.write_str("panicked"),
            CauseKind::Limit { limit } => limit.fmt(f),
            CauseKind::Stuck => f.write_str("stuck: every task is waiting forever"),
            CauseKind::Stopped => f.write_str("the run was stopped"),
            CauseKind::Forbidden { offence } => write!(f, "the code under test {offence}"),
            CauseKind::UnknownMethod { method } => write!(f, "the server has no method {method:?}"),
            CauseKind::Undecided => {
                f.write_str("could not decide whether the history is linearizable")
            }
            CauseKind::Crash { crash } => crash.fmt(f),
            CauseKind::Hang => f.write_str("a task did not return within the limit of real time"),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Limit::TestTime => "the test took longer than allowed",
            Limit::VirtualTime => "did not finish within the limit of virtual time",
            Limit::Events => "did not finish within the limit of polls and messages",
            Limit::Polls => "a task keeps waking itself",
            Limit::Awaits => "a task loops without waiting",
        })
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Crash::Exit(code) => {
                write!(f, "the code under test ended its process with exit code {code}")
            }
            Crash::Signal(signal) => {
                write!(f, "signal {signal}{} ended the process", signal_name(*signal))
            }
            Crash::Memory => {
                f.write_str("the code under test needs more memory than allowed (--memory)")
            }
            Crash::Stack => {
                f.write_str("stack overflow in the code under test: is there an endless recursion?")
            }
            Crash::Output => f.write_str("the code under test printed more than allowed"),
            Crash::Garbled => {
                f.write_str("the process sent something other than the result of its run")
            }
            Crash::Unknown => f.write_str("the process ended for an unknown reason"),
        }
    }
}

/// The meaning of a common Linux signal in parentheses; empty for other signals.
const fn signal_name(signal: i32) -> &'static str {
    match signal {
        1 => " (hang-up)",
        2 => " (interrupt)",
        4 => " (illegal instruction)",
        6 => " (abort)",
        7 => " (bus error)",
        8 => " (arithmetic error)",
        9 => " (killed)",
        11 => " (segmentation fault)",
        15 => " (terminated)",
        24 => " (limit of CPU time)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_written_as_a_flat_object_and_can_be_read_back() {
        let property = CauseKind::Property { property: Property::LogMatching };
        let causes = [
            (property, r#"{"kind":"property","property":"log-matching","servers":[0,2]}"#),
            (CauseKind::Stuck, r#"{"kind":"stuck","servers":[0,2]}"#),
            (CauseKind::Standstill, r#"{"kind":"standstill","servers":[0,2]}"#),
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
