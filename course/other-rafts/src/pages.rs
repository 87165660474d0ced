//! A Raft written by the pages of the course, as a student would write it.
//!
//! All state is in one `RefCell`. One task waits for the election deadline, one sends what a leader
//! has to send, one applies, and each call has a task that waits for its answer. Whatever changes is
//! saved before the borrow ends.
//!
//! At most one request with entries is under way to each follower; a heartbeat sends again what is not
//! confirmed.

mod contract;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use labraft::{ApplySender, Env, Persister, Raft, Role};
use labrpc::sync::Notify;
use labrpc::{Call, ClientEnd, Runtime, Service};

use crate::log::{Log, Saved};
use crate::messages::{
    APPEND_ENTRIES, AppendEntries, Appended, INSTALL_SNAPSHOT, InstallSnapshot, Installed,
    REQUEST_VOTE, RequestVote, Vote,
};

const HEARTBEAT: Duration = Duration::from_millis(110);
const ELECTION_TIMEOUT_MIN: Duration = Duration::from_millis(300);
const ELECTION_TIMEOUT_MAX: Duration = Duration::from_millis(600);
/// After this time a snapshot that was not answered is sent again.
const SNAPSHOT_AGAIN: Duration = Duration::from_millis(300);

struct Peer {
    me: usize,
    peers: Vec<ClientEnd>,
    persister: Persister,
    rt: Runtime,
    state: RefCell<State>,
    something_to_send: Notify,
    something_to_apply: Notify,
}

struct State {
    term: u64,
    voted_for: Option<usize>,
    role: Role,
    log: Log,
    snapshot: Bytes,
    commit_index: u64,
    last_applied: u64,
    election_deadline: Duration,
    /// As a candidate: the servers that voted for this one.
    votes: BTreeSet<usize>,
    /// As a leader: what it knows of each server. Its own row is not used.
    followers: Vec<Follower>,
    heartbeat_due: Duration,
    /// Counts requests, to recognize the answer to the last one.
    requests: u64,
}

struct Follower {
    next_index: u64,
    match_index: u64,
    /// The request with entries or a snapshot whose answer is awaited.
    awaited: Option<u64>,
    /// A snapshot that was sent before this time is not awaited any longer.
    snapshot_due: Duration,
}

/// Starts a server from what it has saved.
pub fn make(env: Env) -> Rc<dyn Raft> {
    let Saved { term, voted_for, log } = Saved::read(&env.persister.read_state());
    let state = State {
        term,
        voted_for,
        role: Role::Follower,
        commit_index: log.snapshot_index(),
        last_applied: log.snapshot_index(),
        log,
        snapshot: env.persister.read_snapshot(),
        election_deadline: Duration::ZERO,
        votes: BTreeSet::new(),
        followers: Vec::new(),
        heartbeat_due: Duration::ZERO,
        requests: 0,
    };
    let peer = Rc::new(Peer {
        me: env.me,
        peers: env.peers,
        persister: env.persister,
        rt: env.rt,
        state: RefCell::new(state),
        something_to_send: Notify::new(),
        something_to_apply: Notify::new(),
    });
    peer.move_deadline(&mut peer.state.borrow_mut());
    let voter = peer.clone();
    let follower = peer.clone();
    let installer = peer.clone();
    env.server.add_service(
        Service::new()
            .method(REQUEST_VOTE, move |args| std::future::ready(voter.answer_candidate(&args)))
            .method(APPEND_ENTRIES, move |args| std::future::ready(follower.answer_leader(args)))
            .method(INSTALL_SNAPSHOT, move |args| std::future::ready(installer.install(args))),
    );
    peer.rt.spawn_detached("elections", peer.clone().run_elections());
    peer.rt.spawn_detached("leader", peer.clone().run_leader());
    peer.rt.spawn_detached("applier", peer.clone().apply_all(env.apply));
    peer
}

impl State {
    /// Takes over a newer term, seen in a message or an answer. Returns whether it was newer.
    fn adopt(&mut self, term: u64) -> bool {
        let is_newer = term > self.term;
        if is_newer {
            self.term = term;
            self.voted_for = None;
            self.role = Role::Follower;
        }
        is_newer
    }

    fn is_majority(servers: usize, all: usize) -> bool {
        servers > all / 2
    }

    /// The highest index that a majority has, if its entry is of this term (5.4.2).
    fn committable(&self, me: usize) -> Option<u64> {
        let matches = |(i, f): (usize, &Follower)| match i == me {
            true => self.log.last_index(),
            false => f.match_index,
        };
        let mut indexes: Vec<u64> = self.followers.iter().enumerate().map(matches).collect();
        indexes.sort_unstable();
        let index = indexes[(indexes.len() - 1) / 2];
        (index > self.commit_index && self.log.term_at(index) == Some(self.term)).then_some(index)
    }
}

impl Peer {
    fn save(&self, state: &State) {
        let saved = state.log.saved_with(state.term, state.voted_for);
        self.persister.save(saved, state.snapshot.clone());
    }

    fn move_deadline(&self, state: &mut State) {
        let span = self.rt.dice().span(ELECTION_TIMEOUT_MIN, ELECTION_TIMEOUT_MAX);
        state.election_deadline = self.rt.now() + span;
    }

    fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let me = self.me;
        (0..self.peers.len()).filter(move |&to| to != me)
    }

    async fn run_elections(self: Rc<Self>) {
        loop {
            let deadline = self.state.borrow().election_deadline;
            self.rt.sleep_until(deadline).await;
            let is_leader = self.state.borrow().role == Role::Leader;
            if is_leader {
                // A leader that is deposed waits as long as the others.
                self.move_deadline(&mut self.state.borrow_mut());
            } else if self.rt.now() >= self.state.borrow().election_deadline {
                self.stand_for_election();
            }
        }
    }

    fn stand_for_election(self: &Rc<Self>) {
        let state = &mut *self.state.borrow_mut();
        state.term += 1;
        state.voted_for = Some(self.me);
        state.role = Role::Candidate;
        state.votes = BTreeSet::from([self.me]);
        self.move_deadline(state);
        self.save(state);
        let args = RequestVote {
            term: state.term,
            candidate: self.me,
            last_log_index: state.log.last_index(),
            last_log_term: state.log.last_term(),
        };
        for to in self.others() {
            let call = self.peers[to].call(REQUEST_VOTE, &args);
            self.rt.spawn_detached("ask for a vote", self.clone().await_vote(to, args.term, call));
        }
    }

    async fn await_vote(self: Rc<Self>, from: usize, asked_in: u64, call: Call<Vote>) {
        let Some(answer) = call.await else { return };
        let state = &mut *self.state.borrow_mut();
        if state.adopt(answer.term) {
            self.save(state);
        }
        if state.role != Role::Candidate || state.term != asked_in || !answer.granted {
            return;
        }
        state.votes.insert(from);
        if State::is_majority(state.votes.len(), self.peers.len()) {
            state.role = Role::Leader;
            let next_index = state.log.last_index() + 1;
            let new = || Follower {
                next_index,
                match_index: 0,
                awaited: None,
                snapshot_due: Duration::ZERO,
            };
            state.followers = self.peers.iter().map(|_| new()).collect();
            state.heartbeat_due = self.rt.now();
            self.something_to_send.notify();
        }
    }

    fn answer_candidate(&self, args: &RequestVote) -> Vote {
        let state = &mut *self.state.borrow_mut();
        let is_newer = state.adopt(args.term);
        let granted = args.term == state.term
            && state.voted_for.is_none_or(|other| other == args.candidate)
            && state.log.is_covered_by(args.last_log_term, args.last_log_index);
        if granted {
            state.voted_for = Some(args.candidate);
            self.move_deadline(state);
        }
        if is_newer || granted {
            self.save(state);
        }
        Vote { term: state.term, granted }
    }

    /// What every message of a leader does. Returns whether the term is the current one.
    fn hear_leader(&self, state: &mut State, term: u64) -> bool {
        if state.adopt(term) {
            self.save(state);
        }
        if term < state.term {
            return false;
        }
        state.role = Role::Follower;
        self.move_deadline(state);
        true
    }

    fn answer_leader(&self, args: AppendEntries) -> Appended {
        let state = &mut *self.state.borrow_mut();
        let is_current = self.hear_leader(state, args.term);
        let prev = args.prev_log_index;
        let conflict = state.log.conflict(prev, args.prev_log_term).filter(|_| is_current);
        if !is_current || conflict.is_some() {
            return Appended { term: state.term, success: false, conflict };
        }
        let confirmed = prev + args.entries.len() as u64;
        if state.log.merge(prev, args.entries) {
            self.save(state);
        }
        let commit_index = args.leader_commit.min(confirmed);
        if commit_index > state.commit_index {
            state.commit_index = commit_index;
            self.something_to_apply.notify();
        }
        Appended { term: state.term, success: true, conflict: None }
    }

    fn install(&self, args: InstallSnapshot) -> Installed {
        let state = &mut *self.state.borrow_mut();
        if self.hear_leader(state, args.term) && args.last_index > state.commit_index {
            state.log.start_after(args.last_index, args.last_term);
            state.snapshot = args.snapshot;
            state.commit_index = args.last_index;
            self.save(state);
            self.something_to_apply.notify();
        }
        Installed { term: state.term }
    }

    async fn run_leader(self: Rc<Self>) {
        loop {
            let heartbeat_due = {
                let state = self.state.borrow();
                (state.role == Role::Leader).then_some(state.heartbeat_due)
            };
            match heartbeat_due {
                Some(due) => {
                    let span = due.saturating_sub(self.rt.now());
                    self.rt.timeout(span, self.something_to_send.notified()).await;
                }
                None => self.something_to_send.notified().await,
            }
            self.send_what_is_due();
        }
    }

    fn send_what_is_due(self: &Rc<Self>) {
        let state = &mut *self.state.borrow_mut();
        if state.role != Role::Leader {
            return;
        }
        let is_heartbeat = self.rt.now() >= state.heartbeat_due;
        if is_heartbeat {
            state.heartbeat_due = self.rt.now() + HEARTBEAT;
        }
        for to in self.others() {
            let follower = &state.followers[to];
            let has_more = follower.next_index <= state.log.last_index();
            // Nothing but heartbeats until the snapshot is sent again.
            let must_wait = follower.next_index <= state.log.snapshot_index()
                && self.rt.now() < follower.snapshot_due;
            if is_heartbeat || (has_more && follower.awaited.is_none() && !must_wait) {
                self.send(state, to);
            }
        }
    }

    fn send(self: &Rc<Self>, state: &mut State, to: usize) {
        let State { term, log, commit_index, followers, requests, .. } = state;
        let term = *term;
        let commit_index = *commit_index;
        let follower = &mut followers[to];
        *requests += 1;
        let is_discarded = follower.next_index <= log.snapshot_index();
        if is_discarded && self.rt.now() >= follower.snapshot_due {
            follower.snapshot_due = self.rt.now() + SNAPSHOT_AGAIN;
            follower.awaited = Some(*requests);
            let last_index = log.snapshot_index();
            let last_term = log.snapshot_term();
            let snapshot = state.snapshot.clone();
            let args = InstallSnapshot { term, last_index, last_term, snapshot };
            let call = self.peers[to].call(INSTALL_SNAPSHOT, &args);
            let answer = self.clone().await_installed(to, *requests, term, last_index, call);
            self.rt.spawn_detached("send a snapshot", answer);
            return;
        }
        // While a snapshot is on its way, an empty message says that the leader is alive.
        let prev = if is_discarded { log.snapshot_index() } else { follower.next_index - 1 };
        let entries = if is_discarded { Vec::new() } else { log.from(prev + 1).to_vec() };
        if !entries.is_empty() {
            follower.awaited = Some(*requests);
        }
        let confirms = prev + entries.len() as u64;
        let args = AppendEntries {
            term,
            prev_log_index: prev,
            prev_log_term: log.term_at(prev).expect("the log reaches back to next_index"),
            entries,
            leader_commit: commit_index,
        };
        let call = self.peers[to].call(APPEND_ENTRIES, &args);
        let question = Question { to, number: *requests, term, prev, confirms };
        self.rt.spawn_detached("send entries", self.clone().await_appended(question, call));
    }

    async fn await_appended(self: Rc<Self>, question: Question, call: Call<Appended>) {
        let answer = call.await;
        let state = &mut *self.state.borrow_mut();
        if !self.is_for_this_leader(state, question.term, answer.as_ref().map(|a| a.term)) {
            return;
        }
        state.followers[question.to].is_answered(question.number);
        let Some(answer) = answer else { return };
        let prev = question.prev;
        if answer.success {
            self.confirm(state, question.to, question.confirms);
        } else if let Some(conflict) = answer.conflict {
            let next_index = state.log.resume_after(prev, &conflict);
            let follower = &mut state.followers[question.to];
            // An older refusal says nothing about where the leader is now.
            if follower.next_index == prev + 1 && prev > follower.match_index {
                follower.next_index = next_index.max(follower.match_index + 1);
            }
        }
        if state.followers[question.to].next_index <= state.log.last_index() {
            self.something_to_send.notify();
        }
    }

    async fn await_installed(
        self: Rc<Self>,
        to: usize,
        number: u64,
        term: u64,
        last_index: u64,
        call: Call<Installed>,
    ) {
        let answer = call.await;
        let state = &mut *self.state.borrow_mut();
        if !self.is_for_this_leader(state, term, answer.as_ref().map(|a| a.term)) {
            return;
        }
        state.followers[to].is_answered(number);
        if answer.is_some() {
            self.confirm(state, to, last_index);
            self.something_to_send.notify();
        }
    }

    /// Whether this server leads in the term in which it asked, once it has seen the answer's term.
    fn is_for_this_leader(&self, state: &mut State, asked_in: u64, answered: Option<u64>) -> bool {
        if answered.is_some_and(|term| state.adopt(term)) {
            self.save(state);
        }
        state.role == Role::Leader && state.term == asked_in
    }

    /// A follower has everything up to an index.
    fn confirm(&self, state: &mut State, from: usize, index: u64) {
        let follower = &mut state.followers[from];
        follower.match_index = follower.match_index.max(index);
        follower.next_index = follower.next_index.max(follower.match_index + 1);
        if let Some(commit_index) = state.committable(self.me) {
            state.commit_index = commit_index;
            self.something_to_apply.notify();
        }
    }

    async fn apply_all(self: Rc<Self>, mut apply: ApplySender) {
        loop {
            let next = {
                let State { log, last_applied, commit_index, snapshot, .. } =
                    &mut *self.state.borrow_mut();
                log.next_message(last_applied, *commit_index, snapshot)
            };
            match next {
                Some(message) => drop(apply.send(message).await),
                None => self.something_to_apply.notified().await,
            }
        }
    }
}

/// A request for entries, as its answer is compared with it.
struct Question {
    to: usize,
    number: u64,
    term: u64,
    prev: u64,
    /// What the follower has if it agrees.
    confirms: u64,
}

impl Follower {
    fn is_answered(&mut self, number: u64) {
        if self.awaited == Some(number) {
            self.awaited = None;
        }
    }
}
