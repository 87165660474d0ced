//! A Raft with one long-lived task for each other server, its link.
//!
//! A link asks one thing at a time and waits for the answer: as a candidate for the vote, as a leader
//! whether the follower has the next entries. What it asks next depends on what the server is by then.
//! Nothing else sends. So an answer always belongs to the last question of its link, and a link that
//! has waited too long asks again and never hears of the first answer.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use labraft::{
    ApplySender, EntryProbe, Env, FollowerProbe, Persister, Probe, Raft, RaftState, Role, Started,
};
use labrpc::sync::Notify;
use labrpc::{ClientEnd, Method, Runtime, Service};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::log::{Entry, Log, Saved};
use crate::messages::{
    APPEND_ENTRIES, AppendEntries, Appended, INSTALL_SNAPSHOT, InstallSnapshot, Installed,
    REQUEST_VOTE, RequestVote, Vote,
};

/// How long a link waits for an answer, and how long it is silent when there is nothing to send.
const PATIENCE: Duration = Duration::from_millis(110);
const ELECTION_TIMEOUT_MIN: Duration = Duration::from_millis(330);
const ELECTION_TIMEOUT_MAX: Duration = Duration::from_millis(660);
const NEVER: Duration = Duration::MAX;

struct Server {
    me: usize,
    ends: Vec<ClientEnd>,
    persister: Persister,
    rt: Runtime,
    core: RefCell<Core>,
    /// Wakes the link to each server.
    links: Vec<Notify>,
    applier: Notify,
}

struct Core {
    term: u64,
    voted_for: Option<usize>,
    part: Part,
    log: Log,
    snapshot: Bytes,
    commit_index: u64,
    last_applied: u64,
    /// When the election timer was last restarted: by a leader's message, a vote granted, stepping
    /// down or standing for election.
    content_at: Duration,
}

/// What a server is in its term, with what only that needs. Each vector has a row for each server.
enum Part {
    Follower,
    Candidate(Vec<Ballot>),
    Leader(Vec<Progress>),
}

#[derive(Clone)]
struct Ballot {
    is_granted: bool,
    /// When to ask.
    due: Duration,
}

#[derive(Clone)]
struct Progress {
    next_index: u64,
    match_index: u64,
    /// When to send even if there is nothing new.
    due: Duration,
}

/// What a link does next.
enum Step {
    WaitUntil(Duration),
    AskForVote(RequestVote),
    Append(AppendEntries),
    Install(InstallSnapshot),
}

/// Starts a server from what it has saved.
pub fn make(env: Env) -> Rc<dyn Raft> {
    let Env { me, peers, persister, apply, server, rt } = env;
    let Saved { term, voted_for, log } = Saved::read(&persister.read_state());
    let core = Core {
        term,
        voted_for,
        part: Part::Follower,
        commit_index: log.snapshot_index(),
        last_applied: log.snapshot_index(),
        log,
        snapshot: persister.read_snapshot(),
        content_at: rt.now(),
    };
    let this = Rc::new(Server {
        me,
        links: peers.iter().map(|_| Notify::new()).collect(),
        ends: peers,
        persister,
        rt,
        core: RefCell::new(core),
        applier: Notify::new(),
    });
    let a = this.clone();
    let b = this.clone();
    let c = this.clone();
    let service = Service::new()
        .method(REQUEST_VOTE, move |args| std::future::ready(a.on_request_vote(&args)))
        .method(APPEND_ENTRIES, move |args| std::future::ready(b.on_append(args)))
        .method(INSTALL_SNAPSHOT, move |args| std::future::ready(c.on_install(args)));
    server.add_service(service);
    for to in (0..this.ends.len()).filter(|&to| to != me) {
        this.rt.spawn_detached("link", this.clone().run_link(to));
    }
    this.rt.spawn_detached("election timer", this.clone().run_timer());
    this.rt.spawn_detached("applier", this.clone().run_applier(apply));
    this
}

