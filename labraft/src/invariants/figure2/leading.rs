//! Rules for leaders: what they append, send, count and commit (figure 2, rules for servers, leaders;
//! AppendEntries and InstallSnapshot RPC, arguments).

use super::case::Case;
use super::debts::Debt;
use super::lines;
use super::memory::LastSent;
use super::messages::SentMessage;
use super::step::Step;
use crate::message::RaftMessage;
use crate::property::{Holds, Property};

pub(super) fn check(case: &mut Case<'_>) {
    let step = case.step;
    if !step.leads(step.now.term) {
        return;
    }
    if step.still_leads() {
        case.note(check_appended(step));
    }
    check_match_indexes(case);
    owe_commit(case);
    if step.still_leads() && step.now.last_index > step.before.last_index {
        lines::owe_entries(case);
    }
    if !step.still_leads() {
        case.owe(Debt::Reach(step.now.term));
    }
}

/// A leader appends entries of its own term ("If command received from client: append entry to local
/// log").
fn check_appended(step: &Step<'_>) -> Holds {
    let Some(first) = step.log_change.and_then(|change| change.first_new) else { return Ok(()) };
    let is_other = |&index: &u64| step.log.term_at(index).is_some_and(|term| term != step.now.term);
    let Some(index) = (first..=step.now.last_index).find(is_other) else { return Ok(()) };
    let term = step.log.term_at(index).unwrap_or(0);
    step.breaks(
        Property::Leaders2,
        None,
        format!("leads term {} and appended entry {index} of term {term}", step.now.term),
    )
}

/// A leader raises matchIndex to what the follower has acknowledged in this term, and no further
/// ("If successful: update nextIndex and matchIndex for follower").
fn check_match_indexes(case: &mut Case<'_>) {
    let step = case.step;
    let Some(reign) = case.memory.reign.as_ref().filter(|reign| reign.term == step.now.term) else {
        return;
    };
    for (follower, probe) in step.now.followers.iter().enumerate() {
        let known = reign.acknowledged[follower];
        if follower == step.server || probe.match_index <= known {
            continue;
        }
        let before = step.before.followers.get(follower).filter(|_| step.still_leads());
        if before.is_some_and(|before| probe.match_index <= before.match_index) {
            continue;
        }
        let told = reign.told[follower];
        if told > step.now.term {
            let what = format!(
                "counts the entries up to {} as replicated on server {follower}, whose answer carries term {told}, a \
                 term greater than its own: it should have moved to that term",
                probe.match_index
            );
            return case.note(step.breaks(Property::AllServers2, None, what));
        }
        let what = format!(
            "counts the entries up to {} as replicated on server {follower}, which has acknowledged only {known} to it in term {}",
            probe.match_index, step.now.term
        );
        return case.note(step.breaks(Property::Leaders3, None, what));
    }
}

/// "If there exists an N such that N > commitIndex, a majority of matchIndex[i] >= N, and log[N].term ==
/// currentTerm: set commitIndex = N."
fn owe_commit(case: &mut Case<'_>) {
    let step = case.step;
    let now = step.now;
    if now.followers.len() != step.servers {
        return;
    }
    let match_index = |server: usize| match server == step.server {
        true => now.last_index,
        false => now.followers[server].match_index,
    };
    let has_majority = |index: u64| {
        step.is_majority((0..step.servers).filter(|&server| match_index(server) >= index).count())
    };
    let beyond = (0..step.servers).map(match_index).filter(|&index| index > now.commit_index);
    let Some(index) = beyond.filter(|&index| has_majority(index)).max() else { return };
    if step.log.term_at(index) == Some(now.term) {
        case.owe(Debt::Commit { term: now.term, index });
    }
}

