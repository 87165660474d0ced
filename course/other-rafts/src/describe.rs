//! What the messages say, for the lab's rules of figure 2.

use labraft::RaftMessage;
use labrpc::{Content, Method};

use crate::batching::{self, Outcome};
use crate::messages::{APPEND_ENTRIES, AppendEntries, INSTALL_SNAPSHOT, REQUEST_VOTE};

/// Describes the messages of the paper's figures.
pub(crate) fn papers(content: Content<'_>) -> Option<RaftMessage> {
    if let Some(reply) = content.reply(APPEND_ENTRIES) {
        return Some(appended(reply.term, reply.success));
    }
    request_for_entries(content, APPEND_ENTRIES).or_else(|| others(content))
}

/// Describes the messages of [`batching`].
pub(crate) fn batchings(content: Content<'_>) -> Option<RaftMessage> {
    if let Some(reply) = content.reply(batching::APPEND_ENTRIES) {
        return Some(appended(reply.term, matches!(reply.outcome, Outcome::Matches)));
    }
    request_for_entries(content, batching::APPEND_ENTRIES).or_else(|| others(content))
}

fn appended(term: u64, success: bool) -> RaftMessage {
    RaftMessage::AppendEntriesReply { term, success, match_index: None }
}

fn request_for_entries<Reply: 'static>(
    content: Content<'_>,
    method: Method<AppendEntries, Reply>,
) -> Option<RaftMessage> {
    content.request(method).map(|args| RaftMessage::AppendEntries {
        term: args.term,
        prev_log_index: args.prev_log_index,
        prev_log_term: args.prev_log_term,
        entry_terms: args.entries.iter().map(|entry| entry.term).collect(),
        leader_commit: args.leader_commit,
    })
}

/// Votes and snapshots, which are the same for all.
fn others(content: Content<'_>) -> Option<RaftMessage> {
    if let Some(args) = content.request(REQUEST_VOTE) {
        return Some(RaftMessage::RequestVote {
            term: args.term,
            candidate_id: args.candidate,
            last_log_index: args.last_log_index,
            last_log_term: args.last_log_term,
        });
    }
    if let Some(reply) = content.reply(REQUEST_VOTE) {
        let vote_granted = reply.granted;
        return Some(RaftMessage::RequestVoteReply { term: reply.term, vote_granted });
    }
    if let Some(args) = content.request(INSTALL_SNAPSHOT) {
        return Some(RaftMessage::InstallSnapshot {
            term: args.term,
            last_included_index: args.last_index,
            last_included_term: args.last_term,
        });
    }
    let reply = content.reply(INSTALL_SNAPSHOT)?;
    Some(RaftMessage::InstallSnapshotReply { term: reply.term })
}
