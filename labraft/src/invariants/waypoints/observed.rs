//! What must be remembered to notice waypoints.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::raft::{Probe, Role};
use crate::waypoint::Reached;

/// What must be remembered to notice waypoints, beside the history.
pub(crate) struct Observer {
    pub(crate) reached: Reached,
    pub(super) servers: Vec<Observed>,
    /// By term: the candidates that were seen in it. Only for the newest terms.
    pub(super) candidates: BTreeMap<u64, Vec<usize>>,
    /// By the digest of a command: the server that accepted it first.
    pub(super) accepted: BTreeMap<u64, usize>,
}

/// What is remembered of one server.
#[derive(Default)]
pub(super) struct Observed {
    /// Its terms and roles, and since when, in the order of time.
    pub(super) stints: Vec<Stint>,
    /// When it last received a request, and an answer.
    pub(super) last_request: Option<Duration>,
    pub(super) last_answer: Option<Duration>,
    /// How many answers it had given when it last saved, as a follower; `None` if it has not.
    pub(super) answers_at_save: Option<u64>,
    /// As a leader, by follower: when it last had only a snapshot for it.
    pub(super) snapshot_for: BTreeMap<usize, OnlySnapshot>,
}

/// A time that a server spends in one term and role.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(super) struct Stint {
    pub(super) since: Duration,
    pub(super) term: u64,
    pub(super) role: Role,
}

/// How many terms are remembered for their candidates.
pub(super) const TERMS_KEPT: usize = 16;

impl Observed {
    /// Its present term and role; `None` if no probe was seen yet.
    pub(super) fn present(&self) -> Option<Stint> {
        self.stints.last().copied()
    }

    /// Its term and role at a time.
    pub(super) fn at(&self, time: Duration) -> Option<Stint> {
        self.stints.iter().rev().find(|stint| stint.since <= time).copied()
    }

    pub(super) fn note(&mut self, at: Duration, now: &Probe) {
        let stint = Stint { since: at, term: now.term, role: now.role };
        let is_same = |last: &Stint| (last.term, last.role) == (stint.term, stint.role);
        if !self.stints.last().is_some_and(is_same) {
            self.stints.push(stint);
        }
    }
}

/// A time in which a leader had nothing but a snapshot for a follower.
#[derive(Copy, Clone)]
pub(super) struct OnlySnapshot {
    pub(super) since: Duration,
    /// `None` if that is so still.
    pub(super) until: Option<Duration>,
    /// The last index that the snapshot covers.
    pub(super) covered: u64,
}

impl Observer {
    pub(crate) fn new(servers: usize) -> Observer {
        Observer {
            reached: Reached::default(),
            servers: (0..servers).map(|_| Observed::default()).collect(),
            candidates: BTreeMap::new(),
            accepted: BTreeMap::new(),
        }
    }

    /// The other servers that are candidates of this term, or were.
    pub(super) fn rivals(&self, term: u64, server: usize) -> usize {
        let all = self.candidates.get(&term);
        all.map_or(0, |all| all.iter().filter(|&&other| other != server).count())
    }
}
