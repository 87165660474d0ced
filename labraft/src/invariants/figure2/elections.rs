//! Rules for terms, candidates and leaders (figure 2, rules for servers; sections 5.1 and 5.2).

use std::time::Duration;

use super::super::election_timer::SHORTEST_TIMEOUT;
use super::case::Case;
use super::debts::{Debt, SILENT};
use super::memory::{Candidacy, LastSent, Line, Reign, Servers};
use super::{pre_votes, reading, transfers};
use crate::message::{RaftMessage, VoteRequest};
use crate::property::Property;
use crate::raft::Role;

pub(super) fn check(case: &mut Case<'_>) {
    let step = case.step;
    let (before, now) = (step.before, step.now);
    if now.term > before.term {
        if now.term > before.term + 1 {
            case.memory.passed.push((before.term + 1, now.term - 1));
        }
        check_term(case);
        pre_votes::check_adopted_term(case);
    }
    if (before.role, before.term) != (now.role, now.term) || step.is_first {
        case.memory.timer_restarted = step.at;
        let is_majority_of_one = step.is_majority(1);
        match now.role {
            Role::Candidate => {
                pre_votes::check_candidacy(case);
                transfers::check_candidacy(case);
                begin_candidacy(case);
            }
            Role::Leader if is_majority_of_one => begin_reign(case),
            Role::Leader => {
                check_majority(case);
                begin_reign(case);
            }
            Role::Follower if now.term == before.term => resign(case),
            Role::Follower => {}
        }
    }
    if (before.term, before.voted_for) != (now.term, now.voted_for) || step.is_first {
        check_vote(case);
    }
}

/// A term comes from a message, or from a candidacy of one's own.
fn check_term(case: &mut Case<'_>) {
    let step = case.step;
    let (before, now) = (step.before, step.now);
    let known = case.memory.highest_read.max(before.term);
    if now.term <= known {
        return;
    }
    if now.voted_for != Some(step.server) {
        let what = format!(
            "moved to term {}, though the highest term that it has read in a message is {}",
            now.term, case.memory.highest_read
        );
        case.note(step.breaks(Property::AllServers2, None, what));
    } else if now.term > known + 1 {
        let what =
            format!("began an election in term {}, though term {} is next", now.term, known + 1);
        case.note(step.breaks(Property::Candidates1, None, what));
    }
}

fn begin_candidacy(case: &mut Case<'_>) {
    let step = case.step;
    let (before, now) = (step.before, step.now);
    if before.role == Role::Candidate && has_only_read(case, now.term) {
        let what = format!(
            "has moved to term {}, which it has read in a message, and is still a candidate: it should be a follower",
            now.term
        );
        return case.note(step.breaks(Property::AllServers2, None, what));
    }
    let what = if now.voted_for != Some(step.server) {
        Some("is a candidate that has not voted for itself")
    } else if now.term == before.term && !step.is_first {
        Some("became a candidate and did not increment its term")
    } else {
        None
    };
    if let Some(what) = what {
        case.note(step.breaks(Property::Candidates1, None, what));
    }
    let itself = Servers::only(step.server);
    case.memory.candidacy = Some(Candidacy {
        term: now.term,
        last_entry: step.last_entry(),
        votes: itself,
        asked: itself,
        since: step.at,
        given_up: None,
    });
    case.owe(Debt::Ask(now.term));
}

fn check_majority(case: &mut Case<'_>) {
    let step = case.step;
    let term = step.now.term;
    let candidacy = case.memory.candidacy.filter(|candidacy| candidacy.term == term);
    let votes = candidacy.map_or(Servers::only(step.server), |candidacy| candidacy.votes);
    if step.is_majority(votes.len()) {
        return;
    }
    let voters: Vec<usize> = votes.iter().collect();
    let what = format!(
        "leads term {term}, and has read votes for this term from {voters:?} only (itself included), of \
         {} servers",
        step.servers
    );
    case.note(step.breaks(Property::Candidates2, None, what));
}

