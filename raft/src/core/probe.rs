// SOLUTION FILE
//! What the lab's checks may see of a [`Core`].

use labraft::{FollowerProbe, Probe, Role};

use super::Core;
use crate::message::Entry;

impl Core {
    /// Remembers that the log has been written at `index`, for the next [`probe`](Self::probe).
    pub(super) fn note_written(&mut self, index: u64) {
        let lowest = self.lowest_written.get_or_insert(index);
        *lowest = index.min(*lowest);
    }

    /// The answer to [`labraft::Raft::probe`].
    #[inline]
    pub fn probe(&mut self) -> Probe {
        let followers = match self.role {
            Role::Leader => (0..self.servers).map(|server| self.probe_follower(server)).collect(),
            Role::Follower | Role::Candidate => Vec::new(),
        };
        Probe {
            term: self.current_term,
            role: self.role,
            voted_for: self.voted_for,
            first_index: self.log.first_index(),
            last_index: self.log.last_index(),
            commit_index: self.commit_index,
            last_applied: self.last_applied,
            lowest_written: self.lowest_written.take(),
            followers,
        }
    }

    /// What a leader knows about a server's log. Of its own it knows everything.
    #[inline]
    fn probe_follower(&self, server: usize) -> FollowerProbe {
        let last_index = self.log.last_index();
        if server == self.me {
            return FollowerProbe { next_index: last_index + 1, match_index: last_index };
        }
        let follower = &self.followers[server];
        FollowerProbe { next_index: follower.next_index, match_index: follower.match_index }
    }

    /// The term of the snapshot's last entry, if there is a snapshot.
    pub fn snapshot_term(&self) -> Option<u64> {
        let has_snapshot = self.log.last_included_index() > 0;
        has_snapshot.then_some(self.log.last_included_term())
    }

    /// The entry at `index`, if the log holds it.
    pub fn entry(&self, index: u64) -> Option<&Entry> {
        self.log.entry(index)
    }
}
