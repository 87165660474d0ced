//! A leader's matchIndex for a follower never decreases, and the follower has the entries up to it (Raft
//! paper, figure 2, volatile state on leaders).

use super::change::Change;
use super::history::{Acknowledged, History};
use crate::property::{Holds, Property, violated};
use crate::raft::FollowerProbe;

pub(super) fn check(history: &mut History, change: &Change<'_>) -> Holds {
    let Some(before) = change.before_as_leader() else { return Ok(()) };
    let pairs = before.followers.iter().zip(&change.now.followers);
    for (follower, (old, new)) in pairs.enumerate() {
        if follower == change.server || old == new {
            continue;
        }
        check_range(change, follower, *old, *new)?;
        if new.match_index > old.match_index {
            check_replicated(history, change, follower, new.match_index)?;
        }
    }
    Ok(())
}

fn check_range(
    change: &Change<'_>,
    follower: usize,
    old: FollowerProbe,
    new: FollowerProbe,
) -> Holds {
    let match_index = new.match_index;
    let last_index = change.now.last_index;
    if (old.match_index..=last_index).contains(&match_index) {
        return Ok(());
    }
    let leader = change.server;
    violated(
        Property::MatchIndex,
        [leader, follower],
        format!(
            "server {leader}, the leader of term {} with a log up to {last_index}, has matchIndex \
             {match_index} for server {follower}; previously matchIndex was {}",
            change.now.term, old.match_index
        ),
    )
}

/// A leader believes that a follower has the leader's log up to `match_index`. While the follower is in
/// the leader's term, that must be true.
fn check_replicated(
    history: &mut History,
    change: &Change<'_>,
    follower: usize,
    match_index: u64,
) -> Holds {
    let leader = change.server;
    let leader_term = change.now.term;
    let Some(term) = history.servers[leader].log.term_at(match_index) else { return Ok(()) };
    let follower_history = &mut history.servers[follower];
    let is_in_term = follower_history.last.as_ref().is_some_and(|probe| probe.term == leader_term);
    if !is_in_term || !follower_history.is_running {
        return Ok(());
    }
    let log = &follower_history.log;
    if !log.has(match_index, term) {
        let instead = match log.term_at(match_index) {
            Some(other) => format!("server {follower} has an entry of term {other} at that index"),
            None => format!("the log of server {follower} ends at {}", log.last_index),
        };
        return violated(
            Property::MatchIndex,
            [leader, follower],
            format!(
                "server {leader}, the leader of term {leader_term}, believes that server {follower} has \
                 entry {match_index} of term {term}; {instead}"
            ),
        );
    }
    let known = &mut follower_history.acknowledged;
    if known.is_none_or(|known| (known.leader_term, known.index) < (leader_term, match_index)) {
        *known = Some(Acknowledged { index: match_index, term, leader_term });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::invariants::stage::Stage;
    use crate::property::Property;

    #[test]
    fn a_match_index_beyond_the_followers_log_is_reported() {
        let mut stage = Stage::with_leader();
        stage.holds(1, |raft| raft.truncate(1));
        let violation = stage.matched(1, 2).unwrap_err();
        assert_eq!(violation.property, Property::MatchIndex);
        assert!(violation.evidence.contains("the log of server 1 ends at 1"), "{violation}");
    }

    #[test]
    fn a_match_index_that_decreases_is_reported() {
        let mut stage = Stage::with_leader();
        assert_eq!(stage.matched(2, 2), Ok(()));
        assert_eq!(stage.matched(2, 1).unwrap_err().property, Property::MatchIndex);
    }

    #[test]
    fn an_entry_that_replaces_one_that_was_just_written_is_seen() {
        let mut stage = Stage::with_leader();
        stage.holds(1, |raft| raft.truncate(1));
        stage.holds(1, |raft| raft.write(2, (0, "z")));
        stage.holds(1, |raft| raft.write(2, (1, "b")));
        assert_eq!(stage.matched(1, 2), Ok(()));
    }
}
