//! Rules of part 2F, leadership transfer (Ongaro's thesis, section 3.10): who tells whom to stand for
//! election, what becomes of it, and the mark by which voters set aside their lease (section 4.2.3). They hold for a
//! Raft that offers the part.

use super::case::Case;
use super::debts::{Debt, SOON};
use super::memory::ToldToStand;
use crate::message::RaftMessage;
use crate::property::Property;
use crate::raft::{Probe, Role};

/// A server has read that it is to stand for election, from the leader of this term.
pub(super) fn read_timeout_now(case: &mut Case<'_>, term: u64) {
    let before = case.step.before;
    if case.offers.leader_transfer.is_none() || term < before.term {
        return;
    }
    // It is a message of the leader's, so it may count as such for the lease; it need not.
    case.memory.leader_heard_awake = Some(case.step.awake);
    let next_term = term + 1;
    // Who is about to stand may go on with that.
    let is_asking = case.memory.pre_candidacy.is_some_and(|known| known.next_term == next_term);
    let is_standing = before.role != Role::Follower || is_asking;
    let has_to = term > before.term || !is_standing;
    if has_to {
        case.owe(Debt::StandAtOnce(next_term));
    }
    // It may be told again.
    if !case.memory.is_told_to_stand_in(next_term) {
        let since = has_to.then_some(case.step.at);
        case.memory.told_to_stand = Some(ToldToStand { term: next_term, since });
    }
}

/// A server begins an election. If it was told to, it has done so at once. The debt is not enough: a server that
/// does nothing until it is told again is never looked at in between.
pub(super) fn check_candidacy(case: &mut Case<'_>) {
    let step = case.step;
    let term = step.now.term;
    let told = case.memory.told_to_stand.filter(|told| told.term == term);
    let Some(since) = told.and_then(|told| told.since) else { return };
    let late = step.at - since;
    if late <= SOON || step.timers_may_wait || !step.keeps_time {
        return;
    }
    let what =
        format!("stands for election in term {term}, {} ms after it was told to", late.as_millis());
    case.note(step.breaks(Property::TimeoutNowStands, None, what));
}

/// A request leaves: one to stand for election, or one for a vote.
pub(super) fn check_request(case: &mut Case<'_>, message: &RaftMessage, to: usize) {
    if case.offers.leader_transfer.is_none() {
        return;
    }
    match *message {
        RaftMessage::TimeoutNow { term } => check_timeout_now(case, message, term, to),
        RaftMessage::TransferVote { .. } | RaftMessage::RequestVote { .. } => {
            check_mark(case, message, to);
        }
        _ => {}
    }
}

/// A leader tells a server to stand for election: the one to which it hands over, when that has the whole log.
fn check_timeout_now(case: &mut Case<'_>, message: &RaftMessage, term: u64, to: usize) {
    let step = case.step;
    let leads = |probe: &&Probe| probe.role == Role::Leader && probe.term == term;
    let leading: Vec<&Probe> = [step.before, step.now].into_iter().filter(leads).collect();
    let last_index = leading.iter().map(|probe| probe.last_index).min();
    let shown = leading.iter().filter_map(|probe| Some(probe.followers.get(to)?.match_index)).max();
    let reign = case.memory.reign.as_ref().filter(|reign| reign.term == term);
    let told = reign.map(|reign| reign.acknowledged[to]);
    let known = shown.max(told).unwrap_or(0);
    let what = match last_index {
        None => format!("tells a server to stand for election, and does not lead term {term}"),
        Some(_) if !step.transferees.contains(&Some(to)) => {
            "tells a server to stand for election to which it is not handing over".into()
        }
        Some(last_index) if known < last_index => format!(
            "tells a server to stand for election whose log, as far as it knows, ends with entry {known} and its \
             own with entry {last_index}"
        ),
        Some(_) => return,
    };
    case.note(step.breaks(Property::TimeoutNowArgs, Some((message, to)), what));
}

/// A candidate asks for a vote: with the mark if its leader has told it to stand, and otherwise without.
fn check_mark(case: &mut Case<'_>, message: &RaftMessage, to: usize) {
    let Some(asked) = message.vote_request() else { return };
    let is_told = case.memory.is_told_to_stand_in(asked.term);
    let has_pre_votes = case.memory.pre_candidacy.is_some_and(|known| {
        known.next_term == asked.term && case.step.is_majority(known.granted.len())
    });
    let what = if asked.is_marked && !is_told {
        "marks its request for a vote, though no leader has told it to stand in this term"
    } else if !asked.is_marked && is_told && !has_pre_votes && case.offers.stable_leader.is_some() {
        "does not mark its request for a vote, though its leader has told it to stand: voters disregard it"
    } else {
        return;
    };
    case.note(case.step.breaks(Property::RequestVoteMark, Some((message, to)), what));
}

/// Whether a voter answers a candidate that was told to stand as if it disregarded it, which is noted.
pub(super) fn disregards(
    case: &mut Case<'_>,
    request: &RaftMessage,
    answer: &RaftMessage,
    to: usize,
) -> bool {
    let is_refusal = matches!(answer, RaftMessage::RequestVoteReply { vote_granted: false, .. });
    let is_permitted = request.vote_request().is_some_and(|asked| asked.is_marked);
    if case.offers.leader_transfer.is_none() || !is_permitted || !is_refusal {
        return false;
    }
    let what = "disregards a candidate that its leader has told to stand";
    case.note(case.step.breaks(Property::VotersLeaseSetAside, Some((answer, to)), what));
    true
}
