//! Each rule, kept and broken.

mod causes;
mod lines;
mod pre_votes;
mod staying;
mod transfers;

use std::time::Duration;

use crate::invariants::Persistence;
use crate::invariants::stage::{RaftFields, Stage, assert_broken};
use crate::message::RaftMessage;
use crate::property::Property;
use crate::raft::{FollowerProbe, Role};

fn request_vote(term: u64, candidate_id: usize, last: (u64, u64)) -> RaftMessage {
    let (last_log_term, last_log_index) = last;
    RaftMessage::RequestVote { term, candidate_id, last_log_index, last_log_term }
}

fn vote(term: u64, vote_granted: bool) -> RaftMessage {
    RaftMessage::RequestVoteReply { term, vote_granted }
}

/// Entries after `prev`, a term and an index, from server 0.
fn append(term: u64, prev: (u64, u64), entry_terms: &[u64], leader_commit: u64) -> RaftMessage {
    let (prev_log_term, prev_log_index) = prev;
    let entry_terms = entry_terms.to_vec();
    RaftMessage::AppendEntries { term, prev_log_index, prev_log_term, entry_terms, leader_commit }
}

fn appended(term: u64, success: bool) -> RaftMessage {
    RaftMessage::AppendEntriesReply { term, success, match_index: None }
}

fn follower(next_index: u64, match_index: u64) -> FollowerProbe {
    FollowerProbe { next_index, match_index }
}

fn stand(term: u64, me: usize) -> impl Fn(&mut RaftFields) {
    move |raft| {
        raft.adopt_term(term);
        raft.voted_for = Some(me);
        raft.role = Some(Role::Candidate);
    }
}

fn vote_for(term: u64, candidate: usize) -> impl Fn(&mut RaftFields) {
    move |raft| {
        raft.adopt_term(term);
        raft.voted_for = Some(candidate);
    }
}

fn lead(raft: &mut RaftFields) {
    raft.role = Some(Role::Leader);
    let next_index = raft.last_index() + 1;
    raft.followers = vec![follower(next_index, 0); 3];
}

fn nothing(_: &mut RaftFields) {}

/// Server 0 stands in term 1 and asks the others.
fn with_candidate() -> (Stage, u64) {
    let mut stage = Stage::judged(Persistence::NotYet);
    let request = stage.sends(0, 1, request_vote(1, 0, (0, 0)));
    stage.sends(0, 2, request_vote(1, 0, (0, 0)));
    stage.holds(0, stand(1, 0));
    (stage, request)
}

/// Server 0 leads term 1, with the votes of all, and has sent both entries to all; the answers were lost.
fn with_leader() -> Stage {
    let (mut stage, request) = with_candidate();
    for voter in [1, 2] {
        let asked = stage.reads(voter, 0, request_vote(1, 0, (0, 0)));
        stage.answers(voter, 0, asked, vote(1, true));
        stage.holds(voter, vote_for(1, 0));
    }
    stage.reads_answer(0, 1, request, vote(1, true));
    stage.sends(0, 1, append(1, (0, 0), &[], 0));
    stage.sends(0, 2, append(1, (0, 0), &[], 0));
    stage.holds(0, lead);
    stage.holds(0, |raft| {
        raft.write(1, (1, "a"));
        raft.write(2, (1, "b"));
    });
    for server in [1, 2] {
        let sent = stage.sends(0, server, append(1, (0, 0), &[1, 1], 0));
        stage.holds(0, nothing);
        let request = stage.reads(server, 0, append(1, (0, 0), &[1, 1], 0));
        stage.answers(server, 0, request, appended(1, true));
        stage.holds(server, |raft| {
            raft.write(1, (1, "a"));
            raft.write(2, (1, "b"));
        });
        stage.fails(0, server, sent);
        stage.holds(0, nothing);
    }
    stage
}

