//! The messages of the paper's figures 2 and 13. A snapshot travels in one piece.

use bytes::Bytes;
use labrpc::Method;
use serde::{Deserialize, Serialize};

use crate::log::{Conflict, Entry};

pub(crate) const REQUEST_VOTE: Method<RequestVote, Vote> = Method::new("Raft.RequestVote");
pub(crate) const APPEND_ENTRIES: Method<AppendEntries, Appended> =
    Method::new("Raft.AppendEntries");
pub(crate) const INSTALL_SNAPSHOT: Method<InstallSnapshot, Installed> =
    Method::new("Raft.InstallSnapshot");

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RequestVote {
    /// The candidate's term.
    pub(crate) term: u64,
    pub(crate) candidate: usize,
    /// The end of the candidate's log.
    pub(crate) last_log_index: u64,
    pub(crate) last_log_term: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Vote {
    /// The voter's term.
    pub(crate) term: u64,
    pub(crate) granted: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AppendEntries {
    /// The leader's term.
    pub(crate) term: u64,
    /// The entry before the first of `entries`.
    pub(crate) prev_log_index: u64,
    pub(crate) prev_log_term: u64,
    /// Empty in a heartbeat.
    pub(crate) entries: Vec<Entry>,
    /// The leader's commit index.
    pub(crate) leader_commit: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Appended {
    /// The follower's term.
    pub(crate) term: u64,
    /// Whether the follower now has everything up to the last of the request's entries. Refused for
    /// an old term, or because the logs differ at `prev_log_index`.
    pub(crate) success: bool,
    /// Where the logs differ, if that is why it was refused.
    pub(crate) conflict: Option<Conflict>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct InstallSnapshot {
    /// The leader's term.
    pub(crate) term: u64,
    /// The last entry that the snapshot covers.
    pub(crate) last_index: u64,
    pub(crate) last_term: u64,
    pub(crate) snapshot: Bytes,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Installed {
    /// The follower's term.
    pub(crate) term: u64,
}
