// BEGIN SOLUTION
//stub: //! The remote procedures (figures 2 and 13): what servers send to one another.
//stub:
//! The three remote procedures, in the paper's words (figures 2 and 13).

use bytes::Bytes;
// END SOLUTION
use labrpc::Method;
use serde::{Deserialize, Serialize};

/// A candidate asks for a vote.
pub const REQUEST_VOTE: Method<RequestVoteArgs, RequestVoteReply> = Method::new("Raft.RequestVote");
// BEGIN SOLUTION 2B
//stub: // 2B: AppendEntries, which is the heartbeat of 2A as well. 2D: InstallSnapshot.
/// A leader replicates entries, or shows that it is alive.
pub const APPEND_ENTRIES: Method<AppendEntriesArgs, AppendEntriesReply> =
    Method::new("Raft.AppendEntries");
/// A leader sends its snapshot instead of entries that it no longer has.
pub const INSTALL_SNAPSHOT: Method<InstallSnapshotArgs, InstallSnapshotReply> =
    Method::new("Raft.InstallSnapshot");

/// A command and the term in which a leader received it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The term of the leader that made the entry. It never changes.
    pub term: u64,
    /// The command, as the service has encoded it.
    pub command: Bytes,
}
// END SOLUTION

// BEGIN SOLUTION 2E
/// A pre-candidate asks whether it would get a vote (Ongaro's thesis, section 9.6).
pub const PRE_VOTE: Method<PreVoteArgs, PreVoteReply> = Method::new("Raft.PreVote");

/// Asks whether a server would vote for the sender if it stood for election. The sender's term and
/// vote are what they were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreVoteArgs {
    /// The term in which it would stand: the one after its own. Nobody adopts it.
    pub next_term: u64,
    /// The sender.
    pub candidate_id: usize,
    /// The index of its last entry; 0 when its log is empty.
    pub last_log_index: u64,
    /// The term of its last entry; 0 when its log is empty.
    pub last_log_term: u64,
}

/// The answer to a [`PreVoteArgs`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreVoteReply {
    /// The term of the server that answers, for a sender that is behind.
    pub term: u64,
    /// Whether it would vote for the sender.
    pub vote_granted: bool,
}
// END SOLUTION

// BEGIN SOLUTION 2F
/// A leader tells the server to which it hands over to stand for election (Ongaro's thesis, section
/// 3.10).
pub const TIMEOUT_NOW: Method<TimeoutNowArgs, TimeoutNowReply> = Method::new("Raft.TimeoutNow");
/// [`REQUEST_VOTE`] with the mark of a candidate whose leader has told it to stand: voters answer it
/// although they hear from that leader.
pub const TRANSFER_VOTE: Method<RequestVoteArgs, RequestVoteReply> =
    Method::new("Raft.TransferVote");

/// Tells a server to stand for election at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeoutNowArgs {
    /// The term of the leader that hands over. The receiver stands in the term after it.
    pub term: u64,
    /// That leader.
    pub leader_id: usize,
}

/// The answer to a [`TimeoutNowArgs`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeoutNowReply {
    /// The term of the server that answers: the next one if it stands for election.
    pub term: u64,
}
// END SOLUTION

/// Asks for a vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestVoteArgs {
    /// The candidate's term.
    pub term: u64,
    // BEGIN SOLUTION 2A
    //stub: // 2A: who it is. 2B: how far its log goes.
    /// The candidate.
    pub candidate_id: usize,
    /// The index of the candidate's last entry; 0 when its log is empty.
    pub last_log_index: u64,
    /// The term of the candidate's last entry; 0 when its log is empty.
    pub last_log_term: u64,
    // END SOLUTION
}

/// The answer to a [`RequestVoteArgs`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestVoteReply {
    /// The voter's term, for a candidate that is behind.
    pub term: u64,
    /// Whether the candidate has the vote.
    pub vote_granted: bool,
}

// BEGIN SOLUTION 2B
/// Replicates entries. Without any it is a heartbeat, and the receiver checks it just the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendEntriesArgs {
    /// The leader's term.
    pub term: u64,
    /// The leader.
    pub leader_id: usize,
    /// The index of the entry before `entries`; 0 when there is none.
    pub prev_log_index: u64,
    /// The term of the entry at `prev_log_index`; 0 when there is none.
    pub prev_log_term: u64,
    /// All entries that the leader has after `prev_log_index`.
    pub entries: Vec<Entry>,
    /// The leader's commit index.
    pub leader_commit: u64,
}

impl AppendEntriesArgs {
    /// The index of the last of `entries`: the logs agree up to it when the answer is
    /// [`AppendOutcome::Success`].
    pub fn last_index(&self) -> u64 {
        self.prev_log_index + self.entries.len() as u64
    }
}

/// The answer to an [`AppendEntriesArgs`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendEntriesReply {
    /// The follower's term, for a leader that has been replaced.
    pub term: u64,
    /// How the follower's log compares.
    pub outcome: AppendOutcome,
}

/// What a follower made of an [`AppendEntriesArgs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppendOutcome {
    /// The logs agree up to the last entry that was sent.
    Success,
    /// The sender's term is out of date. The logs were not compared.
    StaleTerm,
    /// The follower's log ends before `prev_log_index`.
    TooShort {
        /// The first index that the follower lacks.
        next_index: u64,
    },
    /// The follower has an entry of another term at `prev_log_index` (section 5.3, the last
    /// paragraph on backing up).
    Conflict {
        /// The term of that entry.
        term: u64,
        /// The first index that the follower has of that term.
        first_index: u64,
    },
}

/// Sends a whole snapshot: the labs do not cut it into chunks, as figure 13 does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallSnapshotArgs {
    /// The leader's term.
    pub term: u64,
    /// The leader.
    pub leader_id: usize,
    /// The snapshot replaces all entries up to this index.
    pub last_included_index: u64,
    /// The term of the entry at that index.
    pub last_included_term: u64,
    /// The snapshot, as the service has encoded it.
    pub data: Bytes,
}

/// The answer to an [`InstallSnapshotArgs`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallSnapshotReply {
    /// The follower's term, for a leader that has been replaced.
    pub term: u64,
}
// END SOLUTION