impl Core {
    /// What the link to a server is to do now.
    fn step(&self, me: usize, to: usize, now: Duration) -> Step {
        match &self.part {
            Part::Follower => Step::WaitUntil(NEVER),
            Part::Candidate(ballots) if now < ballots[to].due => Step::WaitUntil(ballots[to].due),
            Part::Candidate(_) => Step::AskForVote(RequestVote {
                term: self.term,
                candidate: me,
                last_log_index: self.log.last_index(),
                last_log_term: self.log.last_term(),
            }),
            Part::Leader(progress) => self.step_of_leader(&progress[to], now),
        }
    }

    fn step_of_leader(&self, follower: &Progress, now: Duration) -> Step {
        let log = &self.log;
        if now < follower.due && follower.next_index > log.last_index() {
            return Step::WaitUntil(follower.due);
        }
        let prev = follower.next_index - 1;
        let Some(prev_log_term) = log.term_at(prev) else {
            return Step::Install(InstallSnapshot {
                term: self.term,
                last_index: log.snapshot_index(),
                last_term: log.snapshot_term(),
                snapshot: self.snapshot.clone(),
            });
        };
        Step::Append(AppendEntries {
            term: self.term,
            prev_log_index: prev,
            prev_log_term,
            entries: log.from(follower.next_index).to_vec(),
            leader_commit: self.commit_index,
        })
    }

    fn role(&self) -> Role {
        match self.part {
            Part::Follower => Role::Follower,
            Part::Candidate(_) => Role::Candidate,
            Part::Leader(_) => Role::Leader,
        }
    }

    /// What the leader knows of a follower, if it still leads in the term in which it asked.
    fn progress_in(&mut self, term: u64, of: usize) -> Option<&mut Progress> {
        match &mut self.part {
            Part::Leader(progress) if self.term == term => Some(&mut progress[of]),
            _ => None,
        }
    }

    /// Commits what a majority has, up to an entry of this term (5.4.2). Returns whether that is more.
    fn commit(&mut self, me: usize) -> bool {
        let Part::Leader(progress) = &self.part else { return false };
        let enough = progress.len() / 2 + 1;
        let is_held = |index: u64| {
            let others =
                progress.iter().enumerate().filter(|(i, p)| *i != me && p.match_index >= index);
            others.count() + 1 >= enough
        };
        let new = (self.commit_index + 1..=self.log.last_index())
            .rev()
            .take_while(|&index| self.log.term_at(index) == Some(self.term))
            .find(|&index| is_held(index));
        self.commit_index = new.unwrap_or(self.commit_index);
        new.is_some()
    }
}

impl Server {
    fn save(&self, core: &Core) {
        let state = core.log.saved_with(core.term, core.voted_for);
        self.persister.save(state, core.snapshot.clone());
    }

    /// Becomes a follower of a newer term. Returns whether it was newer; it is not saved yet.
    fn enter(&self, core: &mut Core, term: u64) -> bool {
        if term <= core.term {
            return false;
        }
        if matches!(core.part, Part::Leader(_)) {
            // A deposed leader has not waited for anybody yet.
            core.content_at = self.rt.now();
        }
        core.term = term;
        core.voted_for = None;
        core.part = Part::Follower;
        true
    }

    fn wake_links(&self) {
        self.links.iter().for_each(Notify::notify);
    }

    async fn run_link(self: Rc<Self>, to: usize) {
        loop {
            let now = self.rt.now();
            let step = self.core.borrow().step(self.me, to, now);
            match step {
                Step::WaitUntil(NEVER) => self.links[to].notified().await,
                Step::WaitUntil(due) => {
                    self.rt.timeout(due - now, self.links[to].notified()).await;
                }
                Step::AskForVote(args) => {
                    let vote = self.ask(to, REQUEST_VOTE, &args).await;
                    self.count(to, args.term, vote);
                }
                Step::Append(args) => {
                    let answer = self.ask(to, APPEND_ENTRIES, &args).await;
                    self.learn(to, &args, answer, now);
                }
                Step::Install(args) => {
                    let answer = self.ask(to, INSTALL_SNAPSHOT, &args).await;
                    self.learn_installed(to, &args, answer, now);
                }
            }
        }
    }

