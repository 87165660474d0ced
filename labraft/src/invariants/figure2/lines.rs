//! Rules for how leaders keep in touch with their followers (figure 2, rules for servers, leaders 1 and 3).
//!
//! A leader that has nothing under way to a follower has nothing to wait for. So it sends what is new, and a
//! heartbeat when it is time. Where it still waits for an answer, or for word that none will come, it is free to
//! wait.

use std::time::Duration;

use super::case::Case;
use super::debts::Debt;
use super::messages::SentMessage;
use crate::property::Property;

/// How long a follower may hear nothing from its leader. Heartbeats prevent election time-outs ("repeat during
/// idle periods to prevent election timeouts"), and no Raft for the course has any above a second.
const LONGEST_SILENCE: Duration = Duration::from_millis(500);
/// How long after it has written to others a leader, paused until then, may take for this follower.
const CATCHING_UP: Duration = Duration::from_millis(60);

/// A request to this server, with this mark, was answered or has failed.
pub(super) fn came_to_an_end(case: &mut Case<'_>, server: usize, mark: u64, is_answered: bool) {
    let Some(reign) = &mut case.memory.reign else { return };
    let line = &mut reign.lines[server];
    let Some(place) = line.under_way.iter().position(|&known| known == mark) else { return };
    line.under_way.swap_remove(place);
    line.is_answered = is_answered;
    if line.under_way.is_empty() {
        line.idle_since = Some(case.step.at);
    }
}

/// A leader sends a request.
pub(super) fn check_sent(case: &mut Case<'_>, sent: SentMessage) {
    let step = case.step;
    let term = step.now.term;
    let Some(reign) = case.memory.reign.as_mut().filter(|reign| reign.term == term) else { return };
    if !step.leads(term) {
        return;
    }
    let line = &mut reign.lines[sent.to];
    line.under_way.push(sent.mark);
    line.idle_since = None;
    line.passed_over = None;
    for (server, line) in reign.lines.iter_mut().enumerate() {
        let Some(since) = line.idle_since.filter(|&since| step.at > since + LONGEST_SILENCE) else {
            continue;
        };
        let passed_over = *line.passed_over.get_or_insert(step.at);
        if server == step.server || step.at <= passed_over + CATCHING_UP {
            continue;
        }
        line.idle_since = None;
        let what = format!(
            "writes to server {}, and has not written to server {server} for {} ms, though it waits for no \
             answer from it",
            sent.to,
            (step.at - since).as_millis()
        );
        return case.note(step.breaks(Property::Leaders1Repeats, None, what));
    }
}

/// A leader's log has grown: it sends the new entries to the followers from which it waits for nothing.
pub(super) fn owe_entries(case: &mut Case<'_>) {
    let step = case.step;
    let (term, index) = (step.now.term, step.now.last_index);
    for follower in (0..step.servers).filter(|&follower| follower != step.server) {
        case.owe(Debt::Send { term, follower, index });
    }
}
