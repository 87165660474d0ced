//! The interface between the lab and a Raft: what a Raft receives, and what it must implement.

use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use labrpc::sync::{RendezvousReceiver, RendezvousSender, rendezvous};
use labrpc::{ClientEnd, Runtime, Server};

use crate::persister::Persister;
pub use crate::role::Role;

/// A Raft implementation that the lab can run, as a value that can be chosen at run time.
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
    /// The implementation's name for `--implementation`.
    pub name: &'static str,
    /// Creates and starts an instance from the state saved in the persister. It must return
    /// quickly. Background work belongs in tasks.
    pub make: fn(Env) -> Rc<dyn Raft>,
    /// Decodes a saved state, for checks that inspect it. `None` leaves those checks out.
    pub read_saved: Option<ReadSaved>,
}

/// Decodes a saved state. It returns `None` if the bytes are not valid.
pub type ReadSaved = fn(&[u8]) -> Option<SavedState>;

impl Implementation {
    /// Creates an implementation without a [`read_saved`](Self::read_saved) function.
    pub const fn new(name: &'static str, make: fn(Env) -> Rc<dyn Raft>) -> Implementation {
        Implementation { name, make, read_saved: None }
    }

    /// Sets the function that decodes a saved state.
    pub const fn with_read_saved(self, read: ReadSaved) -> Implementation {
        Implementation { read_saved: Some(read), ..self }
    }
}

impl fmt::Debug for Implementation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Implementation").field(&self.name).finish()
    }
}

/// Everything that an instance of a Raft server needs.
///
/// An instance lives until its server crashes. Then all of its tasks are dropped, whatever they are
/// waiting for, and its client ends send nothing more. A restart creates a new instance from the
/// saved state. An implementation must not hold a `RefCell` borrow or a lock across an await.
#[derive(Debug)]
pub struct Env {
    /// This server's number, which is its index in `peers`.
    pub me: usize,
    /// A client end for each server, including this one.
    pub peers: Vec<ClientEnd>,
    /// The disk, whose contents survive a crash.
    pub persister: Persister,
    /// The channel that passes committed commands and snapshots to the service.
    pub apply: ApplySender,
    /// The RPC server. Register the instance's handlers with `server.add_service(...)`.
    pub server: Server,
    /// Spawns this server's tasks, tells the time and provides random numbers.
    pub rt: Runtime,
}

/// The interface that a Raft implements for the tests. Its methods return without waiting.
///
/// Indexes count only commands, so the first command has index 1.
pub trait Raft {
    /// Proposes a command. Returns the index that it will have if it is ever committed, or `None`
    /// if this server is not the leader. The command may never be committed.
    fn start(&self, command: Bytes) -> Option<Started>;

    /// Returns this server's current term, and whether it believes that it is the leader.
    fn state(&self) -> RaftState;

    /// Tells the Raft that `snapshot` contains everything up to and including `index`, so the log
    /// may discard those entries. The service calls this between two applied messages.
    fn snapshot(&self, index: u64, snapshot: Bytes);

    /// Shuts the instance down. Its tasks are dropped immediately afterwards.
    fn kill(&self);

    /// Returns the internal state, for checks after every event.
    ///
    /// Optional. It must take constant time, because it is called so often.
    fn probe(&self) -> Option<Probe> {
        None
    }

    /// Returns the entry at an index if the log contains it, for checks.
    ///
    /// Optional. It must take constant time.
    fn entry(&self, _index: u64) -> Option<EntryProbe> {
        None
    }
}

/// The position of a command that a leader accepted.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The index that it will have if it is committed.
    pub index: u64,
    /// The term in which it was accepted.
    pub term: u64,
}

/// The result of [`Raft::state`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct RaftState {
    /// The current term.
    pub term: u64,
    /// Whether this server believes that it is the leader.
    pub is_leader: bool,
}

