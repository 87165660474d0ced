//! The contract: what a Raft is given, and what it must offer.

use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use labrpc::sync::{RendezvousReceiver, RendezvousSender, rendezvous};
use labrpc::{ClientEnd, Runtime, Server};

use crate::persister::Persister;
pub use crate::role::Role;

/// One of the Rafts that the lab can run: a value, chosen at run time.
///
/// ```
/// # use std::rc::Rc;
/// # use labraft::{Env, Implementation, Raft, RaftState, Started};
/// # struct NeverLeads;
/// # impl Raft for NeverLeads {
/// #     fn start(&self, _: bytes::Bytes) -> Option<Started> { None }
/// #     fn state(&self) -> RaftState { RaftState { term: 0, is_leader: false } }
/// #     fn snapshot(&self, _: u64, _: bytes::Bytes) {}
/// #     fn kill(&self) {}
/// # }
/// # fn make(_: Env) -> Rc<dyn Raft> { Rc::new(NeverLeads) }
/// const MINE: Implementation = Implementation::new("mine", make);
/// ```
#[derive(Copy, Clone)]
pub struct Implementation {
    /// What `--implementation` calls it.
    pub name: &'static str,
    /// Makes and starts an instance, from what the persister holds. It must return quickly: work in
    /// the background belongs into tasks.
    pub make: fn(Env) -> Rc<dyn Raft>,
    /// Says what a saved state holds, for checks that look inside. Optional.
    pub read_saved: Option<ReadSaved>,
}

/// Reads a saved state; `None` when the bytes are not one.
pub type ReadSaved = fn(&[u8]) -> Option<SavedState>;

impl Implementation {
    /// An implementation that does not explain its saved state.
    pub const fn new(name: &'static str, make: fn(Env) -> Rc<dyn Raft>) -> Implementation {
        Implementation { name, make, read_saved: None }
    }

    /// The same one, with a reader of its saved state.
    pub const fn with_read_saved(self, read: ReadSaved) -> Implementation {
        Implementation { read_saved: Some(read), ..self }
    }
}

impl fmt::Debug for Implementation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Implementation").field(&self.name).finish()
    }
}

/// What one instance of a Raft server is made from.
///
/// An instance lives until its server crashes; then all of its tasks are dropped, wherever they
/// wait, and its ends never send again. A restart makes a new instance from the saved state.
/// No borrow and no lock may be held across an await.
#[derive(Debug)]
pub struct Env {
    /// This server's number: its place in `peers`.
    pub me: usize,
    /// An end to each server, this one included.
    pub peers: Vec<ClientEnd>,
    /// What survives a crash.
    pub persister: Persister,
    /// Where committed commands and snapshots go.
    pub apply: ApplySender,
    /// Where handlers are registered: `server.add_service(...)`.
    pub server: Server,
    /// Tasks, time and dice of this server.
    pub rt: Runtime,
}

/// What the course's harness asks of a Raft. All of it returns at once; none of it waits.
///
/// Indexes count commands only: the first one is at index 1.
pub trait Raft {
    /// Proposes a command: where it will stand if it is ever committed, or `None` when this server
    /// does not lead. There is no promise that it will be committed.
    fn start(&self, command: Bytes) -> Option<Started>;

    /// This server's current term, and whether it believes that it leads.
    fn state(&self) -> RaftState;

    /// The service has everything up to and including `index` in `snapshot`: the log may forget it.
    /// Called by whoever receives the applied messages, between two of them.
    fn snapshot(&self, index: u64, snapshot: Bytes);

    /// The instance is finished. Its tasks are dropped right afterwards.
    fn kill(&self);

    /// What can be seen inside, at constant cost: for checks after every event. Optional.
    fn probe(&self) -> Option<Probe> {
        None
    }

    /// The log's entry at an index, if it is in the log: for checks. Constant cost. Optional.
    fn entry(&self, _index: u64) -> Option<EntryProbe> {
        None
    }
}

/// Where an accepted command stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The index that it will have if it is committed.
    pub index: u64,
    /// The term in which it was accepted.
    pub term: u64,
}