/// A candidate or a leader becomes a follower, and there is no newer term.
fn resign(case: &mut Case<'_>) {
    let step = case.step;
    let term = step.now.term;
    if case.memory.highest_read > term {
        // It may show the newer term only when it has saved it.
        return;
    }
    if step.before.role == Role::Leader {
        return check_resignation(case);
    }
    let Some(candidacy) = case.memory.candidacy.as_mut().filter(|known| known.term == term) else {
        return;
    };
    let has_heard = case.memory.leader_heard.is_some_and(|heard| heard >= candidacy.since);
    candidacy.given_up = (!has_heard).then_some(step.at);
}

/// A leader that has lost a majority may stop leading (Ongaro's thesis, section 6.2: check quorum); one that
/// has just heard from a majority leads until there is a newer term.
fn check_resignation(case: &mut Case<'_>) {
    let step = case.step;
    let term = step.now.term;
    let Some(reign) = case.memory.reign.as_ref().filter(|reign| reign.term == term) else { return };
    if !step.keeps_time {
        return;
    }
    let window = case.offers.stable_leader.map_or(SHORTEST_TIMEOUT, pre_votes::certain);
    let recent = |at: &&Option<Duration>| at.is_some_and(|at| step.at < at + window);
    let others = reign.answered.iter().filter(recent).count();
    if step.servers == 1 || !step.is_majority(others + 1) {
        return;
    }
    let what = format!(
        "stops leading term {term}, though it has read of no newer term, and {others} of the {} other servers \
         have answered it within {} ms",
        step.servers - 1,
        window.as_millis()
    );
    case.note(step.breaks(Property::LeadersStay, None, what));
}

fn begin_reign(case: &mut Case<'_>) {
    let step = case.step;
    let term = step.now.term;
    case.memory.led.push(term);
    case.memory.reign = Some(Reign {
        term,
        acknowledged: vec![0; step.servers],
        reached: Servers::only(step.server),
        sent: vec![LastSent::default(); step.servers],
        lines: vec![Line { last_sent_at: step.at, ..Line::default() }; step.servers],
        in_touch_until: step.at + SILENT,
        told: vec![term; step.servers],
        answered: vec![None; step.servers],
    });
}

/// A vote is given to a candidate that has asked for it, whose log is up to date (RequestVote RPC,
/// receiver 2; section 5.4.1).
fn check_vote(case: &mut Case<'_>) {
    let step = case.step;
    let (server, now) = (step.server, step.now);
    let Some(candidate) = now.voted_for else { return };
    case.memory.timer_restarted = step.at;
    case.memory.votes.insert(now.term, candidate);
    if candidate == server || step.is_first {
        return;
    }
    pre_votes::check_vote(case, candidate);
    let asked = case.memory.asked.iter();
    let asked = asked.filter(|asked| (asked.term, asked.candidate) == (now.term, candidate));
    let (own_term, own_index) = step.last_entry();
    let best = asked.map(|asked| asked.last_entry).max();
    let what = match best {
        None => {
            format!("voted for server {candidate}, which has not asked it in term {}", now.term)
        }
        Some((term, index)) if (term, index) < (own_term, own_index) && !step.has_changed_log() => {
            format!(
                "voted for server {candidate}, whose log ends with entry {index} of term {term} and is less \
                 up to date than its own, which ends with entry {own_index} of term {own_term}"
            )
        }
        Some(_) => return,
    };
    case.note(step.breaks(Property::RequestVote2, None, what));
}

/// Whether the server has learnt its present term from a message and is not a candidate in it: a candidate votes for
/// itself.
fn has_only_read(case: &Case<'_>, term: u64) -> bool {
    let now = case.step.now;
    let has_read = now.term == term && case.memory.highest_read >= term;
    has_read && now.voted_for != Some(case.step.server)
}

