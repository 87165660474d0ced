//! Rules of part 2E: pre-votes (Ongaro's thesis, section 9.6), and the voters' lease (sections 6.2 and
//! 4.2.3). They hold for a Raft that offers the part.
//!
//! A voter answers by what it knew when it read the question, so that is remembered with the question.

use std::time::Duration;

use super::super::election_timer::AT_ONCE;
use super::case::Case;
use super::memory::{PreCandidacy, PreVoteRead, Servers};
use super::messages::ReadMessage;
use crate::message::RaftMessage;
use crate::property::Property;
use crate::raft::Role;

/// How much of an election time-out is certainly a part of the lease, and of the time in which a leader counts
/// who answers: clocks run a fifth faster or slower at most.
const CERTAIN: (u32, u32) = (7, 10);
/// How much of an election time-out a lease lasts at most, by a clock that is slow, ...
const AT_MOST: (u32, u32) = (5, 4);
/// ... and how much longer if the server was paused and has not seen yet that its lease is over.
const WAKING_UP: Duration = Duration::from_millis(150);
/// The number of questions from which on old ones are dropped.
const MANY_QUESTIONS: usize = 64;

/// The part of an election time-out that has certainly not passed when its timer has not run out.
pub(super) fn certain(election_timeout: Duration) -> Duration {
    let (part, of) = CERTAIN;
    election_timeout * part / of
}

/// A server has read a question.
pub(super) fn read_question(case: &mut Case<'_>, read: ReadMessage, message: &RaftMessage) {
    let &RaftMessage::PreVote { next_term, last_log_index, last_log_term } = message else {
        return;
    };
    if case.offers.stable_leader.is_none() {
        return;
    }
    let question = PreVoteRead {
        mark: read.mark,
        from: read.from,
        next_term,
        last_entry: (last_log_term, last_log_index),
        own_term: case.step.before.term,
        own_last_entry: case.step.last_entry(),
        is_in_lease: is_in_lease(case),
        may_be_in_lease: may_be_in_lease(case),
    };
    let questions = &mut case.memory.pre_votes_read;
    if questions.len() >= MANY_QUESTIONS {
        questions.remove(0);
    }
    questions.push(question);
}

/// Whether it has certainly heard from the leader of its term within the lease, or leads. A message that it has
/// only just read may wait behind others.
fn is_in_lease(case: &Case<'_>) -> bool {
    let step = case.step;
    let Some(election_timeout) = case.offers.stable_leader else { return false };
    let is_of_this_term = case.memory.leader_heard_in == step.before.term;
    step.before.role == Role::Leader || is_of_this_term && has_just_heard(case, election_timeout)
}

/// Whether it has certainly heard from a leader within the lease, in whatever term.
fn has_just_heard(case: &Case<'_>, election_timeout: Duration) -> bool {
    let step = case.step;
    let heard = case.memory.leader_heard.filter(|_| step.keeps_time && !step.is_first);
    heard.is_some_and(|heard| {
        let quiet = step.at - heard;
        quiet > AT_ONCE && quiet < certain(election_timeout)
    })
}

/// A server has voted for another. Where leaders hold leases (part 2G), it must not have heard from the leader of an
/// earlier term within the lease, for that leader counts on it (Ongaro's thesis, section 6.4.1).
pub(super) fn check_vote(case: &mut Case<'_>, candidate: usize) {
    let Some(election_timeout) =
        case.offers.stable_leader.filter(|_| case.offers.lease_reads.is_some())
    else {
        return;
    };
    let heard_in = case.memory.leader_heard_in;
    let term = case.step.now.term;
    // A leader that hands over its leadership has ended its lease (part 2F), also for later terms.
    let is_over = case.memory.lease_set_aside_of == Some(heard_in);
    if heard_in < term && !is_over && has_just_heard(case, election_timeout) {
        let what = format!(
            "votes for server {candidate} in term {term}, and has just heard from the leader of term {heard_in}, \
             which may hold a lease"
        );
        case.note(case.step.breaks(Property::VotersLease, None, what));
    }
}

/// Whether it can still believe that there is a leader.
fn may_be_in_lease(case: &Case<'_>) -> bool {
    let step = case.step;
    let Some(election_timeout) = case.offers.stable_leader else { return true };
    let (part, of) = AT_MOST;
    let patience = election_timeout * part / of + WAKING_UP;
    let heard = case.memory.leader_heard_awake.is_some_and(|heard| step.awake < heard + patience);
    heard || step.before.role == Role::Leader || step.timers_may_wait || !step.keeps_time
}

