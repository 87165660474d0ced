//! Term, vote and entries are saved before a reply leaves (Raft paper, figure 2, persistent state:
//! "updated on stable storage before responding to RPCs"), and a leader counts itself for an entry of its own
//! when it has saved it (Ongaro's thesis, section 10.2.1: it may send the entry before).
//!
//! The reply may leave in a later step than the change. In a Raft that handles messages in one task and answers them
//! in another, it always does. With one-way messages an answer is a call of its own, so there calls count
//! in place of replies.

use super::change::Change;
use super::commit_rule::may_have;
use super::history::{History, Traffic, Unsaved};
use crate::property::{Holds, Property, violated};
use crate::raft::Role;

/// Compares a change with what is saved.
pub(super) fn check(history: &mut History, change: &Change<'_>) -> Holds {
    let server = change.server;
    let known = &mut history.servers[server];
    let traffic = known.traffic;
    let Some(before) = change.before.filter(|_| !change.saved) else {
        known.unsaved = None;
        return Ok(());
    };
    let now = change.now;
    let mut unsaved = still_unsaved(known.unsaved, traffic).unwrap_or_default();
    unsaved.saves = traffic.saves;
    if now.term != before.term {
        unsaved.term = Some(now.term);
    } else if let Some(candidate) = now.voted_for.filter(|_| before.voted_for.is_none()) {
        unsaved.vote = Some((now.term, candidate));
    }
    match now.role {
        Role::Follower if change.log.has_new_entries => {
            unsaved.taken = Some((now.last_index, now.term));
        }
        Role::Leader => unsaved.own = unsaved.own.or(change.log.first_new),
        Role::Follower | Role::Candidate => {}
    }
    known.unsaved = Some(unsaved);
    if change.answered { check_answer(server, &unsaved) } else { Ok(()) }
}

/// Checks a server that is what it was, and may have answered another meanwhile.
#[inline]
pub(super) fn check_late_answer(history: &History, server: usize, earlier: Traffic) -> Holds {
    let known = &history.servers[server];
    match still_unsaved(known.unsaved, known.traffic) {
        Some(unsaved) if known.traffic.answers != earlier.answers => check_answer(server, &unsaved),
        _ => Ok(()),
    }
}

fn still_unsaved(unsaved: Option<Unsaved>, traffic: Traffic) -> Option<Unsaved> {
    unsaved.filter(|unsaved| unsaved.saves == traffic.saves)
}

fn check_answer(server: usize, unsaved: &Unsaved) -> Holds {
    let (servers, what) = if let Some(term) = unsaved.term {
        (vec![server], format!("adopted term {term}"))
    } else if let Some((term, candidate)) = unsaved.vote {
        let what = format!("granted its vote of term {term} to server {candidate}");
        (vec![server, candidate], what)
    } else if let Some((last_index, term)) = unsaved.taken {
        (vec![server], format!("took entries up to {last_index} in term {term}"))
    } else {
        return Ok(());
    };
    violated(
        Property::SavedFirst,
        servers,
        format!("server {server} {what} and answered another server without saving"),
    )
}

/// A leader's own copy of an entry counts towards a majority when it is saved.
///
/// It comes after the commit rule, which wants a majority to have the entry in the first place.
pub(super) fn check_commit(history: &History, change: &Change<'_>) -> Holds {
    let unsaved = history.servers[change.server].unsaved.and_then(|unsaved| unsaved.own);
    let (Some(before), Some(own)) = (change.before_as_leader(), unsaved) else { return Ok(()) };
    let index = change.now.commit_index;
    if index <= before.commit_index || index < own {
        return Ok(());
    }
    let server = change.server;
    let Some(term) = history.servers[server].log.term_at(index) else { return Ok(()) };
    let all = history.servers.len();
    let others = (0..all).filter(|&other| other != server);
    let holders: Vec<usize> =
        others.filter(|&other| may_have(history, other, index, term)).collect();
    if 2 * holders.len() > all {
        return Ok(());
    }
    violated(
        Property::SavedFirst,
        [server],
        format!(
            "server {server}, the leader of term {}, commits entry {index} and counts itself, though it has \
             saved nothing since it appended entry {own}; the others that have it, {holders:?}, are not a majority of {all}",
            change.now.term
        ),
    )
}

