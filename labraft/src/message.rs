//! What a Raft's messages say, in the words of the paper's figures 2 and 13.

use std::fmt;

use labrpc::Content;

/// Tells what a message says, or that it is not a message of the Raft's own, such as a client's request
/// to a service; see [`Implementation::with_messages`](crate::Implementation::with_messages).
pub type Describe = fn(Content<'_>) -> Option<RaftMessage>;

/// What a message of a Raft says.
///
/// Fields have the names of the paper's figures 2 and 13, and mean the same. There is no `leaderId`: the
/// leader is the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RaftMessage {
    /// A candidate asks for a vote. A pre-candidate's question is [`PreVote`](RaftMessage::PreVote).
    RequestVote {
        /// The candidate's term.
        term: u64,
        /// The candidate.
        candidate_id: usize,
        /// The index of the candidate's last entry; 0 if it has never had one.
        last_log_index: u64,
        /// The term of the candidate's last entry; 0 if it has never had one.
        last_log_term: u64,
    },
    /// A `RequestVote` with the mark of a candidate whose leader has told it to stand (part 2F; Ongaro's
    /// thesis, section 3.10): a voter answers it although it hears from that leader.
    TransferVote {
        /// The candidate's term.
        term: u64,
        /// The candidate.
        candidate_id: usize,
        /// The index of the candidate's last entry; 0 if it has never had one.
        last_log_index: u64,
        /// The term of the candidate's last entry; 0 if it has never had one.
        last_log_term: u64,
    },
    /// The answer to a `RequestVote` or a `TransferVote`.
    RequestVoteReply {
        /// The voter's current term.
        term: u64,
        /// Whether the candidate has the vote.
        vote_granted: bool,
    },
    /// A pre-candidate asks whether it would get a vote (part 2E; Ongaro's thesis, section 9.6). A Raft that
    /// does not offer part 2E may call it [`Other`](RaftMessage::Other), with term 0.
    PreVote {
        /// The term in which it would stand, which is the one after its own. Nobody moves to it.
        next_term: u64,
        /// The index of its last entry; 0 if it has never had one.
        last_log_index: u64,
        /// The term of its last entry; 0 if it has never had one.
        last_log_term: u64,
    },
    /// The answer to a `PreVote`.
    PreVoteReply {
        /// The current term of the server that answers; 0 if the answer does not say it.
        term: u64,
        /// The `next_term` that it answers. A reply in a call answers its own request, so there it can be
        /// `None`. A one-way message must say it.
        next_term: Option<u64>,
        /// Whether the server would vote for the pre-candidate.
        vote_granted: bool,
    },
    /// A leader replicates entries. Without entries it is a heartbeat.
    AppendEntries {
        /// The leader's term.
        term: u64,
        /// The index of the entry before the new ones; 0 if there is none.
        prev_log_index: u64,
        /// The term of the entry at `prev_log_index`; 0 if there is none.
        prev_log_term: u64,
        /// The terms of the new entries, in their order.
        entry_terms: Vec<u64>,
        /// The leader's commit index, or how much of it the follower may use.
        leader_commit: u64,
    },
    /// A leader's heartbeat that is not compared with the log: it carries only what the leader already
    /// knows to be in the follower's log. The paper's heartbeats are `AppendEntries`.
    Heartbeat {
        /// The leader's term.
        term: u64,
        /// How far the follower may commit.
        leader_commit: u64,
    },
    /// The answer to an `AppendEntries`.
    AppendEntriesReply {
        /// The follower's current term.
        term: u64,
        /// Whether the follower's log contained an entry that matched `prev_log_index` and
        /// `prev_log_term`.
        success: bool,
        /// After a success, the last index that the follower says is replicated on it. A reply in a call
        /// answers its own request, so there it can be `None`, which means the last entry of the
        /// request. A one-way message must say it.
        match_index: Option<u64>,
    },
    /// A leader sends its snapshot, or a chunk of it.
    InstallSnapshot {
        /// The leader's term.
        term: u64,
        /// The snapshot replaces all entries up to and including this index.
        last_included_index: u64,
        /// The term of the entry at `last_included_index`.
        last_included_term: u64,
    },
    /// The answer to an `InstallSnapshot`.
    InstallSnapshotReply {
        /// The follower's current term.
        term: u64,
    },
    /// A leader tells the server to which it hands over to stand for election at once (part 2F). The answer,
    /// if there is one, is [`Other`](RaftMessage::Other).
    TimeoutNow {
        /// The leader's term.
        term: u64,
    },
    /// Word that an entry is committed, which a Raft may add to its messages: who has the entry may commit
    /// up to it. In the paper only a leader's messages tell this.
    Committed {
        /// The entry's index.
        index: u64,
        /// The entry's term.
        entry_term: u64,
    },
    /// Any other message between servers, such as the answer to a `Heartbeat`.
    Other {
        /// The term that the receiver may take over from it; 0 if there is none.
        term: u64,
    },
    /// Several messages that travel as one, such as a reply that carries everything that a request has
    /// led to. Each is one-way: what it answers is not known.
    Several(Vec<RaftMessage>),
}

/// A candidate's request for a vote, with or without the mark of part 2F.
#[derive(Copy, Clone)]
pub(crate) struct VoteRequest {
    pub(crate) term: u64,
    pub(crate) candidate_id: usize,
    /// The term and the index of the candidate's last entry.
    pub(crate) last_entry: (u64, u64),
    /// Whether it is a `TransferVote`.
    pub(crate) is_marked: bool,
}

impl RaftMessage {
    /// The messages that it consists of.
    pub(crate) fn parts(&self) -> &[RaftMessage] {
        match self {
            RaftMessage::Several(parts) => parts,
            single => std::slice::from_ref(single),
        }
    }

