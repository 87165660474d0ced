//! A wrapper around a Raft that runs the harness's checks when the service calls it.

use std::rc::Rc;

use bytes::Bytes;

use super::Cluster;
use crate::raft::{EntryProbe, Probe, Raft, RaftState, Started};
use crate::read::PendingRead;

/// Begins a read at a Raft, and watches what becomes of it.
pub(super) type BeginRead = Box<dyn Fn(&dyn Raft) -> Option<PendingRead>>;

/// Checks a snapshot that the service made, given the last index it covers. Returns false if the check
/// failed and ended the run.
type CheckSnapshot = Box<dyn Fn(u64, &Bytes) -> bool>;

/// Called with each command that the Raft has accepted, and what it said about it.
type NoteAccepted = Box<dyn Fn(&Bytes, Started)>;

/// A Raft that runs the harness's checks before it forwards certain calls from its service.
pub(super) struct Overseen {
    raft: Rc<dyn Raft>,
    note_accepted: NoteAccepted,
    begin_read: BeginRead,
    /// Called before a snapshot is passed to the Raft.
    check_snapshot: CheckSnapshot,
    /// Called before the service probes the Raft: some changes are reported by one probe only, and the
    /// checks must see them.
    check_state: Box<dyn Fn()>,
}

impl Cluster {
    /// Wraps server `i`'s Raft with the checks that run when its service calls it.
    pub(super) fn overseen(&self, i: usize, raft: Rc<dyn Raft>) -> Overseen {
        let cluster = self.downgrade();
        let check_snapshot = Box::new(move |index, snapshot: &Bytes| {
            let Some(cluster) = cluster.upgrade() else { return true };
            let checked = cluster.0.invariants.borrow_mut().snapshot_made(i, index, snapshot);
            cluster.0.lab.audited(|audit| audit.given(cluster.number(i), snapshot, None));
            cluster.report(i, checked)
        });
        let cluster = self.downgrade();
        let check_state = Box::new(move || {
            if let Some(cluster) = cluster.upgrade() {
                cluster.check_server(i);
            }
        });
        let cluster = self.downgrade();
        let note_accepted = Box::new(move |command: &Bytes, started| {
            if let Some(cluster) = cluster.upgrade() {
                cluster.note_accepted(i, command, started);
            }
        });
        let begin_read = self.watching_reads(i);
        Overseen { raft, note_accepted, begin_read, check_snapshot, check_state }
    }
}

impl Raft for Overseen {
    fn start(&self, command: Bytes) -> Option<Started> {
        let started = self.raft.start(command.clone())?;
        (self.note_accepted)(&command, started);
        Some(started)
    }

    fn read(&self) -> Option<PendingRead> {
        (self.begin_read)(&*self.raft)
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
