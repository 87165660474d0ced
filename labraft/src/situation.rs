//! What a cluster is at, and what it has been doing: for reports of runs in which nothing goes on.
//!
//! It answers what one asks when a command was not committed in time: who can talk to whom, and since
//! when; since when nothing was committed; who stood for election meanwhile, and who won; whose log is
//! good enough to be elected with; and whether a leader looks for the end of a follower's log without
//! ever finding it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::raft::{FollowerProbe, Probe, Role};

/// How many candidacies and elections are remembered.
const REMEMBERED: usize = 512;
/// What happened lately, when there is progress.
const LATELY: Duration = Duration::from_secs(5);
/// After so long a time without a commit a report looks back to the last one.
const STANDSTILL: Duration = Duration::from_secs(1);
/// So many steps back and forth are no accident.
const RESTLESS: u64 = 2;
/// So many steps down in a row are a long way.
const LONG_WAY: u64 = 8;

/// The history of a run, as far as reports need it.
pub(crate) struct Situation {
    /// Who stood for election and who won: the time, the server, the term, whether it won.
    elections: VecDeque<(Duration, usize, u64, bool)>,
    /// The highest index that was ever seen to be committed, and when it was first seen.
    committed: (Duration, u64),
    /// When it last changed who runs and who reaches whom.
    changed: Duration,
    /// By leader and follower.
    searches: Vec<Vec<Search>>,
}

/// How a leader looks for the end of what it has in common with a follower, since that last grew.
#[derive(Copy, Clone, Default)]
struct Search {
    term: u64,
    ups: u64,
    downs: u64,
    lowest: u64,
    highest: u64,
}

/// One server at the moment of the report.
pub(crate) struct View<'a> {
    pub(crate) is_running: bool,
    /// What it was at last; `None` when its Raft does not tell.
    pub(crate) probe: Option<&'a Probe>,
    /// The term of its last entry.
    pub(crate) last_term: Option<u64>,
}

impl View<'_> {
    /// What a vote is given by: the last entry's term, then its index (section 5.4.1).
    fn log(&self) -> Option<(u64, u64)> {
        self.probe.map(|probe| (self.last_term.unwrap_or(0), probe.last_index))
    }
}

impl Situation {
    pub(crate) fn new(servers: usize) -> Situation {
        Situation {
            elections: VecDeque::new(),
            committed: (Duration::ZERO, 0),
            changed: Duration::ZERO,
            searches: vec![vec![Search::default(); servers]; servers],
        }
    }

    /// A server has come to this role in this term.
    pub(crate) fn has_role(&mut self, now: Duration, i: usize, role: Role, term: u64) {
        if role == Role::Follower {
            return;
        }
        self.elections.push_back((now, i, term, role == Role::Leader));
        if self.elections.len() > REMEMBERED {
            self.elections.pop_front();
        }
    }

    /// A server takes this index for committed.
    pub(crate) fn has_committed(&mut self, now: Duration, index: u64) {
        if index > self.committed.1 {
            self.committed = (now, index);
        }
    }

    /// It has changed who runs, or who reaches whom.
    pub(crate) fn has_changed(&mut self, now: Duration) {
        self.changed = now;
    }

    /// A leader's view of a follower has changed.
    pub(crate) fn has_searched(
        &mut self,
        (leader, follower): (usize, usize),
        term: u64,
        before: FollowerProbe,
        now: FollowerProbe,
    ) {
        let search = &mut self.searches[leader][follower];
        let (was, is) = (before.next_index, now.next_index);
        let has_found = now.match_index > before.match_index;
        if search.term != term || has_found {
            *search = Search { term, ups: 0, downs: 0, lowest: is, highest: is };
        }
        if has_found {
            return;
        }
        search.ups += u64::from(is > was);
        search.downs += u64::from(is < was);
        search.lowest = search.lowest.min(is).min(was);
        search.highest = search.highest.max(is).max(was);
    }

