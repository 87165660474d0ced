//! What can be wrong in a run, with the evidence, and the sentence that says so.

use std::fmt;
use std::time::Duration;

use labrpc::Trouble;

use crate::cause::{CauseKind, Limit};
use crate::linearizability::Counterexample;
use crate::property::{Property, Violation};

/// The property or expectation that was broken, with the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No connected server led, in ten looks over about five seconds.
    NoLeader,
    /// Several connected servers lead in one term (Election Safety, Raft paper, figure 3).
    TwoLeaders {
        /// The term.
        term: u64,
        /// The servers that claim to lead.
        servers: Vec<usize>,
    },
    /// A connected server leads although it cannot reach a majority.
    UnexpectedLeader {
        /// The server.
        server: usize,
    },
    /// Connected servers are still in different terms after they had time to agree.
    TermsDiffer {
        /// Two servers, each with its term.
        terms: [(usize, u64); 2],
    },
    /// Two servers applied different commands at one index (State Machine Safety, Raft paper,
    /// figure 3).
    CommitMismatch {
        /// The index.
        index: u64,
        /// The server that applied now and the one that had applied before, each with its command.
        applied: Box<[(usize, String); 2]>,
    },
    /// A server applied an index without having applied the one before it.
    ApplyOutOfOrder {
        /// The index that was applied.
        index: u64,
        /// The index that should have been applied; `None` when it is only known that the one before
        /// is missing.
        expected: Option<u64>,
    },
    /// A server handed its service something other than a valid snapshot.
    BadSnapshot {
        /// The index that came with it.
        index: u64,
        /// What is wrong with it, such as `cannot be decoded`.
        what: String,
    },
    /// A command was not applied by enough servers in time.
    NoAgreement {
        /// The command.
        command: String,
        /// The number of servers that should have applied it.
        wanted: usize,
        /// Whether a leader had accepted it.
        is_accepted: bool,
    },
    /// An index was not applied by enough servers in time.
    TooFew {
        /// The index.
        index: u64,
        /// The number of servers that applied it.
        applied: usize,
        /// The number of servers that should have.
        wanted: usize,
    },
    /// The test took longer than the course allows, in virtual time.
    TooSlow {
        /// The time that it took.
        took: Duration,
        /// The limit.
        limit: Duration,
    },
    /// A property of Raft was broken.
    Violation(Box<Violation>),
    /// No order of the clients' operations explains what they were answered.
    NotLinearizable(Box<Counterexample>),
    /// The search for such an order exhausted its budget. The run has neither failed nor passed.
    Undecided {
        /// The key whose operations were searched.
        key: String,
        /// The number of those operations.
        operations: usize,
        /// The number of steps after which the search was given up.
        steps: u64,
    },
    /// A test's own expectation of a time, a count or an index was not met.
    Expected(Expectation),
    /// A test saw something that no network, however bad, can excuse.
    Wrong(Expectation),
    /// There was no progress although a majority was healthy and the others could not disturb it.
    Standstill {
        /// The healthy servers.
        majority: Vec<usize>,
        /// What was waited for.
        what: String,
    },
    /// The simulation ended before the test did.
    Trouble(Box<Trouble>),
}

/// A test's expectation that was not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The message as it is in the source, without values: failures with one name are of one kind.
    pub name: &'static str,
    /// The message with the values of this run.
    pub text: String,
}

impl From<&'static str> for Expectation {
    fn from(name: &'static str) -> Expectation {
        Expectation { name, text: name.into() }
    }
}

/// An [`Expectation`] from a format string, which becomes its name, and the values.
///
/// ```
/// let index = 4;
/// let expectation = labraft::expectation!("expected index 3, got {index}");
/// assert_eq!(expectation.name, "expected index 3, got {index}");
/// assert_eq!(expectation.text, "expected index 3, got 4");
/// ```
#[macro_export]
macro_rules! expectation {
    ($format:literal $($values:tt)*) => {
        $crate::Expectation { name: $format, text: ::std::format!($format $($values)*) }
    };
}