    /// Asks a server, and waits for its answer; without one, for as long as if there had been none.
    async fn ask<Args, Reply>(
        &self,
        to: usize,
        method: Method<Args, Reply>,
        args: &Args,
    ) -> Option<Reply>
    where
        Args: Serialize + std::fmt::Debug + 'static,
        Reply: DeserializeOwned + 'static,
    {
        let asked_at = self.rt.now();
        let answer = self.rt.timeout(PATIENCE, self.ends[to].call(method, args)).await.flatten();
        if answer.is_none() {
            self.rt.sleep_until(asked_at + PATIENCE).await;
        }
        answer
    }

    fn count(&self, from: usize, asked_in: u64, vote: Option<Vote>) {
        let Some(vote) = vote else { return };
        let core = &mut *self.core.borrow_mut();
        if self.enter(core, vote.term) {
            return self.save(core);
        }
        let Part::Candidate(ballots) = &mut core.part else { return };
        if core.term != asked_in {
            return;
        }
        ballots[from] = Ballot { is_granted: vote.granted, due: NEVER };
        let granted = ballots.iter().filter(|ballot| ballot.is_granted).count();
        if granted > ballots.len() / 2 {
            let next_index = core.log.last_index() + 1;
            let new = Progress { next_index, match_index: 0, due: self.rt.now() };
            core.part = Part::Leader(vec![new; ballots.len()]);
            self.wake_links();
        }
    }

    fn learn(&self, to: usize, args: &AppendEntries, answer: Option<Appended>, asked_at: Duration) {
        let Some(answer) = answer else { return };
        let core = &mut *self.core.borrow_mut();
        if self.enter(core, answer.term) {
            return self.save(core);
        }
        let prev = args.prev_log_index;
        let back = answer.conflict.map(|conflict| core.log.resume_after(prev, &conflict));
        let Some(follower) = core.progress_in(args.term, to) else { return };
        follower.due = asked_at + PATIENCE;
        if answer.success {
            self.confirm(core, to, prev + args.entries.len() as u64);
        } else if let Some(next_index) = back {
            follower.next_index = next_index.max(follower.match_index + 1);
        }
    }

    fn learn_installed(
        &self,
        to: usize,
        args: &InstallSnapshot,
        answer: Option<Installed>,
        asked_at: Duration,
    ) {
        let Some(answer) = answer else { return };
        let core = &mut *self.core.borrow_mut();
        if self.enter(core, answer.term) {
            return self.save(core);
        }
        let Some(follower) = core.progress_in(args.term, to) else { return };
        follower.due = asked_at + PATIENCE;
        self.confirm(core, to, args.last_index);
    }

    /// A follower has everything up to an index.
    fn confirm(&self, core: &mut Core, of: usize, index: u64) {
        let Part::Leader(progress) = &mut core.part else { return };
        let follower = &mut progress[of];
        follower.match_index = follower.match_index.max(index);
        follower.next_index = follower.match_index + 1;
        if core.commit(self.me) {
            self.applier.notify();
        }
    }

    /// Stands for election when nothing has spoken against it for a time that is drawn anew for each
    /// candidacy.
    async fn run_timer(self: Rc<Self>) {
        loop {
            let patience = self.rt.dice().span(ELECTION_TIMEOUT_MIN, ELECTION_TIMEOUT_MAX);
            loop {
                let due = self.core.borrow().content_at + patience;
                if due <= self.rt.now() {
                    break;
                }
                self.rt.sleep_until(due).await;
            }
            let core = &mut *self.core.borrow_mut();
            core.content_at = self.rt.now();
            if !matches!(core.part, Part::Leader(_)) {
                self.stand(core);
            }
        }
    }

    fn stand(&self, core: &mut Core) {
        core.term += 1;
        core.voted_for = Some(self.me);
        let mut ballots = vec![Ballot { is_granted: false, due: self.rt.now() }; self.ends.len()];
        ballots[self.me].is_granted = true;
        core.part = Part::Candidate(ballots);
        self.save(core);
        self.wake_links();
    }

