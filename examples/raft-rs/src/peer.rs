//! What both ways to carry messages share: the tasks of a server, and labraft's [`Raft`].

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use labraft::{ApplySender, EntryProbe, Env, PendingRead, Probe, Raft, RaftState, Started};
use labrpc::sync::Notify;
use labrpc::{ClientEnd, Runtime, Service};
use raft::eraftpb::Message;
use raft::{Config, StateRole};

use crate::node::{ELECTION_TIMEOUT, HandUp, Node, Sent, TICK};
use crate::storage::{Disk, id_of, server_of};

/// A way to carry messages.
pub struct Carrier {
    /// Sends a message.
    pub send: fn(&Rc<Peer>, Message),
    /// The handlers for messages of other servers.
    pub service: fn(&Rc<Peer>) -> Service,
    /// Changes raft-rs's configuration.
    pub configure: fn(&mut Config),
}

/// One instance of a server. Its tasks end when its server crashes; a restart makes a new one.
pub struct Peer {
    /// The state.
    pub node: Node,
    /// Starts tasks and tells the time.
    pub rt: Runtime,
    ends: Vec<ClientEnd>,
    carrier: &'static Carrier,
    /// Wakes the task that handles what raft-rs has ready.
    ready: Notify,
    /// Wakes the task that hands up what is committed.
    committed: Notify,
    is_killed: Cell<bool>,
}

impl Peer {
    /// Makes and starts an instance.
    pub fn start(env: Env, carrier: &'static Carrier) -> Rc<dyn Raft> {
        let Env { me, peers, persister, apply, server, rt } = env;
        let disk = Disk::open(persister, peers.len());
        let peer = Rc::new(Peer {
            node: Node::new(me, disk, carrier.configure),
            rt: rt.clone(),
            ends: peers,
            carrier,
            ready: Notify::new(),
            committed: Notify::new(),
            is_killed: Cell::new(false),
        });
        server.add_service((carrier.service)(&peer));
        rt.spawn_detached("ticks", peer.clone().tick());
        rt.spawn_detached("ready", peer.clone().handle_ready_when_woken());
        rt.spawn_detached("applier", peer.clone().hand_up(apply));
        // A restarted server may know of commits already.
        peer.ready.notify();
        peer
    }

    /// The client end to the receiver of a message.
    pub fn end_to(&self, message: &Message) -> &ClientEnd {
        &self.ends[server_of(message.to)]
    }

    /// Waits for the reply to a message; `None` if there will be none.
    ///
    /// raft-rs sends a server nothing after a snapshot until it is told what became of that, and the network may
    /// take seconds to find out that it is lost. So it counts as lost after an election time-out. That does no
    /// harm if it arrives after all.
    pub async fn reply<Reply>(
        &self,
        sent: &Sent,
        call: impl Future<Output = Option<Reply>>,
    ) -> Option<Reply> {
        let mut call = pin!(call);
        if sent.is_snapshot() {
            if let Some(known) = self.rt.timeout(ELECTION_TIMEOUT, call.as_mut()).await {
                return known;
            }
            self.node.report_lost(sent);
            self.wake();
        }
        call.await
    }

    /// Has the task "ready" do [`handle_ready`](Self::handle_ready) soon.
    pub fn wake(&self) {
        self.ready.notify();
    }

    /// Handles what raft-rs has ready. `send` is given the messages.
    pub fn handle_ready(&self, mut send: impl FnMut(Message)) {
        self.node.handle_ready(&mut send);
        if self.node.has_to_hand_up() {
            self.committed.notify();
        }
    }

    async fn tick(self: Rc<Peer>) {
        // Servers do not tick at the same instants.
        self.rt.sleep(self.rt.dice().span(Duration::ZERO, TICK)).await;
        loop {
            self.rt.sleep(TICK).await;
            self.node.tick();
            self.wake();
        }
    }

    async fn handle_ready_when_woken(self: Rc<Peer>) {
        loop {
            self.ready.notified().await;
            self.handle_ready(|message| (self.carrier.send)(&self, message));
        }
    }

    /// The only task that gives anything to the service, so the order is the log's.
    async fn hand_up(self: Rc<Peer>, mut apply: ApplySender) {
        loop {
            self.committed.notified().await;
            while let Some(next) = self.node.next_to_hand_up() {
                let index = next.index();
                // While this waits, the service may call `snapshot`: nothing is borrowed.
                let is_taken = match next {
                    HandUp::Message(message) => apply.send(message).await,
                    HandUp::Internal(index) => apply.send_internal(index).await,
                };
                if !is_taken {
                    return;
                }
                self.node.applied(index);
            }
        }
    }
}

impl Raft for Peer {
    fn start(&self, command: Bytes) -> Option<Started> {
        if self.is_killed.get() {
            return None;
        }
        let started = self.node.propose(&command)?;
        self.wake();
        Some(started)
    }

    fn state(&self) -> RaftState {
        let raft = &self.node.raw.borrow().raft;
        RaftState { term: raft.term, is_leader: raft.state == StateRole::Leader }
    }

    fn read(&self) -> Option<PendingRead> {
        if self.is_killed.get() {
            return None;
        }
        let pending = self.node.read()?;
        self.wake();
        Some(pending)
    }

    fn snapshot(&self, index: u64, snapshot: Bytes) {
        self.node.compact(index, snapshot);
    }

    fn kill(&self) {
        self.is_killed.set(true);
    }

    fn probe(&self) -> Option<Probe> {
        Some(self.node.probe())
    }

    fn entry(&self, index: u64) -> Option<EntryProbe> {
        self.node.entry(index)
    }

    fn snapshot_term(&self) -> Option<u64> {
        self.node.snapshot_term()
    }

    fn transfer_leadership(&self, to: usize) -> bool {
        let has_begun = !self.is_killed.get() && self.node.transfer_leadership(id_of(to));
        self.wake();
        has_begun
    }

    fn transferee(&self) -> Option<usize> {
        self.node.raw.borrow().raft.lead_transferee.map(server_of)
    }
}
