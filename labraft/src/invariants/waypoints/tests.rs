//! Each waypoint is noticed in the situation that it names, and not in the one next to it.

use std::time::Duration;

use bytes::Bytes;

use super::super::stage::{self, CONTRACT, RaftFields, Stage, command, message};
use crate::raft::{FollowerProbe, Role, Started};
use crate::waypoint::{Waypoint, Waypoints};

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn stands(term: u64, server: usize) -> impl FnOnce(&mut RaftFields) {
    move |raft| {
        raft.adopt_term(term);
        raft.role = Some(Role::Candidate);
        raft.voted_for = Some(server);
    }
}

fn wins(raft: &mut RaftFields) {
    raft.role = Some(Role::Leader);
    raft.followers = vec![FollowerProbe { next_index: 3, match_index: 0 }; 3];
}

impl Stage {
    /// A server stands in this term and wins.
    fn elect(&mut self, server: usize, term: u64) {
        self.holds(server, stands(term, server));
        self.now += ms(1);
        self.holds(server, wins);
        self.now += ms(1);
    }

    fn arrives(&mut self, (from, to): (usize, usize), is_reply: bool, called_at: Duration) {
        let message = message((from, to), is_reply, (called_at, called_at));
        self.invariants.delivered((from, to), &message, self.now);
    }

    fn reached(&self) -> Vec<Waypoint> {
        self.reached.all().iter().collect()
    }

    #[track_caller]
    fn has_come_to(&self, waypoint: Waypoint) {
        assert!(self.reached.has(waypoint), "{:?}", self.reached());
    }

    #[track_caller]
    fn has_not_come_to(&self, waypoint: Waypoint) {
        assert!(!self.reached.has(waypoint), "{:?}", self.reached());
    }
}

#[test]
fn a_quiet_run_comes_to_none() {
    let mut stage = Stage::with_leader();
    stage.arrives((0, 1), false, stage.now);
    stage.arrives((1, 0), true, stage.now);
    stage.holds(0, |raft| raft.commit_index = 0);
    assert_eq!(stage.reached.all(), Waypoints::default());
}

#[test]
fn two_candidates_of_one_term_and_nobody_wins() {
    let mut stage = Stage::with_contract(CONTRACT);
    stage.holds(0, stands(1, 0));
    stage.has_not_come_to(Waypoint::RivalCandidates);
    stage.holds(1, stands(1, 1));
    stage.has_come_to(Waypoint::RivalCandidates);
    stage.has_not_come_to(Waypoint::SplitVote);
    stage.holds(0, stands(2, 0));
    stage.has_come_to(Waypoint::SplitVote);
}

#[test]
fn a_leader_is_elected_again_and_gets_answers_of_both_earlier_times() {
    let mut stage = Stage::with_contract(CONTRACT);
    let first_candidacy = stage.now;
    stage.elect(0, 1);
    let first_reign = stage.now;
    stage.has_not_come_to(Waypoint::LeadsAgain);
    stage.now += ms(100);
    stage.holds(0, |raft| raft.adopt_term(2));
    stage.now += ms(100);
    stage.arrives((1, 0), true, first_reign);
    stage.has_not_come_to(Waypoint::EarlierReignAnswer);
    stage.elect(0, 3);
    stage.has_come_to(Waypoint::LeadsAgain);
    stage.arrives((1, 0), true, stage.now);
    stage.has_not_come_to(Waypoint::EarlierReignAnswer);
    stage.arrives((1, 0), true, first_reign);
    stage.has_come_to(Waypoint::EarlierReignAnswer);
    stage.has_not_come_to(Waypoint::OlderCandidacyAnswer);
    stage.arrives((1, 0), true, first_candidacy);
    stage.has_come_to(Waypoint::OlderCandidacyAnswer);
}

#[test]
fn requests_arrive_after_their_terms() {
    let mut stage = Stage::with_contract(CONTRACT);
    let candidacy = stage.now;
    stage.elect(0, 1);
    let reign = stage.now;
    stage.holds(1, |raft| raft.adopt_term(1));
    stage.arrives((0, 1), false, candidacy);
    stage.arrives((0, 1), false, reign);
    stage.has_not_come_to(Waypoint::LateCandidateRequest);
    stage.has_not_come_to(Waypoint::LateLeaderRequest);
    stage.holds(1, |raft| raft.adopt_term(2));
    stage.arrives((0, 1), false, candidacy);
    stage.has_come_to(Waypoint::LateCandidateRequest);
    stage.has_not_come_to(Waypoint::LateLeaderRequest);
    stage.arrives((0, 1), false, reign);
    stage.has_come_to(Waypoint::LateLeaderRequest);
}

