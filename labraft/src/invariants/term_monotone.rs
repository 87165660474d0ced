//! A server's term never decreases, not even over a restart (Raft paper, figure 2: currentTerm
//! "increases monotonically" and is persistent).

use super::change::Change;
use super::history::History;
use crate::property::{Holds, Property, violated};

pub(super) fn check(history: &mut History, change: &Change<'_>) -> Holds {
    let server = change.server;
    let term = change.now.term;
    let highest = history.servers[server].highest_term;
    if term < highest {
        if let Some(covered) = snapshot_without_its_log(history, change) {
            return violated(
                Property::Snapshot,
                [server],
                format!(
                    "server {server} starts with a snapshot up to {covered} and a log up to {}, in term {term} and not in \
                     {highest}, where it has been: the snapshot was saved without the state that belongs to it",
                    change.now.last_index
                ),
            );
        }
        return violated(
            Property::TermMonotone,
            [server],
            format!("server {server} is in term {term} and has been in term {highest}"),
        );
    }
    history.servers[server].highest_term = term;
    Ok(())
}

/// If a server has just started from a snapshot that goes further than its log: up to where the snapshot goes. The
/// snapshot was saved then and the rest of the state was not, which is also why the term is lost.
fn snapshot_without_its_log(history: &History, change: &Change<'_>) -> Option<u64> {
    let covered = history.servers[change.server].applied.filter(|_| change.before.is_none());
    covered.filter(|&covered| change.now.last_index < covered)
}

#[cfg(test)]
mod tests {
    use crate::invariants::stage::{RaftFields, Stage, assert_broken};
    use crate::property::Property;

    #[test]
    fn a_term_that_decreases_is_reported() {
        let mut stage = Stage::with_leader();
        stage.breaks(Property::TermMonotone, "is in term 0", 1, |raft| raft.term = 0);
    }

    /// A crash between two saves, the snapshot's and its log's.
    #[test]
    fn a_snapshot_without_its_log_is_told_as_such() {
        let checked = Stage::restart_from("ab", |raft| *raft = RaftFields::default());
        assert_broken(
            checked,
            Property::Snapshot,
            "starts with a snapshot up to 2 and a log up to 0",
        );
    }

    #[test]
    fn a_term_that_is_lost_over_a_restart_is_reported() {
        let mut stage = Stage::with_leader();
        let violation = stage.restart(1, |raft| *raft = RaftFields::default()).unwrap_err();
        assert_eq!(violation.property, Property::TermMonotone);
    }
}
