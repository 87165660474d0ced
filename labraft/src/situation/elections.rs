//! Who became a candidate, and who won.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::raft::Role;
use crate::server_names::Places;

/// The number of candidacies and elections that are remembered.
const REMEMBERED: usize = 512;

/// The last candidacies and elections.
#[derive(Default)]
pub(super) struct Elections(VecDeque<RoleChange>);

/// A server became candidate or leader.
struct RoleChange {
    at: Duration,
    server: usize,
    term: u64,
    role: Role,
}

/// The candidates of one term, and its leader.
#[derive(Default)]
struct Election {
    candidates: BTreeSet<usize>,
    leader: Option<usize>,
}

impl Elections {
    /// A server has come to this role in this term.
    pub(super) fn role_changed(&mut self, at: Duration, server: usize, role: Role, term: u64) {
        if role == Role::Follower {
            return;
        }
        self.0.push_back(RoleChange { at, server, term, role });
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
    }

    /// The elections since a moment, by term.
    fn by_term(&self, since: Duration) -> BTreeMap<u64, Election> {
        let mut terms: BTreeMap<u64, Election> = BTreeMap::new();
        for change in self.0.iter().filter(|change| change.at >= since) {
            let election = terms.entry(change.term).or_default();
            if change.role == Role::Leader {
                election.leader = Some(change.server);
            } else {
                election.candidates.insert(change.server);
            }
        }
        terms
    }

    /// A report of the time from `since` to `now`, in lines of text.
    pub(super) fn lines(&self, since: Duration, now: Duration, places: &Places) -> Vec<String> {
        let span = now.saturating_sub(since).as_secs_f64();
        let terms = self.by_term(since);
        let (Some(first), Some(last)) = (terms.keys().next(), terms.keys().next_back()) else {
            return vec![format!("in the last {span:.1} s no server became a candidate")];
        };
        let won = terms.values().filter(|term| term.leader.is_some()).count();
        let lost: Vec<&Election> = terms.values().filter(|term| term.leader.is_none()).collect();
        let split = lost.iter().filter(|term| term.candidates.len() > 1).count();
        let alone = lost.iter().filter(|term| term.candidates.len() == 1).count();
        let mut lines = vec![format!(
            "in the last {span:.1} s, terms {first} to {last}: {}; elections: {won} won, {split} split \
             between several candidates, {alone} lost by a single candidate",
            candidacies(&terms, places)
        )];
        let last_won = terms.iter().rev().find_map(|(term, each)| Some((term, each.leader?)));
        if let Some((term, leader)) = last_won {
            lines.push(format!("the last to win was {}, in term {term}", places.one(leader)));
        }
        lines
    }
}

/// `3 candidacies (server 0: 2, server 1: 1)`.
fn candidacies(terms: &BTreeMap<u64, Election>, places: &Places) -> String {
    let mut by_server: BTreeMap<usize, u64> = BTreeMap::new();
    for candidate in terms.values().flat_map(|term| &term.candidates) {
        *by_server.entry(*candidate).or_default() += 1;
    }
    let total: u64 = by_server.values().sum();
    if total == 0 {
        return "0 candidacies".into();
    }
    let parts = by_server.iter().map(|(i, n)| format!("{}: {n}", places.one(*i)));
    let parts: Vec<String> = parts.collect();
    format!("{total} candidacies ({})", parts.join(", "))
}
