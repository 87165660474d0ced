//! What else sees the messages and the commands of a cluster: the judge of steps, the waypoints and the
//! audit.

use bytes::Bytes;

use super::Cluster;
use crate::invariants::SharedMessages;
use crate::raft::{ApplyMsg, HandedUp, Raft, RaftState, Started};

impl Cluster {
    /// Has the answers to commands judged, what is seen from outside, and every step by figure 2, if the
    /// implementation tells what its messages say.
    pub(super) fn judge_steps(&self) {
        self.0.invariants.borrow_mut().judge_starts();
        let is_one_way = self.lab().implementation().has_one_way_messages;
        self.0.invariants.borrow_mut().judge_from_outside(is_one_way);
        let Some(describe) = self.lab().implementation().describe else { return };
        if self.lab().without().has_probes() {
            let messages = SharedMessages::new(self.servers(), describe);
            self.network().observe(self.servers(), messages.clone());
            self.0.invariants.borrow_mut().judge_steps(messages);
        }
    }

    /// Shows every delivered message between servers of the cluster to the waypoints.
    pub(super) fn watch_messages(&self) {
        self.0.invariants.borrow_mut().note_waypoints(self.lab().reached().clone());
        let weak = self.downgrade();
        self.network().on_delivery(move |delivery| {
            let Some(cluster) = weak.upgrade() else { return };
            let (from, to) = (cluster.place(delivery.from), cluster.place(delivery.to));
            if let (Some(from), Some(to)) = (from, to) {
                let now = cluster.tester().now();
                cluster.0.invariants.borrow_mut().delivered((from, to), &delivery, now);
            }
        });
    }

    /// Has the audit look at the state of server `i`.
    pub(super) fn audit_state(&self, i: usize, raft: &dyn Raft) {
        self.0.lab.audited(|audit| {
            let RaftState { term, is_leader } = raft.state();
            audit.state(self.number(i), term, is_leader)
        });
    }

    /// Checks what the Raft of server `i` has said when it accepted a command, and notes it for the waypoints and
    /// the audit.
    pub(crate) fn note_accepted(&self, i: usize, command: &Bytes, started: Started) {
        let raft = self.slots()[i].instance.as_ref().map(|instance| instance.raft.clone());
        let mut accepted = started;
        if let Some(raft) = raft {
            // The term in its answer is checked separately.
            accepted.term = raft.state().term;
            let checked = self.0.invariants.borrow_mut().accepted(i, command, started, &*raft);
            self.report(i, checked);
        }
        let now = self.tester().now();
        let checked = self.0.invariants.borrow_mut().accepted_from_outside(i, accepted, now);
        self.report(i, checked);
        self.0.lab.audited(|audit| audit.given(self.number(i), command, Some(started.term)));
    }

    /// Checks a snapshot that the service of server `i` has made of everything up to this index. Returns false if the
    /// check failed and ended the run.
    pub(super) fn check_snapshot(&self, i: usize, index: u64, snapshot: &Bytes) -> bool {
        let checked = self.0.invariants.borrow_mut().snapshot_made(i, index, snapshot);
        self.0.lab.audited(|audit| audit.given(self.number(i), snapshot, None));
        self.report(i, checked)
    }

    /// Has the audit look at what server `i` hands up to its service.
    pub(super) fn audit_handed_up(&self, i: usize, handed_up: &HandedUp) {
        if !self.0.lab.is_audited() {
            return;
        }
        if let Some(instance) = &self.slots()[i].instance {
            self.audit_state(i, &*instance.raft);
        }
        self.0.lab.audited(|audit| match handed_up {
            HandedUp::Message(ApplyMsg::Command { index, command }) => {
                audit.command(self.number(i), *index, command, self.0.show.get())
            }
            HandedUp::Message(ApplyMsg::Snapshot { index, snapshot, .. }) => {
                audit.snapshot(self.number(i), *index, snapshot)
            }
            HandedUp::Internal { .. } => None,
        });
    }
}
