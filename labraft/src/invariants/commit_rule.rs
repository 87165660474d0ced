//! The commit rule: a leader commits an entry of its own term when a majority has it, and entries of
//! earlier terms only through such an entry (Raft paper, section 5.4.2 and figure 8).

use super::change::Change;
use super::history::History;
use crate::property::{Holds, Property, violated};

pub(super) fn check(history: &History, change: &Change<'_>) -> Holds {
    let Some(before) = change.before_as_leader() else { return Ok(()) };
    let index = change.now.commit_index;
    if index <= before.commit_index {
        return Ok(());
    }
    let server = change.server;
    let leader_term = change.now.term;
    let Some(term) = history.servers[server].log.term_at(index) else { return Ok(()) };
    let all = history.servers.len();
    let holders = (0..all).filter(|&other| may_have(history, other, index, term)).count();
    let is_majority = holders > all / 2;
    let is_counted_in_old_term = term < leader_term && holders < all;
    if is_majority && !is_counted_in_old_term {
        return Ok(());
    }
    let holders: Vec<usize> =
        (0..all).filter(|&other| may_have(history, other, index, term)).collect();
    let what = if is_majority {
        format!(
            "server {server}, the leader of term {leader_term}, commits entry {index} of term {term} by \
             counting servers {holders:?}; a later leader may replace that entry"
        )
    } else {
        format!(
            "server {server}, the leader of term {leader_term}, commits entry {index}, which only \
             servers {holders:?} of {all} have"
        )
    };
    let mut servers = holders;
    if !servers.contains(&server) {
        servers.push(server);
    }
    violated(Property::CommitRule, servers, what)
}

/// Whether a server has an entry. One that is down may have it on its disk.
pub(super) fn may_have(history: &History, server: usize, index: u64, term: u64) -> bool {
    let server = &history.servers[server];
    !server.is_running || server.log.has(index, term)
}

#[cfg(test)]
mod tests {
    use crate::invariants::stage::Stage;
    use crate::property::Property;

    /// The entry is covered by the leader's own snapshot by the time it counts as committed.
    #[test]
    fn a_commit_of_what_the_leaders_snapshot_covers_is_judged_by_the_snapshots_term() {
        let mut stage = Stage::with_leader();
        stage.holds(0, |raft| raft.write(3, (1, "c")));
        stage.breaks(Property::CommitRule, "only servers [0] of 3 have", 0, |raft| {
            raft.cover(3, 3, 2);
            raft.snapshot_term = Some(1);
        });
    }

    #[test]
    fn a_commit_without_a_majority_is_reported() {
        let mut stage = Stage::with_leader();
        stage.holds(0, |raft| raft.write(3, (1, "c")));
        stage.breaks(Property::CommitRule, "only servers [0] of 3 have", 0, |raft| {
            raft.commit_index = 3;
        });
    }

    /// Figure 8: an entry of term 1 on a majority, counted by the leader of term 2.
    #[test]
    fn a_commit_of_an_earlier_terms_entry_by_counting_is_reported() {
        let mut stage = Stage::with_leader();
        stage.holds(2, |raft| raft.truncate(1));
        stage.holds(0, |raft| {
            raft.term = 2;
            raft.followers[1].match_index = 0;
        });
        stage.breaks(Property::CommitRule, "a later leader may replace that entry", 0, |raft| {
            raft.commit_index = 2;
        });
    }
}
