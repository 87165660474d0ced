// SOLUTION FILE
//! Rules that are better checked for many cases than shown for one. The scripts beside this file
//! show the others.

use std::collections::BTreeSet;

use bytes::Bytes;
use labraft::Role;
use raft::core::{Core, Message, SentEntries};
use raft::log::{Log, PersistentState};
use raft::message::{
    AppendEntriesArgs, AppendEntriesReply, AppendOutcome, Entry, RequestVoteReply,
};

fn entry(term: u64) -> Entry {
    Entry { term, command: Bytes::copy_from_slice(&term.to_le_bytes()) }
}

/// Server `me` in `current_term`, with entries of these terms.
fn server(me: usize, servers: usize, current_term: u64, terms: &[u64]) -> Core {
    let mut log = Log::default();
    terms.iter().for_each(|&term| log.append(entry(term)));
    let saved = PersistentState { current_term, voted_for: None, log };
    Core::new(me, servers, saved, Bytes::new())
}

/// Server 0 as the leader of `term`, with entries of these terms, after its first heartbeats.
fn leader(servers: usize, term: u64, terms: &[u64]) -> Core {
    let mut core = server(0, servers, term - 1, terms);
    core.election_timeout();
    for from in 1..servers {
        core.request_vote_reply(from, term, &RequestVoteReply { term, vote_granted: true });
    }
    assert_eq!((core.role(), core.current_term()), (Role::Leader, term));
    core
}

fn terms(core: &Core) -> Vec<u64> {
    (1..).map_while(|index| core.entry(index)).map(|entry| entry.term).collect()
}

/// The last AppendEntries that the leader wants to send to server 1.
fn take_request(leader: &mut Core) -> Option<AppendEntriesArgs> {
    leader.take_output().messages.into_iter().rev().find_map(|(to, message)| match message {
        Message::AppendEntries(args) if to == 1 => Some(args),
        _ => None,
    })
}

#[test]
fn a_follower_commits_only_up_to_what_it_was_sent() {
    let mut core = server(0, 3, 2, &[1, 2, 2]);
    core.append_entries(AppendEntriesArgs {
        term: 3,
        leader_id: 1,
        prev_log_index: 1,
        prev_log_term: 1,
        entries: Vec::new(),
        leader_commit: 3,
    });
    assert_eq!(core.probe().commit_index, 1, "entries 2 and 3 may be from another leader");
}

#[test]
fn a_vote_goes_to_every_log_that_is_as_up_to_date_and_to_no_other() {
    let logs: [&[u64]; 7] = [&[], &[1], &[1, 1], &[1, 1, 1], &[1, 2], &[2], &[2, 2]];
    for ours in logs {
        for theirs in logs {
            let mut candidate = server(1, 2, 2, theirs);
            candidate.election_timeout();
            let Some((0, Message::RequestVote(args))) = candidate.take_output().messages.pop()
            else {
                panic!("a candidate asks the other server");
            };
            let mut voter = server(0, 2, 2, ours);
            let last = |log: &[u64]| log.last().copied().unwrap_or(0);
            let is_up_to_date = last(theirs) > last(ours)
                || last(theirs) == last(ours) && theirs.len() >= ours.len();
            let reply = voter.request_vote(&args);
            assert_eq!(reply.vote_granted, is_up_to_date, "{theirs:?} asks {ours:?}");
        }
    }
}

/// Logs that a leader and a follower can have: they begin alike, and go on with entries of
/// different leaders, of which one may have made the last common entries.
fn diverging_logs() -> Vec<(Vec<u64>, Vec<u64>)> {
    let common: [&[u64]; 4] = [&[], &[1], &[1, 1], &[1, 4, 4]];
    let leaders: [&[u64]; 5] = [&[], &[5], &[5, 7], &[5, 5, 7, 7], &[7, 7, 7]];
    let followers: [&[u64]; 6] = [&[], &[4], &[4, 4, 4], &[6], &[4, 6, 6], &[4, 4, 6, 8, 8]];
    let mut pairs = Vec::new();
    for start in common {
        for leader in leaders {
            for follower in followers {
                pairs.push(([start, leader].concat(), [start, follower].concat()));
            }
        }
    }
    pairs
}

#[test]
fn a_fast_backup_needs_at_most_one_refusal_for_each_term_and_one_for_the_length() {
    for (ours, theirs) in diverging_logs() {
        let mut leader = leader(2, 9, &ours);
        let mut follower = server(1, 2, 8, &theirs);
        leader.take_output();
        leader.start(Bytes::new()).expect("it leads");
        leader.replicate();
        let mut refusals = 0;
        while let Some(args) = take_request(&mut leader) {
            let sent = SentEntries::new(&args, 0);
            let reply = follower.append_entries(args);
            follower.take_output();
            if reply.outcome != AppendOutcome::Success {
                refusals += 1;
            }
            leader.append_entries_reply(1, sent, Some(&reply));
        }
        assert_eq!(terms(&follower), terms(&leader), "{ours:?} to {theirs:?}");
        let their_terms: BTreeSet<u64> = theirs.iter().copied().collect();
        assert!(refusals <= their_terms.len() + 1, "{ours:?} to {theirs:?}: {refusals} refusals");
    }
}

#[test]
fn what_a_majority_has_is_committed_if_it_is_of_the_current_term() {
    const OLD: u64 = 2;
    const ENTRIES: u64 = 4;
    for servers in [2, 3, 4, 5] {
        // Every way in which the others can have up to four entries.
        for case in 0..(ENTRIES as usize + 1).pow(servers as u32 - 1) {
            let mut matches = vec![ENTRIES];
            let mut rest = case;
            for _ in 1..servers {
                matches.push((rest % (ENTRIES as usize + 1)) as u64);
                rest /= ENTRIES as usize + 1;
            }
            let mut core = leader(servers, 9, &[1; OLD as usize]);
            for _ in OLD..ENTRIES {
                core.start(Bytes::new()).expect("it leads");
            }
            for (from, &last_index) in matches.iter().enumerate().skip(1) {
                let sent = SentEntries { term: 9, prev_log_index: 0, last_index, round: 0 };
                let reply = AppendEntriesReply { term: 9, outcome: AppendOutcome::Success };
                core.append_entries_reply(from, sent, Some(&reply));
            }
            let has = |index: u64| matches.iter().filter(|&&last| last >= index).count();
            let replicated = (0..=ENTRIES).rev().find(|&i| 2 * has(i) > servers).unwrap_or(0);
            let expected = if replicated > OLD { replicated } else { 0 };
            assert_eq!(core.probe().commit_index, expected, "{matches:?}");
        }
    }
}
