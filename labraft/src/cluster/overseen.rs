//! A Raft as its service has it, with the checks in between.

use std::rc::Rc;

use bytes::Bytes;

use crate::raft::{EntryProbe, Probe, Raft, RaftState, Started};

/// Checks a snapshot that the service made up to an index; false when the check ended the run.
type CheckSnapshot = Box<dyn Fn(u64, &Bytes) -> bool>;

/// A Raft that lets the checks look first at what its service asks of it.
pub(super) struct Overseen {
    pub(super) raft: Rc<dyn Raft>,
    /// Called before the Raft gets a snapshot.
    pub(super) check_snapshot: CheckSnapshot,
    /// Called before a probe reaches the service, because a probe reports some changes only once.
    pub(super) check_state: Box<dyn Fn()>,
}

impl Raft for Overseen {
    fn start(&self, command: Bytes) -> Option<Started> {
        self.raft.start(command)
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
}
