//! The rules of part 2E.

use std::time::Duration;

use super::*;
use crate::invariants::Contract;
use crate::invariants::stage::CONTRACT;
use crate::offer::{Offer, Offers};

pub(super) const TIMEOUT: Duration = Duration::from_millis(300);
/// Within every lease, and after every lease.
pub(super) const WITHIN: Duration = Duration::from_millis(200);
pub(super) const AFTER: Duration = Duration::from_millis(700);
/// Part 2E.
pub(super) const OFFERED: Offers =
    Offers::NOTHING.with(Offer::StableLeader { election_timeout: TIMEOUT });

pub(super) fn question(next_term: u64, last: (u64, u64)) -> RaftMessage {
    let (last_log_term, last_log_index) = last;
    RaftMessage::PreVote { next_term, last_log_index, last_log_term }
}

pub(super) fn answer(term: u64, vote_granted: bool) -> RaftMessage {
    RaftMessage::PreVoteReply { term, next_term: None, vote_granted }
}

/// Server 0 asks the others whether they would elect it in term 1. Returns its question to server 1.
fn with_question() -> (Stage, u64) {
    asks(OFFERED)
}

/// The same with a Raft that offers this.
fn asks(offers: Offers) -> (Stage, u64) {
    let contract = Contract { persistence: Persistence::NotYet, offers, ..CONTRACT };
    let mut stage = Stage::judged_by(contract);
    stage.now += AFTER;
    let asked = stage.sends(0, 1, question(1, (0, 0)));
    stage.sends(0, 2, question(1, (0, 0)));
    stage.holds(0, nothing);
    (stage, asked)
}

/// Server 0 leads term 1 and has just written to all.
fn with_stable_leader() -> Stage {
    stable_leader(OFFERED)
}

/// The same with a Raft that offers this.
pub(super) fn stable_leader(offers: Offers) -> Stage {
    let (mut stage, asked) = asks(offers);
    let read = stage.reads(1, 0, question(1, (0, 0)));
    stage.answers(1, 0, read, answer(0, true));
    stage.holds(1, nothing);
    stage.hears(0, 1);
    stage.reads_answer(0, 1, asked, answer(0, true));
    let request = stage.sends(0, 1, request_vote(1, 0, (0, 0)));
    stage.sends(0, 2, request_vote(1, 0, (0, 0)));
    stage.holds(0, stand(1, 0));
    let read = stage.reads(1, 0, request_vote(1, 0, (0, 0)));
    stage.answers(1, 0, read, vote(1, true));
    stage.holds(1, vote_for(1, 0));
    stage.reads_answer(0, 1, request, vote(1, true));
    let beat = stage.sends(0, 1, append(1, (0, 0), &[], 0));
    stage.sends(0, 2, append(1, (0, 0), &[], 0));
    stage.holds(0, lead);
    for server in [1, 2] {
        let read = stage.reads(server, 0, append(1, (0, 0), &[], 0));
        stage.answers(server, 0, read, appended(1, true));
        stage.holds(server, |raft| raft.term = 1);
    }
    stage.reads_answer(0, 1, beat, appended(1, true));
    stage.holds(0, nothing);
    stage
}

#[test]
fn an_election_that_a_majority_has_been_asked_about_keeps_all_rules() {
    with_stable_leader();
}

#[test]
fn nobody_stands_without_the_pre_votes_of_a_majority() {
    let (mut stage, asked) = with_question();
    stage.hears(0, 1);
    stage.reads_answer(0, 1, asked, answer(0, false));
    let words = "pre-votes for this term from [0] only";
    stage.breaks(Property::PreVoteMajority, words, 0, stand(1, 0));
}

#[test]
fn a_pre_vote_counts_for_its_own_term_only() {
    let (mut stage, asked) = with_question();
    stage.reads(0, 2, append(1, (0, 0), &[], 0));
    stage.holds(0, |raft| raft.adopt_term(1));
    stage.now += AFTER;
    stage.sends(0, 1, question(2, (0, 0)));
    stage.holds(0, nothing);
    stage.hears(0, 1);
    stage.reads_answer(0, 1, asked, answer(0, true));
    stage.breaks(Property::PreVoteMajority, "in term 2", 0, stand(2, 0));
}

