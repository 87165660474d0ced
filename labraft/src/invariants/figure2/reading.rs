//! What a server learns from a message that it reads, and what it owes from then on.

use super::case::Case;
use super::debts::Debt;
use super::memory::AppendRead;
use super::messages::ReadMessage;
use crate::message::RaftMessage;
use crate::raft::Role;

/// Takes in a message that the server has read.
pub(super) fn take_in(case: &mut Case<'_>, read: ReadMessage) {
    let Case { step, messages, .. } = *case;
    let Some(message) = messages.get(read.mark) else { return };
    let request = read.answers.map(|mark| messages.get(mark));
    let term = message.term();
    case.memory.waits_for.remove(read.from);
    case.memory.highest_read = case.memory.highest_read.max(term);
    case.owe(Debt::AdoptTerm(term));
    match (message, request) {
        // The request is too old to be known.
        (_, Some(None)) => {}
        (RaftMessage::RequestVote { .. }, _) => {
            if term >= step.before.term {
                case.memory.push_asked(read.mark);
            }
        }
        (&RaftMessage::RequestVoteReply { term, vote_granted }, request) => {
            let asked_in = request.flatten().map_or(term, RaftMessage::term);
            if vote_granted && term <= asked_in {
                count_vote(case, read.from, asked_in);
            }
        }
        (RaftMessage::AppendEntries { .. }, _)
        | (RaftMessage::Heartbeat { .. }, _)
        | (RaftMessage::InstallSnapshot { .. }, _) => {
            if term >= step.before.term {
                hear_leader(case, read, message);
            }
        }
        (RaftMessage::AppendEntriesReply { .. } | RaftMessage::InstallSnapshotReply { .. }, _) => {
            hear_follower(case, read.from, message, request.flatten());
        }
        (RaftMessage::Other { .. }, _) => {}
    }
}

/// A server has granted this one its vote in a term.
fn count_vote(case: &mut Case<'_>, from: usize, term: u64) {
    let Some(candidacy) = case.memory.candidacy.as_mut().filter(|known| known.term == term) else {
        return;
    };
    candidacy.votes.insert(from);
    if case.step.is_majority(candidacy.votes.len()) {
        case.owe(Debt::Lead(term));
    }
}

/// A leader whose term is not out of date has written.
fn hear_leader(case: &mut Case<'_>, read: ReadMessage, message: &RaftMessage) {
    let step = case.step;
    case.memory.timer_restarted = step.at;
    if step.before.role == Role::Candidate {
        case.owe(Debt::StepDown(message.term()));
    }
    match *message {
        RaftMessage::AppendEntries {
            prev_log_index,
            prev_log_term,
            ref entry_terms,
            leader_commit,
            ..
        } => {
            let fits = step.has(prev_log_index, prev_log_term) == Some(true);
            case.memory.push_append(AppendRead { mark: read.mark, fits });
            let last_index = prev_log_index + entry_terms.len() as u64;
            let last_term = entry_terms.last().copied().unwrap_or(prev_log_term);
            if step.has(last_index, last_term) != Some(false) {
                let may_commit = leader_commit.min(last_index);
                case.memory.may_commit = case.memory.may_commit.max(may_commit);
            }
        }
        RaftMessage::Heartbeat { leader_commit, .. } => {
            case.memory.may_commit = case.memory.may_commit.max(leader_commit);
        }
        RaftMessage::InstallSnapshot { last_included_index, last_included_term, .. } => {
            let snapshot = Some((last_included_index, last_included_term));
            case.memory.snapshot_read = case.memory.snapshot_read.max(snapshot);
        }
        _ => {}
    }
}

/// A follower has answered. In a call, `request` is what it answers.
fn hear_follower(
    case: &mut Case<'_>,
    from: usize,
    message: &RaftMessage,
    request: Option<&RaftMessage>,
) {
    let Some(reign) = &mut case.memory.reign else { return };
    let term = request.map_or(message.term(), RaftMessage::term);
    // An answer to an earlier time as leader says nothing about this one.
    if term != reign.term || message.term() > term {
        return;
    }
    let acknowledged = match (message, request) {
        (&RaftMessage::AppendEntriesReply { success: true, match_index: Some(index), .. }, _) => {
            index
        }
        (
            RaftMessage::AppendEntriesReply { success: true, match_index: None, .. },
            Some(RaftMessage::AppendEntries { prev_log_index, entry_terms, .. }),
        ) => prev_log_index + entry_terms.len() as u64,
        (
            RaftMessage::InstallSnapshotReply { .. },
            Some(&RaftMessage::InstallSnapshot { last_included_index, .. }),
        ) => last_included_index,
        (
            RaftMessage::AppendEntriesReply { success: false, .. },
            Some(&RaftMessage::AppendEntries { prev_log_index, .. }),
        ) => return hear_refusal(case, from, term, prev_log_index),
        _ => return,
    };
    let known = &mut reign.acknowledged[from];
    *known = acknowledged.max(*known);
    let index = *known;
    case.owe(Debt::Match { term, follower: from, index });
}

/// A follower has refused entries after `prev`. If that is the leader's latest guess, it must go back.
fn hear_refusal(case: &mut Case<'_>, from: usize, term: u64, prev: u64) {
    let before = case.step.before;
    if before.role != Role::Leader || before.term != term {
        return;
    }
    let follower = before.followers[from];
    if follower.next_index == prev + 1 && follower.match_index < prev {
        let match_index = follower.match_index;
        case.owe(Debt::BackUp { term, follower: from, prev, match_index });
    }
}
