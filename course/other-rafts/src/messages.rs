//! The messages of the paper's figures 2 and 13. A snapshot travels in one piece.

use bytes::Bytes;
use labraft::RaftMessage;
use labrpc::{Content, Method};
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

/// What the paper's messages say, for the rules of figure 2.
pub(crate) fn describe(content: Content<'_>) -> Option<RaftMessage> {
    if let Some(args) = content.request(REQUEST_VOTE) {
        return Some(RaftMessage::RequestVote {
            term: args.term,
            candidate_id: args.candidate,
            last_log_index: args.last_log_index,
            last_log_term: args.last_log_term,
        });
    }
    if let Some(vote) = content.reply(REQUEST_VOTE) {
        return Some(RaftMessage::RequestVoteReply { term: vote.term, vote_granted: vote.granted });
    }
    if let Some(args) = content.get::<AppendEntries>() {
        return Some(RaftMessage::AppendEntries {
            term: args.term,
            prev_log_index: args.prev_log_index,
            prev_log_term: args.prev_log_term,
            entry_terms: args.entries.iter().map(|entry| entry.term).collect(),
            leader_commit: args.leader_commit,
        });
    }
    if let Some(answer) = content.reply(APPEND_ENTRIES) {
        let &Appended { term, success, .. } = answer;
        return Some(RaftMessage::AppendEntriesReply { term, success, match_index: None });
    }
    if let Some(args) = content.request(INSTALL_SNAPSHOT) {
        return Some(RaftMessage::InstallSnapshot {
            term: args.term,
            last_included_index: args.last_index,
            last_included_term: args.last_term,
        });
    }
    let answer = content.reply(INSTALL_SNAPSHOT)?;
    Some(RaftMessage::InstallSnapshotReply { term: answer.term })
}
