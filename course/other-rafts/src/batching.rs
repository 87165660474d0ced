//! A Raft that collects commands and saves later than it changes.
//!
//! What a server thinks is in `State`, and what it has saved is in `State::saved`. A task saves what
//! has changed, in a poll of its own. Whoever needs the change to be safe waits for that: a handler
//! before it answers, a candidate before it asks for votes. Entries are sent, committed and applied
//! only as they are saved, and the checks are shown nothing else. `start` does not save at all: its
//! commands wait a few milliseconds for others, and are then saved and sent together.
//!
//! A leader does not wait for answers before it sends more, unless it is looking for the place where
//! a follower's log departs from its own. There it uses a hint that differs from the paper's: the last
//! entry that the follower could have in common with the leader's, so each side skips what the other
//! side's terms rule out.

mod follower;
mod leader;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use labraft::{
    ApplySender, EntryProbe, Env, FollowerProbe, Persister, Probe, Raft, RaftState, Role, Started,
};
use labrpc::sync::Notify;
use labrpc::{Call, ClientEnd, Method, Runtime, Service};
use serde::{Deserialize, Serialize};

use self::follower::Follower;
use crate::log::{Entry, Log, Saved};
use crate::messages::{
    AppendEntries, INSTALL_SNAPSHOT, InstallSnapshot, Installed, REQUEST_VOTE, RequestVote, Vote,
};

pub(crate) const APPEND_ENTRIES: Method<AppendEntries, Answer> = Method::new("Raft.AppendEntries");
/// How long a command waits for others.
const COLLECTION: Duration = Duration::from_millis(5);
const ELECTION_TIMEOUT_MIN: Duration = Duration::from_millis(320);
const ELECTION_TIMEOUT_MAX: Duration = Duration::from_millis(620);

/// The answer to entries.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) term: u64,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Outcome {
    OldTerm,
    Matches,
    /// The logs differ before the entries. They can agree up to `index` at most, where the follower
    /// has an entry of `term`: all of its later ones are newer than the leader's, or behind them.
    Differs {
        index: u64,
        term: u64,
    },
}

struct Server {
    me: usize,
    ends: Vec<ClientEnd>,
    persister: Persister,
    rt: Runtime,
    state: RefCell<State>,
    to_collect: Notify,
    to_save: Notify,
    to_send: Notify,
    to_apply: Notify,
}

struct State {
    term: u64,
    voted_for: Option<usize>,
    role: Role,
    log: Log,
    snapshot: Bytes,
    /// What is on the disk, with the snapshot.
    saved: Saved,
    saved_snapshot: Bytes,
    /// Whether the disk is behind.
    is_unsaved: bool,
    /// The tasks to notify after the next save.
    waiting: Vec<Notify>,
    is_collecting: bool,
    commit_index: u64,
    last_applied: u64,
    election_due: Duration,
    votes: BTreeSet<usize>,
    followers: Vec<Follower>,
    heartbeat_due: Duration,
}