#[test]
fn a_leader_steps_down_because_of_an_answer_or_a_request() {
    for is_reply in [true, false] {
        let mut stage = Stage::with_contract(CONTRACT);
        stage.elect(0, 1);
        stage.arrives((1, 0), is_reply, stage.now);
        stage.holds(0, |raft| raft.adopt_term(2));
        assert_eq!(stage.reached.has(Waypoint::DeposedByAnswer), is_reply);
    }
}

#[test]
fn a_candidate_comes_to_a_server_whose_log_is_ahead() {
    let mut stage = Stage::with_leader();
    stage.holds(0, |raft| raft.write(3, (1, "c")));
    stage.holds(1, stands(2, 1));
    stage.holds(2, |raft| raft.adopt_term(2));
    stage.has_not_come_to(Waypoint::CandidateBehind);
    stage.holds(0, |raft| raft.adopt_term(2));
    stage.has_come_to(Waypoint::CandidateBehind);
}

#[test]
fn entries_of_older_terms() {
    let mut stage = Stage::with_leader();
    stage.holds(1, stands(2, 1));
    stage.has_not_come_to(Waypoint::OldTermEntries);
    stage.holds(1, wins);
    stage.has_come_to(Waypoint::OldTermEntries);
    stage.has_not_come_to(Waypoint::OldTermOnMajority);
    stage.holds(1, |raft| raft.followers[1].match_index = 2);
    stage.has_not_come_to(Waypoint::OldTermOnMajority);
    stage.holds(2, |raft| raft.adopt_term(2));
    stage.holds(1, |raft| raft.followers[2].match_index = 2);
    stage.has_come_to(Waypoint::OldTermOnMajority);
}

#[test]
fn an_old_leader_accepts_commands_and_they_are_replaced() {
    let mut stage = Stage::with_leader();
    stage.holds(0, |raft| raft.write(3, (1, "c")));
    stage.has_not_come_to(Waypoint::OldLeaderAccepts);
    stage.elect(1, 2);
    stage.holds(0, |raft| raft.write(4, (1, "d")));
    stage.has_come_to(Waypoint::OldLeaderAccepts);
    stage.holds(1, |raft| raft.write(3, (2, "e")));
    stage.holds(2, |raft| {
        raft.adopt_term(2);
        raft.write(3, (2, "e"));
    });
    stage.holds(1, |raft| {
        raft.followers[2] = FollowerProbe { next_index: 4, match_index: 3 };
    });
    stage.save();
    stage.has_not_come_to(Waypoint::ConflictWithCommitted);
    stage.holds(1, |raft| {
        raft.followers[1] = FollowerProbe { next_index: 4, match_index: 3 };
        raft.commit_index = 3;
    });
    stage.has_come_to(Waypoint::ConflictWithCommitted);
    stage.has_not_come_to(Waypoint::EntriesReplaced);
    stage.holds(0, |raft| {
        raft.adopt_term(2);
        raft.truncate(2);
    });
    stage.has_come_to(Waypoint::EntriesReplaced);
}

#[test]
fn a_leader_backs_up_over_one_term_or_two() {
    let mut stage = Stage::with_leader();
    stage.elect(1, 2);
    stage.holds(1, |raft| {
        raft.write(3, (2, "c"));
        raft.followers[2].next_index = 4;
    });
    stage.holds(1, |raft| raft.followers[2].next_index = 3);
    stage.has_not_come_to(Waypoint::BacksUpOverTerms);
    stage.holds(1, |raft| raft.followers[2].next_index = 4);
    stage.holds(1, |raft| raft.followers[2].next_index = 1);
    stage.has_come_to(Waypoint::BacksUpOverTerms);
}

#[test]
fn a_leader_crashes_with_an_entry_of_its_own() {
    let mut stage = Stage::with_leader();
    stage.invariants.stopped(0);
    stage.has_not_come_to(Waypoint::LeaderStopsAhead);
    let mut stage = Stage::with_leader();
    stage.holds(0, |raft| raft.write(3, (1, "c")));
    stage.invariants.stopped(0);
    stage.has_come_to(Waypoint::LeaderStopsAhead);
}

#[test]
fn a_server_crashes_after_its_vote() {
    for is_decided in [true, false] {
        let mut stage = Stage::with_contract(CONTRACT);
        stage.holds(0, stands(1, 0));
        stage.holds(1, |raft| {
            raft.term = 1;
            raft.voted_for = Some(0);
        });
        if is_decided {
            stage.holds(0, wins);
        }
        stage.invariants.stopped(1);
        assert_eq!(stage.reached.has(Waypoint::VotedThenStopped), !is_decided);
    }
}

