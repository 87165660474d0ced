//! What is told of a step that breaks several rules: the one that is the cause.

use super::*;

fn snapshot(term: u64, last_included_index: u64) -> RaftMessage {
    RaftMessage::InstallSnapshot { term, last_included_index, last_included_term: 1 }
}

#[test]
fn a_newer_term_in_the_answer_to_a_snapshot_ends_a_reign() {
    let mut stage = with_leader();
    stage.holds(0, |raft| {
        raft.followers[1].match_index = 0;
        raft.snapshot_term = Some(1);
    });
    let request = stage.sends(0, 1, snapshot(1, 0));
    stage.holds(0, nothing);
    stage.reads_answer(0, 1, request, RaftMessage::InstallSnapshotReply { term: 3 });
    let words = "whose answer carries term 3, a term greater than its own";
    stage.breaks(Property::AllServers2, words, 0, |raft| raft.followers[1].match_index = 2);
}

#[test]
fn a_snapshot_of_a_leader_of_a_lower_term_is_not_installed() {
    let mut stage = with_leader();
    stage.reads(1, 2, request_vote(2, 2, (1, 2)));
    stage.holds(1, vote_for(2, 2));
    stage.reads(1, 0, snapshot(1, 2));
    let words = "installs the snapshot up to 2 of a leader of term 1";
    stage.breaks(Property::InstallSnapshot1, words, 1, |raft| {
        raft.snapshot_term = Some(1);
        raft.cover(2, 2, 0);
    });
}

#[test]
fn a_snapshot_of_the_leader_may_be_the_same_as_one_that_came_too_late() {
    let mut stage = with_leader();
    stage.reads(1, 2, request_vote(2, 2, (1, 2)));
    stage.holds(1, vote_for(2, 2));
    stage.reads(1, 0, snapshot(1, 2));
    stage.reads(1, 2, snapshot(2, 2));
    stage.holds(1, |raft| {
        raft.snapshot_term = Some(1);
        raft.cover(2, 2, 0);
    });
}

#[test]
fn a_candidate_that_reads_a_newer_term_becomes_a_follower() {
    let (mut stage, request) = with_candidate();
    stage.reads_answer(0, 1, request, vote(4, false));
    stage.breaks(Property::AllServers2, "and is still a candidate", 0, |raft| {
        raft.adopt_term(4);
        raft.role = Some(Role::Candidate);
    });
    // It looks like a follower, and asks as a candidate.
    let (mut stage, request) = with_candidate();
    stage.reads_answer(0, 1, request, vote(4, false));
    stage.holds(0, |raft| raft.adopt_term(4));
    stage.sends(0, 2, request_vote(4, 0, (0, 0)));
    stage.breaks(Property::AllServers2, "goes on asking for votes in term 4", 0, nothing);
}

#[test]
fn what_waits_for_a_late_timer_may_be_as_late() {
    let mut stage = with_leader();
    stage.reads(1, 2, append(3, (1, 2), &[], 0));
    stage.traffic.timers_late = Duration::from_millis(400);
    stage.holds(1, nothing);
    for ms in [100, 200, 159] {
        stage.now += Duration::from_millis(ms);
        stage.holds(1, nothing);
    }
    stage.now += Duration::from_millis(10);
    stage.holds(1, nothing);
    stage.now += Duration::from_millis(10);
    stage.breaks(Property::AllServers2, "and is still in term 1", 1, nothing);
}

#[test]
fn a_server_that_has_not_stood_does_not_ask_for_votes() {
    let mut stage = Stage::judged(Persistence::NotYet);
    stage.sends(0, 2, request_vote(0, 0, (0, 0)));
    stage.breaks(Property::RequestVoteArgs, "in which it is not a candidate", 0, nothing);
}
