//! What leaders have under way to their followers.

use super::*;

fn heartbeat() -> RaftMessage {
    append(1, (0, 0), &[], 0)
}

/// Server 0 leads with an empty log, and waits for nothing from anybody.
fn with_idle_leader() -> Stage {
    let (mut stage, request) = with_candidate();
    stage.reads_answer(0, 1, request, vote(1, true));
    let sent = [1, 2].map(|server| (server, stage.sends(0, server, heartbeat())));
    stage.holds(0, lead);
    for (server, request) in sent {
        stage.reads_answer(0, server, request, appended(1, true));
        stage.holds(0, nothing);
    }
    stage
}

#[test]
fn a_leader_sends_new_entries() {
    let mut stage = with_idle_leader();
    stage.holds(0, |raft| {
        raft.write(1, (1, "a"));
        raft.write(2, (1, "b"));
        raft.followers[1] = follower(2, 0);
    });
    owes(&mut stage, 0, Property::Leaders3Sends, "not sent it to server 1");
}

#[test]
fn new_entries_may_wait_for_an_answer() {
    let mut stage = with_idle_leader();
    stage.sends(0, 1, heartbeat());
    stage.sends(0, 2, heartbeat());
    stage.holds(0, nothing);
    stage.holds(0, |raft| raft.write(1, (1, "a")));
    owes_nothing(&mut stage, 0);
}

#[test]
fn word_that_no_answer_will_come_ends_the_wait_but_is_no_answer() {
    let mut stage = with_idle_leader();
    for server in [1, 2] {
        let request = stage.sends(0, server, heartbeat());
        stage.holds(0, nothing);
        stage.fails(0, server, request);
        stage.holds(0, nothing);
    }
    stage.holds(0, |raft| {
        raft.write(1, (1, "a"));
        raft.write(2, (1, "b"));
        raft.followers[1] = follower(2, 0);
    });
    owes_nothing(&mut stage, 0);
}

/// An answer to what was sent before the failure says nothing about what gets through now.
#[test]
fn a_late_answer_does_not_end_the_doubt_after_a_failure() {
    let mut stage = with_idle_leader();
    let [late, lost] = [(); 2].map(|()| stage.sends(0, 1, heartbeat()));
    stage.holds(0, nothing);
    stage.fails(0, 1, lost);
    stage.holds(0, nothing);
    stage.reads_answer(0, 1, late, appended(1, true));
    stage.holds(0, nothing);
    stage.holds(0, |raft| {
        raft.write(1, (1, "a"));
        raft.write(2, (1, "b"));
        raft.followers[1] = follower(2, 0);
        raft.followers[2] = follower(3, 0);
    });
    owes_nothing(&mut stage, 0);
}

/// Server 0 leads, and server 1 lacks its entry.
fn with_follower_behind() -> (Stage, u64) {
    let mut stage = with_idle_leader();
    let request = stage.sends(0, 1, append(1, (0, 0), &[1], 0));
    stage.sends(0, 2, append(1, (0, 0), &[1], 0));
    stage.holds(0, |raft| {
        raft.write(1, (1, "a"));
        raft.followers[1] = follower(1, 0);
    });
    (stage, request)
}

/// Server 1 answers a heartbeat of server 0, which takes 200 ms.
fn answers_heartbeat(stage: &mut Stage) {
    let request = stage.sends(0, 1, heartbeat());
    stage.sends(0, 2, heartbeat());
    stage.holds(0, nothing);
    stage.now += Duration::from_millis(200);
    stage.reads_answer(0, 1, request, appended(1, true));
}

/// Server 1 answers heartbeats for three seconds.
fn answers_heartbeats(stage: &mut Stage) {
    for _ in 0..15 {
        answers_heartbeat(stage);
        stage.holds(0, nothing);
    }
}

#[test]
fn a_leader_sends_again_what_was_lost() {
    let (mut stage, lost) = with_follower_behind();
    stage.fails(0, 1, lost);
    answers_heartbeats(&mut stage);
    answers_heartbeat(&mut stage);
    stage.breaks(Property::Leaders3Sends, "sent it nothing of what it lacks", 0, nothing);
}

#[test]
fn a_leader_that_sends_it_again_is_right_even_if_it_is_lost_again() {
    let (mut stage, lost) = with_follower_behind();
    stage.fails(0, 1, lost);
    answers_heartbeats(&mut stage);
    let again = stage.sends(0, 1, append(1, (0, 0), &[1], 0));
    stage.holds(0, nothing);
    stage.fails(0, 1, again);
    answers_heartbeats(&mut stage);
}

#[test]
fn a_leader_may_wait_for_word_of_what_it_sent() {
    let (mut stage, _) = with_follower_behind();
    answers_heartbeats(&mut stage);
    answers_heartbeat(&mut stage);
    stage.holds(0, nothing);
}

/// Answers that have come together while the leader was paused do not count one by one.
#[test]
fn a_pause_of_the_leader_makes_nobody_starve() {
    let (mut stage, lost) = with_follower_behind();
    stage.fails(0, 1, lost);
    let requests = [(); 10].map(|()| stage.sends(0, 1, heartbeat()));
    stage.holds(0, nothing);
    for request in requests {
        stage.reads_answer(0, 1, request, appended(1, true));
        stage.holds(0, nothing);
        stage.now = stage.now.max(Duration::from_secs(5));
    }
}