/// A leader's message leaves.
pub(super) fn check_request(case: &mut Case<'_>, message: &RaftMessage, sent: SentMessage) {
    let step = case.step;
    let SentMessage { to, mark, .. } = sent;
    let about = Some((message, to));
    let rule = match message {
        RaftMessage::AppendEntries { .. } | RaftMessage::Heartbeat { .. } => {
            Property::AppendEntriesArgs
        }
        RaftMessage::InstallSnapshot { .. } => Property::InstallSnapshotArgs,
        _ => return,
    };
    let term = message.term();
    // In one step a candidate may be elected and replaced.
    let was_elected = case
        .memory
        .candidacy
        .is_some_and(|last| last.term == term && step.is_majority(last.votes.len()));
    if !case.memory.led.contains(&term) && !was_elected {
        let what = format!("sends a leader's message of term {term}, which it has not led");
        return case.note(step.breaks(rule, about, what));
    }
    if let Some(reign) = case.memory.reign.as_mut().filter(|reign| reign.term == term) {
        reign.reached.insert(to);
        note_sent(&mut reign.sent[to], message, mark);
    }
    if !step.leads(term) {
        return;
    }
    match message {
        RaftMessage::AppendEntries { .. } => case.note(check_entries(step, message, to)),
        &RaftMessage::Heartbeat { leader_commit, .. } if leader_commit > step.now.commit_index => {
            case.note(step.breaks(rule, about, BEYOND_COMMIT));
        }
        &RaftMessage::InstallSnapshot { last_included_index, last_included_term, .. } => {
            let is_own = last_included_index < step.now.first_index
                && step.has(last_included_index, last_included_term) != Some(false);
            if !is_own {
                let what = format!(
                    "sends a snapshot up to entry {last_included_index} of term {last_included_term}, which \
                     is not its own"
                );
                case.note(step.breaks(rule, about, what));
            }
        }
        _ => {}
    }
}

/// Notes what a leader sends to a follower, and whether it goes back with it.
fn note_sent(last: &mut LastSent, message: &RaftMessage, mark: u64) {
    let prev = match *message {
        RaftMessage::AppendEntries { prev_log_index, .. } => Some(prev_log_index),
        RaftMessage::InstallSnapshot { .. } => None,
        _ => return,
    };
    if prev.is_none_or(|prev| prev < last.prev_log_index) {
        last.went_back = mark;
    }
    last.prev_log_index = prev.unwrap_or(0);
}

const BEYOND_COMMIT: &str = "sends a leaderCommit beyond its own commit index";

/// What a leader sends is in its log: the entry before the new ones, and the new ones.
fn check_entries(step: &Step<'_>, message: &RaftMessage, to: usize) -> Holds {
    let &RaftMessage::AppendEntries {
        term,
        prev_log_index,
        prev_log_term,
        ref entry_terms,
        leader_commit,
        ..
    } = message
    else {
        return Ok(());
    };
    let about = Some((message, to));
    let rule = Property::AppendEntriesArgs;
    // A leader may send entries before it has saved them: what is beyond the end is of its own term.
    let is_own = |index: u64, entry_term: u64| {
        if index > step.now.last_index {
            entry_term == term
        } else {
            step.has(index, entry_term) != Some(false)
        }
    };
    if !is_own(prev_log_index, prev_log_term) {
        let what = format!(
            "sends a prevLogTerm for entry {prev_log_index} that is not the entry's in its log"
        );
        return step.breaks(rule, about, what);
    }
    let own = step.log.entries_after(prev_log_index).iter().map(|entry| entry.term);
    // Nearly always they are the log's, and there may be hundreds of them.
    let are_all_own = own.len() >= entry_terms.len() && own.zip(entry_terms).all(|(a, b)| a == *b);
    let mut entries = (1..).map(|place| prev_log_index.saturating_add(place)).zip(entry_terms);
    if !are_all_own && let Some((index, entry_term)) = entries.find(|&(i, &t)| !is_own(i, t)) {
        let what = format!("sends entry {index} of term {entry_term}, which is not in its log");
        return step.breaks(rule, about, what);
    }
    if leader_commit > step.now.commit_index {
        return step.breaks(rule, about, BEYOND_COMMIT);
    }
    Ok(())
}