/// Lets a server be looked at in two instants after its patience has ended, and expects the slip.
#[track_caller]
fn owes(stage: &mut Stage, server: usize, rule: Property, words: &str) {
    stage.now += Duration::from_secs(5);
    stage.holds(server, nothing);
    stage.now += Duration::from_millis(1);
    stage.breaks(rule, words, server, nothing);
}

/// Asserts that a server owes nothing, though it waits for longer than most debts may wait.
#[track_caller]
fn owes_nothing(stage: &mut Stage, server: usize) {
    stage.now += Duration::from_millis(900);
    stage.holds(server, nothing);
    stage.now += Duration::from_millis(1);
    stage.holds(server, nothing);
}

#[test]
fn an_election_and_an_agreement_keep_all_rules() {
    let mut stage = with_leader();
    let request = stage.sends(0, 1, append(1, (0, 0), &[1, 1], 0));
    stage.holds(0, nothing);
    stage.reads_answer(0, 1, request, appended(1, true));
    stage.holds(0, |raft| {
        raft.followers[1] = follower(3, 2);
        raft.commit_index = 2;
        raft.last_applied = 2;
    });
    let request = stage.reads(2, 0, append(1, (1, 2), &[], 2));
    stage.answers(2, 0, request, appended(1, true));
    stage.holds(2, |raft| {
        raft.commit_index = 2;
        raft.last_applied = 2;
    });
}

#[test]
fn a_term_comes_from_a_message() {
    let mut stage = with_leader();
    let words = "the highest term that it has read in a message is 1";
    stage.breaks(Property::AllServers2, words, 1, |raft| raft.adopt_term(3));
}

#[test]
fn a_higher_term_in_an_answer_is_adopted() {
    let mut stage = with_leader();
    let request = stage.sends(0, 1, append(1, (1, 2), &[], 0));
    stage.holds(0, nothing);
    stage.reads_answer(0, 1, request, appended(4, false));
    stage.holds(0, nothing);
    owes(&mut stage, 0, Property::AllServers2, "still in term 1");
}

#[test]
fn an_answer_has_at_least_the_term_of_its_request() {
    let mut stage = with_leader();
    let request = stage.reads(1, 2, request_vote(3, 2, (1, 2)));
    stage.answers(1, 2, request, vote(1, false));
    stage.breaks(Property::AllServers2, "answers a message of term 3 in term 1", 1, nothing);
}

#[test]
fn an_election_begins_with_the_next_term() {
    let mut stage = with_leader();
    stage.breaks(Property::Candidates1, "though term 2 is next", 1, stand(3, 1));
    let mut stage = with_leader();
    stage.breaks(Property::Candidates1, "did not increment its term", 1, |raft| {
        raft.role = Some(Role::Candidate);
        raft.voted_for = Some(1);
    });
}

#[test]
fn a_candidate_asks_all_servers() {
    let mut stage = Stage::judged(Persistence::NotYet);
    stage.sends(0, 1, request_vote(1, 0, (0, 0)));
    stage.holds(0, stand(1, 0));
    owes(&mut stage, 0, Property::Candidates1Asks, "only 1 of the 2 other servers");
}

#[test]
fn a_candidate_says_what_its_last_entry_is() {
    let mut stage = with_leader();
    stage.now += Duration::from_millis(300);
    stage.sends(1, 2, request_vote(2, 1, (1, 3)));
    let words = "a last entry that is not its own, entry 2 of term 1";
    stage.breaks(Property::RequestVoteArgs, words, 1, stand(2, 1));
}

#[test]
fn a_candidate_saves_before_it_asks() {
    let mut stage = Stage::judged(Persistence::Required);
    stage.sends(0, 1, request_vote(1, 0, (0, 0)));
    stage.breaks(Property::SavedFirst, "before it has saved", 0, stand(1, 0));
}

#[test]
fn a_majority_of_votes_makes_a_leader() {
    let (mut stage, request) = with_candidate();
    stage.reads_answer(0, 1, request, vote(1, false));
    stage.breaks(Property::Candidates2, "votes for this term from [0] only", 0, lead);
}

