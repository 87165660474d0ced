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
    /// The entries that were recorded with it.
    written: Vec<WrittenEntry>,
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
        // The same index can be written twice in a row without any other difference. That nothing is written any
        // more does not count as a change.
        let is_same = self.probe.as_mut().is_some_and(|last| {
            last.lowest_written = probe.lowest_written;
            last == probe
        });
        if is_same && probe.lowest_written.is_none() {
            return None;
        }
        let written = written(raft, probe, self.probe.is_none(), show);
        if is_same && written == self.written {
            return None;
        }
        self.probe = Some(probe.clone());
        self.written.clone_from(&written);
        Some(ServerState {
            term: probe.term,
            role: probe.role,
            voted_for: probe.voted_for,
            first_index: probe.first_index,
            last_index: probe.last_index,
            commit_index: probe.commit_index,
            last_applied: probe.last_applied,
            followers: probe.followers.iter().map(|f| (f.next_index, f.match_index)).collect(),
            written,
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::raft::{EntryProbe, Started};

    /// A Raft whose only entry has this command.
    struct OneEntry(&'static str);

    impl Raft for OneEntry {
        fn start(&self, _: Bytes) -> Option<Started> {
            None
        }

        fn state(&self) -> RaftState {
            RaftState { term: 1, is_leader: false }
        }

        fn snapshot(&self, _: u64, _: Bytes) {}

        fn kill(&self) {}

        fn entry(&self, index: u64) -> Option<EntryProbe> {
            let command = Bytes::from_static(self.0.as_bytes());
            (index == 1).then_some(EntryProbe { term: 1, command })
        }
    }

    #[test]
    fn an_index_that_is_written_twice_in_a_row_is_recorded_twice() {
        let mut recorder = StateRecorder::default();
        let mut written = |command, lowest_written| {
            let probe = Probe {
                term: 1,
                role: Role::Follower,
                voted_for: None,
                first_index: 1,
                last_index: 1,
                commit_index: 0,
                last_applied: 0,
                lowest_written,
                followers: Vec::new(),
            };
            let show: ShowCommand = |command| String::from_utf8_lossy(command).into();
            let changed = recorder.change(&OneEntry(command), Some(&probe), show);
            changed.map(|state| state.written)
        };
        let entry = |command: &str| Some(vec![(1, 1, command.to_string())]);
        assert_eq!(written("a", Some(1)), entry("a"));
        assert_eq!(written("b", Some(1)), entry("b"));
        assert_eq!(written("b", Some(1)), None, "the same entry again is not a change");
        assert_eq!(written("b", None), None, "and neither is it if nothing is written");
        assert_eq!(written("a", Some(1)), entry("a"));
    }
}