/// A request for a vote leaves (figure 2, RequestVote RPC, arguments).
pub(super) fn check_request(case: &mut Case<'_>, message: &RaftMessage, to: usize) {
    let step = case.step;
    let Some(VoteRequest { term, candidate_id, last_entry: said, .. }) = message.vote_request()
    else {
        return;
    };
    let about = Some((message, to));
    if candidate_id != step.server {
        let what = format!("asks for a vote for server {candidate_id}");
        return case.note(step.breaks(Property::RequestVoteArgs, about, what));
    }
    let Some(candidacy) = case.memory.candidacy.as_mut().filter(|known| known.term == term) else {
        // A candidacy that began and ended in this step, or an earlier one, leaves no trace.
        let may_have_stood = term > step.before.term && term <= step.now.term;
        let is_earlier = case.memory.candidacy.is_some_and(|last| last.term > term);
        let earlier = case.memory.candidacy.filter(|last| last.term < term);
        if let Some(earlier) = earlier
            && has_only_read(case, term)
        {
            let what = format!(
                "goes on asking for votes in term {term}, which it has read in a message: it was a candidate of \
                 term {}, and should be a follower",
                earlier.term
            );
            case.note(step.breaks(Property::AllServers2, about, what));
        } else if !may_have_stood && !is_earlier {
            let what = format!("asks for a vote in term {term}, in which it is not a candidate");
            case.note(step.breaks(Property::RequestVoteArgs, about, what));
        }
        return;
    };
    candidacy.asked.insert(to);
    let last_entry = candidacy.last_entry;
    if said != last_entry {
        let (term, index) = last_entry;
        let what = format!(
            "asks for a vote with a last entry that is not its own, entry {index} of term {term}"
        );
        case.note(step.breaks(Property::RequestVoteArgs, about, what));
    }
}

/// Whether a server could still vote for this candidate before the step. It may have done so and moved on at once:
/// then it has saved the newer term only, and that is enough, since it never votes in the earlier one again.
fn had_its_vote_to_give(case: &Case<'_>, term: u64, candidate: usize) -> bool {
    let step = case.step;
    let is_free = step.before.term == term && step.before.voted_for.is_none();
    let mut asked = case.memory.asked.iter();
    is_free
        && asked.any(|asked| {
            let is_up_to_date = asked.last_entry >= step.last_entry() || step.has_changed_log();
            (asked.term, asked.candidate) == (term, candidate) && is_up_to_date
        })
}

/// An answer to a candidate leaves. In a call, `request` is what it answers.
pub(super) fn check_answer(
    case: &mut Case<'_>,
    message: &RaftMessage,
    request: Option<(u64, &RaftMessage)>,
    to: usize,
) {
    let step = case.step;
    // When it read the request, its term was no higher.
    let was_due = request.is_some_and(|(mark, _)| !case.memory.outdated.contains_key(&mark));
    let request = request.map(|(_, request)| request);
    let &RaftMessage::RequestVoteReply { term, vote_granted } = message else { return };
    let asked_in = request.map_or(term, RaftMessage::term);
    let about = Some((message, to));
    if vote_granted {
        let vote = case.memory.votes.get(&asked_in);
        if vote == Some(&to) {
            return;
        }
        let may_have_voted =
            was_due || case.memory.has_passed(asked_in) || had_its_vote_to_give(case, asked_in, to);
        if vote.is_none() && may_have_voted && asked_in < step.now.term {
            // It voted, and moved on to a newer term before it was looked at.
            case.memory.votes.insert(asked_in, to);
            return;
        }
        let is_stale = asked_in < step.before.term;
        let rule = if is_stale { Property::RequestVote1 } else { Property::RequestVote2 };
        let what = match vote {
            Some(other) => {
                format!("grants a vote in term {asked_in}, in which it voted for server {other}")
            }
            None => format!("grants a vote in term {asked_in}, in which it has not voted"),
        };
        return case.note(step.breaks(rule, about, what));
    }
    let Some(asked) = request.and_then(RaftMessage::vote_request) else { return };
    let is_up_to_date = asked.last_entry >= step.last_entry();
    let is_at_rest = !step.has_changed_log() && step.before.role == Role::Follower;
    // Who has heard from the term's leader may keep its vote: the term has no use for another one.
    let has_leader = case.memory.leader_heard.is_some() && case.memory.leader_heard_in == asked_in;
    // A leader may hold a lease because this server has answered it, in whatever term.
    let keeps_a_lease = case.offers.lease_reads.is_some() && reading::may_disregard(case);
    let may_keep_it = has_leader || keeps_a_lease;
    if asked_in != step.now.term || !is_up_to_date || !is_at_rest || may_keep_it {
        return;
    }
    match step.now.voted_for {
        None => case.owe(Debt::Vote { term: asked_in, candidate: to }),
        Some(candidate) if candidate == to && step.before.voted_for == Some(to) => {
            let what = "refuses its vote to the candidate that it has voted for";
            case.note(step.breaks(Property::RequestVote2Grants, about, what));
        }
        Some(_) => {}
    }
}