#[test]
fn a_pre_vote_counts_until_there_is_a_leader() {
    let (mut stage, asked) = with_question();
    stage.reads(0, 2, append(0, (0, 0), &[], 0));
    stage.holds(0, nothing);
    stage.hears(0, 1);
    stage.reads_answer(0, 1, asked, answer(0, true));
    stage.breaks(Property::PreVoteMajority, "from [0] only", 0, stand(1, 0));
}

#[test]
fn a_question_says_what_is_so() {
    for (message, words) in [
        (question(2, (0, 0)), "which is not the one after its own"),
        (question(1, (1, 1)), "a last entry that is not its own"),
    ] {
        let (mut stage, _) = with_question();
        stage.sends(1, 2, message);
        stage.breaks(Property::PreVoteArgs, words, 1, nothing);
    }
    let mut stage = with_stable_leader();
    stage.sends(0, 2, question(2, (0, 0)));
    stage.breaks(Property::PreVoteArgs, "leads, and asks", 0, nothing);
}

/// Lets time pass in which a server is awake.
pub(super) fn wait(stage: &mut Stage, server: usize, span: Duration) {
    for _ in 0..10 {
        stage.now += span / 10;
        stage.holds(server, nothing);
    }
}

/// Server 2 asks server 1 this long after that heard from its leader, and gets this answer.
fn answered(quiet: Duration, asked: RaftMessage, given: RaftMessage) -> crate::property::Holds {
    let mut stage = with_stable_leader();
    wait(&mut stage, 1, quiet);
    let read = stage.reads(1, 2, asked);
    stage.answers(1, 2, read, given);
    stage.change(1, nothing)
}

#[test]
fn a_server_that_hears_its_leader_grants_no_pre_vote() {
    assert_eq!(answered(WITHIN, question(2, (0, 0)), answer(1, false)), Ok(()));
    assert_eq!(answered(AFTER, question(2, (0, 0)), answer(1, true)), Ok(()));
    let granted = answered(WITHIN, question(2, (0, 0)), answer(1, true));
    assert_broken(granted, Property::PreVoteGranted, "has just heard from its leader");
    // The question is a late one, of the leader itself.
    assert_eq!(answered(WITHIN, question(1, (0, 0)), answer(1, true)), Ok(()));
}

#[test]
fn a_pre_vote_is_for_a_term_to_come() {
    let granted = answered(AFTER, question(0, (0, 0)), answer(1, true));
    assert_broken(granted, Property::PreVoteGranted, "for a term lower than its own");
}

#[test]
fn a_pre_vote_is_for_a_log_that_is_as_up_to_date() {
    let with_entry = |given| {
        let mut stage = with_stable_leader();
        let read = stage.reads(1, 0, append(1, (0, 0), &[1], 0));
        stage.answers(1, 0, read, appended(1, true));
        stage.holds(1, |raft| raft.write(1, (1, "a")));
        stage.now += AFTER;
        let read = stage.reads(1, 2, question(2, (0, 0)));
        stage.answers(1, 2, read, given);
        stage.change(1, nothing)
    };
    assert_eq!(with_entry(answer(1, false)), Ok(()));
    assert_broken(
        with_entry(answer(1, true)),
        Property::PreVoteGranted,
        "less up to date than its own",
    );
}

#[test]
fn a_pre_vote_that_can_be_granted_is() {
    let refused = answered(AFTER, question(2, (0, 0)), answer(1, false));
    assert_broken(refused, Property::PreVoteRefused, "it hears from no leader");
    // It is in that term already.
    assert_eq!(answered(AFTER, question(1, (0, 0)), answer(1, false)), Ok(()));
}

#[test]
fn nobody_moves_to_the_term_of_a_question() {
    let mut stage = with_stable_leader();
    stage.now += AFTER;
    stage.reads(1, 2, question(2, (0, 0)));
    let words = "moved to term 2, though the highest term";
    stage.breaks(Property::AllServers2, words, 1, |raft| raft.adopt_term(2));
}

/// A candidate of term 2 asks a server this long after that heard from its leader.
fn gives_way(server: usize, quiet: Duration) -> crate::property::Holds {
    let mut stage = with_stable_leader();
    stage.now += quiet;
    stage.reads(server, 2, request_vote(2, 2, (0, 0)));
    stage.change(server, |raft| raft.adopt_term(2))
}

