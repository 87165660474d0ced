//! What a server shows of itself makes sense in itself: the other properties count on it.

use crate::property::{Holds, Property, violated};
use crate::raft::{Probe, RaftState, Role};

/// Checks a probe of a server in a cluster of this many servers.
#[inline]
pub(super) fn check(server: usize, servers: usize, now: &Probe) -> Holds {
    let ends = now.last_index.checked_add(1);
    let has_log = now.first_index > 0 && ends.is_some_and(|end| end >= now.first_index);
    // A leader may show nothing of what it knows of the others.
    let lists = now.role != Role::Leader || [0, servers].contains(&now.followers.len());
    let has_vote = now.voted_for.is_none_or(|candidate| candidate < servers);
    if has_log && lists && has_vote { Ok(()) } else { misshapen(server, servers, now) }
}

/// Checks that a server which tells its service that it leads is a leader of that term by its probe, too. A
/// server may tell of a new term before it has saved it; a probe shows what is saved.
#[inline]
pub(super) fn check_told(server: usize, told: RaftState, now: &Probe) -> Holds {
    let leads = now.role == Role::Leader && now.term == told.term;
    if leads || !told.is_leader { Ok(()) } else { told_otherwise(server, told, now) }
}

#[cold]
fn told_otherwise(server: usize, told: RaftState, now: &Probe) -> Holds {
    violated(
        Property::ProbeForm,
        [server],
        format!(
            "server {server} says that it leads term {} (Raft::state); by its probe it is {} of term {}",
            told.term,
            now.role.name(),
            now.term
        ),
    )
}

#[cold]
fn misshapen(server: usize, servers: usize, now: &Probe) -> Holds {
    let Probe { first_index, last_index, voted_for, followers, .. } = now;
    let what = if *first_index == 0 {
        "first_index is 0: indexes begin with 1, and it is one more than the last index that a snapshot \
         covers"
            .to_string()
    } else if last_index.checked_add(1).is_none_or(|end| end < *first_index) {
        format!(
            "first_index is {first_index} and last_index {last_index}: with an empty log, last_index is \
             first_index - 1"
        )
    } else if let Some(candidate) = voted_for.filter(|&candidate| candidate >= servers) {
        format!("voted_for is server {candidate}, but there are only servers 0 to {}", servers - 1)
    } else {
        format!(
            "followers has {} elements: a leader lists all {servers} servers, itself included, or none",
            followers.len()
        )
    };
    violated(
        Property::ProbeForm,
        [server],
        format!("the probe of server {server} (Raft::probe) cannot be: {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::stage::{Stage, assert_broken};
    use crate::raft::FollowerProbe;

    fn probe() -> Probe {
        Probe {
            term: 1,
            role: Role::Leader,
            voted_for: Some(0),
            first_index: 1,
            last_index: 0,
            commit_index: 0,
            last_applied: 0,
            lowest_written: None,
            followers: Vec::new(),
        }
    }

    #[test]
    fn a_leader_lists_all_servers_or_none() {
        let listed = |followers: usize| {
            let followers = vec![FollowerProbe { next_index: 1, match_index: 0 }; followers];
            check(0, 3, &Probe { followers, ..probe() })
        };
        assert_eq!((listed(0), listed(3)), (Ok(()), Ok(())));
        assert_broken(listed(2), Property::ProbeForm, "followers has 2 elements");
        assert_broken(listed(4), Property::ProbeForm, "lists all 3 servers");
    }

    #[test]
    fn a_log_begins_with_index_1_or_behind_its_snapshot() {
        let log =
            |first_index, last_index| check(0, 3, &Probe { first_index, last_index, ..probe() });
        assert_eq!((log(1, 0), log(5, 4)), (Ok(()), Ok(())));
        assert_broken(log(0, 4), Property::ProbeForm, "first_index is 0");
        assert_broken(log(5, 3), Property::ProbeForm, "with an empty log");
        assert_broken(log(1, u64::MAX), Property::ProbeForm, "with an empty log");
    }

    #[test]
    fn a_vote_is_for_a_server_of_the_cluster() {
        let checked = check(0, 3, &Probe { voted_for: Some(3), ..probe() });
        assert_broken(checked, Property::ProbeForm, "only servers 0 to 2");
    }

    /// It is looked at before anything else counts on it.
    #[test]
    fn a_probe_that_cannot_be_ends_the_run() {
        let mut stage = Stage::with_leader();
        stage.breaks(Property::ProbeForm, "followers has 5 elements", 0, |raft| {
            raft.followers = vec![FollowerProbe { next_index: 3, match_index: 0 }; 5];
        });
    }

    #[test]
    fn what_a_server_tells_is_what_it_shows() {
        let told = |term, is_leader| check_told(0, RaftState { term, is_leader }, &probe());
        assert_eq!(told(1, true), Ok(()));
        assert_eq!(told(2, false), Ok(()), "its new term is not saved yet");
        assert_broken(told(2, true), Property::ProbeForm, "by its probe it is leader of term 1");
        let follower = Probe { role: Role::Follower, ..probe() };
        let told = check_told(0, RaftState { term: 1, is_leader: true }, &follower);
        assert_broken(told, Property::ProbeForm, "leads term 1 (Raft::state)");
    }
}
