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

    /// Cuts the links from a server to others, in this direction: nothing that it sends reaches them, neither
    /// requests nor replies, and what they send reaches it. [`link`](Self::link) opens them again.
    pub fn mute(&self, from: usize, others: impl IntoIterator<Item = usize>) {
        let others: Vec<usize> = others.into_iter().filter(|&to| to != from).collect();
        self.0.mute.borrow_mut().extend(others.iter().map(|&to| (from, to)));
        for &to in &others {
            self.lose_replies(from, to, true);
        }
        self.set_ways(others.into_iter().map(|to| (from, to, false)).collect());
    }

    /// Cuts the links from others to a server, in this direction: it hears nothing of them.
    pub fn deafen(&self, to: usize, others: impl IntoIterator<Item = usize>) {
        for from in others {
            self.mute(from, [to]);
        }
    }

    /// Has the replies of a server to another one lost, or not.
    fn lose_replies(&self, from: usize, to: usize, yes: bool) {
        if let Some(end) = self.slots()[to].ends.get(from) {
            self.network().lose_replies(end.id(), yes);
        }
    }

    /// Enables or disables links, given as (sender, receiver, enabled), and records those that change.
    pub(super) fn set_ways(&self, ways: Vec<(usize, usize, bool)>) {
        let mut changed = Vec::new();
        for (from, to, enabled) in ways {
            let was = std::mem::replace(&mut self.0.enabled.borrow_mut()[from][to], enabled);
            if was != enabled && from != to {
                changed.push((from, to, enabled));
            }
            if enabled && self.0.mute.borrow_mut().remove(&(from, to)) {
                self.lose_replies(from, to, false);
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
            // After a restart the ends are new.
            if self.0.mute.borrow().contains(&(to, from)) {
                self.network().lose_replies(end.id(), true);
            }
        }
    }

    /// Disconnects a server from all others. It keeps running, and the tester can still call it.
    pub fn cut_off(&self, i: usize) {
        self.link(i, 0..self.n(), false);
    }
}
