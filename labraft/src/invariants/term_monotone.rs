//! A server's term never decreases, not even over a restart (Raft paper, figure 2: currentTerm
//! "increases monotonically" and is persistent).

use super::change::Change;
use super::history::History;
use crate::property::{Holds, Property, violated};

pub(super) fn check(history: &mut History, change: &Change<'_>) -> Holds {
    let server = change.server;
    let term = change.now.term;
    let highest = &mut history.servers[server].highest_term;
    if term < *highest {
        return violated(
            Property::TermMonotone,
            [server],
            format!("server {server} is in term {term} and has been in term {highest}"),
        );
    }
    *highest = term;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::invariants::stage::{RaftFields, Stage};
    use crate::property::Property;

    #[test]
    fn a_term_that_decreases_is_reported() {
        let mut stage = Stage::with_leader();
        stage.breaks(Property::TermMonotone, "is in term 0", 1, |raft| raft.term = 0);
    }

    #[test]
    fn a_term_that_is_lost_over_a_restart_is_reported() {
        let mut stage = Stage::with_leader();
        let violation = stage.restart(1, |raft| *raft = RaftFields::default()).unwrap_err();
        assert_eq!(violation.property, Property::TermMonotone);
    }
}
