//! A wrapper around a Raft that runs the harness's checks when the service calls it.

use std::rc::Rc;

use bytes::Bytes;

use crate::raft::{EntryProbe, Probe, Raft, RaftState, Started};

/// Checks a snapshot that the service made, given the last index it covers. Returns false if the check
/// failed and ended the run.
type CheckSnapshot = Box<dyn Fn(u64, &Bytes) -> bool>;

/// Called with each command that the Raft has accepted, and what it said about it.
type NoteAccepted = Box<dyn Fn(&Bytes, Started)>;

/// A Raft that runs the harness's checks before it forwards certain calls from its service.
pub(super) struct Overseen {
    pub(super) raft: Rc<dyn Raft>,
    pub(super) note_accepted: NoteAccepted,
    /// Called before a snapshot is passed to the Raft.
    pub(super) check_snapshot: CheckSnapshot,
    /// Called before the service probes the Raft: some changes are reported by one probe only, and the
    /// checks must see them.
    pub(super) check_state: Box<dyn Fn()>,
}

impl Raft for Overseen {
    fn start(&self, command: Bytes) -> Option<Started> {
        let started = self.raft.start(command.clone())?;
        (self.note_accepted)(&command, started);
        Some(started)
    }

    fn state(&self) -> RaftState {
        self.raft.state()
    }

    fn snapshot(&self, index: u64, snapshot: Bytes) {
        if (self.check_snapshot)(index, &snapshot) {
            self.raft.snapshot(index, snapshot);
        }
    }

    fn kill(&self) {
        self.raft.kill();
    }

    fn probe(&self) -> Option<Probe> {
        (self.check_state)();
        self.raft.probe()
    }

    fn entry(&self, index: u64) -> Option<EntryProbe> {
        self.raft.entry(index)
    }

    fn snapshot_term(&self) -> Option<u64> {
        self.raft.snapshot_term()
    }

    fn transfer_leadership(&self, to: usize) -> bool {
        self.raft.transfer_leadership(to)
    }

    fn transferee(&self) -> Option<usize> {
        self.raft.transferee()
    }
}
