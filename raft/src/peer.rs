// SOLUTION FILE
//! The driver around a [`Core`]: the only file that knows tasks, time, dice and the network.
//!
//! Each call into the core saves and sends what the core asks for before any other task runs. So
//! whatever a message says was true, and saved, when it left. Nothing is borrowed while a task
//! waits.

mod reads;
mod stable_leader;
pub(crate) mod transfer;
mod waiting;

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

use bytes::Bytes;
use labraft::{
    ApplySender, EntryProbe, Env, HandedUp, PendingRead, Persister, Probe, Raft, RaftState, Role,
    Started,
};
use labrpc::sync::Notify;
use labrpc::{ClientEnd, Dice, Runtime, Service};
use tracing::debug;

use self::waiting::Reads;
use crate::core::{Core, Message, Output, SentEntries, SentSnapshot};
use crate::log::{PersistentState, decode_state};
use crate::message::{APPEND_ENTRIES, INSTALL_SNAPSHOT, REQUEST_VOTE};

/// How often a leader sends heartbeats: nine times a second, where the course allows ten.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(110);
/// How long a candidate waits before it asks again the servers that have not voted for it.
const ASK_AGAIN_INTERVAL: Duration = Duration::from_millis(220);
/// The shortest election time-out: longer than two heartbeat intervals, so that one lost heartbeat
/// does not start an election.
pub(crate) const ELECTION_TIMEOUT_MIN: Duration = Duration::from_millis(300);
/// The end of the range from which election time-outs are drawn; itself not in it.
const ELECTION_TIMEOUT_MAX: Duration = Duration::from_millis(600);

/// One instance of a Raft server. Its tasks end when its server crashes; a restart makes a new one.
struct Peer {
    /// A weak reference to this peer, for the tasks that it spawns.
    this: Weak<Peer>,
    core: RefCell<Core>,
    peers: Vec<ClientEnd>,
    persister: Persister,
    rt: Runtime,
    dice: Dice,
    /// When the election time-out passes, in virtual time.
    election_deadline: Cell<Duration>,
    /// Wakes the replicator: commands were started.
    started: Notify,
    /// Wakes the heartbeat timer: this server has become a candidate or a leader.
    heartbeats: Notify,
    /// Wakes the applier: something is committed that the service has not been given.
    committed: Notify,
    /// Set by [`Raft::kill`], after which no commands are taken.
    is_killed: Cell<bool>,
    /// When the lease timer of part 2E runs out, in virtual time.
    lease_deadline: Cell<Duration>,
    /// When the last transfer of part 2F is given up, in virtual time.
    transfer_deadline: Cell<Duration>,
    /// The reads of part 2G that are not answered yet.
    reads: Reads,
}

/// Makes and starts an instance: the reference's [`labraft::Implementation::make`].
pub(crate) fn make(env: Env) -> Rc<dyn Raft> {
    start(env, |core| core)
}

/// The same with what parts 2E to 2G add.
pub(crate) fn make_extended(env: Env) -> Rc<dyn Raft> {
    start_extended(env, Core::with_reads)
}

/// The same with reads under leases.
pub(crate) fn make_with_leases(env: Env) -> Rc<dyn Raft> {
    start_extended(env, Core::with_lease_reads)
}

fn start_extended(env: Env, add_reads: fn(Core) -> Core) -> Rc<Peer> {
    let extend = |core: Core| core.with_stable_leader().with_transfer().with_flow_control();
    let peer = start(env, |core| add_reads(extend(core)));
    peer.rt.spawn_detached("lease timer", peer.clone().watch_lease());
    peer
}