#[test]
fn a_vote_of_an_earlier_candidacy_does_not_count() {
    let (mut stage, request) = with_candidate();
    stage.now += Duration::from_secs(1);
    stage.sends(0, 1, request_vote(2, 0, (0, 0)));
    stage.sends(0, 2, request_vote(2, 0, (0, 0)));
    stage.holds(0, stand(2, 0));
    stage.reads_answer(0, 1, request, vote(1, true));
    stage.breaks(Property::Candidates2, "leads term 2", 0, lead);
}

#[test]
fn a_candidate_with_a_majority_leads() {
    let (mut stage, request) = with_candidate();
    stage.reads_answer(0, 1, request, vote(1, true));
    stage.holds(0, nothing);
    owes(&mut stage, 0, Property::Candidates2Leads, "does not lead");
}

#[test]
fn a_candidate_follows_the_leader_of_its_term() {
    let (mut stage, _) = with_candidate();
    stage.reads(0, 1, append(1, (0, 0), &[], 0));
    stage.holds(0, nothing);
    owes(&mut stage, 0, Property::Candidates3, "still a candidate");
}

#[test]
fn a_server_that_hears_nothing_stands_for_election() {
    let mut stage = with_leader();
    owes(&mut stage, 1, Property::Followers2, "has not begun an election");
}

#[test]
fn a_server_that_was_paused_has_an_instant_to_wake_up() {
    let mut stage = with_leader();
    stage.now += Duration::from_secs(9);
    stage.holds(1, nothing);
    stage.sends(1, 0, request_vote(2, 1, (1, 2)));
    stage.sends(1, 2, request_vote(2, 1, (1, 2)));
    stage.holds(1, stand(2, 1));
}

#[test]
fn a_vote_is_for_a_candidate_that_asked() {
    let mut stage = with_leader();
    stage.reads(1, 2, append(2, (1, 2), &[], 0));
    stage.breaks(Property::RequestVote2, "has not asked it in term 2", 1, vote_for(2, 2));
}

#[test]
fn a_vote_is_for_a_log_that_is_as_up_to_date() {
    let mut stage = with_leader();
    stage.reads(1, 2, request_vote(2, 2, (1, 1)));
    stage.breaks(Property::RequestVote2, "is less up to date than its own", 1, vote_for(2, 2));
}

#[test]
fn no_vote_is_granted_that_was_not_given() {
    let mut stage = with_leader();
    let request = stage.reads(1, 2, request_vote(1, 2, (1, 2)));
    stage.answers(1, 2, request, vote(1, true));
    stage.breaks(Property::RequestVote2, "in which it voted for server 0", 1, nothing);
}

#[test]
fn a_vote_that_is_free_is_granted() {
    let mut stage = with_leader();
    let request = stage.reads(1, 2, request_vote(2, 2, (1, 2)));
    stage.answers(1, 2, request, vote(2, false));
    stage.holds(1, |raft| raft.adopt_term(2));
    stage.holds(1, nothing);
    let request = stage.reads(1, 2, request_vote(2, 2, (1, 2)));
    stage.answers(1, 2, request, vote(2, false));
    stage.holds(1, nothing);
    owes(&mut stage, 1, Property::RequestVote2Grants, "refused its vote to server 2");
}

/// The leader's first message overtakes its request for a vote, in which the term has no use for another one.
#[test]
fn who_has_heard_from_the_leader_of_a_term_need_not_vote_in_it() {
    let (mut stage, _) = with_candidate();
    let request = stage.reads(2, 0, append(1, (0, 0), &[], 0));
    stage.answers(2, 0, request, appended(1, true));
    stage.holds(2, |raft| raft.adopt_term(1));
    let request = stage.reads(2, 0, request_vote(1, 0, (0, 0)));
    stage.answers(2, 0, request, vote(1, false));
    stage.holds(2, nothing);
    owes_nothing(&mut stage, 2);
}