/// A Raft's internal state at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The current term.
    pub term: u64,
    /// The server's role in that term.
    pub role: Role,
    /// The candidate that the server voted for in the current term.
    pub voted_for: Option<usize>,
    /// The first index that the log still contains, one more than the snapshot's last index.
    pub first_index: u64,
    /// The last index of the log; one less than `first_index` if the log is empty.
    pub last_index: u64,
    /// The highest index known to be committed. It is at least the snapshot's last index.
    pub commit_index: u64,
    /// The highest index passed to the service. A service restores the saved snapshot by itself
    /// when it starts, so the indexes that the snapshot covers count as passed.
    pub last_applied: u64,
    /// The lowest index whose entry was written or removed since the last probe, if any.
    pub lowest_written: Option<u64>,
    /// The leader's view of each server's log, including its own; empty for other roles.
    pub followers: Vec<FollowerProbe>,
}

/// What a leader knows about a follower's log.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct FollowerProbe {
    /// The index of the next entry to send to the follower.
    pub next_index: u64,
    /// The highest index known to be replicated on the follower.
    pub match_index: u64,
}

/// One entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryProbe {
    /// The term in which a leader created the entry.
    pub term: u64,
    /// The command, as passed to [`Raft::start`].
    pub command: Bytes,
}

/// The contents of a saved state, as far as checks need them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedState {
    /// The current term.
    pub term: u64,
    /// The candidate that the server voted for in that term.
    pub voted_for: Option<usize>,
    /// The last index that the snapshot covers; 0 if there is no snapshot.
    pub last_included_index: u64,
    /// The term of the entry at that index.
    pub last_included_term: u64,
    /// The terms of the log's entries, starting after `last_included_index`.
    pub terms: Vec<u64>,
}

/// A message from a Raft to its service: a committed command, or a snapshot that replaces all
/// commands up to its index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplyMsg {
    /// A committed command, which the service must apply.
    Command {
        /// The command's index in the log.
        index: u64,
        /// The command, as passed to [`Raft::start`].
        command: Bytes,
    },
    /// A snapshot from which the service must restore its state.
    Snapshot {
        /// The last index that the snapshot covers.
        index: u64,
        /// The term of the entry at that index.
        term: u64,
        /// The snapshot, in the service's own encoding.
        snapshot: Bytes,
    },
}

/// Passes messages to the service, one at a time. It cannot be cloned, because two senders could
/// apply messages out of order.
pub struct ApplySender(RendezvousSender<ApplyMsg>);

impl ApplySender {
    /// Sends a message and waits until the service has taken it, like an unbuffered channel in Go.
    /// Returns false if the service no longer exists.
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

/// The service's end of the channel from its Raft.
pub struct ApplyReceiver {
    messages: RendezvousReceiver<ApplyMsg>,
    /// Decides for each message whether the service may receive it.
    gate: Option<Gate>,
}

type Gate = Box<dyn Fn(&ApplyMsg) -> bool>;

impl ApplyReceiver {
    /// Waits for the next message. Returns `None` if the Raft no longer exists.
    #[track_caller]
    pub fn receive(&mut self) -> impl Future<Output = Option<ApplyMsg>> {
        let ApplyReceiver { messages, gate } = self;
        let next = messages.receive();
        async move {
            let message = next.await?;
            if gate.as_ref().is_some_and(|may_pass| !may_pass(&message)) {
                // The run has failed and is about to end.
                std::future::pending::<()>().await;
            }
            Some(message)
        }
    }

    /// Checks each message with `may_pass` before the service receives it. If `may_pass` returns
    /// false, the service waits forever.
    pub(crate) fn watched(self, may_pass: impl Fn(&ApplyMsg) -> bool + 'static) -> ApplyReceiver {
        ApplyReceiver { gate: Some(Box::new(may_pass)), ..self }
    }
}

/// Creates the channel from a Raft to its service.
pub fn apply_channel() -> (ApplySender, ApplyReceiver) {
    let (sender, receiver) = rendezvous();
    (ApplySender(sender), ApplyReceiver { messages: receiver, gate: None })
}
