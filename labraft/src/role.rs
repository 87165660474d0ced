//! The roles of a Raft server.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A server's role (Raft paper, section 5.1).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the paper's own words")]
pub enum Role {
    #[default]
    Follower,
    Candidate,
    Leader,
}

impl Role {
    /// The role's name in lower case, as in events.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Follower => "follower",
            Role::Candidate => "candidate",
            Role::Leader => "leader",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
