// SOLUTION FILE
//! Rules of the paper that are easily broken, each on a core alone: no clock, no network.

use bytes::Bytes;
use labraft::{ApplyMsg, Role};
use raft::core::{Core, Message, Output};
use raft::log::{Log, decode_state};
use raft::message::{
    AppendEntriesArgs, AppendEntriesReply, AppendOutcome, Entry, InstallSnapshotArgs,
    RequestVoteArgs, RequestVoteReply,
};

const SERVERS: usize = 3;

fn entry(term: u64) -> Entry {
    Entry { term, command: Bytes::copy_from_slice(&term.to_le_bytes()) }
}

/// Server 0 in `term`, with entries of these terms.
fn server(term: u64, voted_for: Option<usize>, terms: &[u64]) -> Core {
    let mut log = Log::default();
    terms.iter().for_each(|&term| log.append(entry(term)));
    Core::new(0, SERVERS, (term, voted_for, log), Bytes::new())
}

/// A leader of the term after `term`: server 0, with server 1's vote.
fn leader(term: u64, terms: &[u64]) -> Core {
    let mut core = server(term, None, terms);
    core.election_timeout();
    vote(&mut core, 1, term + 1);
    assert_eq!(core.role(), Role::Leader);
    core.take_output();
    core
}

fn vote(core: &mut Core, from: usize, asked_in: u64) {
    let reply = RequestVoteReply { term: asked_in, vote_granted: true };
    core.request_vote_reply(from, asked_in, &reply);
}

fn terms(core: &Core) -> Vec<u64> {
    (1..).map_while(|index| core.entry(index)).map(|entry| entry.term).collect()
}

fn candidate(term: u64, last_log_index: u64, last_log_term: u64) -> RequestVoteArgs {
    RequestVoteArgs { term, candidate_id: 1, last_log_index, last_log_term }
}

fn append(term: u64, prev: (u64, u64), new: &[u64], leader_commit: u64) -> AppendEntriesArgs {
    AppendEntriesArgs {
        term,
        leader_id: 1,
        prev_log_index: prev.0,
        prev_log_term: prev.1,
        entries: new.iter().map(|&term| entry(term)).collect(),
        leader_commit,
    }
}

fn success(term: u64) -> AppendEntriesReply {
    AppendEntriesReply { term, outcome: AppendOutcome::Success }
}

/// The AppendEntries that the output sends to `to`: index before, entries.
fn sent_to(output: &Output, to: usize) -> Option<(u64, usize)> {
    output.messages.iter().rev().find_map(|(server, message)| match message {
        Message::AppendEntries(args) if *server == to => {
            Some((args.prev_log_index, args.entries.len()))
        }
        _ => None,
    })
}

#[test]
fn a_vote_is_given_once_a_term_and_saved() {
    let mut core = server(1, None, &[]);
    assert!(core.request_vote(&candidate(2, 0, 0)).vote_granted);
    let output = core.take_output();
    assert!(output.must_save && output.reset_election_timer);
    assert_eq!(decode_state(&core.saved().0.to_vec()).unwrap().1, Some(1));

    let other = RequestVoteArgs { candidate_id: 2, ..candidate(2, 9, 2) };
    assert!(!core.request_vote(&other).vote_granted);
    assert!(!core.take_output().reset_election_timer, "a refusal does not quieten the voter");
    assert!(core.request_vote(&candidate(2, 0, 0)).vote_granted, "asked again, it says the same");
    assert!(!core.take_output().must_save);
}

#[test]
fn a_candidate_needs_a_log_that_is_as_up_to_date() {
    for (last_log_index, last_log_term, is_up_to_date) in
        [(2, 2, true), (3, 2, true), (1, 3, true), (1, 2, false), (9, 1, false)]
    {
        let mut core = server(2, None, &[1, 2]);
        let reply = core.request_vote(&candidate(3, last_log_index, last_log_term));
        assert_eq!(reply.vote_granted, is_up_to_date, "{last_log_index} of {last_log_term}");
        assert_eq!(reply.term, 3, "the newer term is taken over in any case");
    }
}

#[test]
fn votes_of_another_term_or_by_one_voter_twice_do_not_elect() {
    let mut core = Core::new(0, 5, (4, None, Log::default()), Bytes::new());
    core.election_timeout();
    vote(&mut core, 1, 5);
    vote(&mut core, 1, 5);
    assert_eq!(core.role(), Role::Candidate, "two votes of five, one of them counted once");
    core.election_timeout();
    vote(&mut core, 2, 5);
    vote(&mut core, 3, 5);
    assert_eq!(core.role(), Role::Candidate, "those were votes for the last candidacy");
    vote(&mut core, 2, 6);
    vote(&mut core, 3, 6);
    assert_eq!(core.role(), Role::Leader);
}