/// The answer of [`Raft::state`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct RaftState {
    /// The current term.
    pub term: u64,
    /// Whether this server believes that it leads.
    pub is_leader: bool,
}

/// The inside of a Raft at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The current term.
    pub term: u64,
    /// The role in it.
    pub role: Role,
    /// Whom it voted for in this term.
    pub voted_for: Option<usize>,
    /// The first index that the log still holds: one more than the snapshot's last.
    pub first_index: u64,
    /// The last index of the log; one less than `first_index` when it holds nothing.
    pub last_index: u64,
    /// The highest index known to be committed. What a snapshot covers is.
    pub commit_index: u64,
    /// The highest index handed to the service. A service starts by itself from the saved snapshot, so
    /// what that covers counts as handed up.
    pub last_applied: u64,
    /// The lowest index whose entry was written or removed since the last probe, if any was.
    pub lowest_written: Option<u64>,
    /// For a leader, its view of each server's log, its own included; empty otherwise.
    pub followers: Vec<FollowerProbe>,
}

/// What a leader believes of a follower's log.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct FollowerProbe {
    /// The next index to send.
    pub next_index: u64,
    /// The highest index known to be replicated there.
    pub match_index: u64,
}

/// One entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryProbe {
    /// The term in which a leader made it.
    pub term: u64,
    /// The command.
    pub command: Bytes,
}

/// What a saved state holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedState {
    /// The current term.
    pub term: u64,
    /// The vote in that term.
    pub voted_for: Option<usize>,
    /// The last index that the snapshot replaces; 0 without a snapshot.
    pub last_included_index: u64,
    /// The term of the entry at that index.
    pub last_included_term: u64,
    /// The terms of the entries that follow.
    pub terms: Vec<u64>,
}

/// What a Raft tells its service: a committed command, or a snapshot that stands for all up to its
/// index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplyMsg {
    /// The command at this index is committed.
    Command {
        /// Its index.
        index: u64,
        /// The command.
        command: Bytes,
    },
    /// The service is to go on from this snapshot.
    Snapshot {
        /// The last index that it covers.
        index: u64,
        /// The term of the entry at that index.
        term: u64,
        /// The service's own bytes.
        snapshot: Bytes,
    },
}

/// Hands messages to the service, one after the other. It cannot be cloned: who applies from two
/// places applies out of order.
pub struct ApplySender(RendezvousSender<ApplyMsg>);

impl ApplySender {
    /// Waits until the service has taken the message, as an unbuffered channel in Go. False when
    /// there is no service any more.
    #[track_caller]
    pub fn send(&mut self, message: ApplyMsg) -> impl Future<Output = bool> {
        self.0.send(message)
    }
}

impl fmt::Debug for ApplySender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApplySender")
    }
}

/// Where a service gets its messages.
pub struct ApplyReceiver {
    messages: RendezvousReceiver<ApplyMsg>,
    /// Says of each message whether the service may have it.
    gate: Option<Gate>,
}

type Gate = Box<dyn Fn(&ApplyMsg) -> bool>;

impl ApplyReceiver {
    /// The next message; `None` when the Raft is gone.
    #[track_caller]
    pub fn receive(&mut self) -> impl Future<Output = Option<ApplyMsg>> {
        let ApplyReceiver { messages, gate } = self;
        let next = messages.receive();
        async move {
            let message = next.await?;
            if gate.as_ref().is_some_and(|may_pass| !may_pass(&message)) {
                // The run is over.
                std::future::pending::<()>().await;
            }
            Some(message)
        }
    }

    /// The same, with somebody who looks at each message before the service gets it. When `may_pass`
    /// says no, the service waits for ever.
    pub(crate) fn watched(self, may_pass: impl Fn(&ApplyMsg) -> bool + 'static) -> ApplyReceiver {
        ApplyReceiver { gate: Some(Box::new(may_pass)), ..self }
    }
}

/// The two sides of the way from a Raft to its service.
pub fn apply_channel() -> (ApplySender, ApplyReceiver) {
    let (sender, receiver) = rendezvous();
    (ApplySender(sender), ApplyReceiver { messages: receiver, gate: None })
}
