// SOLUTION FILE
//! What the driver adds for part 2G: who waits for a read, and the leader's lease.

use futures::channel::oneshot;
use labraft::PendingRead;

use super::{ELECTION_TIMEOUT_MIN, Peer};

impl Peer {
    /// Begins a read; under a lease it ends at once. `None` if this server does not lead.
    pub(super) fn begin_read(&self) -> Option<PendingRead> {
        if let Some(index) = self.read_under_lease() {
            return Some(PendingRead::confirmed(index));
        }
        let read = self.core.borrow_mut().read()?;
        let (answer, answered) = oneshot::channel();
        self.reads.waiting.borrow_mut().insert(read, answer);
        // Reads that come at the same instant share a round.
        self.started.notify();
        Some(PendingRead::new(async move { answered.await.ok().flatten() }))
    }

    /// Where a read may be answered without a round, because this server certainly leads.
    ///
    /// Whoever has answered the last confirmed round will vote for no other server until an election
    /// time-out has passed on its own clock. That takes the longer the slower its clock is, and this server's may be
    /// faster: the bound on clock drift makes up for it. The lease begins with the round, because a server may have
    /// answered as soon as that.
    fn read_under_lease(&self) -> Option<u64> {
        let core = self.core.borrow();
        if !core.has_leases() {
            return None;
        }
        let confirmed = core.confirmed()?;
        let rounds = self.reads.rounds.borrow();
        let &(_, began) = rounds.iter().find(|&&(round, _)| round == confirmed.round)?;
        let lease = ELECTION_TIMEOUT_MIN * 100 / (100 + self.rt.clock_drift_percent());
        (self.rt.now() < began + lease).then_some(confirmed.index)
    }

    /// Remembers when a round began, for the lease, and forgets those before the last confirmed one.
    pub(super) fn note_round(&self, round: u64) {
        let core = self.core.borrow();
        if !core.has_leases() {
            return;
        }
        let confirmed = core.confirmed().map_or(0, |confirmed| confirmed.round);
        let mut rounds = self.reads.rounds.borrow_mut();
        while rounds.front().is_some_and(|&(known, _)| known < confirmed) {
            rounds.pop_front();
        }
        if rounds.back().map_or(0, |&(last, _)| last) < round {
            rounds.push_back((round, self.rt.now()));
        }
    }

    /// Tells those who wait for these reads.
    pub(super) fn answer_reads(&self, reads: Vec<(u64, Option<u64>)>) {
        for (read, answer) in reads {
            if let Some(waiting) = self.reads.waiting.borrow_mut().remove(&read) {
                // An error means that nobody waits any more.
                let _ = waiting.send(answer);
            }
        }
    }
}
