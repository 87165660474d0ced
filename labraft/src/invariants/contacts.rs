//! When servers last heard from one another, for the properties of part 2E.

use std::time::Duration;

/// When servers last heard from one another. Kept only where part 2E is offered.
#[derive(Default)]
pub(super) struct Contacts {
    /// The election time-out that the Raft declares; `None` where part 2E is not offered.
    pub(super) election_timeout: Option<Duration>,
    pub(super) servers: Vec<Heard>,
}

/// What one server has heard.
#[derive(Clone, Default)]
pub(super) struct Heard {
    /// Of each server: when it last heard from it, and how long it had been awake by then.
    from: Vec<Option<(Duration, Duration)>>,
    /// Since when it leads, in the time that it was awake.
    pub(super) leads_since: Option<Duration>,
}

impl Contacts {
    /// Of this many servers, which declare this election time-out.
    pub(super) fn new(servers: usize, election_timeout: Option<Duration>) -> Contacts {
        let heard = Heard { from: vec![None; servers], leads_since: None };
        Contacts { election_timeout, servers: vec![heard; servers] }
    }

    /// A server has heard from another; `awake` is for how long it has been awake.
    pub(super) fn note(&mut self, (from, to): (usize, usize), at: Duration, awake: Duration) {
        self.servers[to].from[from] = Some((at, awake));
    }

    /// A server is started, and has heard from nobody.
    pub(super) fn started(&mut self, server: usize) {
        let heard = &mut self.servers[server];
        *heard = Heard { from: vec![None; heard.from.len()], leads_since: None };
    }

    /// How many other servers a server has heard from since this time.
    pub(super) fn since(&self, server: usize, time: Duration) -> usize {
        let known = self.servers[server].from.iter().flatten();
        known.filter(|(at, _)| *at >= time).count()
    }

    /// Until when, in the time that it is awake, a leader can know of a majority.
    pub(super) fn majority_until(&self, server: usize, leads_since: Duration) -> Duration {
        let Heard { from, .. } = &self.servers[server];
        let heard = |other: usize| from[other].map_or(Duration::ZERO, |(_, awake)| awake);
        let others = || (0..from.len()).filter(|&other| other != server);
        // With itself, this many others are a majority.
        let needed = others().count().div_ceil(2);
        let is_of_majority =
            |&time: &Duration| others().filter(|&other| heard(other) >= time).count() >= needed;
        let last = others().map(heard).filter(is_of_majority).max().unwrap_or(Duration::MAX);
        last.max(leads_since)
    }
}