/// A question leaves.
pub(super) fn check_question(case: &mut Case<'_>, message: &RaftMessage, to: usize) {
    let step = case.step;
    let &RaftMessage::PreVote { next_term, last_log_index, last_log_term } = message else {
        return;
    };
    if case.offers.stable_leader.is_none() {
        return;
    }
    let about = Some((message, to));
    let is_next = [step.before.term, step.now.term].iter().any(|&term| next_term == term + 1);
    let (own_term, own_index) = step.last_entry();
    let what = if step.still_leads() {
        Some("leads, and asks whether it would be elected".into())
    } else if !is_next {
        Some(format!("asks for pre-votes for term {next_term}, which is not the one after its own"))
    } else if (last_log_term, last_log_index) != (own_term, own_index) && !step.has_changed_log() {
        Some(format!(
            "asks for a pre-vote with a last entry that is not its own, entry {own_index} of term {own_term}"
        ))
    } else {
        None
    };
    if let Some(what) = what {
        case.note(step.breaks(Property::PreVoteArgs, about, what));
    }
    if case.memory.pre_candidacy.is_none_or(|known| known.next_term != next_term) {
        let granted = Servers::only(step.server);
        case.memory.pre_candidacy = Some(PreCandidacy { next_term, granted });
    }
}

/// An answer to a question leaves. In a call, `request` is what it answers.
pub(super) fn check_answer(
    case: &mut Case<'_>,
    message: &RaftMessage,
    request: Option<(u64, &RaftMessage)>,
    to: usize,
) {
    let step = case.step;
    let &RaftMessage::PreVoteReply { term, next_term, vote_granted } = message else { return };
    if case.offers.stable_leader.is_none() {
        return;
    }
    let about = Some((message, to));
    let is_of = |read: &PreVoteRead| match request {
        Some((mark, _)) => read.mark == mark,
        None => read.from == to && next_term.is_none_or(|next_term| next_term == read.next_term),
    };
    let questions = &mut case.memory.pre_votes_read;
    let Some(place) = questions.iter().rposition(is_of) else {
        if vote_granted {
            let what = "grants a pre-vote that nobody has asked it for";
            case.note(step.breaks(Property::PreVoteGranted, about, what));
        }
        return;
    };
    let read = questions[place];
    let is_behind = |own_last_entry| read.last_entry < own_last_entry;
    let own = step.last_entry();
    if vote_granted {
        // For its own term, it may say again what it has said with its vote.
        let is_of_a_term_to_come = read.next_term > read.own_term;
        let what = if read.is_in_lease && is_of_a_term_to_come {
            Some("grants a pre-vote, though it leads or has just heard from its leader")
        } else if read.next_term < read.own_term {
            Some("grants a pre-vote for a term lower than its own")
        } else if is_behind(read.own_last_entry) && is_behind(own) {
            Some("grants a pre-vote to a log that is less up to date than its own")
        } else {
            None
        };
        if let Some(what) = what {
            case.note(step.breaks(Property::PreVoteGranted, about, what));
        }
        return;
    }
    let has_reason = read.may_be_in_lease
        || read.next_term <= read.own_term.max(step.now.term).max(term)
        || is_behind(read.own_last_entry)
        || is_behind(own)
        || step.has_changed_log();
    if !has_reason {
        let what = format!(
            "refuses a pre-vote for term {}, though it hears from no leader and the log is as up to date as its \
             own",
            read.next_term
        );
        case.note(step.breaks(Property::PreVoteRefused, about, what));
    }
}

/// A server has read an answer to a question of its own. In a call, `request` is that question.
pub(super) fn hear_answer(
    case: &mut Case<'_>,
    from: usize,
    message: &RaftMessage,
    request: Option<&RaftMessage>,
) {
    let &RaftMessage::PreVoteReply { next_term, vote_granted: true, .. } = message else { return };
    let asked_for = match request {
        Some(&RaftMessage::PreVote { next_term, .. }) => Some(next_term),
        _ => next_term,
    };
    if let Some(known) = &mut case.memory.pre_candidacy
        && Some(known.next_term) == asked_for
    {
        known.granted.insert(from);
    }
}

/// A server begins an election: with the pre-votes of a majority.
pub(super) fn check_candidacy(case: &mut Case<'_>) {
    let step = case.step;
    let term = step.now.term;
    if case.offers.stable_leader.is_none() || step.is_first || step.is_majority(1) {
        return;
    }
    let known = case.memory.pre_candidacy.filter(|known| known.next_term == term);
    let granted = known.map_or(Servers::only(step.server), |known| known.granted);
    if step.is_majority(granted.len()) || case.memory.is_told_to_stand_in(term) {
        return;
    }
    let granted: Vec<usize> = granted.iter().collect();
    let what = format!(
        "begins an election in term {term}, and has read pre-votes for this term from {granted:?} only (itself \
         included), of {} servers",
        step.servers
    );
    case.note(step.breaks(Property::PreVoteMajority, None, what));
}

/// A server has moved to a higher term that is not of its own making. If only candidates have told it, it must
/// not be in lease.
pub(super) fn check_adopted_term(case: &mut Case<'_>) {
    let step = case.step;
    let (before, now) = (step.before, step.now);
    let is_told_otherwise = case.memory.highest_read_elsewhere >= now.term;
    let is_own = now.voted_for == Some(step.server);
    if is_told_otherwise || is_own || !is_in_lease(case) {
        return;
    }
    let what = match before.role {
        Role::Leader => "leads, and gives way to a candidate",
        _ => "has just heard from its leader, and gives way to a candidate",
    };
    case.note(step.breaks(Property::VotersLease, None, what));
}
