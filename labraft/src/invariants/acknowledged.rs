//! An entry that a follower acknowledged stays in its log until a later leader replaces it, even across a
//! restart (Raft paper, section 5.3; figure 2: log[] is persistent).
//!
//! What was acknowledged is known from the leader's matchIndex: see `match_index`.

use super::change::Change;
use super::history::{Acknowledged, History};
use crate::property::{Holds, Property, violated};

pub(super) fn check(history: &mut History, change: &Change<'_>) -> Holds {
    let server = change.server;
    let history = &mut history.servers[server];
    let Some(Acknowledged { index, term, leader_term }) = history.acknowledged else {
        return Ok(());
    };
    let is_rewritten = change.log.written.is_some_and(|written| written.from <= index);
    let is_restarted = change.before.is_none();
    if !(is_rewritten || is_restarted) || history.log.has(index, term) {
        return Ok(());
    }
    let Some(before) = change.before else {
        return violated(
            Property::Acknowledged,
            [server],
            format!(
                "server {server} acknowledged entry {index} of term {term} to the leader of term \
                 {leader_term}, but after a restart the entry is missing"
            ),
        );
    };
    if before.term == leader_term && change.now.term == leader_term {
        return violated(
            Property::Acknowledged,
            [server],
            format!(
                "server {server} acknowledged entry {index} of term {term} to the leader of term \
                 {leader_term}, but removed it in the same term"
            ),
        );
    }
    // A later leader has replaced it.
    history.acknowledged = None;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::invariants::stage::Stage;
    use crate::property::Property;

    /// The leader knows that server 1 has both entries.
    fn with_acknowledged_entries() -> Stage {
        let mut stage = Stage::with_leader();
        assert_eq!(stage.matched(1, 2), Ok(()));
        stage
    }

    #[test]
    fn an_acknowledged_entry_that_is_removed_in_the_same_term_is_reported() {
        let mut stage = with_acknowledged_entries();
        stage.breaks(Property::Acknowledged, "removed it in the same term", 1, |raft| {
            raft.truncate(1);
        });
    }

    #[test]
    fn an_acknowledged_entry_that_is_lost_over_a_restart_is_reported() {
        let mut stage = with_acknowledged_entries();
        let violation = stage.restart(1, |raft| raft.truncate(1)).unwrap_err();
        assert_eq!(violation.property, Property::Acknowledged);
    }

    #[test]
    fn a_later_leader_may_replace_an_acknowledged_entry() {
        let mut stage = with_acknowledged_entries();
        stage.holds(1, |raft| {
            raft.adopt_term(2);
            raft.write(2, (2, "z"));
        });
        assert_eq!(stage.restart(1, |_| ()), Ok(()));
    }
}
