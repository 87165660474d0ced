//! The reasons why a run can fail, with their evidence, and the sentences that report them.

use std::fmt;
use std::time::Duration;

use labrpc::Trouble;

use crate::cause::{CauseKind, Limit};
use crate::linearizability::Counterexample;
use crate::property::{Property, Violation};
use crate::server_names::ServerNames;

/// A server whose [`start`](crate::Raft::start) accepted a command.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The server's number.
    pub server: usize,
    /// Whether its [`state`](crate::Raft::state) said right afterwards that it is the leader.
    pub is_leader: bool,
}

/// Why a run failed, with the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No connected server was the leader in any of ten checks over about five seconds.
    NoLeader,
    /// Several connected servers lead the same term (Election Safety, Raft paper, figure 3).
    TwoLeaders {
        /// The term in which they are leaders.
        term: u64,
        /// The servers that claim to be the leader.
        servers: Vec<usize>,
    },
    /// A server claims to be the leader although it cannot reach a majority.
    UnexpectedLeader {
        /// The number of that server.
        server: usize,
    },
    /// Connected servers are in different terms although they had enough time to agree.
    TermsDiffer {
        /// Two servers that disagree, each with its term.
        terms: [(usize, u64); 2],
    },
    /// Two servers applied different commands at the same index (State Machine Safety, Raft paper,
    /// figure 3).
    CommitMismatch {
        /// The index at which they disagree.
        index: u64,
        /// The server that just applied its command and one that had done so before, each with its
        /// command.
        applied: Box<[(usize, String); 2]>,
    },
    /// A server applied an index before it had applied the previous one.
    ApplyOutOfOrder {
        /// The index that was applied.
        index: u64,
        /// The index that should have been applied; `None` if it is only known that the previous
        /// one is missing.
        expected: Option<u64>,
    },
    /// A Raft passed its service an invalid snapshot.
    BadSnapshot {
        /// The index that the Raft gave with the snapshot; 0 for a snapshot read from the disk.
        index: u64,
        /// What is wrong with the snapshot, such as `covers everything up to 7`.
        what: String,
    },
    /// A command was not applied by enough servers in time.
    NoAgreement {
        /// The command as text.
        command: String,
        /// The number of servers that should have applied it.
        wanted: usize,
        /// The server whose `start` accepted the command last, if any did.
        accepted: Option<Accepted>,
    },
    /// An index was not applied by enough servers in time.
    TooFew {
        /// The index that was waited for.
        index: u64,
        /// The number of servers that applied it.
        applied: usize,
        /// The number of servers that should have applied it.
        wanted: usize,
    },
    /// The test took longer than the course allows, in virtual time.
    TooSlow {
        /// The virtual time that the test took.
        took: Duration,
        /// The longest time that is allowed.
        limit: Duration,
    },
    /// A property of Raft was violated.
    Violation(Box<Violation>),
    /// No order of the clients' operations explains their results.
    NotLinearizable(Box<Counterexample>),
    /// The search for such an order exhausted its budget, so the run neither passed nor failed.
    Undecided {
        /// The key whose operations were searched.
        key: String,
        /// The number of those operations.
        operations: usize,
        /// The number of steps after which the search gave up.
        steps: u64,
    },
    /// A test's expectation about a time, a count or an index was not met.
    Expected(Expectation),
    /// A test observed something that is wrong under any network conditions.
    Wrong(Expectation),
    /// There was no progress although a majority was healthy and the others could not disturb it.
    Standstill {
        /// The servers of the healthy majority.
        majority: Vec<usize>,
        /// What the test was waiting for.
        what: String,
    },
    /// The simulation ended before the test did.
    Trouble(Box<Trouble>),
}

/// A test's expectation that was not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The message as in the source, without values. Failures with the same name are of the same
    /// kind.
    pub name: &'static str,
    /// The message with the values of this run.
    pub text: String,
}

impl From<&'static str> for Expectation {
    fn from(name: &'static str) -> Expectation {
        Expectation { name, text: name.into() }
    }
}

/// Creates an [`Expectation`] from a format string and its values. The format string becomes the
/// name.
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
    /// The kind of failure, without the numbers and values of this run.
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
            Reason::NoAgreement { accepted: Some(_), .. } => {
                CauseKind::expectation("one({command}) failed to reach agreement")
            }
            Reason::NoAgreement { accepted: None, .. } => {
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
            Reason::Standstill { .. } => CauseKind::Standstill,
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

    /// Whether the failure is a missed bound on time, counts or exact indexes. A correct Raft meets
    /// these bounds on the course's network, but no Raft can guarantee them under the chaos
    /// profile.
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

    /// The evidence for the reason, as lines of text.
    pub(crate) fn details(&self, names: &ServerNames) -> Vec<String> {
        match self {
            Reason::Trouble(trouble) => trouble.details_among(&|node| names.node(node)),
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
        Trouble::NeverWaits { .. } => CauseKind::Limit { limit: Limit::Awaits },
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
                write!(
                    f,
                    "server {server} claims to be the leader although it cannot reach a majority"
                )
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
                write!(f, "the snapshot passed to the service for index {index} {what}")
            }
            Reason::NoAgreement { command, wanted, accepted } => {
                let accepted = match accepted {
                    Some(Accepted { is_leader: true, .. }) => {
                        "a leader accepted it, but not enough servers applied it in time".into()
                    }
                    Some(Accepted { server, is_leader: false }) => format!(
                        "`start` of server {server} accepted it, though that server does not call \
                         itself the leader, and not enough servers applied it in time"
                    ),
                    None => "no connected server accepted it as the leader".to_string(),
                };
                write!(
                    f,
                    "one({command}) failed to reach agreement among {wanted} servers: {accepted}"
                )
            }
            Reason::TooFew { index, applied, wanted } => {
                write!(f, "only {applied} of the expected {wanted} servers applied index {index}")
            }
            Reason::TooSlow { took, limit } => write!(
                f,
                "the test took {:.1} virtual seconds; the limit is {}",
                took.as_secs_f64(),
                limit.as_secs()
            ),
            Reason::Violation(violation) => violation.fmt(f),
            Reason::NotLinearizable(counterexample) => {
                write!(f, "history is not linearizable: {counterexample}")
            }
            Reason::Undecided { key, operations, steps } => write!(
                f,
                "could not decide whether the history is linearizable: the search among the \
                 {operations} operations on key {key:?} gave up after {steps} steps"
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
    fn failures_of_the_same_kind_differ_only_in_values() {
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
