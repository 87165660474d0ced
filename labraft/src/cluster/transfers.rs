//! Leadership is handed over (part 2F).

use super::Cluster;

impl Cluster {
    /// Asks server `i` to hand leadership to server `to`, as its service would: see
    /// [`Raft::transfer_leadership`](crate::Raft::transfer_leadership). Returns whether it says that it has begun to;
    /// it does not if it does not lead, or is not running.
    pub fn transfer_leadership(&self, i: usize, to: usize) -> bool {
        if self.ask(i, |raft| raft.transfer_leadership(to)) != Some(true) {
            return false;
        }
        self.note_transfer(i, to);
        true
    }

    /// Returns the server to which server `i` is handing over leadership, if it is.
    pub fn transferee(&self, i: usize) -> Option<usize> {
        self.ask(i, |raft| raft.transferee())?
    }

    /// Checks what the Raft of server `i` has said when it began to hand over leadership, and records it.
    pub(super) fn note_transfer(&self, i: usize, to: usize) {
        let raft = self.slots()[i].instance.as_ref().map(|instance| instance.raft.clone());
        if let Some(raft) = raft {
            let checked = self.0.invariants.borrow_mut().hands_over(i, to, &*raft);
            self.report(i, checked);
        }
        self.tester().fingerprint(i as u64, to as u64);
        self.step(|| {
            let [from, to] = [i, to].map(|server| self.server_name(server));
            format!("{from} begins to hand over leadership to {to}")
        });
    }
}
