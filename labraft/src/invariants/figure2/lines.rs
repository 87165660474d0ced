//! What leaders have under way to their followers (figure 2, rules for servers, leaders 3).
//!
//! A leader that has nothing under way to a follower has nothing to wait for, and sends what is new. Where it
//! still waits for an answer, or for word that none will come, it need not. What got lost it sends again: "the
//! leader retries AppendEntries RPCs indefinitely [...] until all followers eventually store all log entries"
//! (section 5.3).

use std::time::Duration;

use super::case::Case;
use super::debts::{Debt, SILENT};
use super::memory::{Starving, UnderWay};
use super::messages::{ReadMessage, SentMessage};
use crate::message::RaftMessage;
use crate::property::Property;

/// The most requests to one follower that are remembered. With so many under way, a leader is free to wait.
const MANY_REQUESTS: usize = 256;
/// How long a leader may write to a follower, and hear from it, without sending it what it lacks.
const RETRIES_WITHIN: Duration = Duration::from_secs(3);
/// How many answers the follower must have given in that time, and how far apart they are at least: answers
/// that a pause of the leader has collected count as one.
const MANY_ANSWERS: u32 = 8;
const APART: Duration = Duration::from_millis(200);

/// A request to this server, with this mark, was answered or has failed.
pub(super) fn came_to_an_end(case: &mut Case<'_>, server: usize, mark: u64, is_answered: bool) {
    let Some(reign) = &mut case.memory.reign else { return };
    let line = &mut reign.lines[server];
    let Some(place) = line.under_way.iter().position(|request| request.mark == mark) else {
        return;
    };
    line.under_way.swap_remove(place);
    if !is_answered {
        line.doubted = line.last_sent;
        line.is_answered = false;
    } else if mark > line.doubted {
        line.is_answered = true;
    }
}

/// Notes that a leader sends a request.
pub(super) fn note_sent(case: &mut Case<'_>, sent: SentMessage, message: &RaftMessage) {
    let step = case.step;
    let term = step.now.term;
    let Some(reign) = case.memory.reign.as_mut().filter(|reign| reign.term == term) else { return };
    if !step.leads(term) {
        return;
    }
    let prev = reign.sent[sent.to].prev_log_index;
    let line = &mut reign.lines[sent.to];
    line.last_sent = sent.mark;
    line.last_sent_at = step.at;
    if message.parts().iter().any(|part| brings_closer(part, prev)) {
        line.offered = sent.mark;
        line.starving = None;
    }
    // Of a Raft that drops its calls, it is never known that they came to an end.
    if line.under_way.len() < MANY_REQUESTS {
        let brings_after = message.parts().iter().filter_map(brings_after).min();
        line.under_way.push(UnderWay { mark: sent.mark, brings_after });
    }
}

/// Whether a request can bring a follower closer to the leader's log: with entries, with a snapshot, or as a
/// question for another place than `prev`, which was asked for last.
fn brings_closer(message: &RaftMessage, prev: u64) -> bool {
    match message {
        RaftMessage::AppendEntries { prev_log_index, .. } if *prev_log_index != prev => true,
        _ => brings_after(message).is_some(),
    }
}

/// The index after which the entries of a request begin, or 0 for a snapshot; `None` if it brings neither.
fn brings_after(message: &RaftMessage) -> Option<u64> {
    match message {
        RaftMessage::InstallSnapshot { .. } => Some(0),
        RaftMessage::AppendEntries { prev_log_index, entry_terms, .. } => {
            (!entry_terms.is_empty()).then_some(*prev_log_index)
        }
        _ => None,
    }
}

/// A leader has read an answer. If the follower lacks entries, the leader sends them, and sends them again if
/// they were lost.
pub(super) fn check_retries(case: &mut Case<'_>, read: ReadMessage, request: u64) {
    let step = case.step;
    let (follower, term) = (read.from, step.now.term);
    let Some(reign) = case.memory.reign.as_mut().filter(|reign| reign.term == term) else { return };
    let Some(known) = step.now.followers.get(follower).filter(|_| step.leads(term)) else { return };
    let line = &mut reign.lines[follower];
    if !step.keeps_time || known.next_index > step.now.last_index {
        line.starving = None;
        return;
    }
    if request <= line.offered || line.is_under_way(line.offered) {
        return;
    }
    let starving =
        line.starving.get_or_insert(Starving { since: step.at, answers: 0, counted: step.at });
    if step.at >= starving.counted + APART {
        starving.answers += 1;
        starving.counted = step.at;
    }
    let lasted = step.at - starving.since;
    if starving.answers < MANY_ANSWERS || lasted < RETRIES_WITHIN {
        return;
    }
    let what = format!(
        "has heard from server {follower} for {} ms and sent it nothing of what it lacks; its nextIndex for it is {}",
        lasted.as_millis(),
        known.next_index
    );
    line.starving = None;
    case.note(step.breaks(Property::Leaders3Sends, None, what));
}

/// "Repeat during idle periods to prevent election timeouts" (leaders 1): a leader writes to all servers, whether
/// they answer or not.
pub(super) fn owe_heartbeats(case: &mut Case<'_>) {
    let step = case.step;
    let Some(reign) = &mut case.memory.reign else { return };
    let term = reign.term;
    if !step.leads(term) {
        reign.in_touch_until = Duration::MAX;
        return;
    }
    if step.at < reign.in_touch_until {
        return;
    }
    let others = (0..step.servers).filter(|&server| server != step.server);
    let silent: Vec<(usize, Duration)> =
        others.map(|server| (server, reign.lines[server].last_sent_at)).collect();
    let first = silent.iter().map(|&(_, since)| since).min().unwrap_or(step.at);
    reign.in_touch_until = (first + SILENT).max(step.at);
    for (server, silent_since) in silent {
        if step.at >= silent_since + SILENT {
            case.owe_since(Debt::Repeat { term, server, silent_since }, silent_since);
        }
    }
}

/// A leader's log has grown: it sends the new entries to the followers from which it waits for nothing.
pub(super) fn owe_entries(case: &mut Case<'_>) {
    let step = case.step;
    let term = step.now.term;
    let index = step.now.last_index;
    for follower in (0..step.servers).filter(|&follower| follower != step.server) {
        case.owe(Debt::Send { term, follower, index });
    }
}
