//! Who stays what it is, and who has to wait.

use std::time::Duration;

use super::*;

#[test]
fn a_leader_that_has_just_heard_from_a_majority_leads_on() {
    let resigned_after = |quiet: Duration| {
        let mut stage = with_leader();
        let request = stage.sends(0, 1, append(1, (1, 2), &[], 0));
        stage.holds(0, nothing);
        stage.reads_answer(0, 1, request, appended(1, true));
        stage.holds(0, |raft| raft.followers[1] = follower(3, 2));
        stage.now += quiet;
        stage.change(0, |raft| {
            raft.commit_index = 2;
            raft.role = None;
        })
    };
    assert_broken(
        resigned_after(Duration::from_millis(5)),
        Property::LeadersStay,
        "1 of the 2 other",
    );
    // It may have counted who answers, and found too few.
    assert_eq!(resigned_after(Duration::from_millis(50)), Ok(()));
}

#[test]
fn a_candidate_does_not_give_up_after_one_refusal() {
    let won_after = |lasted: Duration| {
        let (mut stage, request) = with_candidate();
        stage.now += lasted;
        stage.reads_answer(0, 1, request, vote(1, false));
        stage.holds(0, |raft| raft.role = None);
        stage.reads_answer(0, 2, request, vote(1, true));
        stage.change(0, nothing)
    };
    let words = "has given up its candidacy 5.0 ms after it began";
    assert_broken(won_after(Duration::from_millis(5)), Property::Candidates2Leads, words);
    assert_eq!(won_after(Duration::from_millis(300)), Ok(()), "its time-out has passed");
}

#[test]
fn a_candidate_gives_up_for_a_leader() {
    let (mut stage, request) = with_candidate();
    stage.reads(0, 1, append(1, (0, 0), &[], 0));
    stage.holds(0, |raft| raft.role = None);
    stage.reads_answer(0, 2, request, vote(1, true));
    stage.holds(0, nothing);
}

#[test]
fn an_answer_tells_a_leader_of_an_earlier_term_that_there_is_a_newer_one() {
    let mut stage = with_leader();
    stage.reads(1, 2, request_vote(2, 2, (1, 2)));
    stage.holds(1, vote_for(2, 2));
    let request = stage.reads(1, 0, append(1, (1, 2), &[], 0));
    stage.answers(1, 0, request, appended(2, false));
    stage.holds(1, nothing);
    let request = stage.reads(1, 0, append(1, (1, 2), &[], 0));
    stage.answers(1, 0, request, appended(1, false));
    let words = "an earlier term, which it read in term 2, with term 1";
    stage.breaks(Property::AnswersTerm, words, 1, nothing);
}

/// It answered before it heard of the newer term.
#[test]
fn an_answer_may_leave_after_the_term_has_moved_on() {
    let mut stage = with_leader();
    let request = stage.reads(1, 0, append(1, (1, 2), &[], 0));
    stage.holds(1, nothing);
    stage.reads(1, 2, request_vote(2, 2, (1, 2)));
    stage.holds(1, vote_for(2, 2));
    stage.answers(1, 0, request, appended(1, true));
    stage.holds(1, nothing);
}

/// It saves once for both terms, and shows the second one only.
#[test]
fn a_vote_may_leave_when_its_voter_has_gone_on_to_the_next_term() {
    let votes_when_asked = |is_asked: bool| {
        let mut stage = with_leader();
        stage.reads(1, 0, append(2, (1, 2), &[], 0));
        stage.holds(1, |raft| raft.adopt_term(2));
        if is_asked {
            stage.reads(1, 2, request_vote(2, 2, (1, 2)));
        }
        stage.holds(1, nothing);
        stage.reads(1, 2, request_vote(3, 2, (1, 2)));
        stage.sends(1, 2, vote(2, true));
        stage.change(1, vote_for(3, 2))
    };
    assert_eq!(votes_when_asked(true), Ok(()));
    let words = "grants a vote in term 2, in which it has not voted";
    assert_broken(votes_when_asked(false), Property::RequestVote2, words);
}