#[test]
fn an_old_message_takes_nothing_back() {
    let mut core = server(1, None, &[]);
    core.append_entries(append(1, (0, 0), &[1, 1, 1], 0));
    core.append_entries(append(1, (0, 0), &[1], 0));
    assert_eq!(terms(&core), [1, 1, 1]);
}

#[test]
fn a_conflict_removes_what_follows_and_is_saved() {
    let mut core = server(2, None, &[1, 1, 2, 2]);
    core.take_output();
    let reply = core.append_entries(append(3, (2, 1), &[3], 0));
    assert_eq!(reply.outcome, AppendOutcome::Success);
    assert_eq!(terms(&core), [1, 1, 3]);
    assert!(core.take_output().must_save);
}

#[test]
fn a_follower_commits_only_up_to_what_it_was_sent() {
    let mut core = server(2, None, &[1, 2, 2]);
    core.append_entries(append(3, (1, 1), &[], 3));
    assert_eq!(core.probe().commit_index, 1, "entries 2 and 3 may be another leader's");
}

#[test]
fn a_refusal_tells_the_term_and_its_first_index() {
    let mut core = server(3, None, &[1, 2, 2, 2]);
    let refusal = |core: &mut Core, prev| core.append_entries(append(4, prev, &[], 0)).outcome;
    assert_eq!(refusal(&mut core, (4, 3)), AppendOutcome::Conflict { term: 2, first_index: 2 });
    assert_eq!(refusal(&mut core, (9, 3)), AppendOutcome::TooShort { next_index: 5 });
    assert_eq!(core.append_entries(append(1, (0, 0), &[], 0)).outcome, AppendOutcome::StaleTerm);
}

#[test]
fn a_leader_backs_up_by_a_whole_term() {
    // The follower has term 2 from index 2 on; the leader has it at index 2 only.
    let mut core = leader(3, &[1, 2, 3, 3, 3]);
    let refusal = AppendEntriesReply {
        term: 4,
        outcome: AppendOutcome::Conflict { term: 2, first_index: 2 },
    };
    core.append_entries_reply(1, (4, 5, 5), Some(&refusal));
    assert_eq!(sent_to(&core.take_output(), 1), Some((2, 3)), "after its own last of term 2");

    let mut core = leader(3, &[1, 3, 3, 3]);
    core.append_entries_reply(1, (4, 4, 4), Some(&refusal));
    assert_eq!(sent_to(&core.take_output(), 1), Some((1, 3)), "it has no entry of term 2");
    core.append_entries_reply(1, (4, 4, 4), Some(&refusal));
    assert_eq!(sent_to(&core.take_output(), 1), None, "the same refusal again is old");
}

#[test]
fn only_an_entry_of_the_present_term_is_committed_by_counting() {
    // Figure 8: an entry of term 2 on a majority, the leader in term 4.
    let mut core = leader(3, &[1, 2]);
    core.append_entries_reply(1, (4, 2, 2), Some(&success(4)));
    assert_eq!(core.probe().commit_index, 0);
    core.start(Bytes::new()).unwrap();
    core.replicate();
    core.append_entries_reply(1, (4, 2, 3), Some(&success(4)));
    assert_eq!(core.probe().commit_index, 3, "and the others with it");
}

#[test]
fn a_match_is_what_the_request_said_and_answers_to_another_reign_are_dropped() {
    let mut core = leader(0, &[]);
    (0..3).for_each(|_| _ = core.start(Bytes::new()));
    core.append_entries_reply(1, (1, 0, 1), Some(&success(1)));
    assert_eq!(core.probe().followers[1].match_index, 1);

    core.append_entries(append(2, (0, 0), &[], 0));
    assert_eq!(core.role(), Role::Follower);
    core.election_timeout();
    vote(&mut core, 1, 3);
    core.append_entries_reply(1, (1, 0, 3), Some(&success(1)));
    let probe = core.probe();
    assert_eq!((probe.role, probe.followers[1].match_index), (Role::Leader, 0));
}

#[test]
fn commands_started_together_travel_together() {
    let mut core = leader(0, &[]);
    (0..10).for_each(|_| _ = core.start(Bytes::new()));
    core.replicate();
    let output = core.take_output();
    assert!(output.must_save);
    assert_eq!(output.messages.len(), 2, "one message to each of the others");
    assert_eq!(sent_to(&output, 1), Some((0, 10)));
}

