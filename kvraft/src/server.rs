//! One server of the service: puts operations through its Raft, and answers them once applied.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::oneshot;
use labraft::{ApplyMsg, ApplyReceiver, NewServer, Persister, Raft};
use labrpc::{Runtime, Service};
use tracing::debug;

use crate::message::{GET, Operation, OperationId, PUT_APPEND, Refusal, Reply};
use crate::store::Store;

/// How often a waiting handler looks whether its term is over: Raft does not tell by itself.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// After so many looks a handler gives up: a leader without a majority is not told that it is one,
/// and the clerk had better ask somebody else.
const LOOKS: u32 = 5;

/// A server of the key/value service. It lives in its tasks and handlers, until its server crashes.
pub struct KvServer {
    raft: Rc<dyn Raft>,
    persister: Persister,
    rt: Runtime,
    /// Bytes of saved Raft state that a snapshot is to prevent; `None` for no snapshots at all.
    max_raft_state: Option<usize>,
    store: RefCell<Store>,
    /// Who waits for what is applied at an index.
    waiting: RefCell<BTreeMap<u64, Waiter>>,
}

/// A handler that waits for its operation.
struct Waiter {
    id: OperationId,
    /// Takes the answer; nobody is held up when the handler has given up. Dropping it tells the
    /// handler that something else was applied in its place.
    answer: oneshot::Sender<Reply>,
}

impl KvServer {
    /// Starts a server on a Raft that was just started, from the snapshot that the persister holds.
    /// `max_raft_state` is the course's `maxraftstate`, in bytes; `None` where the course has -1.
    pub fn start(new: NewServer, max_raft_state: Option<usize>) -> Rc<KvServer> {
        let NewServer { raft, applied, persister, server } = new;
        let rt = server.runtime().clone();
        let kv = Rc::new(KvServer {
            raft,
            store: RefCell::new(Store::restore(&persister.read_snapshot())),
            persister,
            rt: rt.clone(),
            max_raft_state,
            waiting: RefCell::default(),
        });
        let (getter, putter) = (kv.clone(), kv.clone());
        server.add_service(
            Service::new()
                .method(GET, move |operation| getter.clone().execute(operation))
                .method(PUT_APPEND, move |operation| putter.clone().execute(operation)),
        );
        rt.spawn_detached("key/value applier", kv.clone().apply_all(applied));
        kv
    }

    /// Puts an operation through the log, and answers when it is applied here.
    async fn execute(self: Rc<KvServer>, operation: Operation) -> Reply {
        let id = operation.id;
        let command = labrpc::encode(&operation).expect("an operation can be encoded");
        let started = self.raft.start(command.into()).ok_or(Refusal::NotLeader)?;
        let (answer, mut answered) = oneshot::channel();
        // Whoever waited at this index before did so in an earlier term, and learns by this that its
        // operation was displaced.
        self.waiting.borrow_mut().insert(started.index, Waiter { id, answer });
        for _ in 0..LOOKS {
            if let Some(answer) = self.rt.timeout(LOOK_INTERVAL, &mut answered).await {
                return answer.unwrap_or(Err(Refusal::Unsure));
            }
            if self.raft.state().term != started.term {
                break;
            }
        }
        self.forget(started.index, id);
        Err(Refusal::Unsure)
    }

    /// Forgets a waiter, unless another has taken its place.
    fn forget(&self, index: u64, id: OperationId) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.get(&index).is_some_and(|waiter| waiter.id == id) {
            waiting.remove(&index);
        }
    }

    /// Applies what the Raft hands up, for as long as the server lives.
    async fn apply_all(self: Rc<KvServer>, mut applied: ApplyReceiver) {
        while let Some(message) = applied.receive().await {
            match message {
                ApplyMsg::Command { index, command } => self.apply(index, &command),
                ApplyMsg::Snapshot { index, snapshot, .. } => self.install(index, &snapshot),
            }
        }
    }

    fn apply(&self, index: u64, command: &Bytes) {
        let operation: Operation = labrpc::decode(command)
            .unwrap_or_else(|error| panic!("the command at index {index} is not ours: {error}"));
        let id = operation.id;
        let reply = self.store.borrow_mut().apply(index, operation);
        if let Some(waiter) = self.waiting.borrow_mut().remove(&index)
            && waiter.id == id
        {
            // A handler that has given up meanwhile has no use for it.
            let _ = waiter.answer.send(reply);
        }
        if self.max_raft_state.is_some_and(|max| self.persister.state_size_bytes() >= max) {
            debug!("snapshot up to {index}");
            self.raft.snapshot(index, self.store.borrow().snapshot());
        }
    }

    /// Goes on from a snapshot. Whoever waits for an index that it covers cannot be told the answer.
    fn install(&self, index: u64, snapshot: &Bytes) {
        *self.store.borrow_mut() = Store::restore(snapshot);
        let mut waiting = self.waiting.borrow_mut();
        *waiting = waiting.split_off(&(index + 1));
    }
}

impl fmt::Debug for KvServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KvServer({})", self.rt.node())
    }
}
