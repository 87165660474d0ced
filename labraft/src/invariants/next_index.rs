//! A leader's nextIndex for a follower is above its matchIndex (Raft paper, figure 2, volatile state on
//! leaders: nextIndex begins after the leader's last entry, matchIndex at 0, and both move together).

use super::change::Change;
use crate::property::{Holds, Property, violated};
use crate::raft::{FollowerProbe, Role};

pub(super) fn check(change: &Change<'_>) -> Holds {
    let now = change.now;
    if now.role != Role::Leader {
        return Ok(());
    }
    let leader = change.server;
    for (follower, &FollowerProbe { next_index, match_index }) in now.followers.iter().enumerate() {
        if follower != leader && next_index <= match_index {
            return violated(
                Property::NextIndex,
                [leader, follower],
                format!(
                    "server {leader}, the leader of term {}, has nextIndex {next_index} and matchIndex \
                     {match_index} for server {follower}: the leader will send entries that server {follower} already has",
                    now.term
                ),
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::invariants::stage::Stage;
    use crate::property::Property;

    #[test]
    fn a_next_index_that_is_not_above_the_match_index_is_reported() {
        let mut stage = Stage::with_leader();
        assert_eq!(stage.matched(1, 2), Ok(()));
        stage.breaks(Property::NextIndex, "nextIndex 2 and matchIndex 2", 0, |raft| {
            raft.followers[1].next_index = 2;
        });
    }
}
