// SOLUTION FILE
//! What the messages say, for the lab's rules of figure 2.

use labraft::RaftMessage;
use labrpc::Content;

use crate::message::{
    APPEND_ENTRIES, AppendOutcome, INSTALL_SNAPSHOT, PRE_VOTE, PreVoteReply, REQUEST_VOTE,
    TIMEOUT_NOW, TRANSFER_VOTE,
};

/// Describes a request or a reply in the paper's terms; `None` if it is not a Raft's.
pub(crate) fn describe(content: Content<'_>) -> Option<RaftMessage> {
    describe_request(content).or_else(|| describe_reply(content))
}

fn describe_request(content: Content<'_>) -> Option<RaftMessage> {
    if let Some(args) = content.request(APPEND_ENTRIES) {
        return Some(RaftMessage::AppendEntries {
            term: args.term,
            prev_log_index: args.prev_log_index,
            prev_log_term: args.prev_log_term,
            entry_terms: args.entries.iter().map(|entry| entry.term).collect(),
            leader_commit: args.leader_commit,
        });
    }
    if let Some(args) = content.request(REQUEST_VOTE) {
        return Some(RaftMessage::RequestVote {
            term: args.term,
            candidate_id: args.candidate_id,
            last_log_index: args.last_log_index,
            last_log_term: args.last_log_term,
        });
    }
    if let Some(args) = content.request(PRE_VOTE) {
        return Some(RaftMessage::PreVote {
            next_term: args.next_term,
            last_log_index: args.last_log_index,
            last_log_term: args.last_log_term,
        });
    }
    if let Some(args) = content.request(TRANSFER_VOTE) {
        return Some(RaftMessage::TransferVote {
            term: args.term,
            candidate_id: args.candidate_id,
            last_log_index: args.last_log_index,
            last_log_term: args.last_log_term,
        });
    }
    if let Some(args) = content.request(TIMEOUT_NOW) {
        return Some(RaftMessage::TimeoutNow { term: args.term });
    }
    content.request(INSTALL_SNAPSHOT).map(|args| RaftMessage::InstallSnapshot {
        term: args.term,
        last_included_index: args.last_included_index,
        last_included_term: args.last_included_term,
    })
}

fn describe_reply(content: Content<'_>) -> Option<RaftMessage> {
    if let Some(reply) = content.reply(APPEND_ENTRIES) {
        let success = reply.outcome == AppendOutcome::Success;
        return Some(RaftMessage::AppendEntriesReply {
            term: reply.term,
            success,
            match_index: None,
        });
    }
    if let Some(reply) = content.reply(REQUEST_VOTE).or_else(|| content.reply(TRANSFER_VOTE)) {
        let &crate::message::RequestVoteReply { term, vote_granted } = reply;
        return Some(RaftMessage::RequestVoteReply { term, vote_granted });
    }
    if let Some(reply) = content.reply(PRE_VOTE) {
        let &PreVoteReply { term, vote_granted } = reply;
        return Some(RaftMessage::PreVoteReply { term, next_term: None, vote_granted });
    }
    if let Some(reply) = content.reply(TIMEOUT_NOW) {
        return Some(RaftMessage::Other { term: reply.term });
    }
    let reply = content.reply(INSTALL_SNAPSHOT)?;
    Some(RaftMessage::InstallSnapshotReply { term: reply.term })
}