impl Reason {
    /// What went wrong, without the numbers and values of this run.
    pub fn kind(&self) -> CauseKind {
        let property = |property| CauseKind::Property { property };
        match self {
            Reason::NoLeader => CauseKind::expectation("expected one leader, got none"),
            Reason::TwoLeaders { .. } => property(Property::ElectionSafety),
            Reason::UnexpectedLeader { .. } => {
                CauseKind::expectation("a server leads although it is not connected to a majority")
            }
            Reason::TermsDiffer { .. } => CauseKind::expectation("servers disagree on the term"),
            Reason::CommitMismatch { .. } => property(Property::StateMachineSafety),
            Reason::ApplyOutOfOrder { .. } => property(Property::ApplyOrder),
            Reason::BadSnapshot { .. } => CauseKind::expectation("a snapshot is not valid"),
            Reason::NoAgreement { is_accepted: true, .. } => {
                CauseKind::expectation("one({command}) failed to reach agreement")
            }
            Reason::NoAgreement { is_accepted: false, .. } => {
                CauseKind::expectation("one({command}) found no connected leader")
            }
            Reason::TooFew { .. } => {
                CauseKind::expectation("too few servers applied index {index}")
            }
            Reason::TooSlow { .. } => CauseKind::Limit { limit: Limit::TestTime },
            Reason::Violation(violation) => property(violation.property),
            Reason::NotLinearizable(_) => property(Property::Linearizability),
            Reason::Undecided { .. } => CauseKind::Undecided,
            Reason::Expected(expected) | Reason::Wrong(expected) => {
                CauseKind::expectation(expected.name)
            }
            Reason::Standstill { .. } => {
                CauseKind::expectation("no progress although a majority is healthy")
            }
            Reason::Trouble(trouble) => trouble_kind(trouble),
        }
    }

    /// The servers that the evidence names.
    pub(crate) fn servers(&self) -> Vec<usize> {
        match self {
            Reason::TwoLeaders { servers, .. } | Reason::Standstill { majority: servers, .. } => {
                servers.clone()
            }
            Reason::UnexpectedLeader { server } => vec![*server],
            Reason::TermsDiffer { terms: [(a, _), (b, _)] } => vec![*a, *b],
            Reason::CommitMismatch { applied, .. } => applied.iter().map(|each| each.0).collect(),
            Reason::Violation(violation) => violation.servers.clone(),
            Reason::NoLeader
            | Reason::ApplyOutOfOrder { .. }
            | Reason::BadSnapshot { .. }
            | Reason::NoAgreement { .. }
            | Reason::TooFew { .. }
            | Reason::TooSlow { .. }
            | Reason::NotLinearizable(_)
            | Reason::Undecided { .. }
            | Reason::Expected(_)
            | Reason::Wrong(_)
            | Reason::Trouble(_) => Vec::new(),
        }
    }

    /// Whether this is a bound on time, counts or exact indexes. A Raft keeps it on the course's
    /// network. Under chaos no Raft can promise it.
    pub(crate) fn is_bound(&self) -> bool {
        match self {
            Reason::NoLeader
            | Reason::UnexpectedLeader { .. }
            | Reason::TermsDiffer { .. }
            | Reason::NoAgreement { .. }
            | Reason::TooFew { .. }
            | Reason::TooSlow { .. }
            | Reason::Expected(_) => true,
            Reason::Trouble(trouble) => matches!(**trouble, Trouble::TimeLimit { .. }),
            Reason::TwoLeaders { .. }
            | Reason::CommitMismatch { .. }
            | Reason::ApplyOutOfOrder { .. }
            | Reason::BadSnapshot { .. }
            | Reason::Violation(_)
            | Reason::NotLinearizable(_)
            | Reason::Undecided { .. }
            | Reason::Wrong(_)
            | Reason::Standstill { .. } => false,
        }
    }

    /// The evidence behind the sentence, in lines of text.
    pub(crate) fn details(&self) -> Vec<String> {
        match self {
            Reason::Trouble(trouble) => trouble.details(),
            Reason::NotLinearizable(counterexample) => counterexample.lines(),
            _ => Vec::new(),
        }
    }
}

