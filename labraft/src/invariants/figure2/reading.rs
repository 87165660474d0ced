//! What a server learns from a message that it reads, and what it owes from then on.

use std::time::Duration;

use super::super::election_timer::SHORTEST_TIMEOUT;
use super::case::Case;
use super::debts::Debt;
use super::memory::{AppendRead, Asked};
use super::messages::ReadMessage;
use super::pre_votes;
use super::transfers;
use crate::message::{RaftMessage, VoteRequest};
use crate::property::Property;
use crate::raft::Role;

/// How long after a leader's message a server may believe that there is a leader: an election time-out, as
/// long as any Raft for the course has it.
const BELIEF: Duration = Duration::from_secs(1);

/// Takes in a message that the server has read.
pub(super) fn take_in(case: &mut Case<'_>, read: ReadMessage) {
    let messages = case.messages;
    let Some(message) = messages.get(read.mark) else { return };
    let request = match (read.answers, message) {
        (None, _) | (_, RaftMessage::Several(_)) => None,
        (Some(mark), _) => match messages.get(mark) {
            None => return,
            known => known,
        },
    };
    for part in message.parts() {
        take_in_part(case, read, part, request);
    }
}

/// Takes in one message. In a call, `request` is what it answers.
fn take_in_part(
    case: &mut Case<'_>,
    read: ReadMessage,
    message: &RaftMessage,
    request: Option<&RaftMessage>,
) {
    let step = case.step;
    let term = message.term();
    if read.answers.is_some() || message.is_answer() {
        case.memory.waits_for.remove(read.from);
    }
    case.memory.highest_read = case.memory.highest_read.max(term);
    let is_question = matches!(message, RaftMessage::PreVote { .. });
    if read.answers.is_none() && term < step.before.term && !is_question {
        case.memory.outdated.insert(read.mark, step.before.term);
    }
    let vote_request = message.vote_request();
    // Whoever has its leader's permission is no candidate that may be disregarded.
    let is_permitted =
        case.offers.leader_transfer.is_some() && vote_request.is_some_and(|asked| asked.is_marked);
    if is_permitted && term > case.memory.leader_heard_in {
        case.memory.lease_set_aside_of = Some(case.memory.leader_heard_in);
    }
    if vote_request.is_none() || is_permitted {
        case.memory.highest_read_elsewhere = case.memory.highest_read_elsewhere.max(term);
    }
    if vote_request.is_none() || !may_disregard(case) {
        case.owe(Debt::AdoptTerm(term));
    } else if is_permitted {
        case.owe(Debt::SetLeaseAside(term));
    }
    if let Some(VoteRequest { term, candidate_id, last_entry, .. }) = vote_request {
        let asked = Asked { term, candidate: candidate_id, last_entry };
        case.memory.note_asked(asked, step.before.term);
    }
    match *message {
        RaftMessage::RequestVoteReply { term, vote_granted } => {
            let asked_in = request.map_or(term, RaftMessage::term);
            if vote_granted && term <= asked_in {
                count_vote(case, read.from, asked_in);
            }
        }
        RaftMessage::PreVote { .. } => pre_votes::read_question(case, read, message),
        RaftMessage::PreVoteReply { .. } => {
            pre_votes::hear_answer(case, read.from, message, request);
        }
        RaftMessage::AppendEntries { .. }
        | RaftMessage::Heartbeat { .. }
        | RaftMessage::InstallSnapshot { .. } => {
            if term >= step.before.term {
                hear_leader(case, read, message);
            } else if let RaftMessage::InstallSnapshot { last_included_index, .. } = *message {
                case.memory.stale_snapshot = Some((last_included_index, term));
            }
        }
        RaftMessage::AppendEntriesReply { .. } | RaftMessage::InstallSnapshotReply { .. } => {
            hear_follower(case, read, message, request);
        }
        RaftMessage::Committed { index, entry_term } => {
            case.memory.push_committed(index, entry_term);
        }
        RaftMessage::TimeoutNow { term } => transfers::read_timeout_now(case, term),
        RaftMessage::RequestVote { .. }
        | RaftMessage::TransferVote { .. }
        | RaftMessage::Other { .. }
        | RaftMessage::Several(_) => {}
    }
}

