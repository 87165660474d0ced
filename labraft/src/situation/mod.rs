//! The state of a cluster and what it has been doing, for reports of runs that made no progress.
//!
//! It answers what one asks when a command was not committed in time: who can talk to whom, and since
//! when; how long ago something was committed; who became a candidate since then, and who won; whose log
//! is up-to-date enough to win; and whether a leader looks for the end of a follower's log without ever
//! finding it.
//!
//! | module | what it describes |
//! |---|---|
//! | this one | each server, and the connections |
//! | `elections` | candidates and leaders |
//! | `view` | the data about one server |
//! | `search` | leaders that look for the end of a follower's log |

mod elections;
mod search;
mod view;

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::raft::{Probe, Role};
use crate::server_names::Places;
use elections::Elections;
use search::Searches;
pub(crate) use view::View;

/// The period that a report covers while there is progress.
const RECENTLY: Duration = Duration::from_secs(5);
/// After this long without a commit, a report looks back to the last one.
const STANDSTILL: Duration = Duration::from_secs(1);

/// The parts of a run's history that these reports need.
pub(crate) struct Situation {
    elections: Elections,
    /// The highest index that any server has reported as committed, and when it first did.
    last_commit: (Duration, u64),
    /// When it last changed who runs or who reaches whom.
    links_changed: Duration,
    searches: Searches,
}

/// Whether messages of one server get to another.
type Reaches<'a> = &'a dyn Fn(usize, usize) -> bool;

impl Situation {
    pub(crate) fn new(servers: usize) -> Situation {
        Situation {
            elections: Elections::default(),
            last_commit: (Duration::ZERO, 0),
            links_changed: Duration::ZERO,
            searches: Searches::new(servers),
        }
    }

    /// A server was started or stopped, or a link was opened or cut.
    pub(crate) fn links_changed(&mut self, at: Duration) {
        self.links_changed = at;
    }

    /// A server's probe has changed; `before` is `None` at the first one after a start.
    pub(crate) fn server_changed(
        &mut self,
        at: Duration,
        server: usize,
        before: Option<&Probe>,
        now: &Probe,
    ) {
        if before.is_none_or(|before| (before.role, before.term) != (now.role, now.term)) {
            self.elections.role_changed(at, server, now.role, now.term);
        }
        if now.commit_index > self.last_commit.1 {
            self.last_commit = (at, now.commit_index);
        }
        if let Some(before) = before
            && before.role == Role::Leader
            && before.term == now.term
        {
            self.searches.leader_changed(server, before, now);
        }
    }