#[test]
fn a_server_that_was_just_started_waits_for_a_leader() {
    let stands_after = |quiet: Duration| {
        let mut stage = Stage::judged(Persistence::NotYet);
        assert_eq!(stage.restart(1, |_| ()), Ok(()));
        stage.now += quiet;
        stage.sends(1, 0, request_vote(1, 1, (0, 0)));
        stage.sends(1, 2, request_vote(1, 1, (0, 0)));
        stage.change(1, stand(1, 1))
    };
    let words = "2.0 ms after it was started";
    assert_broken(stands_after(Duration::from_millis(2)), Property::ElectionTimer, words);
    assert_eq!(stands_after(Duration::from_millis(150)), Ok(()));
}

#[test]
fn a_new_leader_does_not_wait_for_its_first_heartbeat() {
    let (mut stage, request) = with_candidate();
    stage.reads_answer(0, 1, request, vote(1, true));
    stage.reads_answer(0, 2, request, vote(1, true));
    stage.holds(0, lead);
    stage.now += Duration::from_millis(101);
    stage.holds(0, nothing);
    stage.now += Duration::from_millis(1);
    stage.breaks(Property::Leaders1, "written to only 0 of the 2 other", 0, nothing);
}

/// It has read of a newer term, and shows it only when it has saved it.
#[test]
fn a_leader_may_stop_before_it_shows_the_newer_term() {
    let mut stage = with_leader();
    let request = stage.sends(0, 1, append(1, (1, 2), &[], 0));
    stage.holds(0, nothing);
    stage.reads_answer(0, 1, request, appended(1, true));
    stage.reads(0, 2, request_vote(2, 2, (1, 2)));
    stage.holds(0, |raft| raft.role = None);
    stage.holds(0, |raft| raft.adopt_term(2));
}

/// It takes both requests in before it answers and shows itself.
#[test]
fn a_vote_may_be_told_of_in_a_newer_term() {
    let mut stage = with_leader();
    let request = stage.reads(1, 2, request_vote(2, 2, (1, 2)));
    stage.reads(1, 0, append(3, (1, 2), &[], 0));
    stage.answers(1, 2, request, vote(2, true));
    stage.holds(1, |raft| raft.adopt_term(3));
    let request = stage.reads(1, 0, request_vote(2, 0, (1, 2)));
    stage.answers(1, 0, request, vote(3, true));
    stage.breaks(Property::RequestVote1, "in which it voted for server 2", 1, nothing);
}

/// A server that believes that there is a leader may leave candidates alone. While it is paused, it does not
/// notice that time passes.
#[test]
fn a_server_that_was_paused_may_still_believe_in_its_leader() {
    for is_paused in [true, false] {
        let mut stage = with_leader();
        stage.reads(1, 0, append(1, (1, 2), &[], 0));
        stage.holds(1, nothing);
        if is_paused {
            stage.now += Duration::from_secs(2);
        }
        for _ in 0..if is_paused { 5 } else { 25 } {
            stage.now += Duration::from_millis(100);
            stage.holds(1, nothing);
        }
        stage.reads(1, 2, request_vote(2, 2, (1, 2)));
        stage.holds(1, nothing);
        stage.now += Duration::from_millis(100);
        stage.holds(1, nothing);
        stage.now += Duration::from_millis(1);
        let checked = stage.change(1, nothing);
        assert_eq!(checked.is_ok(), is_paused, "{checked:?}");
    }
}

/// A Raft with one-way messages that reads several at once saves once, in the last term.
#[test]
fn a_vote_may_be_given_in_a_term_that_is_over_by_the_end_of_the_step() {
    let mut stage = with_leader();
    stage.reads(1, 2, request_vote(2, 2, (1, 2)));
    stage.reads(1, 0, request_vote(3, 0, (1, 2)));
    stage.holds(1, |raft| raft.adopt_term(3));
    stage.sends(1, 2, vote(2, true));
    stage.holds(1, nothing);
    stage.sends(1, 0, vote(2, true));
    stage.breaks(Property::RequestVote1, "in which it voted for server 2", 1, nothing);
}
