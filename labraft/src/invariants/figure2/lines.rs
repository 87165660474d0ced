//! What leaders have under way to their followers (figure 2, rules for servers, leaders 3).
//!
//! A leader that has nothing under way to a follower has nothing to wait for, and sends what is new. Where it
//! still waits for an answer, or for word that none will come, it need not.

use super::case::Case;
use super::debts::Debt;
use super::messages::SentMessage;

/// The most requests to one follower that are remembered. With so many under way, a leader is free to wait.
const MANY_REQUESTS: usize = 256;

/// A request to this server, with this mark, was answered or has failed.
pub(super) fn came_to_an_end(case: &mut Case<'_>, server: usize, mark: u64, is_answered: bool) {
    let Some(reign) = &mut case.memory.reign else { return };
    let line = &mut reign.lines[server];
    let Some(place) = line.under_way.iter().position(|&known| known == mark) else { return };
    line.under_way.swap_remove(place);
    if !is_answered {
        line.doubted = line.last_sent;
        line.is_answered = false;
    } else if mark > line.doubted {
        line.is_answered = true;
    }
}

/// Notes that a leader sends a request.
pub(super) fn note_sent(case: &mut Case<'_>, sent: SentMessage) {
    let step = case.step;
    let term = step.now.term;
    let Some(reign) = case.memory.reign.as_mut().filter(|reign| reign.term == term) else { return };
    if !step.leads(term) {
        return;
    }
    let line = &mut reign.lines[sent.to];
    line.last_sent = sent.mark;
    // Of a Raft that drops its calls, it is never known that they came to an end.
    if line.under_way.len() < MANY_REQUESTS {
        line.under_way.push(sent.mark);
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
