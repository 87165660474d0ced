//! What a leader knows of a follower.

use std::time::Duration;

use crate::log::Log;

#[derive(Clone, Default)]
pub(super) struct Follower {
    pub(super) next_index: u64,
    pub(super) match_index: u64,
    /// Whether it is known that the logs agree before `next_index`, or assumed until the answer to
    /// something sent since. If not, only empty requests are sent.
    pub(super) is_found: bool,
    /// How often `next_index` was set back. What was sent before that says nothing of what is next.
    pub(super) round: u64,
    pub(super) under_way: usize,
    pub(super) snapshot_due: Duration,
}

impl Follower {
    /// A follower of a new leader, whose next entry is this.
    pub(super) fn at(next_index: u64) -> Follower {
        Follower { next_index, ..Follower::default() }
    }

    /// Whether the snapshot that it needs is on its way. Until it is sent again, only heartbeats are.
    pub(super) fn awaits_snapshot(&self, log: &Log, now: Duration) -> bool {
        self.next_index <= log.snapshot_index() && now < self.snapshot_due
    }

    pub(super) fn set_back(&mut self, next_index: u64) {
        self.next_index = self.next_index.min(next_index).max(self.match_index + 1);
        self.round += 1;
        self.under_way = 0;
    }
}