#[test]
fn new_entries_wait_while_a_follower_owes_many_answers() {
    let mut core = leader(0, &[]);
    let mut sent = 0;
    loop {
        core.start(Bytes::new());
        core.replicate();
        match sent_to(&core.take_output(), 1) {
            Some(_) => sent += 1,
            None => break,
        }
    }
    assert!(sent > 0 && sent < 10, "{sent} beside the first heartbeat");
    core.heartbeat_timeout();
    assert_eq!(sent_to(&core.take_output(), 1), Some((0, sent + 1)), "a heartbeat does not wait");
    core.append_entries_reply(1, (1, 0, 0), Some(&success(1)));
    core.append_entries_reply(1, (1, 0, 1), Some(&success(1)));
    assert_eq!(sent_to(&core.take_output(), 1), Some((1, sent)), "an answer makes room");
}

#[test]
fn what_was_lost_is_sent_again_at_once() {
    let mut core = leader(0, &[]);
    core.append_entries_reply(1, (1, 0, 0), Some(&success(1)));
    core.start(Bytes::new());
    core.replicate();
    core.take_output();
    core.append_entries_reply(1, (1, 0, 1), None);
    assert_eq!(sent_to(&core.take_output(), 1), Some((0, 1)));
}

#[test]
fn a_cluster_of_one_commits_alone() {
    let mut core = Core::new(0, 1, (0, None, Log::default()), Bytes::new());
    core.election_timeout();
    assert_eq!(core.role(), Role::Leader);
    core.start(Bytes::from_static(b"x"));
    core.replicate();
    assert!(matches!(core.next_to_apply(), Some(ApplyMsg::Command { index: 1, .. })));
}

fn snapshot(term: u64, last_included_index: u64, last_included_term: u64) -> InstallSnapshotArgs {
    InstallSnapshotArgs {
        term,
        leader_id: 1,
        last_included_index,
        last_included_term,
        data: Bytes::from_static(b"snapshot"),
    }
}

#[test]
fn an_installed_snapshot_goes_to_the_service_first_and_keeps_what_follows() {
    let mut core = server(2, None, &[1, 1, 2, 2]);
    core.install_snapshot(snapshot(2, 3, 2));
    assert_eq!(core.probe().last_index, 4, "the entry after the snapshot agrees with it");
    assert!(matches!(core.next_to_apply(), Some(ApplyMsg::Snapshot { index: 3, term: 2, .. })));
    assert_eq!(core.next_to_apply(), None);

    let mut core = server(2, None, &[1, 1, 1, 1]);
    core.install_snapshot(snapshot(2, 3, 2));
    assert_eq!(core.probe().last_index, 3, "another term at the snapshot's end: all is replaced");
}

#[test]
fn an_old_snapshot_is_not_taken() {
    let mut core = server(2, None, &[]);
    core.append_entries(append(2, (0, 0), &[2, 2, 2], 3));
    core.take_output();
    core.install_snapshot(snapshot(2, 2, 2));
    assert_eq!(core.probe().first_index, 1);
    assert!(!core.take_output().must_save);
}

#[test]
fn a_follower_that_needs_forgotten_entries_is_sent_the_snapshot() {
    let mut core = leader(0, &[]);
    (0..3).for_each(|_| _ = core.start(Bytes::new()));
    core.append_entries_reply(1, (1, 0, 3), Some(&success(1)));
    while core.next_to_apply().is_some() {}
    core.take_snapshot(2, Bytes::from_static(b"snapshot"));
    core.take_output();
    core.heartbeat_timeout();
    let output = core.take_output();
    assert!(output.messages.iter().any(|(to, message)| *to == 2
        && matches!(message, Message::InstallSnapshot(args) if args.last_included_index == 2)));
    core.install_snapshot_reply(2, (1, 2), None);
    assert_eq!(core.probe().followers[2].match_index, 0, "no answer says nothing");
    let reply = raft::message::InstallSnapshotReply { term: 1 };
    core.install_snapshot_reply(2, (1, 2), Some(&reply));
    assert_eq!(sent_to(&core.take_output(), 2), Some((2, 1)), "and goes on behind it");
}

#[test]
#[should_panic(expected = "covers more than")]
fn a_snapshot_of_what_was_not_applied_is_refused() {
    leader(0, &[]).take_snapshot(1, Bytes::new());
}
