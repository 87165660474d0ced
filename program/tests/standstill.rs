//! What a failure report says about a cluster that makes no progress. The tests use two Rafts that
//! never agree on anything, for different reasons.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use labraft::{
    Env, FollowerProbe, Implementation, Probe, Raft, RaftState, Role, Started, run_test,
};
use labrpc::RunSpec;

use crate::common::test_named;

/// A Raft that shows its state to the lab but never sends a message.
struct Mute {
    me: usize,
    n: usize,
    term: Cell<u64>,
    is_leader: bool,
    next_index: Cell<u64>,
    log: RefCell<Vec<Bytes>>,
}

impl Mute {
    fn make(env: &Env, is_leader: bool) -> Rc<Mute> {
        Rc::new(Mute {
            me: env.me,
            n: env.peers.len(),
            term: Cell::new(1),
            is_leader,
            next_index: Cell::new(1),
            log: RefCell::default(),
        })
    }
}

impl Mute {
    /// A leader leads from the first term on; another server is a candidate once its term has
    /// changed.
    fn role(&self) -> Role {
        if self.is_leader {
            Role::Leader
        } else if self.term.get() > 1 {
            Role::Candidate
        } else {
            Role::Follower
        }
    }
}

impl Raft for Mute {
    fn start(&self, command: Bytes) -> Option<Started> {
        if !self.is_leader {
            return None;
        }
        self.log.borrow_mut().push(command);
        Some(Started { index: self.log.borrow().len() as u64, term: 1 })
    }

    fn state(&self) -> RaftState {
        RaftState { term: self.term.get(), is_leader: self.is_leader }
    }

    fn snapshot(&self, _: u64, _: Bytes) {}

    fn kill(&self) {}

    fn probe(&self) -> Option<Probe> {
        let last_index = self.log.borrow().len() as u64;
        let follower = FollowerProbe { next_index: self.next_index.get(), match_index: 0 };
        Some(Probe {
            term: self.term.get(),
            role: self.role(),
            voted_for: (self.term.get() > 1).then_some(self.me),
            first_index: 1,
            last_index,
            commit_index: 0,
            last_applied: 0,
            lowest_written: None,
            followers: if self.is_leader { vec![follower; self.n] } else { Vec::new() },
        })
    }
}

/// All servers become candidates at the same time, and each votes for itself.
fn split_votes(env: Env) -> Rc<dyn Raft> {
    let raft = Mute::make(&env, false);
    let each = raft.clone();
    let rt = env.rt.clone();
    env.rt.spawn_detached("become a candidate", async move {
        loop {
            rt.sleep(Duration::from_millis(500)).await;
            each.term.set(each.term.get() + 1);
        }
    });
    raft
}

/// Server 0 leads, and searches for the point where the other logs match without ever finding it.
fn search_forever(env: Env) -> Rc<dyn Raft> {
    let raft = Mute::make(&env, env.me == 0);
    let each = raft.clone();
    let rt = env.rt.clone();
    env.rt.spawn_detached("search", async move {
        loop {
            rt.sleep(Duration::from_millis(100)).await;
            each.next_index.set(if each.next_index.get() == 1 { 2 } else { 1 });
        }
    });
    raft
}

#[track_caller]
fn expect_report(make: fn(Env) -> Rc<dyn Raft>, reason: &str, details: &[&str]) {
    let test = test_named("BasicAgree2B");
    let report = run_test(test, Implementation::new("mute", make), RunSpec::seed(0), false);
    let failure = report.result.expect_err("the servers never agree");
    assert!(failure.to_string().contains(reason), "{failure}");
    for detail in details {
        let is_reported = failure.situation.iter().any(|line| line.contains(detail));
        assert!(is_reported, "{detail:?} is not in {:#?}", failure.situation);
    }
}

#[test]
fn a_report_mentions_elections_without_a_winner() {
    let details = [
        "servers [0, 1, 2] (a majority) reach one another",
        "nothing was ever committed",
        "elections: 0 won, 20 split between several candidates, 0 lost by a single candidate",
    ];
    expect_report(split_votes, "no connected server accepted it as the leader", &details);
}

#[test]
fn a_report_mentions_a_leader_that_never_finds_where_a_log_matches() {
    let details = [
        "server 0: leader in term 1, log up to 1",
        "0 candidacies; elections: 1 won",
        "server 0 leads, and its nextIndex for server 1 has gone down",
        "between 1 and 2; its matchIndex stays 0",
    ];
    expect_report(search_forever, "not enough servers applied it in time", &details);
}

/// A follower that accepts every command.
struct Yes;

impl Raft for Yes {
    fn start(&self, _: Bytes) -> Option<Started> {
        Some(Started { index: 1, term: 1 })
    }

    fn state(&self) -> RaftState {
        RaftState { term: 1, is_leader: false }
    }

    fn snapshot(&self, _: u64, _: Bytes) {}

    fn kill(&self) {}
}

#[test]
fn a_report_does_not_call_a_follower_that_accepts_a_command_a_leader() {
    expect_report(
        |_| Rc::new(Yes),
        "`start` of server 1 accepted it, though that server does not call itself the leader",
        &[],
    );
}
