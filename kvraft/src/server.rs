// SOLUTION FILE
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

use crate::message::{GET, OPEN, Operation, OperationId, PUT_APPEND, Refusal, Reply};
use crate::store::Store;

/// How often a waiting handler checks whether its term is over: a Raft does not report that.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// How many checks a handler makes before it gives up. A leader that has lost its majority does not
/// notice that, so the clerk has to try another server.
const MAX_CHECKS: u32 = 5;

/// A server of the key/value service. Its tasks and handlers keep it alive until its server
/// crashes.
pub struct KvServer {
    raft: Rc<dyn Raft>,
    persister: Persister,
    rt: Runtime,
    /// The size of the saved Raft state, in bytes, at which to take a snapshot; `None` to take none.
    max_raft_state: Option<usize>,
    store: RefCell<Store>,
    /// The handlers that wait, by the index that they wait for.
    waiting: RefCell<BTreeMap<u64, Waiter>>,
}

/// A handler that waits for its operation.
struct Waiter {
    /// The identity of its operation. Another one at the same index means that its own was
    /// displaced; the term would tell as well, but a Raft hands up none with a command.
    id: OperationId,
    /// Takes the answer. Dropping it tells the handler that something else was applied in its
    /// place.
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
        let opener = kv.clone();
        let getter = kv.clone();
        let putter = kv.clone();
        server.add_service(
            Service::new()
                .method(OPEN, move |operation| opener.clone().execute(operation))
                .method(GET, move |operation| getter.clone().execute(operation))
                .method(PUT_APPEND, move |operation| putter.clone().execute(operation)),
        );
        rt.spawn_detached("key/value applier", kv.clone().apply_all(applied));
        kv
    }

    /// Puts an operation through the log, and answers when it has been applied here.
    async fn execute(self: Rc<KvServer>, operation: Operation) -> Reply {
        let id = operation.id;
        let command = labrpc::encode(&operation).expect("an operation can be encoded");
        let started = self.raft.start(command.into()).ok_or(Refusal::NotLeader)?;
        let (answer, mut answered) = oneshot::channel();
        // A handler that already waits for this index proposed its operation in an earlier term.
        // Replacing it drops its channel, which tells it that its operation was displaced.
        self.waiting.borrow_mut().insert(started.index, Waiter { id, answer });
        for _ in 0..MAX_CHECKS {
            if let Some(answer) = self.rt.timeout(CHECK_INTERVAL, &mut answered).await {
                return answer.unwrap_or(Err(Refusal::Unsure));
            }
            if self.raft.state().term != started.term {
                break;
            }
        }
        self.forget(started.index, id);
        Err(Refusal::Unsure)
    }

    /// Removes a waiter, unless another has taken its place.
    fn forget(&self, index: u64, id: OperationId) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.get(&index).is_some_and(|waiter| waiter.id == id) {
            waiting.remove(&index);
        }
    }

    /// Applies what the Raft hands up, until the server crashes.
    async fn apply_all(self: Rc<KvServer>, mut applied: ApplyReceiver) {
        while let Some(message) = applied.receive().await {
            match message {
                ApplyMsg::Command { index, command } => self.apply(index, &command),
                ApplyMsg::Snapshot { index, snapshot, .. } => self.install(index, &snapshot),
            }
        }
    }

    /// Applies the command at `index`, answers the handler that waits for it, and makes a snapshot
    /// when the Raft's saved state has grown to the limit.
    fn apply(&self, index: u64, command: &Bytes) {
        let operation: Operation = labrpc::decode(command)
            .unwrap_or_else(|error| panic!("no clerk sent the command at index {index}: {error}"));
        let id = operation.id;
        let reply = self.store.borrow_mut().apply(index, operation);
        // An internal entry of the Raft may have taken the place that a handler waits for.
        self.give_up_before(index);
        if let Some(waiter) = self.waiting.borrow_mut().remove(&index)
            && waiter.id == id
        {
            // An error means that the handler has given up in the meantime.
            let _ = waiter.answer.send(reply);
        }
        if self.max_raft_state.is_some_and(|max| self.persister.state_size_bytes() >= max) {
            debug!("snapshot up to {index}");
            self.raft.snapshot(index, self.store.borrow().snapshot());
        }
    }

    /// Replaces the store by that of a snapshot. For the indexes that it covers there are no
    /// answers any more, so the handlers that wait for them are told to give up.
    fn install(&self, index: u64, snapshot: &Bytes) {
        let store = Store::restore(snapshot);
        let covered = store.applied();
        let applied = self.store.borrow().applied();
        assert!(
            covered == index && index > applied,
            "the Raft handed up a snapshot for index {index} that covers all up to {covered}; \
             {applied} were applied before"
        );
        self.store.replace(store);
        self.give_up_before(index + 1);
    }

    /// Tells the handlers that wait for lower indexes that something else was applied there.
    fn give_up_before(&self, index: u64) {
        let mut waiting = self.waiting.borrow_mut();
        while waiting.first_key_value().is_some_and(|(&first, _)| first < index) {
            waiting.pop_first();
        }
    }
}

