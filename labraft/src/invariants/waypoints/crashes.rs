//! Waypoints of crashes: in what state a server stops or starts.

use super::super::change::Change;
use super::super::history::History;
use super::observed::{Observed, Observer};
use crate::raft::Role;
use crate::waypoint::Waypoint;

/// Notes whether a follower has saved something that it still has to answer for.
pub(super) fn look_at_save(observed: &mut Observed, history: &History, change: &Change<'_>) {
    if change.saved && change.now.role == Role::Follower && !change.answered {
        observed.answers_at_save = Some(history.servers[change.server].traffic.answers);
    }
}

/// A server stops.
pub(super) fn look_at_stop(observer: &Observer, history: &History, server: usize) {
    let stopped = &history.servers[server];
    let Some(last) = &stopped.last else { return };
    observer.reached.add_if(Waypoint::SavedThenStopped, || {
        let answers = stopped.traffic.answers;
        observer.servers[server].answers_at_save == Some(answers) && last.role == Role::Follower
    });
    observer.reached.add_if(Waypoint::VotedThenStopped, || {
        let is_for_another = last.voted_for.is_some_and(|candidate| candidate != server);
        is_for_another && !history.leaders.contains_key(&last.term)
    });
    if last.role == Role::Leader && last.last_index > last.commit_index {
        observer.reached.add_if(Waypoint::LeaderStopsAhead, || {
            let index = last.last_index;
            let term = stopped.log.term_at(index);
            let mut others = history.servers.iter().enumerate().filter(|&(i, _)| i != server);
            term.is_some_and(|term| !others.any(|(_, other)| other.log.has(index, term)))
        });
    }
}

/// A server was looked at for the first time since it was started.
pub(super) fn look_at_start(observer: &Observer, change: &Change<'_>) {
    let now = change.now;
    if now.first_index > 1 && now.last_index < now.first_index {
        observer.reached.add(Waypoint::OnlySnapshotAtStart);
    }
}
