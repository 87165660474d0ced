//! The rules of part 2F.

use std::time::Duration;

use super::pre_votes::{AFTER, OFFERED, TIMEOUT, WITHIN, answer, question, stable_leader, wait};
use super::*;
use crate::offer::Offer;

/// Longer than anything may take that a server does at once.
const SOON: Duration = Duration::from_millis(100);

fn timeout_now(term: u64) -> RaftMessage {
    RaftMessage::TimeoutNow { term }
}

fn marked(term: u64, candidate_id: usize, last: (u64, u64)) -> RaftMessage {
    let (last_log_term, last_log_index) = last;
    RaftMessage::TransferVote { term, candidate_id, last_log_index, last_log_term }
}

/// Server 0 leads term 1 and has just written to all. The Raft offers parts 2E and 2F.
fn with_leader() -> Stage {
    stable_leader(OFFERED.with(Offer::LeaderTransfer { longest: 2 * TIMEOUT }))
}

/// It hands over to server 1, which has read that it is to stand.
fn with_target() -> Stage {
    let mut stage = with_leader();
    stage.now += WITHIN;
    stage.holds(0, |raft| raft.transferee = Some(1));
    stage.sends(0, 1, timeout_now(1));
    stage.holds(0, nothing);
    stage.reads(1, 0, timeout_now(1));
    stage
}

#[test]
fn a_transfer_keeps_all_rules() {
    let mut stage = with_target();
    let request = stage.sends(1, 0, marked(2, 1, (0, 0)));
    stage.sends(1, 2, marked(2, 1, (0, 0)));
    stage.holds(1, stand(2, 1));
    let read = stage.reads(0, 1, marked(2, 1, (0, 0)));
    stage.answers(0, 1, read, vote(2, true));
    stage.holds(0, |raft| {
        vote_for(2, 1)(raft);
        raft.followers.clear();
        raft.transferee = None;
    });
    let read = stage.reads(2, 1, marked(2, 1, (0, 0)));
    stage.answers(2, 1, read, vote(2, true));
    stage.holds(2, vote_for(2, 1));
    stage.reads_answer(1, 0, request, vote(2, true));
    stage.sends(1, 0, append(2, (0, 0), &[], 0));
    stage.sends(1, 2, append(2, (0, 0), &[], 0));
    stage.holds(1, lead);
}

/// Server 1 has heard nothing of its leader for a while when it is told to stand, and refuses a pre-vote so much later.
fn refuses_after_it_was_told(quiet: Duration) -> crate::property::Holds {
    let mut stage = with_target();
    stage.sends(1, 0, marked(2, 1, (0, 0)));
    stage.sends(1, 2, marked(2, 1, (0, 0)));
    stage.holds(1, stand(2, 1));
    wait(&mut stage, 1, quiet);
    let read = stage.reads(1, 2, question(3, (0, 0)));
    stage.answers(1, 2, read, answer(2, false));
    stage.change(1, nothing)
}

#[test]
fn a_leader_that_hands_over_may_count_as_heard() {
    // By then, its last other message of the leader is too old.
    assert_eq!(refuses_after_it_was_told(AFTER - WITHIN), Ok(()));
    let refused = refuses_after_it_was_told(AFTER);
    assert_broken(refused, Property::PreVoteRefused, "it hears from no leader");
}

#[test]
fn who_is_told_to_stand_is_the_one_to_whom_leadership_is_handed() {
    let told_by = |server: usize, transferee| {
        let mut stage = with_leader();
        stage.holds(0, |raft| raft.transferee = transferee);
        stage.sends(server, 1, timeout_now(1));
        stage.change(server, nothing)
    };
    assert_eq!(told_by(0, Some(1)), Ok(()));
    let words = "to which it is not handing over";
    assert_broken(told_by(0, Some(2)), Property::TimeoutNowArgs, words);
    assert_broken(told_by(0, None), Property::TimeoutNowArgs, words);
    assert_broken(told_by(2, None), Property::TimeoutNowArgs, "does not lead term 1");
}

