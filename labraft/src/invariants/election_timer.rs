//! The election timer restarts when a server grants its vote, and whenever it hears from the leader
//! (Raft paper, section 5.2, and figure 2, rules for followers).
//!
//! A server's state alone shows only a part of this: after it grants a vote or installs a snapshot, the
//! server must wait for a whole time-out before it becomes a candidate.

use std::time::Duration;

use super::change::Change;
use super::history::{History, TimerRestart};
use crate::property::{Holds, Property, violated};
use crate::raft::Role;

/// No election time-out is this short: heartbeats may come 100 ms apart, and the course's own skeleton
/// waits for at least 50 ms.
pub(super) const SHORTEST_TIMEOUT: Duration = Duration::from_millis(30);
/// A server that becomes a candidate this soon afterwards may have decided so before its timer restarted.
pub(super) const AT_ONCE: Duration = Duration::from_millis(1);

pub(super) fn check(history: &mut History, change: &Change<'_>) -> Holds {
    let Some(before) = change.before else { return Ok(()) };
    let now = change.now;
    let is_new_candidacy =
        now.role == Role::Candidate && (before.role, before.term) != (now.role, now.term);
    let server = &mut history.servers[change.server];
    if is_new_candidacy {
        return match server.timer_restart.take() {
            Some((at, why)) => check_candidacy(change, at, why),
            None => Ok(()),
        };
    }
    let has_new_vote = (before.term, before.voted_for) != (now.term, now.voted_for);
    let covered = now.first_index - 1;
    let is_installed = covered >= before.first_index && covered > server.own_snapshot;
    if let Some(candidate) = now.voted_for.filter(|_| has_new_vote) {
        let is_for_another = candidate != change.server;
        server.timer_restart = is_for_another.then_some((change.at, TimerRestart::Vote(candidate)));
    } else if is_installed {
        server.timer_restart = Some((change.at, TimerRestart::Snapshot(covered)));
    }
    Ok(())
}

/// A server has become a candidate after its timer should have restarted at `restarted`.
fn check_candidacy(change: &Change<'_>, restarted: Duration, why: TimerRestart) -> Holds {
    let since = change.at - restarted;
    if since <= AT_ONCE || since >= SHORTEST_TIMEOUT {
        return Ok(());
    }
    let server = change.server;
    let mut servers = vec![server];
    let what = match why {
        TimerRestart::Vote(candidate) => {
            servers.push(candidate);
            format!("it granted its vote to server {candidate}")
        }
        TimerRestart::Snapshot(index) => {
            format!("it installed its leader's snapshot up to {index}")
        }
    };
    violated(
        Property::ElectionTimer,
        servers,
        format!(
            "server {server} becomes a candidate in term {}, {:.1} ms after {what}: that should have \
             restarted its election timer",
            change.now.term,
            since.as_secs_f64() * 1000.0
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use crate::invariants::stage::{RaftFields, Stage, command};
    use crate::property::Property;
    use crate::raft::Role;

    fn become_candidate(raft: &mut RaftFields) {
        raft.adopt_term(3);
        raft.voted_for = Some(1);
        raft.role = Some(Role::Candidate);
    }

    fn vote(raft: &mut RaftFields) {
        raft.adopt_term(2);
        raft.voted_for = Some(2);
    }

    fn cover_both_entries(raft: &mut RaftFields) {
        raft.covered = 2;
        raft.commit_index = 2;
        raft.lowest_written = Some(2);
    }

    fn milliseconds(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_candidacy_soon_after_a_granted_vote_is_reported() {
        let mut stage = Stage::with_leader();
        stage.holds(1, vote);
        stage.now += milliseconds(10);
        let words = "10.0 ms after it granted its vote to server 2";
        stage.breaks(Property::ElectionTimer, words, 1, become_candidate);
    }

    #[test]
    fn a_candidacy_soon_after_an_installed_snapshot_is_reported() {
        let mut stage = Stage::with_leader();
        stage.now += milliseconds(100);
        stage.holds(1, cover_both_entries);
        stage.now += milliseconds(10);
        let words = "its leader's snapshot up to 2";
        stage.breaks(Property::ElectionTimer, words, 1, become_candidate);
    }

    #[test]
    fn a_candidacy_after_a_whole_timeout_is_fine() {
        let mut stage = Stage::with_leader();
        stage.holds(1, vote);
        stage.now += milliseconds(150);
        stage.holds(1, become_candidate);
    }

    #[test]
    fn a_servers_own_snapshot_does_not_restart_its_timer() {
        let mut stage = Stage::with_leader();
        stage.now += milliseconds(100);
        assert_eq!(stage.invariants.applied(1, &command(1, "a")), Ok(()));
        assert_eq!(stage.invariants.applied(1, &command(2, "b")), Ok(()));
        let snapshot = Bytes::from_static(b"ab");
        assert_eq!(stage.invariants.snapshot_made(1, 2, &snapshot), Ok(()));
        stage.holds(1, cover_both_entries);
        stage.now += milliseconds(10);
        stage.holds(1, become_candidate);
    }
}
