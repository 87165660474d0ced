use std::time::Duration;

use bytes::Bytes;

use super::{Outside, TO_SAVE};
use crate::invariants::contract::Contract;
use crate::invariants::history::Traffic;
use crate::invariants::stage::{CONTRACT, assert_broken, message};
use crate::property::{Holds, Property};
use crate::raft::{RaftState, Started};

/// Servers of which only the outside is seen.
struct Seen {
    outside: Outside,
    traffic: Vec<Traffic>,
    now: Duration,
}

impl Seen {
    fn of(servers: usize, is_one_way: bool) -> Seen {
        let outside = Outside::new(servers, is_one_way, &CONTRACT);
        let mut seen =
            Seen { outside, traffic: vec![Traffic::default(); servers], now: Duration::ZERO };
        for server in 0..servers {
            seen.follows(server, 0).unwrap();
        }
        seen
    }

    fn three() -> Seen {
        Seen::of(3, false)
    }

    fn passes(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    fn is(&mut self, server: usize, term: u64, is_leader: bool) -> Holds {
        let state = RaftState { term, is_leader };
        let found = self.outside.check_state(server, state, self.traffic[server], self.now);
        found.into_iter().map(Err).next().unwrap_or(Ok(()))
    }

    fn follows(&mut self, server: usize, term: u64) -> Holds {
        self.is(server, term, false)
    }

    /// The server saves, and is in a newer term.
    fn enters(&mut self, server: usize, term: u64) {
        self.traffic[server].saves += 1;
        self.follows(server, term).unwrap();
    }

    fn leads(&mut self, server: usize, term: u64) -> Holds {
        self.is(server, term, true)
    }

    /// A request that was sent now arrives a millisecond later.
    fn request(&mut self, from: usize, to: usize) {
        let sent_at = self.now;
        self.passes(1);
        self.arrives(from, to, false, (sent_at, sent_at));
        self.traffic[to].requests += 1;
    }

    /// A reply that was sent now, to what was asked at another time, arrives a millisecond later.
    fn reply(&mut self, from: usize, to: usize, called_at: Duration) {
        let sent_at = self.now;
        self.traffic[from].answers += 1;
        self.passes(1);
        self.arrives(from, to, true, (called_at, sent_at));
    }

    fn arrives(
        &mut self,
        from: usize,
        to: usize,
        is_reply: bool,
        (called_at, sent_at): (Duration, Duration),
    ) {
        let message = message((from, to), is_reply, (called_at, sent_at));
        self.outside.delivered((from, to), &message, self.now);
    }

    /// Server 0 is elected in a term with the vote of server 1.
    fn elect(&mut self, term: u64) {
        self.enters(0, term);
        let asked = self.now;
        self.request(0, 1);
        self.enters(1, term);
        self.reply(1, 0, asked);
        self.leads(0, term).unwrap();
    }

    fn accepts(&mut self, server: usize, index: u64, term: u64) -> Holds {
        self.outside.accepted(server, Started { index, term }, self.now)
    }

    fn applies(&mut self, server: usize, index: u64) -> Holds {
        self.outside.check_applied(server, index)
    }
}

#[test]
fn a_leader_needs_messages_of_a_majority() {
    Seen::three().elect(1);
    let mut seen = Seen::three();
    seen.enters(0, 1);
    assert_broken(seen.leads(0, 1), Property::Candidates2, "has heard from 1 of 3 servers");
    // Two of four servers are not a majority.
    let mut seen = Seen::of(4, false);
    seen.enters(0, 1);
    seen.reply(1, 0, seen.now);
    assert_broken(seen.leads(0, 1), Property::Candidates2, "has heard from 2 of 4 servers");
    // A server counts once.
    seen.enters(2, 1);
    seen.reply(1, 2, seen.now);
    seen.reply(1, 2, seen.now);
    assert_broken(seen.leads(2, 1), Property::Candidates2, "has heard from 2 of 4 servers");
    // What leads at its start was not elected.
    seen.outside.started(3, seen.now);
    assert_eq!(seen.leads(3, 1), Ok(()));
    let mut alone = Seen::of(1, false);
    alone.enters(0, 1);
    assert_eq!(alone.leads(0, 1), Ok(()));
}

#[test]
fn a_reply_to_what_was_asked_in_an_earlier_term_is_no_vote() {
    let mut seen = Seen::three();
    seen.enters(0, 1);
    let asked = seen.now;
    seen.passes(300);
    seen.enters(0, 2);
    seen.reply(1, 0, asked);
    assert_broken(seen.leads(0, 2), Property::Candidates2, "leads term 2");
}

#[test]
fn the_replies_to_one_way_messages_say_nothing() {
    let mut seen = Seen::of(3, true);
    seen.enters(0, 1);
    seen.reply(1, 0, seen.now);
    assert_broken(seen.leads(0, 1), Property::Candidates2, "leads term 1");
    let mut seen = Seen::of(3, true);
    seen.enters(0, 1);
    seen.request(1, 0);
    assert_eq!(seen.leads(0, 1), Ok(()));
}

#[test]
fn a_term_never_decreases() {
    let mut seen = Seen::three();
    seen.elect(2);
    assert_broken(
        seen.follows(0, 1),
        Property::TermMonotone,
        "is in term 1 and has been in term 2",
    );
    // A leader has saved its term, and a server on which nobody relies need not have.
    let mut seen = Seen::three();
    seen.elect(2);
    for server in [0, 1] {
        seen.outside.started(server, seen.now);
    }
    assert_eq!(seen.follows(1, 0), Ok(()));
    assert_broken(seen.follows(0, 0), Property::TermMonotone, "is in term 0");
}

#[test]
fn a_term_is_saved_before_what_comes_later_is_answered() {
    let answers = |saves_in_time: bool| {
        let mut seen = Seen::three();
        seen.enters(0, 1);
        seen.request(0, 1);
        // The answer to the request that brought the term may have been on its way already.
        seen.follows(1, 1).unwrap();
        seen.reply(1, 0, seen.now);
        seen.now += TO_SAVE;
        seen.follows(1, 1).unwrap();
        seen.request(0, 1);
        seen.traffic[1].saves += u64::from(saves_in_time);
        seen.reply(1, 0, seen.now);
        (seen.follows(1, 1), seen)
    };
    let (checked, _) = answers(false);
    assert_broken(checked, Property::SavedFirst, "server 1 moved to term 1 63 ms ago");
    let (checked, mut seen) = answers(true);
    assert_eq!(checked, Ok(()));
    // From now on others rely on it.
    seen.outside.started(1, seen.now);
    assert_broken(seen.follows(1, 0), Property::TermMonotone, "is in term 0");
}

#[test]
fn a_term_may_be_saved_before_the_server_is_seen_in_it() {
    let mut seen = Seen::three();
    seen.enters(0, 1);
    seen.traffic[1].saves += 1;
    seen.follows(1, 0).unwrap();
    seen.passes(5);
    seen.follows(1, 1).unwrap();
    seen.now += TO_SAVE;
    for _ in 0..2 {
        seen.request(0, 1);
        seen.reply(1, 0, seen.now);
        assert_eq!(seen.follows(1, 1), Ok(()));
    }
}

#[test]
fn what_was_read_at_a_start_need_not_be_saved_again() {
    let mut seen = Seen::three();
    seen.enters(1, 5);
    seen.outside.started(1, seen.now);
    seen.follows(1, 5).unwrap();
    seen.now += TO_SAVE;
    for _ in 0..3 {
        seen.request(0, 1);
        seen.reply(1, 0, seen.now);
        assert_eq!(seen.follows(1, 5), Ok(()));
    }
}

#[test]
fn an_entry_is_committed_when_its_leader_has_heard_from_a_majority() {
    let mut seen = Seen::three();
    seen.elect(1);
    seen.accepts(0, 1, 1).unwrap();
    assert_broken(seen.applies(0, 1), Property::CommitRule, "index 1, which cannot be committed");
    seen.reply(1, 0, seen.now);
    assert_eq!(seen.applies(0, 1), Ok(()));
    assert_eq!(seen.applies(2, 1), Ok(()));
    // What was sent before the command was accepted does not acknowledge it.
    let sent = seen.now;
    seen.passes(1);
    seen.accepts(0, 2, 1).unwrap();
    seen.arrives(2, 0, true, (sent, sent));
    assert_broken(seen.applies(2, 2), Property::CommitRule, "server 2");
    // A later entry brings the ones before it.
    seen.accepts(0, 3, 1).unwrap();
    seen.reply(2, 0, seen.now);
    assert_eq!(seen.applies(2, 2), Ok(()));
}

#[test]
fn another_command_for_an_index_that_is_committed_is_reported() {
    let mut seen = Seen::three();
    seen.elect(1);
    seen.accepts(0, 1, 1).unwrap();
    seen.reply(1, 0, seen.now);
    seen.applies(0, 1).unwrap();
    let words = "accepts a command for index 1, at which an entry was committed in term 1";
    assert_broken(seen.accepts(2, 1, 2), Property::LeaderCompleteness, words);
    // A leader of an earlier term does not know.
    let mut seen = Seen::three();
    seen.elect(2);
    seen.accepts(0, 1, 2).unwrap();
    seen.reply(1, 0, seen.now);
    seen.applies(0, 1).unwrap();
    assert_eq!(seen.accepts(2, 1, 1), Ok(()));
    // One between the leader that accepted an entry and the leader that committed it need not have it (figure 8).
    let mut seen = Seen::three();
    seen.elect(1);
    seen.accepts(0, 1, 1).unwrap();
    seen.enters(0, 3);
    seen.elect(3);
    seen.accepts(0, 2, 3).unwrap();
    seen.reply(1, 0, seen.now);
    seen.applies(0, 1).unwrap();
    assert_eq!(seen.accepts(2, 1, 2), Ok(()));
}

#[test]
fn an_older_snapshot_does_not_replace_a_newer_one() {
    let mut seen = Seen::three();
    let [old, new] = ["up to 5", "up to 9"].map(Bytes::from);
    assert_eq!(seen.outside.check_snapshot(0, old.clone(), Some(5)), Ok(()));
    assert!(!seen.outside.has_saved(0, &old) && seen.outside.has_saved(0, &new));
    assert_eq!(seen.outside.check_snapshot(0, new, Some(9)), Ok(()));
    assert_eq!(seen.outside.check_snapshot(0, Bytes::from_static(b"unknown"), None), Ok(()));
    let words = "up to index 5 in place of one up to 9";
    assert_broken(seen.outside.check_snapshot(0, old, Some(5)), Property::Snapshot, words);
}

#[test]
fn who_has_just_heard_from_its_leader_does_not_stand() {
    let stands = |after: u64| {
        let mut seen = Seen::three();
        seen.elect(1);
        seen.passes(100);
        seen.request(0, 1);
        seen.follows(1, 1).unwrap();
        seen.passes(after);
        seen.traffic[1].saves += 1;
        seen.follows(1, 2)
    };
    assert_broken(stands(10), Property::ElectionTimer, "10.0 ms after it heard from the leader");
    // It may have decided so before it noticed, and a time-out may be short.
    for after in [1, 40] {
        assert_eq!(stands(after), Ok(()));
    }
}

#[test]
fn who_has_just_started_does_not_stand() {
    let stands = |after: u64| {
        let mut seen = Seen::three();
        seen.enters(1, 5);
        seen.outside.started(1, seen.now);
        seen.follows(1, 5).unwrap();
        seen.passes(after);
        seen.traffic[1].saves += 1;
        seen.follows(1, 6)
    };
    assert_broken(stands(1), Property::ElectionTimer, "1.0 ms after it started");
    assert_eq!(stands(40), Ok(()));
}

#[test]
fn a_leader_does_not_stop_when_a_majority_has_just_written_to_it() {
    let stops = |after: u64, term: u64| {
        let mut seen = Seen::three();
        seen.elect(1);
        seen.reply(1, 0, seen.now);
        seen.passes(after);
        seen.traffic[0].saves += 1;
        seen.follows(0, term)
    };
    assert_broken(stops(5, 1), Property::LeadersStay, "server 0 stops leading term 1");
    assert_eq!(stops(5, 2), Ok(()));
    assert_eq!(stops(40, 1), Ok(()));
}

/// The contract is only looked at.
#[test]
fn a_raft_with_entries_of_its_own_may_commit_what_nobody_has_started() {
    let contract = Contract { has_internal_entries: true, ..CONTRACT };
    let mut outside = Outside::new(3, false, &contract);
    assert_eq!(outside.check_applied(0, 2), Ok(()));
}