/// Starts a server from what it has saved.
pub fn make(env: Env) -> Rc<dyn Raft> {
    let Env { me, peers, persister, apply, server, rt } = env;
    let state = persister.read_state();
    let thought = Saved::read(&state);
    let snapshot = persister.read_snapshot();
    let first = thought.log.snapshot_index();
    let state = State {
        term: thought.term,
        voted_for: thought.voted_for,
        role: Role::Follower,
        log: thought.log,
        snapshot: snapshot.clone(),
        saved: Saved::read(&state),
        saved_snapshot: snapshot,
        is_unsaved: false,
        waiting: Vec::new(),
        is_collecting: false,
        commit_index: first,
        last_applied: first,
        election_due: Duration::ZERO,
        votes: BTreeSet::new(),
        followers: Vec::new(),
        heartbeat_due: Duration::ZERO,
    };
    let signals = [(); 4].map(|()| Notify::new());
    let [to_collect, to_save, to_send, to_apply] = signals;
    let state = RefCell::new(state);
    let ends = peers;
    let this =
        Rc::new(Server { me, ends, persister, rt, state, to_collect, to_save, to_send, to_apply });
    this.move_election(&mut this.state.borrow_mut());
    let a = this.clone();
    let b = this.clone();
    let c = this.clone();
    let service = Service::new()
        .method(REQUEST_VOTE, move |args| a.clone().on_request_vote(args))
        .method(APPEND_ENTRIES, move |args| b.clone().on_append(args))
        .method(INSTALL_SNAPSHOT, move |args| c.clone().on_install(args));
    server.add_service(service);
    this.rt.spawn_detached("elections", this.clone().run_elections());
    this.rt.spawn_detached("collector", this.clone().run_collector());
    this.rt.spawn_detached("saver", this.clone().run_saver());
    this.rt.spawn_detached("sender", this.clone().run_sender());
    this.rt.spawn_detached("applier", this.clone().run_applier(apply));
    this
}

impl State {
    fn enter(&mut self, term: u64) {
        if term > self.term {
            self.term = term;
            self.voted_for = None;
            self.role = Role::Follower;
            self.is_unsaved = true;
        }
    }

    fn leads_in(&self, term: u64) -> bool {
        self.role == Role::Leader && self.term == term
    }

    /// Commits what a majority has saved, if its last entry is of this term (5.4.2).
    fn commit(&mut self, me: usize) {
        let mut has: Vec<u64> = self.followers.iter().map(|f| f.match_index).collect();
        has[me] = self.saved.log.last_index();
        has.sort_unstable_by(|a, b| b.cmp(a));
        let index = has[has.len() / 2];
        if self.saved.log.term_at(index) == Some(self.term) {
            self.commit_index = self.commit_index.max(index);
        }
    }
}

/// Of this log, the last entry up to `index` whose term is at most `term`: its index and its term.
/// `None` if it would be in the snapshot.
fn last_up_to(log: &Log, index: u64, term: u64) -> Option<(u64, u64)> {
    let terms = (log.snapshot_index()..=index).rev().filter_map(|i| Some((i, log.term_at(i)?)));
    terms.into_iter().find(|&(_, t)| t <= term)
}

impl Server {
    async fn run_collector(self: Rc<Self>) {
        loop {
            self.to_collect.notified().await;
            self.rt.sleep(COLLECTION).await;
            self.state.borrow_mut().is_collecting = false;
            self.to_save.notify();
        }
    }

    async fn run_saver(self: Rc<Self>) {
        loop {
            self.to_save.notified().await;
            self.save();
        }
    }

    fn save(&self) {
        let state = &mut *self.state.borrow_mut();
        if !state.is_unsaved {
            return;
        }
        state.is_unsaved = false;
        state.saved.term = state.term;
        state.saved.voted_for = state.voted_for;
        state.saved.log.copy(&state.log);
        state.saved_snapshot = state.snapshot.clone();
        let saved = state.saved.log.saved_with(state.term, state.voted_for);
        self.persister.save(saved, state.snapshot.clone());
        state.commit_index = state.commit_index.max(state.saved.log.snapshot_index());
        state.waiting.drain(..).for_each(|waiting| waiting.notify());
        self.to_send.notify();
        self.to_apply.notify();
    }

    /// Waits until everything that has changed by now is saved.
    async fn saved(&self) {
        let signal = Notify::new();
        {
            let state = &mut *self.state.borrow_mut();
            if !state.is_unsaved {
                return;
            }
            state.waiting.push(signal.clone());
        }
        self.to_save.notify();
        signal.notified().await;
    }

    fn move_election(&self, state: &mut State) {
        let span = self.rt.dice().span(ELECTION_TIMEOUT_MIN, ELECTION_TIMEOUT_MAX);
        state.election_due = self.rt.now() + span;
    }