fn start(env: Env, extend: impl FnOnce(Core) -> Core) -> Rc<Peer> {
    let Env { me, peers, persister, apply, server, rt } = env;
    let state = persister.read_state();
    let saved = if state.is_empty() {
        PersistentState::default()
    } else {
        decode_state(&state).unwrap_or_else(|error| panic!("the saved state is damaged: {error}"))
    };
    let core = Core::new(me, peers.len(), saved, persister.read_snapshot());
    let peer = Rc::new_cyclic(|this| Peer {
        this: this.clone(),
        core: RefCell::new(extend(core)),
        peers,
        persister,
        dice: rt.dice(),
        rt: rt.clone(),
        election_deadline: Cell::default(),
        started: Notify::new(),
        heartbeats: Notify::new(),
        committed: Notify::new(),
        is_killed: Cell::new(false),
        lease_deadline: Cell::default(),
        transfer_deadline: Cell::default(),
        reads: Reads::default(),
    });
    let service = peer.clone().add_pre_votes(service(&peer));
    server.add_service(peer.clone().add_transfers(service));
    peer.with_core(|_| ());
    rt.spawn_detached("election timer", peer.clone().watch_for_leader());
    rt.spawn_detached("heartbeat timer", peer.clone().send_heartbeats());
    rt.spawn_detached("replicator", peer.clone().replicate_started());
    rt.spawn_detached("applier", peer.clone().apply_committed(apply));
    peer
}

/// The handlers of the three remote procedures.
fn service(peer: &Rc<Peer>) -> Service {
    let voter = peer.clone();
    let follower = peer.clone();
    let installer = peer.clone();
    Service::new()
        .method(REQUEST_VOTE, move |args| {
            std::future::ready(voter.with_core(|core| core.request_vote(&args)))
        })
        .method(APPEND_ENTRIES, move |args| {
            std::future::ready(follower.with_core(|core| core.append_entries(args)))
        })
        .method(INSTALL_SNAPSHOT, move |args| {
            std::future::ready(installer.with_core(|core| core.install_snapshot(args)))
        })
}

impl Peer {
    /// Calls a method of the core, and carries out what the core asks for.
    fn with_core<R>(&self, call: impl FnOnce(&mut Core) -> R) -> R {
        let mut core = self.core.borrow_mut();
        let old_term = core.current_term();
        let old_role = core.role();
        let result = call(&mut core);
        let term = core.current_term();
        let role = core.role();
        if term != old_term || role != old_role {
            debug!("{role:?} of term {term} (was {old_role:?} of {old_term})");
        }
        let output = core.take_output();
        if output.must_save {
            let (state, snapshot) = core.saved();
            self.persister.save(state, snapshot);
        }
        if core.has_to_apply() {
            self.committed.notify();
        }
        drop(core);
        self.carry_out(output);
        result
    }

    /// Does the rest of what the core asks for, now that the state is saved.
    fn carry_out(&self, output: Output) {
        if output.restart_lease {
            self.lease_deadline.set(self.rt.now() + ELECTION_TIMEOUT_MIN);
        }
        if output.start_transfer_timer
            && let Some(peer) = self.this.upgrade()
        {
            peer.time_transfer();
        }
        if output.reset_election_timer {
            let timeout = self.dice.span(ELECTION_TIMEOUT_MIN, ELECTION_TIMEOUT_MAX);
            self.election_deadline.set(self.rt.now() + timeout);
        }
        if output.start_heartbeats {
            self.heartbeats.notify();
        }
        self.note_round(output.round);
        for (to, message) in output.messages {
            self.send(to, message, output.round);
        }
        self.answer_reads(output.reads);
    }

    /// Sends a request of this round at once, and spawns a task that waits for the answer.
    fn send(&self, to: usize, message: Message, round: u64) {
        let Some(peer) = self.this.upgrade() else { return };
        let end = &self.peers[to];
        match message {
            Message::RequestVote(args) => {
                let call = end.call(REQUEST_VOTE, &args);
                self.rt.spawn_detached("request vote", async move {
                    if let Some(reply) = call.await {
                        peer.with_core(|core| core.request_vote_reply(to, args.term, &reply));
                    }
                });
            }
            Message::AppendEntries(args) => {
                let call = end.call(APPEND_ENTRIES, &args);
                let sent = SentEntries::new(&args, round);
                self.rt.spawn_detached("append entries", async move {
                    let reply = call.await;
                    peer.with_core(|core| core.append_entries_reply(to, sent, reply.as_ref()));
                });
            }
            Message::PreVote(args) => peer.ask_for_pre_vote(to, &args),
            Message::TimeoutNow(args) => peer.tell_to_stand(to, &args),
            Message::TransferVote(args) => peer.ask_for_transfer_vote(to, &args),
            Message::InstallSnapshot(args) => {
                let call = end.call(INSTALL_SNAPSHOT, &args);
                let sent = SentSnapshot::new(&args, round);
                self.rt.spawn_detached("install snapshot", async move {
                    let reply = call.await;
                    peer.with_core(|core| core.install_snapshot_reply(to, sent, reply.as_ref()));
                });
            }
        }
    }

