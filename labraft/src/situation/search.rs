//! Leaders that look for the end of a follower's log without finding it: nextIndex moves, and matchIndex
//! does not.

use super::view::View;
use crate::raft::{FollowerProbe, Probe, Role};
use crate::server_names::Places;

/// A search with at least this many changes of direction counts as fruitless.
const BACK_AND_FORTH: u64 = 2;
/// A search in which nextIndex decreases at least this many times in a row counts as long.
const LONG_WAY: u64 = 8;

/// The searches of all leaders, by leader and follower.
pub(super) struct Searches(Vec<Vec<Search>>);

/// The movement of a leader's nextIndex for one follower since matchIndex last grew.
#[derive(Copy, Clone, Default)]
struct Search {
    /// The leader's term.
    term: u64,
    ups: u64,
    downs: u64,
    lowest: u64,
    highest: u64,
}

impl Searches {
    pub(super) fn new(servers: usize) -> Searches {
        Searches(vec![vec![Search::default(); servers]; servers])
    }

    /// The probe of a server that stays leader has changed.
    pub(super) fn leader_changed(&mut self, leader: usize, before: &Probe, now: &Probe) {
        let pairs = before.followers.iter().zip(&now.followers);
        for (follower, (old, new)) in pairs.enumerate() {
            if follower != leader && old != new {
                self.0[leader][follower].moved(now.term, *old, *new);
            }
        }
    }

    /// A report of the present leaders, in lines of text.
    pub(super) fn lines(&self, views: &[View<'_>], places: &Places) -> Vec<String> {
        let mut lines = Vec::new();
        for (leader, searches) in self.0.iter().enumerate() {
            let View { is_running, probe: Some(probe), .. } = views[leader] else { continue };
            if !is_running || probe.role != Role::Leader {
                continue;
            }
            for (follower, search) in searches.iter().enumerate() {
                let Some(moves) = search.description().filter(|_| search.term == probe.term) else {
                    continue;
                };
                let matched = probe.followers.get(follower).map_or(0, |probe| probe.match_index);
                lines.push(format!(
                    "{} leads, and its nextIndex for {} {moves}; its matchIndex stays {matched}",
                    places.one(leader),
                    places.one(follower)
                ));
            }
        }
        lines
    }
}

impl Search {
    fn moved(&mut self, term: u64, old: FollowerProbe, new: FollowerProbe) {
        let has_found_more = new.match_index > old.match_index;
        if self.term != term || has_found_more {
            let next = new.next_index;
            *self = Search { term, ups: 0, downs: 0, lowest: next, highest: next };
        }
        if has_found_more {
            return;
        }
        self.ups += u64::from(new.next_index > old.next_index);
        self.downs += u64::from(new.next_index < old.next_index);
        self.lowest = self.lowest.min(new.next_index).min(old.next_index);
        self.highest = self.highest.max(new.next_index).max(old.next_index);
    }

    /// The movement of nextIndex in words; `None` if it is unremarkable.
    fn description(&self) -> Option<String> {
        let Search { ups, downs, lowest, highest, .. } = self;
        if *ups >= BACK_AND_FORTH && *downs >= BACK_AND_FORTH {
            Some(format!(
                "has gone down {downs} times and up {ups} times, between {lowest} and {highest}"
            ))
        } else if *downs >= LONG_WAY {
            Some(format!("has gone down {downs} times, from {highest} to {lowest}"))
        } else {
            None
        }
    }
}