    /// What a candidate says, if it is a request for a vote.
    pub(crate) const fn vote_request(&self) -> Option<VoteRequest> {
        match *self {
            RaftMessage::RequestVote { term, candidate_id, last_log_index, last_log_term } => {
                let last_entry = (last_log_term, last_log_index);
                Some(VoteRequest { term, candidate_id, last_entry, is_marked: false })
            }
            RaftMessage::TransferVote { term, candidate_id, last_log_index, last_log_term } => {
                let last_entry = (last_log_term, last_log_index);
                Some(VoteRequest { term, candidate_id, last_entry, is_marked: true })
            }
            _ => None,
        }
    }

    /// Whether it answers a request.
    pub(crate) const fn is_answer(&self) -> bool {
        matches!(
            self,
            RaftMessage::RequestVoteReply { .. }
                | RaftMessage::PreVoteReply { .. }
                | RaftMessage::AppendEntriesReply { .. }
                | RaftMessage::InstallSnapshotReply { .. }
        )
    }

    /// The term that it carries; of several, the highest. A receiver whose term is lower moves to it (figure 2, rules for all
    /// servers).
    pub fn term(&self) -> u64 {
        match *self {
            RaftMessage::Several(ref parts) => {
                parts.iter().map(RaftMessage::term).max().unwrap_or(0)
            }
            RaftMessage::Committed { .. } | RaftMessage::PreVote { .. } => 0,
            RaftMessage::RequestVote { term, .. }
            | RaftMessage::TransferVote { term, .. }
            | RaftMessage::TimeoutNow { term }
            | RaftMessage::RequestVoteReply { term, .. }
            | RaftMessage::PreVoteReply { term, .. }
            | RaftMessage::AppendEntries { term, .. }
            | RaftMessage::Heartbeat { term, .. }
            | RaftMessage::AppendEntriesReply { term, .. }
            | RaftMessage::InstallSnapshot { term, .. }
            | RaftMessage::InstallSnapshotReply { term }
            | RaftMessage::Other { term } => term,
        }
    }
}

impl fmt::Display for RaftMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RaftMessage::RequestVote { term, candidate_id, last_log_index, last_log_term }
            | RaftMessage::TransferVote { term, candidate_id, last_log_index, last_log_term } => {
                let is_marked = matches!(self, RaftMessage::TransferVote { .. });
                f.write_str(if is_marked { "marked " } else { "" })?;
                write!(
                    f,
                    "RequestVote {{ term {term}, candidateId {candidate_id}, lastLogIndex {last_log_index}, \
                 lastLogTerm {last_log_term} }}"
                )
            }
            RaftMessage::RequestVoteReply { term, vote_granted } => {
                write!(f, "RequestVote results {{ term {term}, voteGranted {vote_granted} }}")
            }
            RaftMessage::PreVote { next_term, last_log_index, last_log_term } => {
                write!(
                    f,
                    "pre-vote {{ for term {next_term}, lastLogIndex {last_log_index}, lastLogTerm \
                     {last_log_term} }}"
                )
            }
            RaftMessage::PreVoteReply { term, vote_granted, .. } => {
                write!(f, "pre-vote results {{ term {term}, voteGranted {vote_granted} }}")
            }
            RaftMessage::AppendEntries {
                term,
                prev_log_index,
                prev_log_term,
                entry_terms,
                leader_commit,
            } => {
                write!(
                    f,
                    "AppendEntries {{ term {term}, prevLogIndex {prev_log_index}, \
                     prevLogTerm {prev_log_term}, "
                )?;
                show_entries(f, entry_terms)?;
                write!(f, ", leaderCommit {leader_commit} }}")
            }
            RaftMessage::Heartbeat { term, leader_commit } => {
                write!(f, "heartbeat {{ term {term}, leaderCommit {leader_commit} }}")
            }
            RaftMessage::AppendEntriesReply { term, success, match_index } => {
                write!(f, "AppendEntries results {{ term {term}, success {success}")?;
                if let Some(index) = match_index {
                    write!(f, ", up to {index}")?;
                }
                f.write_str(" }")
            }
            RaftMessage::InstallSnapshot { term, last_included_index, last_included_term } => {
                write!(
                    f,
                    "InstallSnapshot {{ term {term}, lastIncludedIndex \
                 {last_included_index}, lastIncludedTerm {last_included_term} }}"
                )
            }
            RaftMessage::InstallSnapshotReply { term } => {
                write!(f, "InstallSnapshot results {{ term {term} }}")
            }
            RaftMessage::Committed { index, entry_term } => {
                write!(f, "word that entry {index} of term {entry_term} is committed")
            }
            RaftMessage::TimeoutNow { term } => write!(f, "TimeoutNow {{ term {term} }}"),
            RaftMessage::Other { term } => write!(f, "another message {{ term {term} }}"),
            RaftMessage::Several(parts) => {
                for (place, part) in parts.iter().enumerate() {
                    let separator = if place == 0 { "" } else { ", " };
                    write!(f, "{separator}{part}")?;
                }
                Ok(())
            }
        }
    }
}

/// Shows how many entries there are, and their terms.
fn show_entries(f: &mut fmt::Formatter<'_>, terms: &[u64]) -> fmt::Result {
    match (terms.first(), terms.last()) {
        (Some(first), Some(last)) if first == last => {
            write!(f, "entries: {} of term {first}", terms.len())
        }
        (Some(first), Some(last)) => {
            write!(f, "entries: {} of terms {first} to {last}", terms.len())
        }
        _ => f.write_str("no entries"),
    }
}