#[test]
fn who_is_told_to_stand_has_the_whole_log() {
    let told_at = |match_index| {
        let mut stage = with_leader();
        stage.holds(0, |raft| {
            raft.write(1, (1, "a"));
            raft.transferee = Some(1);
        });
        let sent = stage.sends(0, 1, append(1, (0, 0), &[1], 0));
        stage.holds(0, nothing);
        if match_index == 1 {
            let read = stage.reads(1, 0, append(1, (0, 0), &[1], 0));
            stage.answers(1, 0, read, appended(1, true));
            stage.holds(1, |raft| raft.write(1, (1, "a")));
            stage.reads_answer(0, 1, sent, appended(1, true));
        }
        stage.sends(0, 1, timeout_now(1));
        stage.change(0, |raft| {
            raft.followers[1] = follower(2, match_index);
            raft.commit_index = match_index;
        })
    };
    assert_eq!(told_at(1), Ok(()));
    let words = "as far as it knows, ends with entry 0 and its own with entry 1";
    assert_broken(told_at(0), Property::TimeoutNowArgs, words);
}

/// Has a server looked at as soon as it should have done something, and in the instant after, and expects the slip.
#[track_caller]
fn overdue(stage: &mut Stage, server: usize, rule: Property, words: &str) {
    stage.holds(server, nothing);
    stage.now += SOON;
    stage.holds(server, nothing);
    stage.now += Duration::from_millis(1);
    stage.breaks(rule, words, server, nothing);
}

#[test]
fn who_is_told_to_stand_does_at_once() {
    let mut stage = with_target();
    let words = "to stand for election in term 2, and is still in term 1";
    overdue(&mut stage, 1, Property::TimeoutNowStands, words);
}

#[test]
fn who_stands_only_when_it_is_told_again_has_not_stood_at_once() {
    let mut stage = with_target();
    stage.holds(1, nothing);
    stage.now += SOON;
    stage.reads(1, 0, timeout_now(1));
    stage.sends(1, 0, marked(2, 1, (0, 0)));
    let words = "stands for election in term 2, 100 ms after it was told to";
    stage.breaks(Property::TimeoutNowStands, words, 1, stand(2, 1));
}

#[test]
fn who_is_told_late_need_not_stand_and_has_no_mark() {
    let mut stage = with_leader();
    stage.now += AFTER;
    stage.reads(1, 2, append(2, (0, 0), &[], 0));
    stage.holds(1, |raft| raft.adopt_term(2));
    stage.reads(1, 0, timeout_now(1));
    stage.holds(1, nothing);
    stage.now += SOON;
    stage.holds(1, nothing);
    stage.now += AFTER;
    let question = RaftMessage::PreVote { next_term: 3, last_log_index: 0, last_log_term: 0 };
    let asked = stage.sends(1, 2, question);
    stage.holds(1, nothing);
    stage.hears(1, 2);
    let granted = RaftMessage::PreVoteReply { term: 2, next_term: None, vote_granted: true };
    stage.reads_answer(1, 2, asked, granted);
    stage.sends(1, 0, marked(3, 1, (0, 0)));
    let words = "though no leader has told it to stand in this term";
    stage.breaks(Property::RequestVoteMark, words, 1, stand(3, 1));
}

#[test]
fn who_is_told_to_stand_says_so() {
    let mut stage = with_target();
    stage.sends(1, 0, request_vote(2, 1, (0, 0)));
    stage.breaks(Property::RequestVoteMark, "voters disregard it", 1, stand(2, 1));
}

#[test]
fn a_voter_in_lease_answers_the_candidate_that_its_leader_has_chosen() {
    let mut stage = with_target();
    stage.reads(2, 1, marked(2, 1, (0, 0)));
    let words = "of a candidate of term 2 that was told to stand";
    overdue(&mut stage, 2, Property::VotersLeaseSetAside, words);

    let mut stage = with_target();
    let read = stage.reads(2, 1, marked(2, 1, (0, 0)));
    stage.answers(2, 1, read, vote(1, false));
    let words = "disregards a candidate that its leader has told to stand";
    stage.breaks(Property::VotersLeaseSetAside, words, 2, nothing);
}

#[test]
fn where_it_is_not_offered_a_timeout_now_is_a_message_like_any_other() {
    let mut stage = stable_leader(OFFERED);
    stage.sends(0, 1, timeout_now(1));
    stage.holds(0, nothing);
    stage.reads(1, 0, timeout_now(1));
    stage.holds(1, nothing);
    stage.now += SOON;
    stage.holds(1, nothing);
    stage.now += Duration::from_millis(1);
    stage.holds(1, nothing);
}
