//! Reads without entries of the log (part 2G): every one that anybody begins is watched until it ends.

use std::rc::Rc;

use super::{Cluster, WeakCluster};
use crate::invariants::{ReadMark, ReadsJudged};
use crate::lab::Lab;
use crate::raft::Raft;
use crate::read::PendingRead;

impl Cluster {
    /// By what the reads of a run are judged, if they are offered.
    pub(super) fn reads_to_judge(lab: &Lab) -> Option<ReadsJudged> {
        let offers = lab.implementation().offers;
        let judged = match offers.lease_reads {
            Some(percent) if percent < lab.world().clock_drift_percent() => ReadsJudged::EndOnly,
            _ => ReadsJudged::Wholly,
        };
        offers.read_index.then_some(judged)
    }

    /// Begins a read on server `i`, as its service would: see [`Raft::read`]. `None` if the server is not the leader
    /// or is not running.
    pub fn read(&self, i: usize) -> Option<PendingRead> {
        self.ask(i, |raft| self.begin_read(i, raft))?
    }

    /// Begins a read at the Raft of server `i`, and watches what becomes of it.
    pub(super) fn begin_read(&self, i: usize, raft: &dyn Raft) -> Option<PendingRead> {
        // What is committed before the call has to be seen, and nothing later.
        let mark = self.0.invariants.borrow_mut().read_begins(i, raft.state().term);
        let pending = raft.read()?;
        let Some(mark) = mark else { return Some(pending) };
        Some(WatchedRead { cluster: self.downgrade(), server: i, mark }.until_it_ends(pending))
    }
}

/// A read that has begun. If it is dropped, nobody waits for it any more.
struct WatchedRead {
    cluster: WeakCluster,
    server: usize,
    mark: Rc<ReadMark>,
}

impl WatchedRead {
    fn until_it_ends(self, pending: PendingRead) -> PendingRead {
        PendingRead::new(async move {
            let confirmed = pending.await;
            let Some(cluster) = self.cluster.upgrade() else { return confirmed };
            let place = self.server;
            cluster.tester().fingerprint(confirmed.unwrap_or(u64::MAX), place as u64);
            cluster.step(|| match confirmed {
                Some(index) => {
                    format!("{} may answer a read at index {index}", cluster.server_name(place))
                }
                None => format!("{} cannot confirm a read", cluster.server_name(place)),
            });
            let index = confirmed?;
            let checked = cluster.0.invariants.borrow_mut().read_confirmed(&self.mark, index);
            if !cluster.report(place, checked) {
                // The run has failed and is about to end.
                std::future::pending::<()>().await;
            }
            confirmed
        })
    }
}