#[test]
fn a_leader_of_a_lower_term_is_turned_away() {
    let mut stage = with_leader();
    stage.reads(1, 2, request_vote(2, 2, (1, 2)));
    stage.holds(1, vote_for(2, 2));
    let request = stage.reads(1, 0, append(1, (1, 2), &[], 0));
    stage.answers(1, 0, request, appended(2, true));
    stage.breaks(Property::AppendEntries1, "lower than its own", 1, nothing);
}

#[test]
fn entries_are_accepted_after_an_entry_that_is_there() {
    let mut stage = with_leader();
    let request = stage.reads(1, 0, append(1, (1, 7), &[], 0));
    stage.answers(1, 0, request, appended(1, true));
    stage.breaks(Property::AppendEntries2, "up to entry 7", 1, nothing);
}

#[test]
fn entries_that_fit_are_not_refused() {
    let mut stage = with_leader();
    let request = stage.reads(1, 0, append(1, (1, 2), &[], 0));
    stage.answers(1, 0, request, appended(1, false));
    stage.breaks(Property::AppendEntriesRefused, "has the entry 2 of term 1", 1, nothing);
}

#[test]
fn entries_without_a_conflict_stay() {
    let mut stage = with_leader();
    stage.reads(1, 0, append(1, (0, 0), &[1], 0));
    stage.breaks(Property::AppendEntries3, "removed its entry 2", 1, |raft| raft.truncate(1));
}

#[test]
fn entries_come_from_a_leader() {
    let mut stage = with_leader();
    stage.reads(1, 0, append(1, (1, 2), &[1], 0));
    let words = "a new entry 4 of term 1, which no leader of its term has sent";
    stage.breaks(Property::AppendEntries4, words, 1, |raft| {
        raft.write(3, (1, "c"));
        raft.write(4, (1, "d"));
    });
}

#[test]
fn a_follower_commits_no_more_than_it_was_sent() {
    let mut stage = with_leader();
    stage.reads(1, 0, append(1, (1, 1), &[], 2));
    let words = "committed up to 2; what its leaders have sent and committed";
    stage.breaks(Property::AppendEntries5, words, 1, |raft| raft.commit_index = 2);
}

/// A Raft may say so in other messages, and they may come before the entry.
#[test]
fn a_follower_commits_what_it_has_heard_to_be_committed() {
    let committed = |entry_term| RaftMessage::Committed { index: 3, entry_term };
    for (entry_term, is_right) in [(1, true), (2, false)] {
        let mut stage = with_leader();
        stage.reads(1, 2, committed(entry_term));
        stage.reads(1, 0, append(1, (1, 2), &[1], 0));
        stage.holds(1, |raft| raft.write(3, (1, "c")));
        let checked = stage.change(1, |raft| raft.commit_index = 3);
        assert_eq!(checked.is_ok(), is_right, "{checked:?}");
    }
}

#[test]
fn what_a_leader_has_committed_may_show_when_it_no_longer_leads() {
    for is_answered in [true, false] {
        let mut stage = with_leader();
        let request = stage.sends(0, 1, append(1, (0, 0), &[1, 1], 0));
        stage.holds(0, nothing);
        if is_answered {
            stage.reads_answer(0, 1, request, appended(1, true));
        }
        stage.reads(0, 2, request_vote(2, 2, (1, 2)));
        stage.holds(0, |raft| raft.adopt_term(2));
        let checked = stage.change(0, |raft| raft.commit_index = 2);
        assert_eq!(checked.is_ok(), is_answered, "{checked:?}");
    }
}

#[test]
fn what_a_leader_has_committed_may_show_when_later_entries_are_gone() {
    for is_answered in [true, false] {
        let mut stage = with_leader();
        let request = stage.sends(0, 1, append(1, (0, 0), &[1, 1], 0));
        stage.holds(0, nothing);
        if is_answered {
            stage.reads_answer(0, 1, request, appended(1, true));
        }
        stage.reads(0, 2, append(2, (1, 1), &[2], 0));
        stage.holds(0, |raft| {
            raft.adopt_term(2);
            raft.write(2, (2, "c"));
        });
        let checked = stage.change(0, |raft| raft.commit_index = 1);
        assert_eq!(checked.is_ok(), is_answered, "{checked:?}");
    }
}

