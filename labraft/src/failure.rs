//! What can be wrong with a Raft, as values that render themselves.

use std::fmt;
use std::time::Duration;

use labrpc::Trouble;
use serde::{Deserialize, Serialize};

use crate::linearizability::Counterexample;
use crate::property::{Property, Violation};

/// The first thing that was wrong in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What.
    pub reason: Reason,
    /// Virtual time since the start of the run.
    pub at: Duration,
    /// The server concerned, when there is one.
    pub server: Option<usize>,
    /// What the servers were at, a line each, as far as it is known.
    pub situation: Box<[String]>,
}

/// Which faults a run has.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// The course's own network.
    #[default]
    Go,
    /// Others as well, drawn from the seed: see [`labrpc::Chaos`]. A test is a workload then: what
    /// decides are Raft's properties, agreement, confirmed values and linearizability.
    Chaos,
}

impl Profile {
    /// As the command line has it.
    pub const fn name(self) -> &'static str {
        match self {
            Profile::Go => "go",
            Profile::Chaos => "chaos",
        }
    }
}

/// How a run is judged, from good to bad.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything was as it should be.
    Passed,
    /// Under chaos, a bound on time, counts or exact indexes was missed. No failure.
    Missed,
    /// Nothing was found to be wrong, but not everything could be found out. Never a pass.
    Unknown,
    /// Something was wrong.
    Failed,
    /// The code under test ended its process, or used more than it may.
    Crashed,
    /// The code under test did not return to the executor in any reasonable time.
    Hung,
}

impl Verdict {
    /// As results are kept.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Missed => "missed",
            Verdict::Unknown => "unknown",
            Verdict::Failed => "failed",
            Verdict::Crashed => "crashed",
            Verdict::Hung => "hung",
        }
    }
}

/// What a test's steps return: the first failure ends the test.
pub type Checked<T> = Result<T, Failure>;

/// Which property or expectation broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nobody among the connected servers led, in ten looks over about five seconds.
    NoLeader,
    /// Several connected servers lead in one term (Election Safety, Raft paper, figure 3).
    TwoLeaders {
        /// The term.
        term: u64,
        /// Who says so.
        servers: Vec<usize>,
    },
    /// A connected server leads where none can have a majority.
    UnexpectedLeader,
    /// Connected servers are in different terms where they should have come to agree.
    TermsDiffer {
        /// Two servers, each with its term.
        terms: [(usize, u64); 2],
    },
    /// Two servers applied different commands at one index (State Machine Safety, Raft paper,
    /// figure 3).
    CommitMismatch {
        /// The index.
        index: u64,
        /// The server that applied now, and its command.
        now: (usize, String),
        /// The server that had applied before, and its command.
        before: (usize, String),
    },
    /// A server applied an index without having applied the one before it.
    ApplyOutOfOrder {
        /// The index that came.
        index: u64,
        /// The index that was due; `None` when it is only known that the one before is missing.
        expected: Option<u64>,
    },
    /// A server handed up a snapshot that is not one.
    BadSnapshot {
        /// The index that came with it.
        index: u64,
        /// What is wrong with it.
        what: String,
    },
    /// A command was not applied by enough servers in time.
    NoAgreement {
        /// The command.
        command: String,
        /// By how many servers it should have been applied.
        wanted: usize,
        /// Whether a leader had accepted it.
        is_accepted: bool,
    },
    /// An index was not applied by enough servers in time.
    TooFew {
        /// The index.
        index: u64,
        /// How many applied it.
        applied: usize,
        /// How many should have.
        wanted: usize,
    },
    /// The test took longer than the course allows, in virtual time.
    TooSlow {
        /// How long it took.
        took: Duration,
        /// The limit.
        limit: Duration,
    },
    /// A property of Raft did not hold.
    Violation(Box<Violation>),
    /// What clients were answered fits no order of their operations.
    NotLinearizable(Box<Counterexample>),
    /// Whether what clients were answered fits an order could not be found out within the budget. The
    /// run has not failed, and has not passed either.
    Undecided {
        /// The key that took too long.
        key: String,
        /// How many operations it has.
        operations: usize,
        /// After how many steps the search was given up.
        steps: u64,
    },
    /// An expectation of one test, in its own words: a time, a count, an index.
    Expected(String),
    /// Something that no network, however bad, can excuse, in a test's own words.
    Wrong(String),
    /// Nothing went on where it had to: a majority was healthy, and the others could not disturb it.
    Standstill(String),
    /// The simulation ended before the test did.
    Trouble(Box<Trouble>),
}

impl Reason {
    /// What runs that failed for one reason have in common: the property; of a panic, where it was; else
    /// the sentence without its numbers and values.
    pub fn group(&self) -> String {
        if let Some(property) = self.property() {
            return property;
        }
        if let Reason::Trouble(trouble) = self
            && let Trouble::Panicked { at: Some(at), .. } = &**trouble
        {
            return format!("panicked at {at}");
        }
        without_values(&self.to_string())
    }