#[cfg(test)]
mod tests {
    use crate::invariants::Persistence;
    use crate::invariants::stage::{RaftFields, Stage};
    use crate::property::Property;

    fn vote(raft: &mut RaftFields) {
        raft.adopt_term(2);
        raft.voted_for = Some(2);
    }

    #[test]
    fn a_reply_before_a_vote_or_an_entry_is_saved_is_reported() {
        let mut stage = Stage::with_leader();
        stage.traffic.answers += 1;
        stage.breaks(Property::SavedFirst, "server 1 adopted term 2 and answered", 1, vote);
        let mut stage = Stage::with_leader();
        stage.traffic.answers += 1;
        stage.breaks(Property::SavedFirst, "took entries up to 3 in term 1", 1, |raft| {
            raft.write(3, (1, "c"));
        });
    }

    /// The task that handles a message need not be the one that answers it.
    #[test]
    fn a_reply_in_a_later_step_than_the_change_is_reported_too() {
        let mut stage = Stage::with_leader();
        stage.holds(1, vote);
        stage.holds(1, |_| ());
        stage.traffic.answers += 1;
        stage.breaks(Property::SavedFirst, "server 1 adopted term 2 and answered", 1, |_| ());
        let mut stage = Stage::with_leader();
        stage.holds(1, |raft| raft.write(3, (1, "c")));
        stage.traffic.answers += 1;
        stage.breaks(Property::SavedFirst, "took entries up to 3 in term 1", 1, |raft| {
            raft.commit_index = 2;
        });
    }

    #[test]
    fn a_save_between_the_change_and_the_reply_is_enough() {
        let mut stage = Stage::with_leader();
        stage.holds(1, vote);
        stage.traffic.saves += 1;
        stage.holds(1, |_| ());
        stage.traffic.answers += 1;
        stage.holds(1, |_| ());
        // What was not saved is gone with a restart.
        let mut stage = Stage::with_leader();
        stage.holds(1, |raft| raft.write(3, (1, "c")));
        assert_eq!(stage.restart(1, |raft| raft.truncate(2)), Ok(()));
        stage.traffic.answers += 1;
        stage.holds(1, |_| ());
    }

    fn commit(raft: &mut RaftFields) {
        raft.commit_index = 3;
    }

    #[test]
    fn a_leader_that_counts_an_entry_of_its_own_before_it_is_saved_is_reported() {
        let mut stage = Stage::with_leader();
        stage.holds(0, |raft| raft.write(3, (1, "c")));
        stage.holds(1, |raft| raft.write(3, (1, "c")));
        stage.breaks(Property::SavedFirst, "commits entry 3 and counts itself", 0, commit);
    }

    #[test]
    fn a_leader_may_write_to_its_disk_while_the_others_do() {
        // It counts itself when it has saved,
        let mut stage = Stage::with_leader();
        stage.holds(0, |raft| raft.write(3, (1, "c")));
        stage.holds(1, |raft| raft.write(3, (1, "c")));
        stage.traffic.saves += 1;
        stage.holds(0, commit);
        // and need not be counted where the others are a majority.
        let mut stage = Stage::with_leader();
        for server in 0..3 {
            stage.holds(server, |raft| raft.write(3, (1, "c")));
        }
        stage.holds(0, commit);
    }

    #[test]
    fn before_lab_2c_nothing_has_to_be_saved() {
        let mut stage = Stage::with_leader();
        stage.invariants.contract.persistence = Persistence::NotYet;
        stage.traffic.answers += 1;
        stage.holds(1, vote);
    }

    #[test]
    fn a_reply_after_a_save_or_with_nothing_new_is_fine() {
        let mut stage = Stage::with_leader();
        stage.traffic.saves += 1;
        stage.traffic.answers += 1;
        stage.holds(1, vote);
        // No reply.
        stage.holds(2, vote);
        // An entry that is overwritten by itself.
        stage.traffic.answers += 1;
        stage.holds(1, |raft| raft.lowest_written = Some(2));
    }
}
