//! Detects changes in the state of a server's Raft, so that they can be recorded.

use crate::harness_event::{ServerState, WrittenEntry, shortened};
use crate::raft::{Probe, Raft, RaftState};
use crate::role::Role;

/// A function that formats an encoded command for people.
pub type ShowCommand = fn(&[u8]) -> String;

/// Remembers the last recorded state of one incarnation of a server.
#[derive(Debug, Default)]
pub(crate) struct StateRecorder {
    probe: Option<Probe>,
    /// The last state of a Raft that has no probe.
    outside: Option<RaftState>,
}

impl StateRecorder {
    /// Compares the Raft with the last recorded state. Returns the new state if it differs.
    ///
    /// `probe` is the Raft's current probe, if the implementation has one.
    pub(crate) fn change(
        &mut self,
        raft: &dyn Raft,
        probe: Option<&Probe>,
        show: ShowCommand,
    ) -> Option<ServerState> {
        let Some(probe) = probe else {
            let now = raft.state();
            let last = self.outside.replace(now);
            return if last == Some(now) { None } else { Some(seen_from_outside(now)) };
        };
        if self.probe.as_ref() == Some(probe) {
            return None;
        }
        let last = self.probe.replace(probe.clone());
        Some(ServerState {
            term: probe.term,
            role: probe.role,
            voted_for: probe.voted_for,
            first_index: probe.first_index,
            last_index: probe.last_index,
            commit_index: probe.commit_index,
            last_applied: probe.last_applied,
            followers: probe.followers.iter().map(|f| (f.next_index, f.match_index)).collect(),
            written: written(raft, probe, last.is_none(), show),
        })
    }
}

/// The state of a Raft that has no probe, as far as [`Raft::state`] tells.
fn seen_from_outside(state: RaftState) -> ServerState {
    let role = if state.is_leader { Role::Leader } else { Role::Follower };
    ServerState { term: state.term, role, ..ServerState::default() }
}

/// The entries that were written since the last probe; for the first probe, the whole log.
fn written(raft: &dyn Raft, probe: &Probe, is_first: bool, show: ShowCommand) -> Vec<WrittenEntry> {
    let lowest = if is_first { Some(probe.first_index) } else { probe.lowest_written };
    let Some(lowest) = lowest else { return Vec::new() };
    let mut written = Vec::new();
    for index in lowest.max(probe.first_index)..=probe.last_index {
        let Some(entry) = raft.entry(index) else { break };
        written.push((index, entry.term, shortened(&show(&entry.command))));
    }
    written
}