fn trouble_kind(trouble: &Trouble) -> CauseKind {
    match trouble {
        Trouble::Stopped => CauseKind::Stopped,
        Trouble::Panicked { at, .. } => CauseKind::Panic { at: at.clone() },
        Trouble::Stuck { .. } => CauseKind::Stuck,
        Trouble::TimeLimit { .. } => CauseKind::Limit { limit: Limit::VirtualTime },
        Trouble::EventLimit { .. } => CauseKind::Limit { limit: Limit::Events },
        Trouble::Spinning { .. } => CauseKind::Limit { limit: Limit::Polls },
        Trouble::Forbidden { offence, .. } => CauseKind::Forbidden { offence: offence.to_string() },
        Trouble::UnknownMethod { method, .. } => {
            CauseKind::UnknownMethod { method: (*method).into() }
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoLeader => f.write_str("expected one leader, got none"),
            Reason::TwoLeaders { term, servers } => {
                write!(f, "{}: term {term} has leaders {servers:?}", Property::ElectionSafety)
            }
            Reason::UnexpectedLeader { server } => {
                write!(f, "server {server} claims to lead though it is not connected to a majority")
            }
            Reason::TermsDiffer { terms: [(a, term_a), (b, term_b)] } => write!(
                f,
                "servers disagree on the term: server {a} is in {term_a}, server {b} in {term_b}"
            ),
            Reason::CommitMismatch { index, applied } => {
                let [(server, command), (other, others_command)] = &**applied;
                write!(
                    f,
                    "{}: commit index={index} server={server} {command} != server={other} \
                     {others_command}",
                    Property::StateMachineSafety
                )
            }
            Reason::ApplyOutOfOrder { index, expected: Some(expected) } => {
                let order = Property::ApplyOrder;
                write!(f, "{order}: index {index} was applied where {expected} was expected")
            }
            Reason::ApplyOutOfOrder { index, expected: None } => {
                let order = Property::ApplyOrder;
                write!(f, "{order}: index {index} was applied before {}", index - 1)
            }
            Reason::BadSnapshot { index, what } => {
                write!(f, "the snapshot handed up for index {index} {what}")
            }
            Reason::NoAgreement { command, wanted, is_accepted } => {
                let accepted = if *is_accepted {
                    "a leader accepted it, but it was not applied there in time"
                } else {
                    "no connected server accepted it as leader"
                };
                write!(
                    f,
                    "one({command}) failed to reach agreement of {wanted} servers: {accepted}"
                )
            }
            Reason::TooFew { index, applied, wanted } => {
                write!(f, "only {applied} servers applied index {index}; wanted {wanted}")
            }
            Reason::TooSlow { took, limit } => write!(
                f,
                "the test took {:.1} virtual seconds; {} are allowed",
                took.as_secs_f64(),
                limit.as_secs()
            ),
            Reason::Violation(violation) => violation.fmt(f),
            Reason::NotLinearizable(counterexample) => {
                write!(f, "history is not linearizable: {counterexample}")
            }
            Reason::Undecided { key, operations, steps } => write!(
                f,
                "it is not known whether the history is linearizable: the search gave up on the \
                 {operations} operations of key {key:?} after {steps} steps"
            ),
            Reason::Expected(expected) | Reason::Wrong(expected) => f.write_str(&expected.text),
            Reason::Standstill { majority, what } => {
                write!(f, "no progress although servers {majority:?} are healthy: {what}")
            }
            Reason::Trouble(trouble) => trouble.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_one_kind_differ_in_values_only() {
        let late = |index| Reason::TooFew { index, applied: 1, wanted: 3 }.kind();
        assert_eq!(late(3), late(17));
        let leaders = |servers: &[usize]| Reason::TwoLeaders { term: 1, servers: servers.into() };
        assert_eq!(leaders(&[0, 1]).kind(), leaders(&[0, 1, 2]).kind());
        let missing = |element: &str| Reason::Wrong(expectation!("missing element {element}"));
        assert_eq!(missing("x 0 1 y").kind(), missing("x 2 4 y").kind());
        assert_ne!(missing("x").to_string(), missing("y").to_string());
        assert_ne!(missing("x").kind(), Reason::Wrong("duplicate element".into()).kind());
    }

    #[test]
    fn a_reason_names_the_servers_of_its_evidence() {
        let applied = Box::new([(2, "104".into()), (0, "105".into())]);
        let mismatch = Reason::CommitMismatch { index: 3, applied };
        assert_eq!(mismatch.servers(), [2, 0]);
        let standstill = Reason::Standstill { majority: vec![1, 4], what: "no leader".into() };
        assert_eq!(standstill.servers(), [1, 4]);
        assert_eq!(Reason::NoLeader.servers(), [0; 0]);
    }
}
