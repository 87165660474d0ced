// SOLUTION FILE
//! The checks of what a [`Core`] promises: see the list on the type. Only debug builds have them.

use labraft::Role;

use super::Core;

/// A core at the time of a check, for the next check to compare with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    role: Role,
    current_term: u64,
    voted_for: Option<usize>,
    commit_index: u64,
    /// The term of the entry at `commit_index`.
    commit_term: Option<u64>,
    last_applied: u64,
    last_included_index: u64,
    last_index: u64,
    last_term: u64,
}

impl Moment {
    fn of(core: &Core) -> Moment {
        Moment {
            role: core.role,
            current_term: core.current_term,
            voted_for: core.voted_for,
            commit_index: core.commit_index,
            commit_term: core.log.term(core.commit_index),
            last_applied: core.last_applied,
            last_included_index: core.log.last_included_index(),
            last_index: core.log.last_index(),
            last_term: core.log.last_term(),
        }
    }
}

/// Checks a core by itself, and against what it was at the last check.
///
/// # Panics
/// If an invariant does not hold.
pub(super) fn check(core: &mut Core) {
    let now = Moment::of(core);
    check_indexes(core, &now);
    check_votes(core);
    if core.role == Role::Leader {
        check_followers(core, &now);
    }
    if let Some(before) = &core.last_checked {
        check_progress(core, before, &now);
        check_committed_entries(core, before, &now);
        check_leader(core, before, &now);
        check_saves(core, before, &now);
    }
    core.last_checked = Some(now);
}

fn check_indexes(core: &Core, now: &Moment) {
    let me = core.me;
    assert!(
        now.last_included_index <= now.commit_index && now.commit_index <= now.last_index,
        "server {me}: the commit index {} is not within {}..={}, the snapshot's and the log's end",
        now.commit_index,
        now.last_included_index,
        now.last_index
    );
    assert!(
        now.last_applied <= now.commit_index,
        "server {me} has applied up to {}, and committed only up to {}",
        now.last_applied,
        now.commit_index
    );
    assert!(
        now.last_term <= now.current_term,
        "server {me} has an entry of term {} in its current term {}",
        now.last_term,
        now.current_term
    );
}

fn check_votes(core: &Core) {
    if core.role == Role::Follower {
        return;
    }
    let me = core.me;
    let votes = core.votes.iter().filter(|&&vote| vote).count();
    assert!(
        core.voted_for == Some(me) && core.votes[me],
        "server {me} is a {} in term {}, but voted for {:?}",
        core.role,
        core.current_term,
        core.voted_for
    );
    assert!(
        core.is_majority(votes) == (core.role == Role::Leader),
        "server {me} is a {} in term {} with {votes} of {} votes",
        core.role,
        core.current_term,
        core.servers
    );
}

fn check_followers(core: &Core, now: &Moment) {
    for server in core.others() {
        let follower = &core.followers[server];
        assert!(
            follower.match_index < follower.next_index && follower.next_index <= now.last_index + 1,
            "leader {}: {follower:?} of server {server} does not fit a log that ends at {}",
            core.me,
            now.last_index
        );
    }
}

fn check_progress(core: &Core, before: &Moment, now: &Moment) {
    let me = core.me;
    assert!(
        before.current_term <= now.current_term
            && before.commit_index <= now.commit_index
            && before.last_applied <= now.last_applied,
        "server {me} went back from {before:?} to {now:?}"
    );
    assert!(
        before.current_term < now.current_term
            || before.voted_for.is_none()
            || before.voted_for == now.voted_for,
        "server {me} voted for {:?}, and then for {:?}, in term {}",
        before.voted_for,
        now.voted_for,
        now.current_term
    );
}

fn check_committed_entries(core: &Core, before: &Moment, now: &Moment) {
    if before.commit_index < now.last_included_index {
        return;
    }
    let term = core.log.term(before.commit_index);
    assert!(
        term == before.commit_term,
        "server {}: index {} was committed with term {:?}, and has term {term:?} now",
        core.me,
        before.commit_index,
        before.commit_term
    );
}

fn check_leader(core: &Core, before: &Moment, now: &Moment) {
    let me = core.me;
    let has_led = before.role == Role::Leader && before.current_term == now.current_term;
    if !has_led {
        return;
    }
    // A leader has no rival in its term, so it stays what it is, unless it may find that a majority
    // does not answer it.
    assert!(
        now.role == Role::Leader || core.stable_leader.is_some(),
        "server {me} led term {}, but no longer does",
        now.current_term
    );
    assert!(
        before.last_index <= now.last_index,
        "leader {me} cut its log from {} to {} entries",
        before.last_index,
        now.last_index
    );
    if before.commit_index < now.commit_index {
        assert!(
            now.commit_term == Some(now.current_term),
            "leader {me} of term {} committed up to {}, an entry of term {:?}",
            now.current_term,
            now.commit_index,
            now.commit_term
        );
    }
}

fn check_saves(core: &Core, before: &Moment, now: &Moment) {
    let has_changed = before.current_term != now.current_term
        || before.voted_for != now.voted_for
        || before.last_included_index != now.last_included_index
        || before.last_index != now.last_index
        || before.last_term != now.last_term;
    assert!(
        core.output.must_save || !has_changed,
        "server {} changed from {before:?} to {now:?}, but does not save the change",
        core.me
    );
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::log::PersistentState;

    fn follower(current_term: u64) -> Core {
        let saved = PersistentState { current_term, ..PersistentState::default() };
        Core::new(0, 3, saved, Bytes::new())
    }

    #[test]
    #[should_panic(expected = "the commit index 1 is not within 0..=0")]
    fn a_commit_index_beyond_the_log_is_found() {
        let mut core = follower(1);
        core.commit_index = 1;
        core.take_output();
    }

    #[test]
    #[should_panic(expected = "server 0 is a leader in term 1 with 1 of 3 votes")]
    fn a_leader_without_a_majority_is_found() {
        let mut core = follower(0);
        core.election_timeout();
        core.become_leader();
        core.take_output();
    }

    #[test]
    #[should_panic(expected = "voted for Some(1), and then for Some(2), in term 3")]
    fn a_changed_vote_is_found() {
        let mut core = follower(3);
        core.voted_for = Some(1);
        core.output.must_save = true;
        core.take_output();
        core.voted_for = Some(2);
        core.output.must_save = true;
        core.take_output();
    }

    #[test]
    #[should_panic(expected = "but does not save the change")]
    fn a_term_that_is_not_saved_is_found() {
        let mut core = follower(3);
        core.take_output();
        core.current_term = 4;
        core.take_output();
    }
}