#[test]
fn a_follower_commits_what_its_leader_has() {
    let mut stage = with_leader();
    let request = stage.reads(1, 0, append(1, (1, 2), &[], 2));
    stage.answers(1, 0, request, appended(1, true));
    stage.holds(1, nothing);
    stage.now += Duration::from_millis(300);
    stage.holds(1, nothing);
    stage.now += Duration::from_millis(1);
    stage.breaks(Property::AppendEntries5Commits, "has committed up to 2", 1, nothing);
}

#[test]
fn a_leader_counts_what_was_acknowledged_in_its_term() {
    let mut stage = with_leader();
    let request = stage.sends(0, 1, append(1, (0, 0), &[1], 0));
    stage.holds(0, nothing);
    stage.reads_answer(0, 1, request, appended(1, true));
    let words = "has acknowledged only 1 to it in term 1";
    stage.breaks(Property::Leaders3, words, 0, |raft| raft.followers[1] = follower(3, 2));
}

#[test]
fn a_leader_goes_back_after_a_refusal() {
    let mut stage = with_leader();
    stage.holds(0, |raft| raft.followers[1] = follower(3, 0));
    let request = stage.sends(0, 1, append(1, (1, 2), &[], 0));
    stage.holds(0, nothing);
    stage.reads_answer(0, 1, request, appended(1, false));
    stage.holds(0, nothing);
    owes(&mut stage, 0, Property::Leaders3Answers, "lacks entry 2");
}

#[test]
fn a_leader_commits_what_a_majority_has() {
    let mut stage = with_leader();
    let request = stage.sends(0, 1, append(1, (0, 0), &[1, 1], 0));
    stage.holds(0, nothing);
    stage.reads_answer(0, 1, request, appended(1, true));
    stage.holds(0, |raft| raft.followers[1] = follower(3, 2));
    owes(&mut stage, 0, Property::Leaders4Commits, "a majority has entry 2");
}

#[test]
fn a_leader_sends_what_is_in_its_log() {
    let mut stage = with_leader();
    stage.sends(0, 1, append(1, (2, 2), &[], 0));
    stage.breaks(Property::AppendEntriesArgs, "a prevLogTerm for entry 2", 0, nothing);
    stage.sends(0, 1, append(1, (1, 1), &[2], 0));
    stage.breaks(Property::AppendEntriesArgs, "sends entry 2 of term 2", 0, nothing);
    stage.sends(0, 1, append(1, (1, 2), &[], 1));
    stage.breaks(Property::AppendEntriesArgs, "beyond its own commit index", 0, nothing);
}

#[test]
fn only_a_leader_of_the_term_writes_as_one() {
    let mut stage = with_leader();
    stage.reads(0, 2, request_vote(2, 2, (1, 2)));
    stage.holds(0, vote_for(2, 2));
    stage.sends(0, 1, append(2, (1, 2), &[], 0));
    stage.breaks(Property::AppendEntriesArgs, "of term 2, which it has not led", 0, nothing);
}

#[test]
fn a_leaders_new_entries_are_of_its_term() {
    let mut stage = with_leader();
    stage.breaks(Property::Leaders2, "appended entry 3 of term 0", 0, |raft| {
        raft.write(3, (0, "c"));
    });
}

#[test]
fn entries_behind_a_snapshot_that_fits_stay() {
    let mut stage = with_leader();
    stage.reads(
        1,
        0,
        RaftMessage::InstallSnapshot { term: 1, last_included_index: 1, last_included_term: 1 },
    );
    stage.breaks(Property::InstallSnapshot6, "follows a snapshot up to 1", 1, |raft| {
        raft.snapshot_term = Some(1);
        raft.cover(1, 1, 1);
        raft.truncate(1);
    });
}
