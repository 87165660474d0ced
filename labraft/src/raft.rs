//! The interface between the lab and a Raft: what a Raft receives, and what it must implement.

use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

use bytes::Bytes;
use labrpc::sync::{RendezvousReceiver, RendezvousSender, rendezvous};
use labrpc::{ClientEnd, Runtime, Server};

use crate::message::Describe;
use crate::offer::{Offer, Offers};
use crate::persister::Persister;
use crate::read::PendingRead;
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
    /// See [`with_internal_entries`](Self::with_internal_entries).
    pub has_internal_entries: bool,
    /// See [`with_one_way_messages`](Self::with_one_way_messages).
    pub has_one_way_messages: bool,
    /// See [`with_messages`](Self::with_messages).
    pub describe: Option<Describe>,
    /// See [`offering`](Self::offering).
    pub offers: Offers,
}

impl Implementation {
    /// Creates an implementation that follows the course: a log of commands only, and messages that
    /// are answered.
    pub const fn new(name: &'static str, make: fn(Env) -> Rc<dyn Raft>) -> Implementation {
        Implementation {
            name,
            make,
            has_internal_entries: false,
            has_one_way_messages: false,
            describe: None,
            offers: Offers::NOTHING,
        }
    }

    /// Declares that the log also holds entries of the Raft's own, such as an empty entry at the start
    /// of each term (Raft paper, section 8) or configurations (section 6).
    ///
    /// Indexes then count all entries. The Raft must pass each internal entry up in its turn, with
    /// [`ApplySender::send_internal`]. Where the course's tests expect an exact index, such a Raft
    /// only has to keep the order and the indexes that [`Raft::start`] returned.
    pub const fn with_internal_entries(self) -> Implementation {
        Implementation { has_internal_entries: true, ..self }
    }

    /// Declares that messages between servers are one-way: each is a call whose reply means nothing,
    /// and an answer is a call of its own in the other direction.
    ///
    /// A server must then have saved before it calls, instead of before it replies. One RPC of the
    /// course counts as two calls.
    pub const fn with_one_way_messages(self) -> Implementation {
        Implementation { has_one_way_messages: true, ..self }
    }

    /// Has the lab judge every step by figure 2 of the paper: what a server read, what it did and what
    /// it sent. `describe` tells what a message says. It sees requests and replies as they leave, and
    /// must depend on nothing else.
    ///
    /// The rules also need [`Raft::probe`]. All messages between the Rafts must be described, since a
    /// term, a vote or an entry that comes from nowhere breaks the rules.
    pub const fn with_messages(self, describe: Describe) -> Implementation {
        Implementation { describe: Some(describe), ..self }
    }

