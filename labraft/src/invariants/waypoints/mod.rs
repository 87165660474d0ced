//! Notices the waypoints that a run comes to, from what the harness sees anyway: probes, the times at which
//! messages were sent and arrive, crashes, and commands. What messages say is not
//! known, and no Raft need tell it.
//!
//! | file | what it notices |
//! |---|---|
//! | `observed` | what is remembered for that |
//! | `elections` | candidates, leaders and votes |
//! | `logs` | logs that differ, and entries of older terms |
//! | `messages` | requests and answers that come late |
//! | `crashes` | in what state a server stops or starts |
//! | `snapshots` | snapshots on their way and after it |
//!
//! A waypoint costs next to nothing: it is looked for only where something has changed, and no longer once
//! the run has come to it.

mod crashes;
mod elections;
mod logs;
mod messages;
mod observed;
mod snapshots;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use labrpc::Delivery;

use super::change::Change;
use super::history::History;
use crate::waypoint::Waypoint;
pub(super) use observed::Observer;

impl Observer {
    /// A server has changed. Called after the history was brought up to date.
    pub(super) fn changed(&mut self, history: &History, change: &Change<'_>) {
        let Change { server, before, now, at, .. } = *change;
        let is_new_role = before.is_none_or(|old| (old.term, old.role) != (now.term, now.role));
        if is_new_role {
            self.servers[server].note(at, now);
            elections::look(self, history, change);
        }
        if before.is_none() {
            crashes::look_at_start(self, change);
        }
        logs::look(self, history, change);
        snapshots::look(self, change);
        self.may_have_saved(history, change);
    }

    /// A server may have saved, whether it has changed or not.
    pub(super) fn may_have_saved(&mut self, history: &History, change: &Change<'_>) {
        crashes::look_at_save(&mut self.servers[change.server], history, change);
    }

    /// A message of one server arrives at another.
    pub(super) fn delivered(
        &mut self,
        history: &History,
        between: (usize, usize),
        message: &Delivery<'_>,
        at: Duration,
    ) {
        messages::look(self, history, between, message, at);
    }

    /// A server stops, and `history` still has its last state.
    pub(super) fn stopped(&mut self, history: &History, server: usize) {
        crashes::look_at_stop(self, history, server);
        self.servers[server].answers_at_save = None;
        self.servers[server].snapshot_for.clear();
    }

    /// A server crashes while it saves.
    pub(super) fn stopped_in_save(&self) {
        self.reached.add(Waypoint::StoppedInSave);
    }

    /// A server's Raft has accepted a command.
    pub(super) fn accepted(&mut self, history: &History, server: usize, command: &Bytes) {
        if self.reached.has(Waypoint::ExecutedThenRetried) {
            return;
        }
        let first = *self.accepted.entry(labrpc::hash_bytes(command)).or_insert(server);
        // Only a command that another server has accepted before is worth the search.
        if first != server {
            let mut applied = history.applied.iter().flatten();
            if applied.any(|(known, _)| known.as_ref() == Some(command)) {
                self.reached.add(Waypoint::ExecutedThenRetried);
            }
        }
    }
}