impl fmt::Debug for KvServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KvServer({})", self.rt.node())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use labraft::{ApplySender, RaftState, Started, apply_channel};
    use labrpc::{ClientEnd, Node, RunSpec, Simulation, World};

    use super::*;
    use crate::message::{Action, Answer};

    /// A Raft that always leads, and leaves committing to the test.
    struct Puppet {
        last_index: Cell<u64>,
        term: Cell<u64>,
    }

    impl Raft for Puppet {
        fn start(&self, _: Bytes) -> Option<Started> {
            self.last_index.set(self.last_index.get() + 1);
            Some(Started { index: self.last_index.get(), term: self.term.get() })
        }

        fn state(&self) -> RaftState {
            RaftState { term: self.term.get(), is_leader: true }
        }

        fn snapshot(&self, _: u64, _: Bytes) {}

        fn kill(&self) {}
    }

    /// A key/value server on top of a puppet Raft, with what a test needs to drive them.
    struct Stage {
        world: World,
        puppet: Rc<Puppet>,
        apply: ApplySender,
        kv: Rc<KvServer>,
        end: ClientEnd,
    }

    fn on_stage(test: impl AsyncFnOnce(Stage) + Send + 'static) {
        let outcome = Simulation::new(RunSpec::seed(1)).run(|world| async move {
            let puppet = Rc::new(Puppet { last_index: Cell::new(0), term: Cell::new(1) });
            let (apply, applied) = apply_channel();
            let server = world.server(0);
            let persister = Persister::default();
            let new =
                NewServer { raft: puppet.clone(), applied, persister, server: server.clone() };
            let kv = KvServer::start(new, None);
            let network = world.network().clone();
            network.add_server(Node::server(0), &server);
            let end = network.make_end(Node::client(0));
            network.connect(end.id(), Node::server(0));
            network.enable(end.id(), true);
            test(Stage { world, puppet, apply, kv, end }).await;
        });
        outcome.result.expect("the test runs to its end");
    }

    fn open() -> Operation {
        operation(1, Action::Open)
    }

    fn append(number: u64) -> Operation {
        operation(number, Action::Append { key: "k".into(), value: "a".into() })
    }

    /// An operation in session 1, which the operation at index 1 opens.
    fn operation(number: u64, action: Action) -> Operation {
        Operation { id: OperationId { clerk: 7, number }, session: 1, action }
    }

    fn command(index: u64, operation: &Operation) -> ApplyMsg {
        let command = labrpc::encode(operation).expect("an operation can be encoded").into();
        ApplyMsg::Command { index, command }
    }

    #[test]
    fn a_client_that_never_returns_leaves_no_waiter_behind() {
        on_stage(async |stage: Stage| {
            for number in 1..=100 {
                // It does not even wait for the answer.
                drop(stage.end.call(PUT_APPEND, &append(number)));
            }
            stage.world.tester().sleep(CHECK_INTERVAL).await;
            assert_eq!(stage.kv.waiting.borrow().len(), 100);
            stage.world.tester().sleep(CHECK_INTERVAL * MAX_CHECKS).await;
            assert_eq!(stage.kv.waiting.borrow().len(), 0);
        });
    }

    #[test]
    fn a_handler_is_told_when_another_operation_took_its_place() {
        on_stage(async |mut stage: Stage| {
            let mine = stage.end.call(PUT_APPEND, &append(1));
            stage.world.tester().sleep(CHECK_INTERVAL).await;
            let other = Operation { id: OperationId { clerk: 8, number: 1 }, ..open() };
            stage.apply.send(command(1, &other)).await;
            assert_eq!(mine.await, Some(Err(Refusal::Unsure)));
            assert!(stage.world.tester().now() < 2 * CHECK_INTERVAL, "it was told at once");
        });
    }

    #[test]
    fn a_handler_is_told_when_an_internal_entry_of_the_raft_took_its_place() {
        on_stage(async |mut stage: Stage| {
            let mine = stage.end.call(PUT_APPEND, &append(1));
            stage.world.tester().sleep(CHECK_INTERVAL / 2).await;
            stage.apply.send_internal(1).await;
            stage.apply.send(command(2, &open())).await;
            assert_eq!(mine.await, Some(Err(Refusal::Unsure)));
            assert!(stage.world.tester().now() < CHECK_INTERVAL, "it was told at once");
        });
    }

    #[test]
    fn a_handler_gives_up_when_the_term_moves_on() {
        on_stage(async |stage: Stage| {
            let call = stage.end.call(PUT_APPEND, &append(1));
            stage.world.tester().sleep(CHECK_INTERVAL / 2).await;
            stage.puppet.term.set(2);
            assert_eq!(call.await, Some(Err(Refusal::Unsure)));
            assert!(stage.world.tester().now() < 2 * CHECK_INTERVAL);
        });
    }

    #[test]
    fn a_handler_whose_index_a_snapshot_covers_gives_up() {
        on_stage(async |mut stage: Stage| {
            let call = stage.end.call(PUT_APPEND, &append(1));
            stage.world.tester().sleep(CHECK_INTERVAL / 2).await;
            let mut store = Store::default();
            store.apply(1, open()).unwrap();
            store.apply(2, append(1)).unwrap();
            let snapshot = store.snapshot();
            stage.apply.send(ApplyMsg::Snapshot { index: 2, term: 1, snapshot }).await;
            assert_eq!(call.await, Some(Err(Refusal::Unsure)));
            // Tried again, it is known to be done.
            stage.puppet.last_index.set(2);
            let again = stage.end.call(PUT_APPEND, &append(1));
            stage.world.tester().sleep(CHECK_INTERVAL / 2).await;
            stage.apply.send(command(3, &append(1))).await;
            assert_eq!(again.await, Some(Ok(Answer::Written)));
            store.apply(3, append(1)).unwrap();
            assert_eq!(*stage.kv.store.borrow(), store);
        });
    }
}