    async fn run_elections(self: Rc<Self>) {
        loop {
            let due = self.state.borrow().election_due;
            self.rt.sleep_until(due).await;
            let args = self.stand();
            if let Some(args) = args {
                self.saved().await;
                self.ask_for_votes(&args);
            }
        }
    }

    /// Becomes a candidate, if it is time. Returns what to ask once that is saved.
    fn stand(&self) -> Option<RequestVote> {
        let state = &mut *self.state.borrow_mut();
        if self.rt.now() < state.election_due {
            return None;
        }
        self.move_election(state);
        if state.role == Role::Leader {
            return None;
        }
        state.enter(state.term + 1);
        state.voted_for = Some(self.me);
        state.role = Role::Candidate;
        state.votes = BTreeSet::from([self.me]);
        Some(RequestVote {
            term: state.term,
            candidate: self.me,
            last_log_index: state.log.last_index(),
            last_log_term: state.log.last_term(),
        })
    }

    fn ask_for_votes(self: &Rc<Self>, args: &RequestVote) {
        let state = self.state.borrow();
        if state.term != args.term || state.role != Role::Candidate {
            return;
        }
        for to in (0..self.ends.len()).filter(|&to| to != self.me) {
            let call = self.ends[to].call(REQUEST_VOTE, args);
            self.rt.spawn_detached("ask for a vote", self.clone().await_vote(to, args.term, call));
        }
    }

    async fn await_vote(self: Rc<Self>, from: usize, asked_in: u64, call: Call<Vote>) {
        let Some(vote) = call.await else { return };
        let state = &mut *self.state.borrow_mut();
        self.see(state, vote.term);
        if state.term != asked_in || state.role != Role::Candidate || !vote.granted {
            return;
        }
        state.votes.insert(from);
        if state.votes.len() > self.ends.len() / 2 {
            state.role = Role::Leader;
            let next_index = state.log.last_index() + 1;
            state.followers = vec![Follower::at(next_index); self.ends.len()];
            state.heartbeat_due = self.rt.now();
            self.to_send.notify();
        }
    }

    /// Takes over a newer term from an answer. Nothing waits for the save.
    fn see(&self, state: &mut State, term: u64) {
        state.enter(term);
        if state.is_unsaved && !state.is_collecting {
            self.to_save.notify();
        }
    }

    async fn on_request_vote(self: Rc<Self>, args: RequestVote) -> Vote {
        let vote = {
            let state = &mut *self.state.borrow_mut();
            state.enter(args.term);
            let granted = args.term == state.term
                && state.voted_for.is_none_or(|other| other == args.candidate)
                && state.log.is_covered_by(args.last_log_term, args.last_log_index);
            if granted {
                state.is_unsaved |= state.voted_for.is_none();
                state.voted_for = Some(args.candidate);
                self.move_election(state);
            }
            Vote { term: state.term, granted }
        };
        self.saved().await;
        vote
    }

    /// A leader has spoken. Returns whether its term is the current one.
    fn hear_leader(&self, state: &mut State, term: u64) -> bool {
        state.enter(term);
        if term == state.term {
            state.role = Role::Follower;
            self.move_election(state);
        }
        term == state.term
    }

    async fn on_append(self: Rc<Self>, args: AppendEntries) -> Answer {
        let prev = args.prev_log_index;
        let leader_commit = args.leader_commit;
        let confirmed = prev + args.entries.len() as u64;
        let answer = self.append(args);
        self.saved().await;
        if matches!(answer.outcome, Outcome::Matches) {
            let state = &mut *self.state.borrow_mut();
            state.commit_index = state.commit_index.max(leader_commit.min(confirmed));
            self.to_apply.notify();
        }
        answer
    }