#[test]
fn a_server_that_hears_its_leader_disregards_candidates() {
    let words = "has just heard from its leader, and gives way";
    assert_broken(gives_way(1, WITHIN), Property::VotersLease, words);
    assert_broken(gives_way(0, WITHIN), Property::VotersLease, "leads, and gives way");
    assert_eq!(gives_way(1, AFTER), Ok(()));
}

#[test]
fn an_answer_to_a_candidate_that_is_disregarded_has_the_servers_own_term() {
    let mut stage = with_stable_leader();
    stage.now += WITHIN;
    let read = stage.reads(1, 2, request_vote(2, 2, (0, 0)));
    stage.answers(1, 2, read, vote(1, false));
    stage.holds(1, nothing);
}

#[test]
fn a_server_that_hears_its_leader_moves_to_a_term_that_others_have() {
    let mut stage = with_stable_leader();
    stage.now += WITHIN;
    stage.reads(1, 2, append(2, (0, 0), &[], 0));
    stage.holds(1, |raft| raft.adopt_term(2));
}

#[test]
fn a_leader_that_a_majority_has_answered_lately_leads_on() {
    let resigned_after = |quiet| {
        let mut stage = with_stable_leader();
        stage.now += quiet;
        stage.change(0, |raft| raft.role = None)
    };
    let words = "1 of the 2 other servers have answered it within 210 ms";
    assert_broken(resigned_after(WITHIN), Property::LeadersStay, words);
    assert_eq!(resigned_after(TIMEOUT), Ok(()));
}

/// Part 2E, with leaders that hold leases or without.
fn offering_leases(has_leases: bool) -> Offers {
    let lease = Offer::LeaseReads { clock_drift_percent: 50 };
    if has_leases { OFFERED.with(lease) } else { OFFERED }
}

/// A server that has heard from its leader so long ago learns of term 2 otherwise, and then votes in it.
fn votes_in_a_later_term(has_leases: bool, quiet: Duration) -> crate::property::Holds {
    let mut stage = stable_leader(offering_leases(has_leases));
    stage.now += quiet;
    stage.reads(1, 2, RaftMessage::Other { term: 2 });
    stage.holds(1, |raft| raft.adopt_term(2));
    stage.reads(1, 2, request_vote(2, 2, (0, 0)));
    stage.change(1, vote_for(2, 2))
}

#[test]
fn where_leaders_hold_leases_a_vote_waits_in_every_term() {
    let words = "votes for server 2 in term 2, and has just heard from the leader of term 1";
    assert_broken(votes_in_a_later_term(true, WITHIN), Property::VotersLease, words);
    assert_eq!(votes_in_a_later_term(true, AFTER), Ok(()));
    assert_eq!(votes_in_a_later_term(false, WITHIN), Ok(()));
}

/// A server that has started so long ago refuses a pre-vote, and has heard from nobody.
fn refuses_after_a_start(has_leases: bool, quiet: Duration) -> crate::property::Holds {
    let (mut stage, _) = asks(offering_leases(has_leases));
    stage.restart(1, nothing)?;
    stage.now += quiet;
    let read = stage.reads(1, 0, question(1, (0, 0)));
    stage.answers(1, 0, read, answer(0, false));
    stage.change(1, nothing)
}

#[test]
fn where_leaders_hold_leases_a_server_that_starts_may_keep_its_vote_for_a_while() {
    assert_eq!(refuses_after_a_start(true, Duration::from_millis(100)), Ok(()));
    let words = "hears from no leader";
    let refused = refuses_after_a_start(false, Duration::from_millis(100));
    assert_broken(refused, Property::PreVoteRefused, words);
}

#[test]
fn a_lease_is_over_for_good_when_its_leader_hands_over() {
    let lease = Offer::LeaseReads { clock_drift_percent: 50 };
    let transfers = Offer::LeaderTransfer { longest: TIMEOUT };
    let mut stage = stable_leader(OFFERED.with(lease).with(transfers));
    stage.now += WITHIN / 2;
    let marked =
        RaftMessage::TransferVote { term: 2, candidate_id: 2, last_log_index: 0, last_log_term: 0 };
    stage.reads(1, 2, marked);
    stage.holds(1, vote_for(2, 2));
    // It did not win, and stands again.
    stage.now += WITHIN / 2;
    stage.reads(1, 2, request_vote(3, 2, (0, 0)));
    stage.holds(1, vote_for(3, 2));
}
