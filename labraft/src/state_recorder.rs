//! Watches one server's Raft, and says what to record when its state has changed.

use crate::harness_event::{ServerState, WrittenEntry, shortened};
use crate::raft::{Probe, Raft, RaftState};
use crate::role::Role;

/// How the commands of a test are shown.
pub type ShowCommand = fn(&[u8]) -> String;

/// What was recorded last of one incarnation of a server.
#[derive(Debug, Default)]
pub(crate) struct StateRecorder {
    probe: Option<Probe>,
    /// Of a Raft without a probe.
    outside: Option<RaftState>,
}

impl StateRecorder {
    /// The server has run, and this is its probe if it has one. Returns its state when that has changed.
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

/// What can be seen of a Raft without a probe.
fn seen_from_outside(state: RaftState) -> ServerState {
    let role = if state.is_leader { Role::Leader } else { Role::Follower };
    ServerState { term: state.term, role, ..ServerState::default() }
}

/// The entries that were written since the last probe; at the first probe, the whole log.
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