    fn append(&self, args: AppendEntries) -> Answer {
        let state = &mut *self.state.borrow_mut();
        let is_current = self.hear_leader(state, args.term);
        let term = state.term;
        if !is_current {
            return Answer { term, outcome: Outcome::OldTerm };
        }
        let prev = args.prev_log_index;
        let prev_term = args.prev_log_term;
        let log = &mut state.log;
        if prev >= log.snapshot_index() && log.term_at(prev) != Some(prev_term) {
            let hint = last_up_to(log, prev.min(log.last_index()), prev_term);
            let (index, term_there) = hint.expect("a snapshot is older than a leader's entries");
            return Answer { term, outcome: Outcome::Differs { index, term: term_there } };
        }
        state.is_unsaved |= log.merge(prev, args.entries);
        Answer { term, outcome: Outcome::Matches }
    }

    async fn on_install(self: Rc<Self>, args: InstallSnapshot) -> Installed {
        let term = {
            let state = &mut *self.state.borrow_mut();
            let known = state.commit_index.max(state.log.snapshot_index());
            if self.hear_leader(state, args.term) && args.last_index > known {
                state.log.start_after(args.last_index, args.last_term);
                state.snapshot = args.snapshot;
                state.is_unsaved = true;
            }
            state.term
        };
        self.saved().await;
        Installed { term }
    }

    async fn run_applier(self: Rc<Self>, mut apply: ApplySender) {
        loop {
            let next = {
                let State { saved, saved_snapshot, last_applied, commit_index, .. } =
                    &mut *self.state.borrow_mut();
                saved.log.next_message(last_applied, *commit_index, saved_snapshot)
            };
            match next {
                Some(message) => drop(apply.send(message).await),
                None => self.to_apply.notified().await,
            }
        }
    }
}

impl Raft for Server {
    fn start(&self, command: Bytes) -> Option<Started> {
        let state = &mut *self.state.borrow_mut();
        if state.role != Role::Leader {
            return None;
        }
        let term = state.term;
        state.log.push(Entry { term, command });
        state.is_unsaved = true;
        if !state.is_collecting {
            state.is_collecting = true;
            self.to_collect.notify();
        }
        Some(Started { index: state.log.last_index(), term })
    }

    fn state(&self) -> RaftState {
        let state = self.state.borrow();
        RaftState { term: state.term, is_leader: state.role == Role::Leader }
    }

    fn snapshot(&self, index: u64, snapshot: Bytes) {
        let state = &mut *self.state.borrow_mut();
        if index <= state.log.snapshot_index() || index > state.last_applied {
            return;
        }
        let term = state.log.term_at(index).expect("the log has what was applied");
        state.log.start_after(index, term);
        state.snapshot = snapshot;
        state.is_unsaved = true;
        self.to_save.notify();
    }

    fn kill(&self) {}

    /// Shows what is saved. Until a newer term is, this server has no part in the old one.
    fn probe(&self) -> Option<Probe> {
        let state = self.state.borrow();
        let State { saved, .. } = &*state;
        let role = if state.term == saved.term { state.role } else { Role::Follower };
        let followers = if role == Role::Leader { &state.followers[..] } else { &[] };
        let last_index = saved.log.last_index();
        let shown = |(i, f): (usize, &Follower)| match i == self.me {
            true => FollowerProbe { next_index: last_index + 1, match_index: last_index },
            false => FollowerProbe { next_index: f.next_index, match_index: f.match_index },
        };
        Some(Probe {
            term: saved.term,
            role,
            voted_for: saved.voted_for,
            first_index: saved.log.first_index(),
            last_index,
            commit_index: state.commit_index,
            last_applied: state.last_applied,
            lowest_written: saved.log.take_lowest_written(),
            followers: followers.iter().enumerate().map(shown).collect(),
        })
    }

    fn entry(&self, index: u64) -> Option<EntryProbe> {
        self.state.borrow().saved.log.shown(index)
    }

    fn snapshot_term(&self) -> Option<u64> {
        self.state.borrow().saved.log.shown_snapshot_term()
    }
}