    /// The election timer.
    async fn watch_for_leader(self: Rc<Peer>) {
        loop {
            // While this task sleeps, every request of a leader moves the deadline.
            self.rt.sleep_until(self.election_deadline.get()).await;
            if self.rt.now() < self.election_deadline.get() {
                continue;
            }
            if self.core.borrow().role() == Role::Leader {
                self.election_deadline.set(self.rt.now() + ELECTION_TIMEOUT_MIN);
                continue;
            }
            self.with_core(Core::election_timeout);
        }
    }

    /// The heartbeat timer of a leader, and of a candidate that asks for votes again.
    async fn send_heartbeats(self: Rc<Peer>) {
        loop {
            let role = self.core.borrow().role();
            let interval = match role {
                Role::Leader => HEARTBEAT_INTERVAL,
                Role::Candidate => ASK_AGAIN_INTERVAL,
                Role::Follower if self.core.borrow().is_pre_candidate() => ASK_AGAIN_INTERVAL,
                Role::Follower => {
                    self.heartbeats.notified().await;
                    continue;
                }
            };
            // Becoming a candidate or a leader in the meantime begins a new interval.
            if self.rt.timeout(interval, self.heartbeats.notified()).await.is_none() {
                self.with_core(Core::heartbeat_timeout);
            }
        }
    }

    /// The replicator: commands that were started at the same instant are sent together.
    async fn replicate_started(self: Rc<Peer>) {
        loop {
            self.started.notified().await;
            self.with_core(Core::replicate);
        }
    }

    /// The applier: the only task that gives anything to the service, so the order is the log's.
    async fn apply_committed(self: Rc<Peer>, mut apply: ApplySender) {
        loop {
            self.committed.notified().await;
            loop {
                let next = self.core.borrow_mut().next_to_apply();
                let Some(next) = next else { break };
                let is_taken = match next {
                    HandedUp::Message(message) => apply.send(message).await,
                    HandedUp::Internal { index } => apply.send_internal(index).await,
                };
                if !is_taken {
                    return;
                }
            }
        }
    }
}

impl Raft for Peer {
    fn start(&self, command: Bytes) -> Option<Started> {
        if self.is_killed.get() {
            return None;
        }
        let started = self.core.borrow_mut().start(command)?;
        self.started.notify();
        Some(started)
    }

    fn read(&self) -> Option<PendingRead> {
        if self.is_killed.get() { None } else { self.begin_read() }
    }

    fn state(&self) -> RaftState {
        let core = self.core.borrow();
        RaftState { term: core.current_term(), is_leader: core.role() == Role::Leader }
    }

    fn snapshot(&self, index: u64, snapshot: Bytes) {
        self.with_core(|core| core.take_snapshot(index, snapshot));
    }

    fn kill(&self) {
        self.is_killed.set(true);
    }

    fn probe(&self) -> Option<Probe> {
        Some(self.core.borrow_mut().probe())
    }

    fn entry(&self, index: u64) -> Option<EntryProbe> {
        let core = self.core.borrow();
        let entry = core.entry(index)?;
        Some(EntryProbe { term: entry.term, command: entry.command.clone() })
    }

    fn snapshot_term(&self) -> Option<u64> {
        self.core.borrow().snapshot_term()
    }

    fn transfer_leadership(&self, to: usize) -> bool {
        let has_begun = self.core.borrow_mut().transfer_leadership(to);
        self.started.notify();
        has_begun
    }

    fn transferee(&self) -> Option<usize> {
        self.core.borrow().transferee()
    }
}
