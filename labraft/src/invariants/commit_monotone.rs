//! While a server is up, commitIndex and lastApplied never decrease, and lastApplied <= commitIndex <=
//! the log's last index (Raft paper, figure 2: both "increase monotonically").

use super::change::Change;
use crate::property::{Holds, Property, violated};
use crate::raft::Probe;

pub(super) fn check(change: &Change<'_>) -> Holds {
    let server = change.server;
    let Probe { commit_index, last_applied, last_index, .. } = *change.now;
    if last_applied > commit_index || commit_index > last_index {
        return violated(
            Property::CommitMonotone,
            [server],
            format!(
                "server {server} has lastApplied {last_applied} and commitIndex {commit_index}, and \
                 its log ends at {last_index}"
            ),
        );
    }
    if let Some(before) = change.before
        && (commit_index < before.commit_index || last_applied < before.last_applied)
    {
        return violated(
            Property::CommitMonotone,
            [server],
            format!(
                "server {server} had commitIndex {} and lastApplied {}; now they are {commit_index} \
                 and {last_applied}",
                before.commit_index, before.last_applied
            ),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::invariants::stage::{RaftFields, Stage};
    use crate::property::Property;

    fn indexes(commit_index: u64, last_applied: u64) -> impl FnOnce(&mut RaftFields) {
        move |raft| {
            raft.commit_index = commit_index;
            raft.last_applied = last_applied;
        }
    }

    #[test]
    fn a_commit_index_that_decreases_is_reported_except_over_a_restart() {
        let mut stage = Stage::with_leader();
        stage.holds(1, indexes(2, 1));
        assert_eq!(stage.restart(1, indexes(0, 0)), Ok(()));
        stage.holds(1, indexes(2, 1));
        stage.breaks(Property::CommitMonotone, "had commitIndex 2", 1, indexes(1, 1));
    }

    #[test]
    fn a_commit_index_beyond_the_log_is_reported() {
        let mut stage = Stage::with_leader();
        stage.breaks(Property::CommitMonotone, "its log ends at 2", 1, indexes(3, 0));
    }
}
