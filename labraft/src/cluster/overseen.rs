//! A Raft as its service has it, with the checks in between.

use std::rc::Rc;

use bytes::Bytes;

use crate::raft::{EntryProbe, Probe, Raft, RaftState, Started};

/// A Raft that lets the checks look first at what its service asks of it.
pub(super) struct Overseen {
    pub(super) raft: Rc<dyn Raft>,
    /// Hears of a snapshot before the Raft does; false when the run is over because of it.
    pub(super) check_snapshot: Box<dyn Fn(u64, &Bytes) -> bool>,
    /// Hears of a probe before the service does: some of what a probe says, it says once only.
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
