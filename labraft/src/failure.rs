//! The failure of a run.

use std::fmt;
use std::time::Duration;

use crate::cause::Cause;
use crate::missing::MissingPiece;
use crate::reason::Reason;
use crate::server_names::ServerNames;
use crate::verdict::{Profile, Verdict};

/// The first failure found in a run, with the circumstances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why the run failed, with the evidence.
    pub reason: Reason,
    /// The virtual time at which the failure was found, counted from the start of the run.
    pub at: Duration,
    /// The server at which the failure was found, if there is one.
    pub server: Option<usize>,
    /// The state of the servers and their progress at that moment, as lines of text.
    pub situation: Box<[String]>,
    /// The missing pieces that the implementation reported with [`not_yet`](crate::not_yet).
    /// Contains only the pieces of the earliest part.
    pub missing: Box<[MissingPiece]>,
}

/// The result of a step of a test. The first failure ends the test.
pub type Checked<T> = Result<T, Failure>;

impl Failure {
    /// Creates a failure without a situation or missing pieces.
    pub(crate) fn new(reason: Reason, at: Duration, server: Option<usize>) -> Failure {
        Failure { reason, at, server, situation: Box::default(), missing: Box::default() }
    }

    /// The cause of the failure. Its servers are those that the reason names and the one at which
    /// the failure was found.
    pub fn cause(&self) -> Cause {
        let mut servers = self.reason.servers();
        servers.extend(self.server);
        Cause::new(self.reason.kind(), servers)
    }

    /// The verdict on a run that ended with this failure.
    pub fn verdict(&self, profile: Profile) -> Verdict {
        match self.reason {
            Reason::Undecided { .. } => Verdict::Unknown,
            _ if profile == Profile::Chaos && self.reason.is_bound() => Verdict::Missed,
            _ => Verdict::Failed,
        }
    }

    /// The reason in a sentence, in which servers have these names.
    pub fn sentence_among(&self, names: &ServerNames) -> String {
        match &self.reason {
            Reason::Trouble(trouble) => trouble.sentence_among(&|node| names.node(node)),
            reason => reason.to_string(),
        }
    }

    /// The lines that explain the failure: the evidence, the missing pieces, then the situation.
    pub fn details(&self) -> Vec<String> {
        self.details_among(&ServerNames::default())
    }

    /// The same lines, in which servers have these names.
    pub fn details_among(&self, names: &ServerNames) -> Vec<String> {
        let missing: Vec<String> = self.missing.iter().map(MissingPiece::to_string).collect();
        [self.reason.details(names), missing, self.situation.to_vec()].concat()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl std::error::Error for Failure {}