    /// What there is to say, a line each. `reaches` says whether what one server sends gets to another.
    pub(crate) fn lines(
        &self,
        now: Duration,
        views: &[View<'_>],
        reaches: &dyn Fn(usize, usize) -> bool,
    ) -> Vec<String> {
        let mut lines: Vec<String> =
            views.iter().enumerate().filter_map(|(i, view)| of_server(i, view)).collect();
        if lines.is_empty() {
            // Nothing is known from inside; who is connected may still help.
            return vec![self.connections(now, views, reaches)];
        }
        lines.push(self.connections(now, views, reaches));
        lines.extend(self.meanwhile(now));
        lines.extend(electable(views, reaches));
        lines.extend(self.restless(views));
        lines
    }

    /// Who reaches whom.
    fn connections(
        &self,
        now: Duration,
        views: &[View<'_>],
        reaches: &dyn Fn(usize, usize) -> bool,
    ) -> String {
        let mut parts = Vec::new();
        for group in groups(views, reaches) {
            let is_whole = group
                .iter()
                .all(|&i| group.iter().all(|&j| i == j || (reaches(i, j) && reaches(j, i))));
            let majority = if 2 * group.len() > views.len() { ", a majority," } else { "" };
            parts.push(match group.as_slice() {
                [alone] => format!("server {alone} is alone"),
                _ if is_whole => format!("servers {group:?}{majority} reach one another"),
                _ => format!("servers {group:?}{majority} are connected, but not all with all"),
            });
        }
        let down: Vec<usize> = (0..views.len()).filter(|&i| !views[i].is_running).collect();
        if !down.is_empty() {
            parts.push(format!("down: {down:?}"));
        }
        let since = now.saturating_sub(self.changed).as_secs_f64();
        format!("{}; so for {since:.1} s", parts.join("; "))
    }

    /// Commits and elections lately; without progress, since there was some.
    fn meanwhile(&self, now: Duration) -> Vec<String> {
        let (at, index) = self.committed;
        let without = now.saturating_sub(at);
        let stands_still = without >= STANDSTILL;
        let since = if stands_still { at } else { now.saturating_sub(LATELY) };
        let mut lines = Vec::new();
        if stands_still {
            let last = match index {
                0 => "nothing was ever committed".to_string(),
                _ => format!(
                    "the last commit was that of entry {index}, at {:.3} s",
                    at.as_secs_f64()
                ),
            };
            lines.push(format!("no progress for {:.1} s: {last}", without.as_secs_f64()));
        }
        // By term: who stood, and who won.
        let mut terms: BTreeMap<u64, (BTreeSet<usize>, Option<usize>)> = BTreeMap::new();
        for &(_, i, term, is_won) in self.elections.iter().filter(|entry| entry.0 >= since) {
            let (stood, won) = terms.entry(term).or_default();
            match is_won {
                true => *won = Some(i),
                false => _ = stood.insert(i),
            }
        }
        let span = now.saturating_sub(since).as_secs_f64();
        let (Some(first), Some(last)) = (terms.keys().next(), terms.keys().next_back()) else {
            lines.push(format!("in the last {span:.1} s nobody stood for election"));
            return lines;
        };
        let mut stood: BTreeMap<usize, u64> = BTreeMap::new();
        terms.values().flat_map(|term| &term.0).for_each(|&i| *stood.entry(i).or_default() += 1);
        let candidacies: u64 = stood.values().sum();
        let stood: Vec<String> = stood.iter().map(|(i, n)| format!("server {i} {n}")).collect();
        let won = terms.values().filter(|term| term.1.is_some()).count();
        let split = terms.values().filter(|term| term.1.is_none() && term.0.len() > 1).count();
        let lost = terms.values().filter(|term| term.1.is_none() && term.0.len() == 1).count();
        let by = if stood.is_empty() { String::new() } else { format!(" ({})", stood.join(", ")) };
        lines.push(format!(
            "in the last {span:.1} s, terms {first} to {last}: {candidacies} candidacies{by}, {won} elections \
             won, {split} votes split among several, {lost} lost by one alone"
        ));
        if let Some((term, (_, Some(leader)))) = terms.iter().rev().find(|term| term.1.1.is_some())
        {
            lines.push(format!("the last to win was server {leader}, in term {term}"));
        }
        lines
    }

    /// Leaders that look for the end of a follower's log and do not find it.
    fn restless(&self, views: &[View<'_>]) -> Vec<String> {
        let mut lines = Vec::new();
        for (i, searches) in self.searches.iter().enumerate() {
            let leads = |probe: &&Probe| probe.role == Role::Leader && views[i].is_running;
            let Some(probe) = views[i].probe.filter(leads) else { continue };
            for (j, search) in searches.iter().enumerate() {
                let Search { term, ups, downs, lowest, highest } = *search;
                let matched = probe.followers.get(j).map_or(0, |follower| follower.match_index);
                let what = if term != probe.term {
                    continue;
                } else if ups >= RESTLESS && downs >= RESTLESS {
                    format!(
                        "has gone down {downs} times and up {ups} times, between {lowest} and {highest}"
                    )
                } else if downs >= LONG_WAY {
                    format!("has gone down {downs} times, from {highest} to {lowest}")
                } else {
                    continue;
                };
                lines.push(format!(
                    "server {i} leads and its nextIndex for server {j} {what}; its matchIndex stays {matched}"
                ));
            }
        }
        lines
    }
}

/// What a server is at.
fn of_server(i: usize, view: &View<'_>) -> Option<String> {
    let Probe { role, term, last_index, commit_index, last_applied, voted_for, .. } = view.probe?;
    if !view.is_running {
        return Some(format!("server {i}: down, was in term {term}, log up to {last_index}"));
    }
    let of_term = view.last_term.map_or_else(String::new, |term| format!(" (of term {term})"));
    let vote = match voted_for {
        Some(candidate) if *candidate != i => format!(", voted for server {candidate}"),
        _ => String::new(),
    };
    Some(format!(
        "server {i}: {role:?} of term {term}{vote}, log up to {last_index}{of_term}, committed \
         {commit_index}, applied {last_applied}"
    ))
}

/// The running servers by who is connected with whom, both ways; the largest group first.
fn groups(views: &[View<'_>], reaches: &dyn Fn(usize, usize) -> bool) -> Vec<Vec<usize>> {
    let mut left: BTreeSet<usize> = (0..views.len()).filter(|&i| views[i].is_running).collect();
    let mut groups = Vec::new();
    while let Some(first) = left.pop_first() {
        let mut group = vec![first];
        let mut next = 0;
        while let Some(&i) = group.get(next) {
            next += 1;
            let is_joined = |j: &usize| reaches(i, *j) && reaches(*j, i);
            let (joined, others) = left.iter().copied().partition(is_joined);
            left = others;
            group.extend::<BTreeSet<usize>>(joined);
        }
        group.sort_unstable();
        groups.push(group);
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    groups
}

/// Within a majority that is connected: whose logs are good enough for its votes (section 5.4.1).
fn electable(views: &[View<'_>], reaches: &dyn Fn(usize, usize) -> bool) -> Option<String> {
    let groups = groups(views, reaches);
    let group = groups.first().filter(|group| 2 * group.len() > views.len())?;
    let votes = |&i: &usize| {
        let behind = group.iter().filter(|&&j| views[j].log() <= views[i].log());
        2 * behind.count() > views.len()
    };
    let (can, cannot): (Vec<usize>, Vec<usize>) = group.iter().partition(|i| votes(i));
    if cannot.is_empty() {
        return None;
    }
    let ahead = group.iter().max_by_key(|&&i| views[i].log())?;
    let (term, index) = views[*ahead].log()?;
    Some(format!(
        "server {ahead}'s log is ahead, up to entry {index} of term {term}; servers {can:?} can win the votes \
         of a majority, {cannot:?} cannot"
    ))
}

#[cfg(test)]
mod tests;
