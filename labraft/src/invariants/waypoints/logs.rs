//! Waypoints of logs: entries that differ, and entries of older terms.

use super::super::change::Change;
use super::super::history::History;
use super::observed::Observer;
use crate::raft::{Probe, Role};
use crate::waypoint::Waypoint;

/// A server has changed.
pub(super) fn look(observer: &Observer, history: &History, change: &Change<'_>) {
    let Change { before, now, .. } = *change;
    let Some(before) = before else { return };
    if change.log.has_new_entries && now.role == Role::Follower {
        let from = change.log.written.map(|written| written.from);
        observer.reached.add_if(Waypoint::EntriesReplaced, || {
            from.is_some_and(|from| from <= before.last_index)
        });
    }
    if now.commit_index > before.commit_index {
        observer
            .reached
            .add_if(Waypoint::ConflictWithCommitted, || conflicts(history, before, now));
    }
    if now.role == Role::Leader {
        look_at_leader(observer, history, change);
    }
}

/// Whether a running server has an entry of another term where an entry was just committed.
fn conflicts(history: &History, before: &Probe, now: &Probe) -> bool {
    let term_at = |index: u64| Some(history.committed.get(index as usize)?.as_ref()?.term);
    let mut running = history.servers.iter().filter(|server| server.is_running);
    running.any(|server| {
        let mut committed = before.commit_index + 1..=now.commit_index;
        committed.any(|index| {
            let ours = server.log.entry(index).map(|entry| entry.term);
            ours.is_some_and(|ours| term_at(index).is_some_and(|term| term != ours))
        })
    })
}

fn look_at_leader(observer: &Observer, history: &History, change: &Change<'_>) {
    let Change { server, now, .. } = *change;
    let log = &history.servers[server].log;
    let reached = &observer.reached;
    let next = now.commit_index + 1;
    let is_old = log.entry(next).is_some_and(|entry| entry.term < now.term);
    if is_old && change.is_new_leader() {
        reached.add(Waypoint::OldTermEntries);
    }
    if is_old {
        reached.add_if(Waypoint::OldTermOnMajority, || {
            let has = |(follower, known): (usize, &crate::raft::FollowerProbe)| {
                follower == server || known.match_index >= next
            };
            let count = now.followers.iter().enumerate().filter(|&each| has(each)).count();
            2 * count > history.servers.len()
        });
    }
    let Some(before) = change.before_as_leader() else { return };
    if now.last_index > before.last_index {
        reached.add_if(Waypoint::OldLeaderAccepts, || {
            history.leaders.last_key_value().is_some_and(|(&newest, _)| newest > now.term)
        });
    }
    reached.add_if(Waypoint::BacksUpOverTerms, || {
        let pairs = before.followers.iter().zip(&now.followers);
        let mut lower = pairs.filter(|(then, now)| now.next_index < then.next_index);
        lower.any(|(then, now)| {
            let terms = (log.term_at(now.next_index), log.term_at(then.next_index - 1));
            matches!(terms, (Some(first), Some(last)) if first != last)
        })
    });
}
