//! One server's Raft, and the tasks around it. Begin here.
//!
//! `not_yet` marks what is missing, and a run that fails names these places. Replace them by the
//! real thing; `docs/course` has a page for each part, with the task and hints.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use labraft::{ApplyMsg, ApplySender, Env, Part, Persister, Raft, RaftState, Started, not_yet};
use labrpc::sync::Notify;
use labrpc::{ClientEnd, Runtime, Service};
use tracing::debug;

use crate::message::{REQUEST_VOTE, RequestVoteArgs, RequestVoteReply};

/// How long the skeleton's election timer sleeps. An election time-out must be drawn anew for each
/// wait: `rt.dice().span(from, to)`.
const PAUSE: Duration = Duration::from_millis(500);

/// The state of a server (figure 2). It is in one `RefCell`: borrow it briefly, and never across an
/// `.await`.
#[derive(Default)]
struct State {
    /// The latest term that this server has heard of.
    current_term: u64,
    // 2A: the vote in this term, the role, when to stand for election.
    // 2B: the log, what is committed, what is applied; a leader's view of the others' logs.
    // 2D: what the snapshot covers, and the snapshot.
}

/// One incarnation of a server: a crash drops its tasks, and a restart makes a new one.
struct Peer {
    /// This server's number: its place among `peers`.
    me: usize,
    /// An end to each server, itself included.
    peers: Vec<ClientEnd>,
    /// This server's disk.
    persister: Persister,
    /// Spawns tasks, and has virtual time and dice.
    rt: Runtime,
    state: RefCell<State>,
    /// Wakes `apply_all`: call `notify` whenever something new is committed.
    something_to_apply: Notify,
}

/// Makes a server and starts its tasks; returns at once.
pub(crate) fn make(env: Env) -> Rc<dyn Raft> {
    let state = read_saved(&env.persister);
    debug!("server {} of {} starts in term {}", env.me, env.peers.len(), state.current_term);
    let peer = Rc::new(Peer {
        me: env.me,
        peers: env.peers,
        persister: env.persister,
        rt: env.rt,
        state: RefCell::new(state),
        something_to_apply: Notify::new(),
    });
    // Handlers: each owns a clone of the `Rc`. One that does not wait answers with a ready future.
    let handler = peer.clone();
    env.server.add_service(
        Service::new()
            .method(REQUEST_VOTE, move |args| std::future::ready(handler.answer_candidate(&args))),
        // 2B: AppendEntries. 2D: InstallSnapshot.
    );
    // Tasks: each lives until the server crashes.
    peer.rt.spawn_detached("elections", peer.clone().stand_for_election());
    peer.rt.spawn_detached("applying", peer.clone().apply_all(env.apply));
    // 2A: a leader's heartbeats. 2B: sending what `start` was given.
    peer
}

/// The state to begin with: what an earlier incarnation has saved.
fn read_saved(persister: &Persister) -> State {
    let saved = persister.read_state();
    if !saved.is_empty() {
        // 2C: the reverse of `Peer::save`; `labrpc::decode` reads what `labrpc::encode` has
        // written.
        not_yet(Part::Raft2C, "reading what was saved");
    }
    State::default()
}

impl Peer {
    /// Saves what must survive a crash. Call it when any of that has changed, and before a message
    /// leaves that depends on it.
    fn save(&self) {
        // 2C: the term, the vote and the log; `labrpc::encode` makes bytes of any serializable
        // value.
        not_yet(Part::Raft2C, "saving");
        let nothing: Vec<u8> = Vec::new();
        // 2D: the snapshot, as the second argument.
        self.persister.save(nothing, Bytes::new());
    }

    /// The election timer: without a word from a leader for long enough, this server becomes a
    /// candidate.
    async fn stand_for_election(self: Rc<Peer>) {
        loop {
            self.rt.sleep(PAUSE).await;
            // 2A: unless a leader was heard of meanwhile: a new term, a vote for itself, and this.
            not_yet(Part::Raft2A, "elections");
            let args = RequestVoteArgs { term: self.state.borrow().current_term };
            for to in (0..self.peers.len()).filter(|&to| to != self.me) {
                self.clone().ask(to, args.clone());
            }
        }
    }

    /// Asks another server for its vote. The request leaves at once, and a task waits for the
    /// answer.
    fn ask(self: Rc<Peer>, to: usize, args: RequestVoteArgs) {
        let answer = self.peers[to].call(REQUEST_VOTE, &args);
        self.rt.clone().spawn_detached("asking for a vote", async move {
            // `None`: no answer will come. The request may have arrived nevertheless.
            if let Some(reply) = answer.await {
                self.count_vote(to, &args, &reply);
            }
        });
    }

    /// A server has answered `args`, which may have been sent long ago.
    fn count_vote(&self, from: usize, args: &RequestVoteArgs, reply: &RequestVoteReply) {
        // 2A: is this server still a candidate, in the term in which it asked? With the votes of a
        // majority it becomes the leader.
        not_yet(Part::Raft2A, "counting votes");
        let asked = args.term;
        let granted = reply.vote_granted;
        debug!("{from} is in term {}; asked in term {asked} for its vote: {granted}", reply.term);
    }

    /// A candidate asks for this server's vote.
    fn answer_candidate(&self, args: &RequestVoteArgs) -> RequestVoteReply {
        // 2A: one vote in a term. 2B: none for a candidate whose log is behind.
        not_yet(Part::Raft2A, "voting");
        debug!("a vote is asked for in term {}", args.term);
        self.save();
        RequestVoteReply { term: self.state.borrow().current_term, vote_granted: false }
    }

    /// Hands the service what is committed, one after the other. It is the only task that does.
    async fn apply_all(self: Rc<Peer>, mut apply: ApplySender) {
        loop {
            self.something_to_apply.notified().await;
            while let Some(message) = self.take_committed() {
                // The service may call `snapshot` while this waits, so nothing is borrowed here.
                apply.send(message).await;
            }
        }
    }

    /// The next message for the service, if there is one. It counts as applied from now on.
    fn take_committed(&self) -> Option<ApplyMsg> {
        not_yet(Part::Raft2B, "applying");
        None
    }
}

impl Raft for Peer {
    fn start(&self, _command: Bytes) -> Option<Started> {
        // 2B: a leader appends it to its log, and returns its index and term.
        not_yet(Part::Raft2B, "taking commands");
        None
    }

    fn state(&self) -> RaftState {
        // 2A: whether this server leads.
        RaftState { term: self.state.borrow().current_term, is_leader: false }
    }

    fn snapshot(&self, _index: u64, _snapshot: Bytes) {
        // 2D: the log may forget everything up to this index.
        not_yet(Part::Raft2D, "snapshots");
    }

    fn kill(&self) {}

    // `probe` and `entry` show the inside to the lab's checks: a failure then names the moment at
    // which something first went wrong. The tests do not need them, but a grader may require `probe`.
}