    fn on_request_vote(&self, args: &RequestVote) -> Vote {
        let core = &mut *self.core.borrow_mut();
        let is_newer = self.enter(core, args.term);
        let may_vote = args.term == core.term
            && core.log.is_covered_by(args.last_log_term, args.last_log_index);
        let granted = may_vote && *core.voted_for.get_or_insert(args.candidate) == args.candidate;
        if granted {
            core.content_at = self.rt.now();
        }
        if is_newer || granted {
            self.save(core);
        }
        Vote { term: core.term, granted }
    }

    /// A leader of this term has spoken. Returns false if the term is over.
    fn follow(&self, core: &mut Core, term: u64) -> bool {
        if self.enter(core, term) {
            self.save(core);
        }
        if core.term == term {
            core.part = Part::Follower;
            core.content_at = self.rt.now();
        }
        core.term == term
    }

    fn on_append(&self, args: AppendEntries) -> Appended {
        let core = &mut *self.core.borrow_mut();
        let is_current = self.follow(core, args.term);
        let prev = args.prev_log_index;
        let term = core.term;
        let conflict = core.log.conflict(prev, args.prev_log_term).filter(|_| is_current);
        if !is_current || conflict.is_some() {
            return Appended { term, success: false, conflict };
        }
        let committed = args.leader_commit.min(prev + args.entries.len() as u64);
        if core.log.merge(prev, args.entries) {
            self.save(core);
        }
        if committed > core.commit_index {
            core.commit_index = committed;
            self.applier.notify();
        }
        Appended { term, success: true, conflict: None }
    }

    fn on_install(&self, args: InstallSnapshot) -> Installed {
        let core = &mut *self.core.borrow_mut();
        if self.follow(core, args.term) && args.last_index > core.commit_index {
            core.log.start_after(args.last_index, args.last_term);
            core.snapshot = args.snapshot;
            core.commit_index = args.last_index;
            self.save(core);
            self.applier.notify();
        }
        Installed { term: core.term }
    }

    async fn run_applier(self: Rc<Self>, mut apply: ApplySender) {
        loop {
            let message = {
                let Core { log, last_applied, commit_index, snapshot, .. } =
                    &mut *self.core.borrow_mut();
                log.next_message(last_applied, *commit_index, snapshot)
            };
            match message {
                Some(message) => drop(apply.send(message).await),
                None => self.applier.notified().await,
            }
        }
    }
}

impl Raft for Server {
    fn start(&self, command: Bytes) -> Option<Started> {
        let core = &mut *self.core.borrow_mut();
        let term = core.term;
        matches!(core.part, Part::Leader(_)).then(|| {
            core.log.push(Entry { term, command });
            self.save(core);
            self.wake_links();
            Started { index: core.log.last_index(), term }
        })
    }

    fn state(&self) -> RaftState {
        let core = self.core.borrow();
        RaftState { term: core.term, is_leader: core.role() == Role::Leader }
    }

    fn snapshot(&self, index: u64, snapshot: Bytes) {
        let core = &mut *self.core.borrow_mut();
        if index > core.log.snapshot_index() && index <= core.last_applied {
            let term = core.log.term_at(index).expect("the log has what was applied");
            core.log.start_after(index, term);
            core.snapshot = snapshot;
            self.save(core);
        }
    }

    fn kill(&self) {}

    fn probe(&self) -> Option<Probe> {
        let core = self.core.borrow();
        let log = &core.log;
        let mut followers = Vec::new();
        if let Part::Leader(progress) = &core.part {
            followers.extend(progress.iter().map(|follower| FollowerProbe {
                next_index: follower.next_index,
                match_index: follower.match_index,
            }));
            let match_index = log.last_index();
            followers[self.me] = FollowerProbe { next_index: match_index + 1, match_index };
        }
        Some(Probe {
            term: core.term,
            role: core.role(),
            voted_for: core.voted_for,
            first_index: log.first_index(),
            last_index: log.last_index(),
            commit_index: core.commit_index,
            last_applied: core.last_applied,
            lowest_written: log.take_lowest_written(),
            followers,
        })
    }

    fn entry(&self, index: u64) -> Option<EntryProbe> {
        self.core.borrow().log.shown(index)
    }

    fn snapshot_term(&self) -> Option<u64> {
        self.core.borrow().log.shown_snapshot_term()
    }
}