/// Whether the server may leave a request for a vote unanswered, and its term alone: "servers disregard
/// RequestVote RPCs when they believe a current leader exists" (section 6).
pub(super) fn may_disregard(case: &Case<'_>) -> bool {
    let step = case.step;
    let heard = case.memory.leader_heard_awake.is_some_and(|heard| step.awake < heard + BELIEF);
    // Where timers may wait, so may the one that ends a lease.
    let is_late = case.offers.stable_leader.is_some() && step.timers_may_wait;
    heard || step.before.role == Role::Leader || is_late
}

/// A server has granted this one its vote in a term.
fn count_vote(case: &mut Case<'_>, from: usize, term: u64) {
    let Some(candidacy) = case.memory.candidacy.as_mut().filter(|known| known.term == term) else {
        return;
    };
    let step = case.step;
    candidacy.votes.insert(from);
    if !step.is_majority(candidacy.votes.len()) {
        return;
    }
    let lasted = candidacy.given_up.take().map(|given_up| given_up - candidacy.since);
    case.owe(Debt::Lead(term));
    let Some(lasted) = lasted else { return };
    // No time-out is this short. So it took something else for the end of its candidacy.
    if step.before.term == term && step.now.term == term && lasted < SHORTEST_TIMEOUT {
        let what = format!(
            "gets the votes of a majority in term {term}, and has given up its candidacy {:.1} ms after it \
             began, though no other server led the term",
            lasted.as_secs_f64() * 1000.0
        );
        case.note(step.breaks(Property::Candidates2Leads, None, what));
    }
}

/// A leader whose term is not out of date has written.
fn hear_leader(case: &mut Case<'_>, read: ReadMessage, message: &RaftMessage) {
    let step = case.step;
    case.memory.timer_restarted = step.at;
    case.memory.leader_heard = Some(step.at);
    case.memory.leader_heard_in = message.term();
    case.memory.pre_candidacy = None;
    case.memory.leader_heard_awake = Some(step.awake);
    if step.before.role == Role::Candidate {
        case.owe(Debt::StepDown(message.term()));
    }
    if let Some(candidacy) = &mut case.memory.candidacy {
        candidacy.given_up = None;
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
            case.memory.push_append(AppendRead { mark: read.mark, at: step.at, fits });
            let last_index = prev_log_index.saturating_add(entry_terms.len() as u64);
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
    read: ReadMessage,
    message: &RaftMessage,
    request: Option<&RaftMessage>,
) {
    let Some(reign) = &mut case.memory.reign else { return };
    let term = request.map_or(message.term(), RaftMessage::term);
    // An answer to an earlier time as leader says nothing about this one.
    if term != reign.term {
        return;
    }
    let told = &mut reign.told[read.from];
    *told = message.term().max(*told);
    if message.term() > term {
        return;
    }
    reign.answered[read.from] = Some(case.step.at);
    let acknowledged = match (message, request) {
        (&RaftMessage::AppendEntriesReply { success: true, match_index: Some(index), .. }, _) => {
            index
        }
        (
            RaftMessage::AppendEntriesReply { success: true, match_index: None, .. },
            Some(RaftMessage::AppendEntries { prev_log_index, entry_terms, .. }),
        ) => prev_log_index.saturating_add(entry_terms.len() as u64),
        (
            RaftMessage::InstallSnapshotReply { .. },
            Some(&RaftMessage::InstallSnapshot { last_included_index, .. }),
        ) => last_included_index,
        (
            RaftMessage::AppendEntriesReply { success: false, .. },
            Some(&RaftMessage::AppendEntries { prev_log_index, .. }),
        ) => return hear_refusal(case, read, term, prev_log_index),
        _ => return,
    };
    let known = &mut reign.acknowledged[read.from];
    *known = acknowledged.max(*known);
    let index = *known;
    case.owe(Debt::Match { term, follower: read.from, index });
}

/// A follower has refused entries after `prev`. If that is the leader's latest guess, it must go back.
fn hear_refusal(case: &mut Case<'_>, read: ReadMessage, term: u64, prev: u64) {
    let before = case.step.before;
    if before.role != Role::Leader || before.term != term {
        return;
    }
    let Some(follower) = before.followers.get(read.from) else { return };
    if follower.next_index == prev.saturating_add(1) && follower.match_index < prev {
        let match_index = follower.match_index;
        let request = read.answers.unwrap_or(0);
        case.owe(Debt::BackUp { term, follower: read.from, prev, match_index, request });
    }
}
