//! Why a run did not pass, as results, repro files and reports keep it.

use labraft::{Cause, CauseKind, Failure, MissingPiece, ServerNames};
use serde::{Deserialize, Serialize};

use crate::shorten::{shorten, shorten_lines};

/// The longest sentence of a failure.
const MAX_REASON_BYTES: usize = 4 << 10;
/// The most bytes that all details of a failure have.
const MAX_DETAIL_BYTES: usize = 16 << 10;
/// The longest name, such as that of a method, or of the place of a panic.
const MAX_NAME_BYTES: usize = 512;
/// The most missing pieces that a failure names.
const MAX_MISSING: usize = 50;

/// Why a run did not pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailureRecord {
    /// The sentence for people.
    pub reason: String,
    /// The cause for programs: runs are compared and grouped by its kind.
    pub cause: Cause,
    /// Virtual seconds since the start of the run; `None` when the time is not known.
    pub at: Option<f64>,
    /// The server at which the failure was found, if it was found at one.
    pub server: Option<usize>,
    /// The name of that server, if it has one besides its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// The evidence and the state of the servers, in lines of text.
    pub details: Vec<String>,
    /// What the implementation reported as not written yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingPiece>,
}

impl FailureRecord {
    /// A failure of which only the sentence and the kind are known.
    pub fn new(reason: impl Into<String>, kind: CauseKind) -> FailureRecord {
        FailureRecord {
            reason: reason.into(),
            cause: Cause::new(kind, Vec::new()),
            at: None,
            server: None,
            server_name: None,
            details: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// The record of a failure in a run whose servers have these names. It is [bounded](FailureRecord::bounded).
    pub fn of(failure: &Failure, names: &ServerNames) -> FailureRecord {
        let named = failure.server.filter(|server| names.cluster_of(*server).is_some());
        let record = FailureRecord {
            reason: failure.sentence_among(names),
            cause: failure.cause(),
            at: Some(failure.at.as_secs_f64()),
            server: failure.server,
            server_name: named.map(|server| names.name("", server)),
            details: failure.details_among(names),
            missing: failure.missing.to_vec(),
        };
        record.bounded()
    }

    /// The same failure with texts of a bounded length: some of them come from the code under test,
    /// which may have put anything into the message of a panic, into a command, or into a name. A text
    /// that is cut says by how much.
    pub fn bounded(self) -> FailureRecord {
        let kind = match self.cause.kind {
            CauseKind::Panic { at } => {
                CauseKind::Panic { at: at.map(|at| shorten(&at, MAX_NAME_BYTES)) }
            }
            CauseKind::UnknownMethod { method } => {
                CauseKind::UnknownMethod { method: shorten(&method, MAX_NAME_BYTES) }
            }
            CauseKind::Expectation { expectation } => {
                CauseKind::Expectation { expectation: shorten(&expectation, MAX_NAME_BYTES) }
            }
            CauseKind::Forbidden { offence } => {
                CauseKind::Forbidden { offence: shorten(&offence, MAX_NAME_BYTES) }
            }
            kind => kind,
        };
        let missing = self.missing.into_iter().take(MAX_MISSING).map(|piece| MissingPiece {
            what: shorten(&piece.what, MAX_NAME_BYTES),
            place: shorten(&piece.place, MAX_NAME_BYTES),
            ..piece
        });
        FailureRecord {
            reason: shorten(&self.reason, MAX_REASON_BYTES),
            cause: Cause { kind, ..self.cause },
            details: shorten_lines(self.details, MAX_DETAIL_BYTES),
            missing: missing.collect(),
            ..self
        }
    }

    /// The server at which the failure was found, as people call it: `101/2`, or `server 2` if it has only a number.
    pub fn place(&self) -> Option<String> {
        let number = || self.server.map(|server| format!("server {server}"));
        self.server_name.clone().or_else(number)
    }

    /// In a few words: the property, the place of a panic, or else the sentence.
    pub fn headline(&self) -> String {
        match &self.cause.kind {
            kind @ (CauseKind::Property { .. } | CauseKind::Panic { .. }) => kind.to_string(),
            _ => self.reason.clone(),
        }
    }

    /// Whether both failed in the same way: by the same property, expectation, limit or panic.
    pub fn is_same(&self, other: &FailureRecord) -> bool {
        self.cause.kind == other.cause.kind
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use labraft::{HarnessEvent, Part, Reason};
    use labrpc::{Node, Timed, Trouble};

    use super::*;

    #[test]
    fn a_server_that_has_a_name_is_called_by_it() {
        let trouble = Trouble::UnknownMethod {
            server: Node::server(4),
            method: "ShardKV.Pull",
            known: Vec::new(),
        };
        let failure = Failure {
            reason: Reason::Trouble(Box::new(trouble)),
            at: Duration::ZERO,
            server: Some(4),
            situation: Box::default(),
            missing: Box::default(),
        };
        let alone = FailureRecord::of(&failure, &ServerNames::default());
        assert_eq!(alone.place().as_deref(), Some("server 4"));
        assert!(alone.reason.starts_with("server 4 has no method"), "{}", alone.reason);
        let text = serde_json::to_string(&alone).unwrap();
        assert!(!text.contains("server_name"), "results of labs 2 and 3 are as before: {text}");
        let cluster = HarnessEvent::Cluster {
            servers: 6,
            first: 3,
            name: "group 101".into(),
            short: "101".into(),
        };
        let timed = Timed { at: Duration::ZERO, node: Node::TESTER, event: cluster.event() };
        let record = FailureRecord::of(&failure, &HarnessEvent::names_in(&[timed]));
        assert_eq!(record.place().as_deref(), Some("101/1"));
        assert!(record.reason.starts_with("101/1 has no method"), "{}", record.reason);
        assert_eq!(record.cause, alone.cause, "a cause is for programs");
    }

    #[test]
    fn a_failure_is_short_whatever_the_code_under_test_has_said() {
        let flood = "é".repeat(1 << 20);
        let kinds = [
            CauseKind::Panic { at: Some(flood.clone()) },
            CauseKind::UnknownMethod { method: flood.clone() },
            CauseKind::expectation(&flood),
            CauseKind::Forbidden { offence: flood.clone() },
        ];
        for kind in kinds {
            let piece =
                MissingPiece { part: Part::Raft2A, what: flood.clone(), place: flood.clone() };
            let failure = FailureRecord {
                details: vec![flood.clone(); 5],
                missing: vec![piece; 100],
                ..FailureRecord::new(flood.clone(), kind)
            };
            let bounded = failure.bounded();
            let text = serde_json::to_string(&bounded).unwrap();
            assert!(text.len() < 100 << 10, "{} bytes", text.len());
            assert!(bounded.reason.ends_with("... (2093056 more bytes)"), "{}", bounded.reason);
            assert_eq!(bounded.clone().bounded().cause, bounded.cause);
        }
        let short = FailureRecord {
            details: vec!["a".into()],
            ..FailureRecord::new("b", CauseKind::Stuck)
        };
        assert_eq!(short.clone().bounded(), short);
    }
}
