//! A wrapper around a Raft that runs the harness's checks when the service calls it.

use std::rc::Rc;

use bytes::Bytes;

use super::{Cluster, WeakCluster};
use crate::raft::{EntryProbe, Probe, Raft, RaftState, Started};
use crate::read::PendingRead;

/// The Raft of a server, which runs the harness's checks when its service calls it.
struct Overseen {
    raft: Rc<dyn Raft>,
    cluster: WeakCluster,
    /// The server's place in the cluster.
    server: usize,
}

impl Cluster {
    /// Wraps server `i`'s Raft with the checks that run when its service calls it.
    pub(super) fn overseen(&self, i: usize, raft: Rc<dyn Raft>) -> Rc<dyn Raft> {
        Rc::new(Overseen { raft, cluster: self.downgrade(), server: i })
    }
}

impl Raft for Overseen {
    fn start(&self, command: Bytes) -> Option<Started> {
        let started = self.raft.start(command.clone())?;
        if let Some(cluster) = self.cluster.upgrade() {
            cluster.note_accepted(self.server, &command, started);
        }
        Some(started)
    }

    fn state(&self) -> RaftState {
        self.raft.state()
    }

    fn read(&self) -> Option<PendingRead> {
        match self.cluster.upgrade() {
            Some(cluster) => cluster.begin_read(self.server, &*self.raft),
            None => self.raft.read(),
        }
    }

    fn snapshot(&self, index: u64, snapshot: Bytes) {
        let is_right = |cluster: Cluster| cluster.check_snapshot(self.server, index, &snapshot);
        if self.cluster.upgrade().is_none_or(is_right) {
            self.raft.snapshot(index, snapshot);
        }
    }

    fn kill(&self) {
        self.raft.kill();
    }

    fn probe(&self) -> Option<Probe> {
        // Some changes are reported by one probe only, and the checks must see them.
        if let Some(cluster) = self.cluster.upgrade() {
            cluster.check_server(self.server, cluster.tester().now());
        }
        self.raft.probe()
    }

    fn entry(&self, index: u64) -> Option<EntryProbe> {
        self.raft.entry(index)
    }

    fn snapshot_term(&self) -> Option<u64> {
        self.raft.snapshot_term()
    }

    fn transfer_leadership(&self, to: usize) -> bool {
        let has_begun = self.raft.transfer_leadership(to);
        if has_begun && let Some(cluster) = self.cluster.upgrade() {
            cluster.note_transfer(self.server, to);
        }
        has_begun
    }

    fn transferee(&self) -> Option<usize> {
        self.raft.transferee()
    }
}
