//! Servers that show nothing of their inside, or that are to be judged without it: what is told of them, and when
//! they are checked.

use std::time::Duration;

use super::outside::Outside;
use super::{Invariants, election_safety};
use crate::persister::Persister;
use crate::property::{Holds, Property};
use crate::raft::{Raft, Started};

impl Invariants {
    /// Has the servers judged by what is seen from outside, for as long as they show nothing of their inside:
    /// from now on all messages, answers to commands and entries handed up are told.
    pub(crate) fn judge_from_outside(&mut self, is_one_way: bool) {
        let outside = Outside::new(self.history.servers.len(), is_one_way, &self.contract);
        self.outside = Some(Box::new(outside));
    }

    /// A server's Raft has said that it has accepted a command, whether the server is still there or not.
    pub(crate) fn accepted_from_outside(
        &mut self,
        server: usize,
        started: Started,
        at: Duration,
    ) -> Holds {
        match &mut self.outside {
            Some(outside) => self.judge.rule_on(outside.accepted(server, started, at)),
            None => Ok(()),
        }
    }

    /// Checks the snapshot on a server's disk, if it is another one than before.
    fn check_saved_snapshot(&mut self, server: usize, saved: &Persister) -> Holds {
        let Some(outside) = &mut self.outside else { return Ok(()) };
        let snapshot = saved.read_snapshot();
        if !outside.has_saved(server, &snapshot) {
            return Ok(());
        }
        let index = self.history.only_index_of(&snapshot);
        self.judge.rule_on(outside.check_snapshot(server, snapshot, index))
    }

    /// Checks a server whose probe is missing, or left out: what its Raft says of its state, and its disk.
    pub(super) fn check_from_outside(
        &mut self,
        server: usize,
        (raft, saved): (&dyn Raft, Option<&Persister>),
        at: Duration,
    ) -> Holds {
        let state = raft.state();
        if let Some(outside) = &mut self.outside {
            let traffic = self.history.servers[server].traffic;
            let mut found = outside.check_state(server, state, traffic, at);
            if !self.history.servers[server].keeps_time(at) {
                found.retain(|violation| violation.property != Property::ElectionTimer);
            }
            self.judge.rule_on_all(found)?;
        }
        if state.is_leader {
            let checked = election_safety::check_leader(&mut self.history, server, state.term, at);
            self.judge.rule_on(checked)?;
        }
        saved.map_or(Ok(()), |saved| self.check_saved_snapshot(server, saved))
    }
}