    /// Declares that the Raft has what an optional part of the labs is about. It is then tested and judged by
    /// that part too. What nobody declares, nobody asks for.
    pub const fn offering(self, offer: Offer) -> Implementation {
        Implementation { offers: self.offers.with(offer), ..self }
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
/// Indexes begin at 1. They count commands only, unless the implementation declares
/// [internal entries](Implementation::with_internal_entries); then they count all entries.
pub trait Raft {
    /// Proposes a command. Returns the index that it will have if it is ever committed, or `None`
    /// if this server is not the leader. The command may never be committed.
    fn start(&self, command: Bytes) -> Option<Started>;

    /// Returns this server's current term, and whether it believes that it is the leader.
    fn state(&self) -> RaftState;

    /// Begins a read without an entry of the log (Ongaro's thesis, section 6.4): the result tells up to where
    /// the service has to have applied the log before it answers from its state. `None` if this server is not the
    /// leader.
    ///
    /// Optional: a Raft that has it declares so with [`Offer::ReadIndex`].
    fn read(&self) -> Option<PendingRead> {
        None
    }

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

    /// Returns the term of the last entry that the snapshot covers, the one just before
    /// [`Probe::first_index`]; `None` without a snapshot. For checks.
    ///
    /// Optional. It must take constant time.
    fn snapshot_term(&self) -> Option<u64> {
        None
    }

    /// Begins to hand leadership to another server (part 2F; Ongaro's thesis, section 3.10), and returns
    /// whether it has begun. A transfer to the same server that is under way goes on, and does not last longer for it: that
    /// counts as begun. One to another server is given up. A server that does not lead returns false, as does
    /// one that is asked to hand over to itself or to a server that does not exist; then nothing changes.
    ///
    /// While a transfer is under way, [`start`](Self::start) returns `None`. It ends when this server leads no
    /// longer, and after the time that [`Offer::LeaderTransfer`](crate::Offer::LeaderTransfer) declares at
    /// the latest.
    ///
    /// Optional.
    fn transfer_leadership(&self, _to: usize) -> bool {
        false
    }

    /// Returns the server to which this leader is handing over leadership; `None` if it is not, or does not
    /// lead. For checks.
    ///
    /// Needed by a Raft that offers part 2F. It must take constant time.
    fn transferee(&self) -> Option<usize> {
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
///
/// Term, vote and log are what the server would find on its disk after a crash. A Raft that saves
/// before it returns to the executor can show its variables. One that changes them first and saves
/// in a later poll must show what it has saved: anything else looks like a promise that the next
/// crash breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The current term.
    pub term: u64,
    /// The server's role in that term. A server that asks whether it could win an election before it
    /// begins one (a pre-candidate; Ongaro's thesis, section 9.6) is a follower: it has changed
    /// neither its term nor its vote.
    pub role: Role,
    /// The candidate that the server voted for in the current term. A pre-vote is not a vote.
    pub voted_for: Option<usize>,
    /// The first index that the log still contains, one more than the snapshot's last index.
    pub first_index: u64,
    /// The last index of the log; one less than `first_index` if the log is empty.
    pub last_index: u64,
    /// The highest index known to be committed. It is at least the snapshot's last index.
    pub commit_index: u64,
    /// The highest index passed to the service. A message counts as soon as it is offered: the service may
    /// call [`Raft::snapshot`] for it before the sender goes on. A service restores the saved snapshot by itself
    /// when it starts, so the indexes that the snapshot covers count as passed.
    pub last_applied: u64,
    /// The lowest index whose entry was written or removed since the last probe, if any. Entries that a
    /// snapshot covers are not removed in this sense.
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
    /// The command, as passed to [`Raft::start`]. For an internal entry, whatever it holds.
    pub command: Bytes,
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

/// What a Raft hands up: a message for the service, or word of an entry of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandedUp {
    /// A message that the service receives.
    Message(ApplyMsg),
    /// The entry at `index` is committed and internal to the Raft.
    Internal {
        /// The entry's index in the log.
        index: u64,
    },
}

/// Passes messages to the service, one at a time. It cannot be cloned, because two senders could
/// apply messages out of order.
pub struct ApplySender(RendezvousSender<HandedUp>);

impl ApplySender {
    /// Sends a message and waits until the service has taken it, like an unbuffered channel in Go.
    /// Returns false if the service no longer exists.
    #[track_caller]
    pub fn send(&mut self, message: ApplyMsg) -> impl Future<Output = bool> {
        self.0.send(HandedUp::Message(message))
    }

    /// Says that the entry at `index` is committed and internal to the Raft. It takes the entry's turn
    /// among the messages. The service does not see it, but every index is accounted for and checked.
    /// Returns false if the service no longer exists.
    ///
    /// The implementation must have declared
    /// [internal entries](Implementation::with_internal_entries).
    #[track_caller]
    pub fn send_internal(&mut self, index: u64) -> impl Future<Output = bool> {
        self.0.send(HandedUp::Internal { index })
    }
}

impl fmt::Debug for ApplySender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApplySender")
    }
}

/// The service's end of the channel from its Raft.
pub struct ApplyReceiver {
    messages: RendezvousReceiver<HandedUp>,
    /// Decides for each message whether the service may receive it.
    gate: Option<Gate>,
    /// Whether the service waits for a message.
    is_waited_for: Rc<Cell<bool>>,
}

type Gate = Box<dyn Fn(&HandedUp) -> bool>;

impl ApplyReceiver {
    /// Waits for the next message and passes over the Raft's internal entries. Returns `None` if the
    /// Raft no longer exists.
    #[track_caller]
    pub fn receive(&mut self) -> impl Future<Output = Option<ApplyMsg>> {
        let at = Location::caller();
        async move {
            loop {
                if let HandedUp::Message(message) = self.receive_at(at).await? {
                    return Some(message);
                }
            }
        }
    }

    /// Waits for the next message or internal entry: for a service that has to know how far the log has been
    /// handed up to it, entry by entry, as one does that answers [`Raft::read`]s. Returns `None` if the Raft no
    /// longer exists.
    #[track_caller]
    pub fn receive_entry(&mut self) -> impl Future<Output = Option<HandedUp>> {
        self.receive_at(Location::caller())
    }

    /// Waits for the next message or internal entry. `at` is the place in the code of the service.
    pub(crate) async fn receive_at(&mut self, at: &'static Location<'static>) -> Option<HandedUp> {
        self.is_waited_for.set(true);
        let next = self.messages.receive_at(at).await?;
        self.is_waited_for.set(false);
        if self.gate.as_ref().is_some_and(|may_pass| !may_pass(&next)) {
            // The run has failed and is about to end.
            std::future::pending::<()>().await;
        }
        Some(next)
    }

    /// Whether the service waits for a message, now and later.
    pub(crate) fn is_waited_for(&self) -> Rc<Cell<bool>> {
        self.is_waited_for.clone()
    }

    /// Checks everything that is handed up with `may_pass` before the service receives it. If
    /// `may_pass` returns false, the service waits forever.
    pub(crate) fn watched(self, may_pass: impl Fn(&HandedUp) -> bool + 'static) -> ApplyReceiver {
        ApplyReceiver { gate: Some(Box::new(may_pass)), ..self }
    }
}

/// Creates the channel from a Raft to its service.
pub fn apply_channel() -> (ApplySender, ApplyReceiver) {
    let (sender, receiver) = rendezvous();
    (
        ApplySender(sender),
        ApplyReceiver { messages: receiver, gate: None, is_waited_for: Rc::default() },
    )
}
