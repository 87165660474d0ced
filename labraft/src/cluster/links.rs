//! The links between the servers of a cluster.

use super::Cluster;
use crate::harness_event::HarnessEvent;

impl Cluster {
    /// Enables or disables the links between server `i` and each of `others`, in both directions.
    pub fn link(&self, i: usize, others: impl IntoIterator<Item = usize>, enabled: bool) {
        let mut ways: Vec<(usize, usize, bool)> = Vec::new();
        for j in others {
            ways.extend([(i, j, enabled), (j, i, enabled)]);
        }
        self.set_ways(ways);
    }

    /// Enables or disables links, given as (sender, receiver, enabled), and records those that change.
    pub(super) fn set_ways(&self, ways: Vec<(usize, usize, bool)>) {
        let mut changed = Vec::new();
        for (from, to, enabled) in ways {
            let was = std::mem::replace(&mut self.0.enabled.borrow_mut()[from][to], enabled);
            if was != enabled && from != to {
                changed.push((from, to, enabled));
            }
            self.enable(from, to, enabled);
        }
        if !changed.is_empty() {
            self.0.invariants.borrow_mut().links_changed(self.tester().now());
            let number = |(from, to, enabled)| (self.number(from), self.number(to), enabled);
            let changed = changed.into_iter().map(number).collect();
            self.record(|| HarnessEvent::Links { changed });
        }
    }

    fn enable(&self, from: usize, to: usize, enabled: bool) {
        // A server that was never started has no client ends.
        if let Some(end) = self.slots()[from].ends.get(to) {
            self.network().enable(end.id(), enabled);
        }
    }

    /// Disconnects a server from all others. It keeps running, and the tester can still call it.
    pub fn cut_off(&self, i: usize) {
        self.link(i, 0..self.n(), false);
    }
}
