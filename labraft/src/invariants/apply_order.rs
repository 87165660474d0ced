//! A server hands its service each entry once, in the order of the log (Raft paper, section 5.3: "apply
//! log entries in log order").

use super::change::Change;
use super::history::History;
use crate::property::{Holds, Property, violated};

/// A server that was just started counts everything in its service's snapshot as applied.
pub(super) fn check(history: &History, change: &Change<'_>) -> Holds {
    if change.before.is_some() {
        return Ok(());
    }
    let server = change.server;
    let last_applied = change.now.last_applied;
    let Some(applied) = history.servers[server].applied else { return Ok(()) };
    if last_applied == applied {
        return Ok(());
    }
    violated(
        Property::ApplyOrder,
        [server],
        format!(
            "server {server} starts with lastApplied {last_applied}, but the snapshot from which its \
             service was restored covers entries up to {applied}"
        ),
    )
}

/// A server hands up an entry of its own, and the implementation has not declared that there are any.
pub(super) fn undeclared(server: usize, index: u64) -> Holds {
    violated(
        Property::ApplyOrder,
        [server],
        format!(
            "server {server} hands up entry {index} as internal, but its implementation is not declared \
             to have internal entries (Implementation::with_internal_entries)"
        ),
    )
}

/// A server hands up the entry at `index`.
pub(super) fn check_entry(history: &mut History, server: usize, index: u64) -> Holds {
    let last_applied = &mut history.servers[server].applied;
    if let Some(applied) = last_applied.filter(|applied| applied + 1 != index) {
        return violated(
            Property::ApplyOrder,
            [server],
            format!(
                "server {server} hands its service the entry at index {index}; the service has \
                 everything up to {applied}, so {} is due",
                applied + 1
            ),
        );
    }
    *last_applied = Some(index);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use crate::invariants::Invariants;
    use crate::invariants::stage::{CONTRACT, Stage, assert_broken, command, snapshot};
    use crate::property::Property;

    #[test]
    fn a_command_that_is_applied_again_or_too_early_is_reported() {
        let mut invariants = Invariants::new(2, CONTRACT);
        assert_eq!(invariants.applied(0, &command(1, "a")), Ok(()));
        for wrong in [command(1, "a"), command(3, "c")] {
            let applied = invariants.applied(0, &wrong);
            assert_broken(applied, Property::ApplyOrder, "so 2 is due");
        }
    }

    #[test]
    fn a_service_starts_from_the_snapshot_that_was_saved() {
        let mut invariants = Invariants::new(2, CONTRACT);
        assert_eq!(invariants.applied(0, &snapshot(5, "abcde")), Ok(()));
        invariants.started(0, &Bytes::from_static(b"abcde"), Duration::ZERO);
        let applied = invariants.applied(0, &command(1, "a"));
        assert_broken(applied, Property::ApplyOrder, "so 6 is due");
        invariants.started(0, &Bytes::new(), Duration::ZERO);
        assert_eq!(invariants.applied(0, &command(1, "a")), Ok(()));
    }

    #[test]
    fn a_last_applied_that_is_not_what_the_saved_snapshot_covers_is_reported() {
        let checked = Stage::restart_from("ab", |raft| raft.cover(2, 2, 0));
        assert_broken(checked, Property::ApplyOrder, "starts with lastApplied 0");
        let checked = Stage::restart_from("", |raft| raft.cover(0, 2, 2));
        assert_broken(checked, Property::ApplyOrder, "up to 0");
    }
}
