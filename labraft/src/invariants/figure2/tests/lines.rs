//! How leaders keep in touch with their followers.

use super::*;
use crate::property::Holds;

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

/// The leader goes on with server 1 alone for two seconds, in which each heartbeat is answered.
fn write_to_one(stage: &mut Stage) -> Holds {
    for _ in 0..20 {
        stage.now += Duration::from_millis(100);
        let request = stage.sends(0, 1, heartbeat());
        stage.change(0, nothing)?;
        stage.reads_answer(0, 1, request, appended(1, true));
        stage.change(0, nothing)?;
    }
    Ok(())
}

#[test]
fn a_leader_writes_to_all_followers_again_and_again() {
    let mut stage = with_idle_leader();
    let words = "has not written to server 2 for 700 ms";
    assert_broken(write_to_one(&mut stage), Property::Leaders1Repeats, words);
}

#[test]
fn a_leader_may_wait_for_an_answer_until_it_knows_that_none_will_come() {
    let mut stage = with_idle_leader();
    let request = stage.sends(0, 2, heartbeat());
    stage.holds(0, nothing);
    assert_eq!(write_to_one(&mut stage), Ok(()));
    stage.fails(0, 2, request);
    stage.holds(0, nothing);
    let words = "has not written to server 2 for";
    assert_broken(write_to_one(&mut stage), Property::Leaders1Repeats, words);
}

#[test]
fn a_leader_that_was_paused_may_write_to_one_after_the_other() {
    let mut stage = with_idle_leader();
    stage.now += Duration::from_secs(2);
    for server in [1, 2] {
        stage.sends(0, server, heartbeat());
        stage.holds(0, nothing);
        stage.now += Duration::from_millis(1);
    }
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
    stage.now += Duration::from_secs(1);
    stage.holds(0, nothing);
    stage.now += Duration::from_millis(1);
    stage.holds(0, nothing);
}