    /// The report, in lines of text.
    pub(crate) fn lines(
        &self,
        now: Duration,
        views: &[View<'_>],
        reaches: Reaches<'_>,
        places: &Places,
    ) -> Vec<String> {
        let servers = views.iter().enumerate();
        let mut lines: Vec<String> =
            servers.filter_map(|(i, view)| server_line(i, view, places)).collect();
        let has_probes = !lines.is_empty();
        // A server without others is connected to all that there are.
        if views.len() > 1 {
            lines.push(self.connections_line(now, views, reaches, places));
        }
        if has_probes {
            lines.extend(self.standstill_line(now));
            lines.extend(self.elections.lines(self.look_back_to(now), now, places));
            lines.extend(electable_line(views, reaches, places));
            lines.extend(self.searches.lines(views, places));
        }
        lines
    }

    /// The start of the period in which elections matter: the last commit, if that is some time ago.
    fn look_back_to(&self, now: Duration) -> Duration {
        let (last_commit, _) = self.last_commit;
        if now.saturating_sub(last_commit) >= STANDSTILL {
            last_commit
        } else {
            now.saturating_sub(RECENTLY)
        }
    }

    fn standstill_line(&self, now: Duration) -> Option<String> {
        let (at, index) = self.last_commit;
        let without = now.saturating_sub(at);
        if without < STANDSTILL {
            return None;
        }
        let last = if index == 0 {
            "nothing was ever committed".to_string()
        } else {
            format!("the last one was of entry {index}, at {:.3} s", at.as_secs_f64())
        };
        Some(format!("no commit for {:.1} s: {last}", without.as_secs_f64()))
    }

    fn connections_line(
        &self,
        now: Duration,
        views: &[View<'_>],
        reaches: Reaches<'_>,
        places: &Places,
    ) -> String {
        let mut parts = Vec::new();
        for group in groups(views, reaches) {
            let is_majority = 2 * group.len() > views.len();
            let majority = if is_majority { " (a majority)" } else { "" };
            parts.push(match group.as_slice() {
                [alone] => format!("{} is cut off", places.one(*alone)),
                _ if is_fully_connected(&group, reaches) => {
                    format!("{}{majority} reach one another", places.several(&group))
                }
                _ => format!("{}{majority} are partly connected", places.several(&group)),
            });
        }
        let down: Vec<usize> = (0..views.len()).filter(|&i| !views[i].is_running).collect();
        if !down.is_empty() {
            parts.push(format!("down: {}", places.list(&down)));
        }
        let since = now.saturating_sub(self.links_changed).as_secs_f64();
        format!("{}; unchanged for {since:.1} s", parts.join("; "))
    }
}

/// The state of one server; `None` when its Raft has no probe.
fn server_line(i: usize, view: &View<'_>, places: &Places) -> Option<String> {
    let server = places.one(i);
    let Probe { role, term, last_index, commit_index, last_applied, voted_for, .. } = view.probe?;
    if !view.is_running {
        return Some(format!("{server}: down, was in term {term}, log up to {last_index}"));
    }
    let of_term = view.last_term.map_or_else(String::new, |term| format!(" (of term {term})"));
    let vote = match voted_for {
        Some(candidate) if *candidate != i => format!(", voted for {}", places.one(*candidate)),
        _ => String::new(),
    };
    Some(format!(
        "{server}: {role} in term {term}{vote}, log up to {last_index}{of_term}, commitIndex \
         {commit_index}, lastApplied {last_applied}"
    ))
}

fn is_fully_connected(group: &[usize], reaches: Reaches<'_>) -> bool {
    group.iter().all(|&i| group.iter().all(|&j| i == j || reaches(i, j)))
}

/// The running servers in groups that are connected both ways, directly or through others; the largest
/// group first.
fn groups(views: &[View<'_>], reaches: Reaches<'_>) -> Vec<Vec<usize>> {
    let mut left: BTreeSet<usize> = (0..views.len()).filter(|&i| views[i].is_running).collect();
    let mut groups = Vec::new();
    while let Some(first) = left.pop_first() {
        let mut group = vec![first];
        let mut next = 0;
        while let Some(&i) = group.get(next) {
            next += 1;
            let joined: Vec<usize> =
                left.iter().copied().filter(|&j| reaches(i, j) && reaches(j, i)).collect();
            left.retain(|j| !joined.contains(j));
            group.extend(joined);
        }
        group.sort_unstable();
        groups.push(group);
    }
    groups.sort_by_key(|group| Reverse(group.len()));
    groups
}

/// Of a connected majority: whose logs are up-to-date enough to get its votes (section 5.4.1). `None` when
/// all of them can win.
fn electable_line(views: &[View<'_>], reaches: Reaches<'_>, places: &Places) -> Option<String> {
    let groups = groups(views, reaches);
    let group = groups.first().filter(|group| 2 * group.len() > views.len())?;
    let can_win = |i: usize| {
        let behind = group.iter().filter(|&&j| views[j].last_entry() <= views[i].last_entry());
        2 * behind.count() > views.len()
    };
    let (can, cannot): (Vec<usize>, Vec<usize>) = group.iter().partition(|&&i| can_win(i));
    if cannot.is_empty() {
        return None;
    }
    let ahead = group.iter().max_by_key(|&&i| views[i].last_entry())?;
    let (term, index) = views[*ahead].last_entry()?;
    Some(format!(
        "{} has the most up-to-date log, up to entry {index} of term {term}; {} can win the votes of a \
         majority, {} cannot",
        places.one(*ahead),
        places.several(&can),
        places.several(&cannot)
    ))
}
