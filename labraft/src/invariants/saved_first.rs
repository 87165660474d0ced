//! Term, vote and entries are saved before a reply leaves (Raft paper, figure 2, persistent state:
//! "updated on stable storage before responding to RPCs").
//!
//! With one-way messages an answer is a call of its own, so there calls count in place of replies.

use super::change::Change;
use crate::property::{Holds, Property, violated};
use crate::raft::Role;

pub(super) fn check(change: &Change<'_>) -> Holds {
    let Some(before) = change.before else { return Ok(()) };
    if !change.answered || change.saved {
        return Ok(());
    }
    let server = change.server;
    let now = change.now;
    let mut servers = vec![server];
    let what = if now.term != before.term {
        format!("adopted term {}", now.term)
    } else if let Some(candidate) = now.voted_for.filter(|_| before.voted_for.is_none()) {
        servers.push(candidate);
        format!("granted its vote of term {} to server {candidate}", now.term)
    } else if change.log.has_new_entries && now.role == Role::Follower {
        format!("took entries up to {} in term {}", now.last_index, now.term)
    } else {
        return Ok(());
    };
    violated(
        Property::SavedFirst,
        servers,
        format!("server {server} {what} and answered another server without saving"),
    )
}

#[cfg(test)]
mod tests {
    use crate::invariants::Persistence;
    use crate::invariants::history::Traffic;
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
        stage.traffic = Traffic { saves: 1, answers: 1, ..Traffic::default() };
        stage.holds(1, vote);
        // No reply.
        stage.holds(2, vote);
        // An entry that is overwritten by itself.
        stage.traffic.answers += 1;
        stage.holds(1, |raft| raft.lowest_written = Some(2));
    }
}