#[test]
fn a_follower_crashes_between_a_save_and_its_answer() {
    for has_answered in [true, false] {
        let mut stage = Stage::with_contract(CONTRACT);
        stage.traffic.saves += 1;
        stage.holds(1, |raft| raft.term = 1);
        stage.traffic.answers += u64::from(has_answered);
        stage.holds(1, |_| ());
        stage.invariants.stopped(1);
        assert_eq!(stage.reached.has(Waypoint::SavedThenStopped), !has_answered);
    }
}

#[test]
fn a_crash_in_a_save_is_noted() {
    let mut stage = Stage::with_leader();
    stage.invariants.stopped_in_step(1);
    stage.has_come_to(Waypoint::StoppedInSave);
}

#[test]
fn a_snapshot_arrives_after_what_it_covers_was_applied() {
    let mut stage = Stage::with_leader();
    for server in 0..3 {
        stage.holds(server, |raft| raft.cover(0, 0, 0));
    }
    for entry in [command(1, "a"), command(2, "b")] {
        assert_eq!(stage.invariants.applied(0, &entry), Ok(()));
    }
    stage.holds(0, |raft| {
        raft.followers[0].match_index = 2;
        raft.followers[1].match_index = 2;
        raft.cover(0, 2, 2);
    });
    let made = stage.invariants.snapshot_made(0, 1, &Bytes::from_static(b"a"));
    assert_eq!(made, Ok(()));
    let before = stage.now;
    stage.now += ms(10);
    stage.holds(0, |raft| {
        raft.cover(1, 2, 2);
        raft.followers[2].next_index = 1;
    });
    let sent = stage.now;
    stage.now += ms(10);
    stage.arrives((0, 2), false, sent);
    for entry in [command(1, "a"), command(2, "b")] {
        assert_eq!(stage.invariants.applied(2, &entry), Ok(()));
    }
    stage.holds(2, |raft| raft.cover(0, 2, 2));
    stage.arrives((0, 2), false, before);
    stage.has_not_come_to(Waypoint::SnapshotOvertaken);
    stage.arrives((0, 2), false, sent);
    stage.has_come_to(Waypoint::SnapshotOvertaken);
}

#[test]
fn a_follower_installs_a_snapshot() {
    for (covered, expected) in [(1, Waypoint::SnapshotInsideLog), (2, Waypoint::SnapshotInstalled)]
    {
        let mut stage = Stage::with_leader();
        let _ = stage.change(1, |raft| raft.cover(covered, covered, covered));
        assert_eq!(stage.reached(), [expected]);
    }
}

#[test]
fn a_snapshot_of_its_own_service_is_not_installed() {
    let mut stage = Stage::with_leader();
    let _ = stage.change(1, |raft| raft.cover(0, 2, 2));
    let _ = stage.change(1, |raft| raft.cover(2, 2, 2));
    assert_eq!(stage.reached(), []);
}

#[test]
fn a_server_restarts_with_nothing_but_a_snapshot() {
    for covered in [1, 2] {
        let mut stage = Stage::with_leader();
        let snapshot = if covered == 1 { "a" } else { "ab" };
        let handed = stage::snapshot(covered, snapshot);
        assert_eq!(stage.invariants.applied(0, &handed), Ok(()));
        stage.invariants.stopped(1);
        stage.invariants.started(1, &Bytes::from_static(snapshot.as_bytes()), stage.now);
        stage.holds(1, |raft| raft.cover(covered, covered, covered));
        assert_eq!(stage.reached.has(Waypoint::OnlySnapshotAtStart), covered == 2);
    }
}

/// A server accepts a command as the leader of term 1.
fn accepts(stage: &mut Stage, server: usize, command: &Bytes) {
    assert_eq!(stage.accepts(server, command, Started { index: 1, term: 1 }), Ok(()));
}

#[test]
fn a_command_is_executed_and_accepted_by_another_leader() {
    let mut stage = Stage::with_leader();
    let once = Bytes::from_static(b"a");
    accepts(&mut stage, 0, &once);
    accepts(&mut stage, 1, &once);
    stage.has_not_come_to(Waypoint::ExecutedThenRetried);
    assert_eq!(stage.invariants.applied(0, &command(1, "a")), Ok(()));
    accepts(&mut stage, 0, &once);
    stage.has_not_come_to(Waypoint::ExecutedThenRetried);
    accepts(&mut stage, 1, &once);
    stage.has_come_to(Waypoint::ExecutedThenRetried);
}
