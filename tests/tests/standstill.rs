//! What a report says when nothing goes on: two Rafts that never agree on anything, each in its own way.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use labraft::{
    Env, FollowerProbe, Implementation, Probe, Raft, RaftState, Role, Started, run_test, select,
};
use labrpc::RunSpec;

/// It tells what it is at, and never says a word to another server.
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
            role: match self.is_leader {
                true => Role::Leader,
                false if self.term.get() > 1 => Role::Candidate,
                false => Role::Follower,
            },
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

/// All stand for election at the same moments, and each votes for itself.
fn all_stand(env: Env) -> Rc<dyn Raft> {
    let raft = Mute::make(&env, false);
    let (each, rt) = (raft.clone(), env.rt.clone());
    env.rt.spawn_detached("stand for election", async move {
        loop {
            rt.sleep(Duration::from_millis(500)).await;
            each.term.set(each.term.get() + 1);
        }
    });
    raft
}

/// Server 0 leads, and looks for the end of the others' logs without ever finding it.
fn search_for_ever(env: Env) -> Rc<dyn Raft> {
    let raft = Mute::make(&env, env.me == 0);
    let (each, rt) = (raft.clone(), env.rt.clone());
    env.rt.spawn_detached("look for it", async move {
        loop {
            rt.sleep(Duration::from_millis(100)).await;
            each.next_index.set(if each.next_index.get() == 1 { 2 } else { 1 });
        }
    });
    raft
}

#[track_caller]
fn says(make: fn(Env) -> Rc<dyn Raft>, reason: &str, words: &[&str]) {
    let test = select(tests::SUITE, "BasicAgree2B").expect("the test is there")[0];
    let report = run_test(test, Implementation::new("mute", make), RunSpec::seed(0), false);
    let failure = report.result.expect_err("it agrees on nothing");
    assert!(failure.to_string().contains(reason), "{failure}");
    for words in words {
        let is_said = failure.situation.iter().any(|line| line.contains(words));
        assert!(is_said, "{words:?} is not in {:#?}", failure.situation);
    }
}

#[test]
fn a_report_tells_of_elections_that_nobody_wins() {
    let words = [
        "servers [0, 1, 2] (a majority) reach one another",
        "nothing was ever committed",
        "elections: 0 won, 20 split between several candidates, 0 lost by a single candidate",
    ];
    says(all_stand, "no connected server accepted it as leader", &words);
}

#[test]
fn a_report_tells_of_a_leader_that_never_finds_the_end_of_a_log() {
    let words = [
        "server 0: leader in term 1, log up to 1",
        "0 candidacies; elections: 1 won",
        "server 0 leads, and its nextIndex for server 1 has gone down",
        "between 1 and 2; its matchIndex stays 0",
    ];
    says(search_for_ever, "it was not applied there in time", &words);
}
