//! Waypoints of snapshots on their way.

use std::time::Duration;

use super::super::change::Change;
use super::super::history::History;
use super::observed::{Observer, OnlySnapshot};
use crate::raft::Role;
use crate::waypoint::Waypoint;

/// A server has changed.
pub(super) fn look(observer: &mut Observer, change: &Change<'_>) {
    let Change { server, before, now, at, .. } = *change;
    // A snapshot of its own service covers only what that has applied.
    if let Some(before) = before.filter(|before| now.first_index > before.last_applied + 1) {
        observer.reached.add(match now.first_index <= before.last_index {
            true => Waypoint::SnapshotInsideLog,
            false => Waypoint::SnapshotInstalled,
        });
    }
    if observer.reached.has(Waypoint::SnapshotOvertaken) {
        return;
    }
    let all = &mut observer.servers[server].snapshot_for;
    if now.role != Role::Leader {
        for last in all.values_mut() {
            last.until.get_or_insert(at);
        }
        return;
    }
    for (follower, known) in now.followers.iter().enumerate() {
        if known.next_index < now.first_index {
            let covered = now.first_index - 1;
            let last =
                all.entry(follower).or_insert(OnlySnapshot { since: at, until: None, covered });
            if last.until.is_some() {
                *last = OnlySnapshot { since: at, until: None, covered };
            }
            last.covered = covered;
        } else if let Some(last) = all.get_mut(&follower).filter(|last| last.until.is_none()) {
            last.until = Some(at);
        }
    }
}

/// A server gets the request that another made at this time.
pub(super) fn request_arrives(
    observer: &Observer,
    history: &History,
    (from, to): (usize, usize),
    called_at: Duration,
) {
    let Some(sent) = observer.servers[from].snapshot_for.get(&to) else { return };
    let is_snapshot = sent.since <= called_at && sent.until.is_none_or(|until| called_at < until);
    let applied = history.servers[to].last.as_ref().map_or(0, |probe| probe.last_applied);
    if is_snapshot && applied > sent.covered {
        observer.reached.add(Waypoint::SnapshotOvertaken);
    }
}
