//! One server of a cluster: what runs now, and what outlives a crash.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use labrpc::{ClientEnd, Server};

use crate::persister::Persister;
use crate::raft::{ApplyReceiver, Raft};
use crate::state_recorder::StateRecorder;

/// What is known of one server.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) instance: Option<Instance>,
    /// Its ends to each server; new ones for each incarnation.
    pub(super) ends: Vec<ClientEnd>,
    pub(super) saved: Option<Persister>,
    /// How often it was started or stopped by the test.
    pub(super) incarnation: u64,
    pub(super) recorder: RefCell<StateRecorder>,
}

/// One incarnation of a server.
#[derive(Clone)]
pub(super) struct Instance {
    pub(super) raft: Rc<dyn Raft>,
    pub(super) server: Server,
}

/// What a service is made from: a Raft that was just started, and its server.
pub struct NewServer {
    /// The Raft.
    pub raft: Rc<dyn Raft>,
    /// Where the Raft's committed commands and snapshots come out.
    pub applied: ApplyReceiver,
    /// What survives a crash: the Raft's state, and the service's snapshot.
    pub persister: Persister,
    /// Where the service registers its handlers, and spawns its tasks.
    pub server: Server,
}

impl Instance {
    /// Kills the Raft, and everything that it and its service have spawned.
    pub(super) fn end(self) {
        self.server.runtime().act(|| self.raft.kill());
        self.server.crash();
    }
}

impl fmt::Debug for NewServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewServer({})", self.server.runtime().node())
    }
}
