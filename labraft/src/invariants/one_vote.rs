//! A server votes for one candidate in a term, even across a restart (Raft paper, figure 2: votedFor is
//! persistent; section 5.2: "first-come-first-served").

use super::change::Change;
use super::history::History;
use crate::property::{Holds, Property, violated};

pub(super) fn check(history: &mut History, change: &Change<'_>) -> Holds {
    let server = change.server;
    let term = change.now.term;
    let voted_for = change.now.voted_for;
    let vote = &mut history.servers[server].vote;
    if let Some((_, candidate)) = vote.filter(|(voted_in, _)| *voted_in == term)
        && voted_for != Some(candidate)
    {
        let now = match voted_for {
            Some(other) => format!("its vote is for server {other}"),
            None if change.before.is_none() => "after a restart it has no vote".into(),
            None => "it has no vote".into(),
        };
        let mut servers = vec![server, candidate];
        servers.extend(voted_for);
        return violated(
            Property::OneVote,
            servers,
            format!("server {server} voted for server {candidate} in term {term}; now {now}"),
        );
    }
    if let Some(candidate) = voted_for {
        *vote = Some((term, candidate));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::invariants::stage::Stage;
    use crate::property::Property;

    #[test]
    fn a_vote_that_changes_is_reported() {
        let mut stage = Stage::with_leader();
        stage.breaks(Property::OneVote, "now its vote is for server 2", 1, |raft| {
            raft.voted_for = Some(2);
        });
    }

    #[test]
    fn a_vote_that_is_lost_over_a_restart_is_reported() {
        let mut stage = Stage::with_leader();
        let violation = stage.restart(1, |raft| raft.voted_for = None).unwrap_err();
        assert_eq!(violation.property, Property::OneVote);
        assert!(violation.evidence.contains("after a restart it has no vote"), "{violation}");
    }
}
