//! What raft-rs's messages say, for the lab's rules of figure 2.

use labraft::RaftMessage;
use labrpc::Content;
use raft::eraftpb::{Message, MessageType};

use crate::storage::server_of;
use crate::wire::{Wire, is_transfer};

/// Describes a message in the paper's terms. A reply of the driver `paired` is a list of messages.
pub fn describe(content: Content<'_>) -> Option<RaftMessage> {
    if let Some(Wire(message)) = content.get() {
        return Some(RaftMessage::Several(parts(message).collect()));
    }
    let answers: &Vec<Wire> = content.get()?;
    Some(RaftMessage::Several(answers.iter().flat_map(|Wire(answer)| parts(answer)).collect()))
}

/// A message, and what raft-rs adds to requests for votes and their answers: what is committed.
fn parts(message: &Message) -> impl Iterator<Item = RaftMessage> {
    let &Message { commit: index, commit_term: entry_term, .. } = message;
    let committed = (entry_term > 0).then_some(RaftMessage::Committed { index, entry_term });
    std::iter::once(describe_message(message)).chain(committed)
}

fn describe_message(message: &Message) -> RaftMessage {
    let term = message.term;
    match message.get_msg_type() {
        MessageType::MsgRequestVote if is_transfer(message) => RaftMessage::TransferVote {
            term,
            candidate_id: server_of(message.from),
            last_log_index: message.index,
            last_log_term: message.log_term,
        },
        MessageType::MsgRequestVote => RaftMessage::RequestVote {
            term,
            candidate_id: server_of(message.from),
            last_log_index: message.index,
            last_log_term: message.log_term,
        },
        MessageType::MsgRequestVoteResponse => {
            RaftMessage::RequestVoteReply { term, vote_granted: !message.reject }
        }
        MessageType::MsgAppend => RaftMessage::AppendEntries {
            term,
            prev_log_index: message.index,
            prev_log_term: message.log_term,
            entry_terms: message.entries.iter().map(|entry| entry.term).collect(),
            leader_commit: message.commit,
        },
        MessageType::MsgHeartbeat => RaftMessage::Heartbeat { term, leader_commit: message.commit },
        MessageType::MsgAppendResponse => {
            let match_index = (!message.reject).then_some(message.index);
            RaftMessage::AppendEntriesReply { term, success: !message.reject, match_index }
        }
        MessageType::MsgSnapshot => {
            let snapshot = message.get_snapshot().get_metadata();
            RaftMessage::InstallSnapshot {
                term,
                last_included_index: snapshot.index,
                last_included_term: snapshot.term,
            }
        }
        // A pre-vote is asked for in the next term, and granted in it: nobody is in that term yet. A
        // refusal has the term of the server that refuses.
        MessageType::MsgRequestPreVote => RaftMessage::PreVote {
            next_term: term,
            last_log_index: message.index,
            last_log_term: message.log_term,
        },
        MessageType::MsgRequestPreVoteResponse if message.reject => {
            RaftMessage::PreVoteReply { term, next_term: None, vote_granted: false }
        }
        MessageType::MsgRequestPreVoteResponse => {
            RaftMessage::PreVoteReply { term: 0, next_term: Some(term), vote_granted: true }
        }
        MessageType::MsgTimeoutNow => RaftMessage::TimeoutNow { term },
        _ => RaftMessage::Other { term },
    }
}
