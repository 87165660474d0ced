//! A snapshot stands for what the service has applied; it is saved together with the log that follows it;
//! and an older snapshot never replaces a newer one (Raft paper, section 7).

use bytes::Bytes;

use super::change::Change;
use super::history::History;
use crate::property::{Holds, Property, violated};

/// The snapshot and the log of a server, which must fit together.
pub(super) fn check(history: &History, change: &Change<'_>) -> Holds {
    let server = change.server;
    let first_index = change.now.first_index;
    let commit_index = change.now.commit_index;
    let covered = first_index - 1;
    if commit_index < covered {
        return violated(
            Property::Snapshot,
            [server],
            format!(
                "the log of server {server} begins at {first_index}, after a snapshot of what is \
                 committed up to {covered}; its commitIndex is {commit_index}"
            ),
        );
    }
    if let Some(before) = change.before {
        if first_index >= before.first_index {
            return Ok(());
        }
        return violated(
            Property::Snapshot,
            [server],
            format!(
                "the log of server {server} now begins at {first_index}, but previously began at {}: an \
                 older snapshot has replaced a newer one",
                before.first_index
            ),
        );
    }
    match history.servers[server].applied {
        Some(applied) if applied < covered => violated(
            Property::Snapshot,
            [server],
            format!(
                "server {server} starts with a log that begins at {first_index} and a snapshot up to \
                 {applied}: the entries between them are lost"
            ),
        ),
        _ => Ok(()),
    }
}

/// A server hands its service a snapshot: the last index that it covers, the term of the entry there, and the
/// snapshot itself.
pub(super) fn check_handed_up(
    history: &mut History,
    server: usize,
    (index, term, snapshot): (u64, u64, &Bytes),
) -> Holds {
    let last_applied = history.servers[server].applied;
    if let Some(applied) = last_applied.filter(|&applied| applied > index) {
        return violated(
            Property::Snapshot,
            [server],
            format!(
                "server {server} hands its service a snapshot up to index {index}, although the service \
                 has already applied entries up to {applied}"
            ),
        );
    }
    let committed = usize::try_from(index).ok().and_then(|place| *history.committed.get(place)?);
    if let Some(committed) = committed.filter(|committed| committed.term != term) {
        return violated(
            Property::Snapshot,
            [server],
            format!(
                "server {server} hands its service a snapshot up to index {index} and says that the entry there                  is of term {term}; it is of term {}",
                committed.term
            ),
        );
    }
    history.add_snapshot(index, snapshot);
    history.servers[server].applied = Some(index);
    Ok(())
}

/// The service of a server has made a snapshot of everything up to `index`.
pub(super) fn check_made(
    history: &mut History,
    server: usize,
    index: u64,
    snapshot: &Bytes,
) -> Holds {
    let last_applied = history.servers[server].applied;
    if let Some(applied) = last_applied.filter(|&applied| applied < index) {
        return violated(
            Property::Snapshot,
            [server],
            format!(
                "the service of server {server} makes a snapshot up to index {index}, but it has applied only entries up to \
                 {applied}"
            ),
        );
    }
    let own_snapshot = &mut history.servers[server].own_snapshot;
    *own_snapshot = index.max(*own_snapshot);
    history.add_snapshot(index, snapshot);
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::invariants::Invariants;
    use crate::invariants::stage::{CONTRACT, Stage, assert_broken, command, snapshot};
    use crate::property::Property;
    use crate::raft::{ApplyMsg, HandedUp};

    #[test]
    fn a_snapshot_that_takes_its_service_back_is_reported() {
        let mut invariants = Invariants::new(2, CONTRACT);
        assert_eq!(invariants.applied(0, &snapshot(5, "abcde")), Ok(()));
        assert_eq!(invariants.applied(0, &command(6, "f")), Ok(()));
        let applied = invariants.applied(0, &snapshot(5, "abcde"));
        assert_broken(applied, Property::Snapshot, "has already applied entries up to 6");
    }

    #[test]
    fn a_snapshot_with_another_term_than_its_last_entry_is_reported() {
        let mut stage = Stage::with_leader();
        stage.holds(0, |raft| {
            raft.followers[1].match_index = 2;
            raft.commit_index = 2;
        });
        assert_eq!(stage.invariants.applied(1, &snapshot(2, "ab")), Ok(()));
        let bytes = Bytes::from_static(b"ab");
        let wrong = HandedUp::Message(ApplyMsg::Snapshot { index: 2, term: 4, snapshot: bytes });
        assert_broken(stage.invariants.applied(2, &wrong), Property::Snapshot, "it is of term 1");
    }

    #[test]
    fn a_snapshot_of_what_is_not_applied_yet_is_reported() {
        let mut invariants = Invariants::new(2, CONTRACT);
        assert_eq!(invariants.applied(0, &snapshot(6, "abcdef")), Ok(()));
        let made = invariants.snapshot_made(0, 7, &Bytes::from_static(b"abcdefg"));
        assert_broken(made, Property::Snapshot, "has applied only entries up to 6");
    }

    #[test]
    fn a_log_that_follows_its_snapshot_is_fine() {
        assert_eq!(Stage::restart_from("ab", |raft| raft.cover(2, 2, 2)), Ok(()));
    }

    #[test]
    fn a_log_that_does_not_follow_its_snapshot_is_reported() {
        let checked = Stage::restart_from("", |raft| raft.cover(2, 2, 2));
        assert_broken(checked, Property::Snapshot, "the entries between them are lost");
        let checked = Stage::restart_from("ab", |raft| raft.cover(2, 0, 0));
        assert_broken(checked, Property::Snapshot, "its commitIndex is 0");
    }

    #[test]
    fn an_older_snapshot_that_replaces_a_newer_one_is_reported() {
        let mut stage = Stage::with_leader();
        stage.holds(1, |raft| raft.cover(2, 2, 2));
        stage.breaks(Property::Snapshot, "previously began at", 1, |raft| raft.cover(1, 2, 2));
    }
}