    /// The property that does not hold, where it is one of Raft's or the service's.
    pub fn property(&self) -> Option<String> {
        Some(match self {
            Reason::TwoLeaders { .. } => Property::ElectionSafety.to_string(),
            Reason::CommitMismatch { .. } => Property::StateMachineSafety.to_string(),
            Reason::ApplyOutOfOrder { .. } => Property::ApplyOrder.to_string(),
            Reason::Violation(violation) => violation.property.to_string(),
            Reason::NotLinearizable(_) => "linearizability".into(),
            _ => return None,
        })
    }

    /// Whether this is a bound on time, on counts or on exact indexes. It holds on the course's own
    /// network; under chaos nobody can promise it.
    fn is_bound(&self) -> bool {
        match self {
            Reason::NoLeader
            | Reason::UnexpectedLeader
            | Reason::TermsDiffer { .. }
            | Reason::NoAgreement { .. }
            | Reason::TooFew { .. }
            | Reason::TooSlow { .. }
            | Reason::Expected(_) => true,
            Reason::Trouble(trouble) => matches!(**trouble, Trouble::TimeLimit { .. }),
            _ => false,
        }
    }

    /// What stands behind the sentence, a line each.
    pub fn details(&self) -> Vec<String> {
        match self {
            Reason::Trouble(trouble) => trouble.details(),
            Reason::NotLinearizable(counterexample) => counterexample.lines(),
            _ => Vec::new(),
        }
    }
}

/// A sentence with its numbers, and what stands in quotation marks, taken out.
fn without_values(sentence: &str) -> String {
    let mut text = String::new();
    for (i, part) in sentence.split('"').enumerate() {
        if i % 2 == 1 {
            text += "\"..\"";
            continue;
        }
        for c in part.chars() {
            if !c.is_ascii_digit() {
                text.push(c);
            } else if !text.ends_with('N') {
                text.push('N');
            }
        }
    }
    text
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoLeader => f.write_str("expected one leader, got none"),
            Reason::TwoLeaders { term, servers } => {
                write!(f, "Election Safety (paper, figure 3): term {term} has leaders {servers:?}")
            }
            Reason::UnexpectedLeader => {
                f.write_str("a server claims to lead though it is not connected to a majority")
            }
            Reason::TermsDiffer { terms: [(a, term_a), (b, term_b)] } => write!(
                f,
                "servers disagree on the term: server {a} is in {term_a}, server {b} in {term_b}"
            ),
            Reason::CommitMismatch { index, now, before } => write!(
                f,
                "State Machine Safety (paper, figure 3): commit index={index} server={} {} != \
                 server={} {}",
                now.0, now.1, before.0, before.1
            ),
            Reason::ApplyOutOfOrder { index, expected: Some(expected) } => {
                let order = Property::ApplyOrder;
                write!(f, "{order}: index {index} came where {expected} was due")
            }
            Reason::ApplyOutOfOrder { index, expected: None } => {
                write!(f, "{}: index {index} came before {}", Property::ApplyOrder, index - 1)
            }
            Reason::BadSnapshot { index, what } => {
                write!(f, "the snapshot handed up for index {index} {what}")
            }
            Reason::NoAgreement { command, wanted, is_accepted } => {
                let accepted = match is_accepted {
                    true => "a leader accepted it, but it was not applied there in time",
                    false => "no connected server accepted it as leader",
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
                "it is not known whether the history is linearizable: the {operations} operations of \
                 key {key:?} were given up after {steps} steps"
            ),
            Reason::Expected(what) | Reason::Wrong(what) | Reason::Standstill(what) => {
                f.write_str(what)
            }
            Reason::Trouble(trouble) => trouble.fmt(f),
        }
    }
}

impl Failure {
    /// How a run with such faults that ends so is judged.
    pub fn verdict(&self, profile: Profile) -> Verdict {
        match self.reason {
            Reason::Undecided { .. } => Verdict::Unknown,
            _ if profile == Profile::Chaos && self.reason.is_bound() => Verdict::Missed,
            _ => Verdict::Failed,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_for_one_reason_have_one_group() {
        let late = |index| Reason::TooFew { index, applied: 1, wanted: 3 };
        assert_eq!(late(3).group(), late(17).group());
        let leaders = |servers: &[usize]| Reason::TwoLeaders { term: 1, servers: servers.into() };
        assert_eq!(leaders(&[0, 1]).group(), leaders(&[0, 1, 2]).group());
        let expected = |what: &str| Reason::Expected(what.into()).group();
        assert_eq!(
            expected(r#"missing element "x 0 1 y" in "x 0""#),
            expected(r#"missing element "x 2 4 y" in "y""#)
        );
        assert_ne!(expected("missing element"), expected("duplicate element"));
    }
}
