//! One server of a cluster: its running instance, and the data that survives a crash.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;

use labrpc::{ClientEnd, Server, World};

use crate::persister::Persister;
use crate::raft::{ApplyReceiver, Raft};
use crate::state_recorder::StateRecorder;

/// The ways, from a sender to a receiver, on which replies are lost as well as requests.
pub(super) type MuteWays = RefCell<BTreeSet<(usize, usize)>>;

/// The harness's data about one server, kept across crashes.
#[derive(Default)]
pub(super) struct Slot {
    /// The running instance, or `None` while the server is stopped.
    pub(super) instance: Option<Instance>,
    /// The client ends to each server, replaced whenever the server starts.
    pub(super) ends: Vec<ClientEnd>,
    /// The server's persistent storage, or `None` before its first start.
    pub(super) saved: Option<Persister>,
    /// Incremented whenever the server is started or stopped.
    pub(super) incarnation: u64,
    pub(super) recorder: RefCell<StateRecorder>,
}

/// A running instance of a server, from one start to the next crash or shutdown.
#[derive(Clone)]
pub(super) struct Instance {
    pub(super) raft: Rc<dyn Raft>,
    pub(super) server: Server,
    /// Whether its service waits for the next message.
    pub(super) is_waited_for: Rc<Cell<bool>>,
}

/// A newly started Raft, with everything that a service on top of it needs.
pub struct NewServer {
    /// The started Raft instance, to which the service submits commands and snapshots.
    pub raft: Rc<dyn Raft>,
    /// Receives the commands and snapshots that the Raft delivers to the service.
    pub applied: ApplyReceiver,
    /// The persistent storage: the Raft's state and the service's snapshot.
    pub persister: Persister,
    /// The server on which the service registers its RPC handlers and spawns its tasks.
    pub server: Server,
}

impl Instance {
    /// Kills the Raft, then ends all tasks that it and its service have spawned.
    pub(super) fn end(self, world: &World) {
        self.server.runtime().act(|| self.raft.kill());
        world.crash(&self.server);
    }
}

impl fmt::Debug for NewServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewServer({})", self.server.runtime().node())
    }
}
