//! The first thing that was wrong in a run.

use std::fmt;
use std::time::Duration;

use crate::cause::Cause;
use crate::missing::MissingPiece;
use crate::reason::Reason;
use crate::verdict::{Profile, Verdict};

/// The first thing that was wrong in a run, and the circumstances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What was wrong.
    pub reason: Reason,
    /// Virtual time since the start of the run.
    pub at: Duration,
    /// The server at which it was found, if it was found at one.
    pub server: Option<usize>,
    /// The state of the servers and of progress at that moment, in lines of text.
    pub situation: Box<[String]>,
    /// What the implementation reported with [`not_yet`](crate::not_yet), of the earliest part only.
    pub missing: Box<[MissingPiece]>,
}

/// The result of a test's step. The first failure ends the test.
pub type Checked<T> = Result<T, Failure>;

impl Failure {
    /// A failure of which nothing but the reason, the time and the server is known.
    pub(crate) fn new(reason: Reason, at: Duration, server: Option<usize>) -> Failure {
        Failure { reason, at, server, situation: Box::default(), missing: Box::default() }
    }

    /// The cause, with the servers that the reason names and the one at which it was found.
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

    /// Lines that explain the reason: the evidence, the missing pieces, then the situation.
    pub fn details(&self) -> Vec<String> {
        let missing: Vec<String> = self.missing.iter().map(MissingPiece::to_string).collect();
        [self.reason.details(), missing, self.situation.to_vec()].concat()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl std::error::Error for Failure {}