#[test]
fn a_leader_writes_to_all_servers_again_and_again() {
    let mut stage = with_idle_leader();
    for _ in 0..3 {
        stage.now += Duration::from_millis(900);
        stage.sends(0, 1, heartbeat());
        stage.sends(0, 2, heartbeat());
        stage.holds(0, nothing);
    }
    // That it waits for an answer is no excuse.
    stage.now += Duration::from_millis(900);
    stage.sends(0, 2, heartbeat());
    stage.holds(0, nothing);
    stage.now += Duration::from_millis(200);
    stage.holds(0, nothing);
    stage.now += Duration::from_millis(1);
    let words = "has sent nothing to server 1 for 1101 ms";
    stage.breaks(Property::Leaders1Repeats, words, 0, nothing);
}

#[test]
fn a_leader_that_was_paused_writes_in_the_instant_in_which_it_goes_on() {
    let mut stage = with_idle_leader();
    stage.now += Duration::from_secs(3);
    stage.holds(0, nothing);
    stage.sends(0, 1, heartbeat());
    stage.sends(0, 2, heartbeat());
    stage.holds(0, nothing);
    stage.now += Duration::from_millis(500);
    stage.holds(0, nothing);
}

/// The tester asks a paused server whether it leads, and finds that it has sent nothing.
#[test]
fn a_leader_that_is_only_asked_something_is_not_judged_by_time() {
    let mut stage = with_idle_leader();
    stage.now += Duration::from_secs(3);
    for _ in 0..3 {
        stage.now += Duration::from_millis(1);
        assert_eq!(stage.ask(0), Ok(()));
    }
    stage.holds(0, nothing);
    stage.now += Duration::from_millis(1);
    stage.breaks(Property::Leaders1Repeats, "for 3004 ms", 0, nothing);
}

/// The leader goes back with entries, counts on them, and asks behind them meanwhile. (So it may with a snapshot.)
#[test]
fn a_leader_need_not_go_back_again_while_what_it_went_back_with_is_under_way() {
    let refused = |is_lost: bool| {
        let mut stage = with_leader();
        stage.sends(0, 1, append(1, (1, 2), &[], 0));
        stage.holds(0, |raft| raft.followers[1] = follower(3, 0));
        let entries = stage.sends(0, 1, append(1, (0, 0), &[1, 1], 0));
        stage.holds(0, nothing);
        if is_lost {
            stage.fails(0, 1, entries);
            stage.holds(0, nothing);
        }
        let request = stage.sends(0, 1, append(1, (1, 2), &[], 0));
        stage.holds(0, nothing);
        stage.reads_answer(0, 1, request, appended(1, false));
        stage.holds(0, nothing);
        stage
    };
    owes_nothing(&mut refused(false), 0);
    owes(&mut refused(true), 0, Property::Leaders3Answers, "lacks entry 2");
}

/// The leader sends entry 3 without having heard of entries 1 and 2, and the refusal arrives first.
#[test]
fn a_leader_need_not_go_back_while_earlier_entries_are_under_way() {
    let refused = |is_lost: bool| {
        let mut stage = with_leader();
        let earlier = stage.sends(0, 1, append(1, (0, 0), &[1, 1], 0));
        stage.holds(0, |raft| raft.followers[1] = follower(3, 0));
        let request = stage.sends(0, 1, append(1, (1, 2), &[1], 0));
        stage.holds(0, |raft| raft.write(3, (1, "c")));
        if is_lost {
            stage.fails(0, 1, earlier);
            stage.holds(0, nothing);
        }
        stage.reads_answer(0, 1, request, appended(1, false));
        stage.holds(0, nothing);
        stage
    };
    owes_nothing(&mut refused(false), 0);
    owes(&mut refused(true), 0, Property::Leaders3Answers, "lacks entry 2");
}

/// With one-way messages: server 1 acknowledges entry 3 to the leader of term 1, and in the same step takes entries of
/// the leader of term 2, after which its log ends at entry 2.
#[test]
fn what_is_acknowledged_may_be_gone_at_the_end_of_the_step_if_a_later_leader_removes_it() {
    let acknowledged =
        RaftMessage::AppendEntriesReply { term: 1, success: true, match_index: Some(3) };
    let stage_after = |is_sent: bool| {
        let stage = with_leader();
        if is_sent {
            stage.reads(1, 0, append(1, (1, 2), &[1], 0));
        }
        stage.sends(1, 0, acknowledged.clone());
        stage.reads(1, 2, append(2, (1, 1), &[2], 0));
        stage
    };
    let replace = |raft: &mut RaftFields| {
        raft.adopt_term(2);
        raft.truncate(1);
        raft.write(2, (2, "x"));
    };
    stage_after(true).holds(1, replace);
    let words = "acknowledges entry 3, which its log does not have";
    stage_after(false).breaks(Property::AppendEntries2, words, 1, replace);
}
