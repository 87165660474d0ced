//! What the lab's checks may see.
//!
//! Term, vote and log are what the disk holds, because a crash leaves only that. They lag behind
//! raft-rs's own variables while a `Ready` waits to be handled.

use labraft::{EntryProbe, FollowerProbe, Probe, Role};
use raft::eraftpb::HardState;
use raft::{Progress, StateRole};

use crate::node::Node;
use crate::storage::{Disk, server_of};

impl Node {
    /// The answer to [`labraft::Raft::probe`].
    pub fn probe(&self) -> Probe {
        let mut raw = self.raw.borrow_mut();
        let saved = raw.store().hard_state.clone();
        let role = role(&raw.raft, &saved);
        let last_index = raw.store().last();
        let followers = match role {
            Role::Leader => (0..raw.raft.prs().conf().voters().ids().len())
                .map(|server| follower(&raw.raft, server, last_index))
                .collect(),
            Role::Follower | Role::Candidate => Vec::new(),
        };
        let disk = raw.mut_store();
        Probe {
            term: saved.term,
            role,
            voted_for: (saved.vote != 0).then(|| server_of(saved.vote)),
            first_index: disk.first(),
            last_index,
            commit_index: saved.commit,
            last_applied: self.handed_up.get(),
            lowest_written: disk.lowest_written.take(),
            followers,
        }
    }

    /// The entry at an index, if the saved log holds it.
    pub fn entry(&self, index: u64) -> Option<EntryProbe> {
        let raw = self.raw.borrow();
        let entry = raw.store().entry(index)?;
        Some(EntryProbe { term: entry.term, command: entry.data.clone() })
    }

    /// The term of the last entry that the snapshot covers.
    pub fn snapshot_term(&self) -> Option<u64> {
        let raw = self.raw.borrow();
        let snapshot = &raw.store().snapshot;
        (snapshot.index > 0).then_some(snapshot.term)
    }
}

/// The role in the saved term. A new candidate is none before it has saved term and vote, and a
/// pre-candidate has changed neither.
fn role(raft: &raft::Raft<Disk>, saved: &HardState) -> Role {
    if (raft.term, raft.vote) != (saved.term, saved.vote) {
        return Role::Follower;
    }
    match raft.state {
        StateRole::Leader => Role::Leader,
        StateRole::Candidate => Role::Candidate,
        StateRole::Follower | StateRole::PreCandidate => Role::Follower,
    }
}

/// What a leader knows about a server's log. Of its own it knows what is saved.
fn follower(raft: &raft::Raft<Disk>, server: usize, last_index: u64) -> FollowerProbe {
    let id = crate::storage::id_of(server);
    if id == raft.id {
        return FollowerProbe { next_index: last_index + 1, match_index: last_index };
    }
    let Progress { next_idx, matched, .. } = raft.prs().get(id).expect("all servers are members");
    FollowerProbe { next_index: *next_idx, match_index: *matched }
}
