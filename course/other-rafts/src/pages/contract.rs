//! What the lab asks of the Raft and its inside.

use bytes::Bytes;
use labraft::{EntryProbe, FollowerProbe, Probe, Raft, RaftState, Role, Started};

use super::{Follower, Peer};
use crate::log::Entry;

impl Raft for Peer {
    fn start(&self, command: Bytes) -> Option<Started> {
        let state = &mut *self.state.borrow_mut();
        if state.role != Role::Leader {
            return None;
        }
        let term = state.term;
        state.log.push(Entry { term, command });
        self.save(state);
        self.something_to_send.notify();
        Some(Started { index: state.log.last_index(), term })
    }

    fn state(&self) -> RaftState {
        let state = self.state.borrow();
        RaftState { term: state.term, is_leader: state.role == Role::Leader }
    }

    fn snapshot(&self, index: u64, snapshot: Bytes) {
        let state = &mut *self.state.borrow_mut();
        if index <= state.log.snapshot_index() || index > state.last_applied {
            return;
        }
        let term = state.log.term_at(index).expect("what was applied is in the log");
        state.log.start_after(index, term);
        state.snapshot = snapshot;
        self.save(state);
    }

    fn kill(&self) {}

    fn probe(&self) -> Option<Probe> {
        let state = self.state.borrow();
        let shown = |(i, f): (usize, &Follower)| match i == self.me {
            true => FollowerProbe {
                next_index: state.log.last_index() + 1,
                match_index: state.log.last_index(),
            },
            false => FollowerProbe { next_index: f.next_index, match_index: f.match_index },
        };
        let is_leader = state.role == Role::Leader;
        let followers = if is_leader { &state.followers[..] } else { &[] };
        Some(Probe {
            term: state.term,
            role: state.role,
            voted_for: state.voted_for,
            first_index: state.log.first_index(),
            last_index: state.log.last_index(),
            commit_index: state.commit_index,
            last_applied: state.last_applied,
            lowest_written: state.log.take_lowest_written(),
            followers: followers.iter().enumerate().map(shown).collect(),
        })
    }

    fn entry(&self, index: u64) -> Option<EntryProbe> {
        self.state.borrow().log.shown(index)
    }

    fn snapshot_term(&self) -> Option<u64> {
        self.state.borrow().log.shown_snapshot_term()
    }
}
