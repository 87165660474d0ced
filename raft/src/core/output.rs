// SOLUTION FILE
//! What a [`Core`](super::Core) asks its caller to do, and what the caller remembers of a request.

use crate::message::{
    AppendEntriesArgs, InstallSnapshotArgs, PreVoteArgs, RequestVoteArgs, TimeoutNowArgs,
};

/// What the caller has to do after a call, in the order of the fields.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The term, the vote, the log or the snapshot has changed: save before sending anything.
    pub must_save: bool,
    /// Restart the election timer with a newly drawn time-out.
    pub reset_election_timer: bool,
    /// This server has become a candidate, a pre-candidate or a leader: start the heartbeat timer.
    pub start_heartbeats: bool,
    /// Restart the lease timer (part 2E).
    pub restart_lease: bool,
    /// A transfer has begun: start its timer (part 2F).
    pub start_transfer_timer: bool,
    /// The requests to send, each with its receiver.
    pub messages: Vec<(usize, Message)>,
    /// A leader's: the round that `messages` belong to (part 2G).
    pub round: u64,
    /// The reads that have ended, each with the index at which it may be answered, or `None` if this server
    /// leads no longer (part 2G).
    pub reads: Vec<(u64, Option<u64>)>,
}

/// A request to another server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the types say it")]
pub enum Message {
    RequestVote(RequestVoteArgs),
    TransferVote(RequestVoteArgs),
    PreVote(PreVoteArgs),
    AppendEntries(AppendEntriesArgs),
    InstallSnapshot(InstallSnapshotArgs),
    TimeoutNow(TimeoutNowArgs),
}

/// What the caller remembers of an AppendEntries request until its answer arrives. An answer is
/// read in the light of the request, not of what the log has become since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentEntries {
    /// The term in which it was sent.
    pub term: u64,
    /// The index of the entry before the first one that was sent.
    pub prev_log_index: u64,
    /// The index of the last entry that was sent; `prev_log_index` for a heartbeat.
    pub last_index: u64,
    /// The round in which it was sent (part 2G).
    pub round: u64,
}

impl SentEntries {
    /// What to remember of a request of this round.
    pub fn new(args: &AppendEntriesArgs, round: u64) -> SentEntries {
        SentEntries {
            round,
            term: args.term,
            prev_log_index: args.prev_log_index,
            last_index: args.last_index(),
        }
    }
}

/// What the caller remembers of an InstallSnapshot request until its answer arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentSnapshot {
    /// The term in which it was sent.
    pub term: u64,
    /// The last index that the snapshot covers.
    pub last_included_index: u64,
    /// The round in which it was sent (part 2G).
    pub round: u64,
}

impl SentSnapshot {
    /// What to remember of a request of this round.
    pub fn new(args: &InstallSnapshotArgs, round: u64) -> SentSnapshot {
        SentSnapshot { term: args.term, last_included_index: args.last_included_index, round }
    }
}
