//! The causal past of a failure, measured in steps of the protocol. (Lamport, "Time, clocks, and
//! the ordering of events in a distributed system", 1978.)

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use labrpc::{Event, Node, Timed};

use crate::failure_record::FailureRecord;
use labraft::{HarnessEvent, ServerState};

/// Counts the steps of the protocol in the causal past of a failure.
///
/// A step is a moment at which a server's term, role, vote, log, commitIndex or (for a leader)
/// matchIndex changed, or at which a server crashed or restarted. The initial states of the servers
/// do not count.
pub fn protocol_steps(events: &[Timed], failure: &FailureRecord) -> usize {
    let at = failure.at.and_then(|at| Duration::try_from_secs_f64(at).ok());
    // The time in a record is rounded.
    let at = at.map_or(Duration::MAX, |at| at + Duration::from_micros(1));
    let end = events.partition_point(|timed| timed.at <= at);
    let events = &events[..end];
    let named = &failure.cause.servers;
    let is_named = |node: Node| match node.as_server() {
        Some(i) => named.is_empty() || named.contains(&i),
        None => false,
    };
    let mut last: BTreeMap<Node, usize> = BTreeMap::new();
    for (place, timed) in events.iter().enumerate() {
        if is_named(timed.node) {
            last.insert(timed.node, place);
        }
    }
    let past = past_of(events, last.into_values().collect());
    count_steps(events, &past)
}

/// Marks the events at the places `ends` and everything that happened before them: an event depends
/// on the previous event at its node, and an arrival also on the message being sent.
fn past_of(events: &[Timed], ends: Vec<usize>) -> Vec<bool> {
    let (mut sent, mut replied) = (BTreeMap::new(), BTreeMap::new());
    let mut last_at: BTreeMap<Node, usize> = BTreeMap::new();
    let mut causes: Vec<[Option<usize>; 2]> = Vec::with_capacity(events.len());
    for (place, timed) in events.iter().enumerate() {
        let message = match &timed.event {
            Event::Sent { call, .. } => {
                sent.insert(*call, place);
                None
            }
            Event::Replied { call, .. } => {
                replied.insert(*call, place);
                None
            }
            Event::Delivered { call, .. } => sent.get(call).copied(),
            Event::Answered { call, .. } => replied.get(call).copied(),
            _ => None,
        };
        causes.push([last_at.insert(timed.node, place), message]);
    }
    let mut past = vec![false; events.len()];
    let mut ahead = ends;
    while let Some(place) = ahead.pop() {
        if !std::mem::replace(&mut past[place], true) {
            ahead.extend(causes[place].into_iter().flatten());
        }
    }
    past
}

fn count_steps(events: &[Timed], past: &[bool]) -> usize {
    let mut states: BTreeMap<Node, ServerState> = BTreeMap::new();
    let mut steps = BTreeSet::new();
    for (timed, &is_past) in events.iter().zip(past) {
        let is_step = match HarnessEvent::of(timed) {
            Some(HarnessEvent::State(state)) => {
                let before = states.insert(timed.node, state.clone());
                before.is_none_or(|before| is_change(&before, &state))
            }
            Some(HarnessEvent::Stopped { .. }) => true,
            _ => false,
        };
        let is_counted = is_past || timed.node == Node::TESTER;
        if is_step && is_counted && timed.at > Duration::ZERO {
            steps.insert((timed.node, timed.at));
        }
    }
    steps.len()
}

fn is_change(before: &ServerState, now: &ServerState) -> bool {
    let matched =
        |state: &ServerState| -> Vec<u64> { state.followers.iter().map(|f| f.1).collect() };
    let of = |state: &ServerState| {
        let ServerState { term, role, voted_for, first_index, last_index, commit_index, .. } =
            state;
        (*term, *role, *voted_for, *first_index, *last_index, *commit_index, matched(state))
    };
    !now.written.is_empty() || of(before) != of(now)
}

#[cfg(test)]
mod tests {
    use labraft::{Cause, CauseKind};

    use super::*;

    fn failure(server: Option<usize>) -> FailureRecord {
        let cause = Cause::new(CauseKind::Stuck, server.into_iter().collect());
        FailureRecord { cause, ..FailureRecord::new("it broke", CauseKind::Stuck) }
    }

    #[test]
    fn only_what_came_before_counts() {
        let state =
            |term| HarnessEvent::State(ServerState { term, ..ServerState::default() }).event();
        let at = |milliseconds, server, event| Timed {
            at: Duration::from_millis(milliseconds),
            node: Node::server(server),
            event,
        };
        let sent = Event::Sent {
            call: 7,
            to: Node::server(0),
            method: "Vote".into(),
            bytes: 1,
            content: String::new(),
        };
        let delivered = Event::Delivered { call: 7, from: Node::server(1), method: "Vote".into() };
        let events = [
            at(0, 0, state(0)),
            at(1, 1, state(1)),
            at(2, 1, sent),
            at(3, 1, state(2)),
            at(4, 0, delivered),
            at(4, 0, state(2)),
            at(5, 2, state(9)),
        ];
        assert_eq!(protocol_steps(&events, &failure(Some(0))), 2);
        assert_eq!(protocol_steps(&events, &failure(Some(1))), 2);
        assert_eq!(protocol_steps(&events, &failure(None)), 4);
    }
}
