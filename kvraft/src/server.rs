// SOLUTION FILE
//! One server of the service: a [`Replica`] of the [`Store`].

use std::fmt;
use std::rc::Rc;

use labraft::NewServer;
use labrpc::Service;

use crate::message::{Action, Answer, GET, OPEN, Operation, PUT_APPEND, Reply};
use crate::replica::Replica;
use crate::store::Store;

/// A server of the key/value service. Its tasks and handlers keep it alive until its server
/// crashes.
pub struct KvServer {
    replica: Rc<Replica<Store>>,
}

impl KvServer {
    /// Starts a server on a Raft that was just started, from the snapshot that the persister holds.
    /// `max_raft_state` is the course's `maxraftstate`, in bytes; `None` where the course has -1.
    pub fn start(new: NewServer, max_raft_state: Option<usize>) -> Rc<KvServer> {
        let server = new.server.clone();
        let replica = Replica::start(new, max_raft_state, Store::default());
        let kv = Rc::new(KvServer { replica });
        let opener = kv.clone();
        let getter = kv.clone();
        let putter = kv.clone();
        server.add_service(
            Service::new()
                .method(OPEN, move |operation| opener.clone().execute(operation))
                .method(GET, move |operation| getter.clone().get(operation))
                .method(PUT_APPEND, move |operation| putter.clone().execute(operation)),
        );
        kv
    }

    /// Answers a Get, without the log if the Raft offers that.
    async fn get(self: Rc<KvServer>, operation: Operation) -> Reply {
        let Action::Get { key } = &operation.action else { return self.execute(operation).await };
        self.replica.read(&operation, |store| Ok(Answer::Value(store.value(key)))).await?
    }

    /// Puts an operation through the log, and answers when it has been applied here.
    async fn execute(self: Rc<KvServer>, operation: Operation) -> Reply {
        self.replica.execute(&operation).await?
    }
}

impl fmt::Debug for KvServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KvServer({:?})", self.replica)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use bytes::Bytes;
    use labraft::{
        ApplyMsg, ApplySender, PendingRead, Persister, Raft, RaftState, Started, apply_channel,
    };
    use labrpc::{ClientEnd, Node, RunSpec, Simulation, World};

    use super::*;
    use crate::message::{OperationId, Refusal};
    use crate::replica::{Applied, CHECK_INTERVAL, MAX_CHECKS, StateMachine};

    /// A Raft that always leads, and leaves committing to the test.
    struct Puppet {
        last_index: Cell<u64>,
        term: Cell<u64>,
        /// Whether it confirms reads, at its last index.
        reads: Cell<bool>,
    }

    impl Raft for Puppet {
        fn read(&self) -> Option<PendingRead> {
            self.reads.get().then(|| PendingRead::confirmed(self.last_index.get()))
        }

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
            let puppet = Rc::new(Puppet {
                last_index: Cell::new(0),
                term: Cell::new(1),
                reads: Cell::new(false),
            });
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
            assert_eq!(stage.kv.replica.waiting(), 100);
            stage.world.tester().sleep(CHECK_INTERVAL * MAX_CHECKS).await;
            assert_eq!(stage.kv.replica.waiting(), 0);
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

    fn get() -> Operation {
        operation(2, Action::Get { key: "k".into() })
    }

    #[test]
    fn a_get_without_the_log_waits_until_everything_is_applied() {
        on_stage(async |mut stage: Stage| {
            stage.puppet.reads.set(true);
            stage.puppet.last_index.set(3);
            let call = stage.end.call(GET, &get());
            stage.apply.send(command(1, &open())).await;
            stage.apply.send(command(2, &append(1))).await;
            stage.world.tester().sleep(CHECK_INTERVAL / 2).await;
            assert!(stage.world.tester().now() < CHECK_INTERVAL);
            // An entry of the Raft's own counts, too.
            stage.apply.send_internal(3).await;
            assert_eq!(call.await, Some(Ok(Answer::Value("a".into()))));
            assert!(stage.world.tester().now() < CHECK_INTERVAL, "it was answered at once");
            assert_eq!(stage.puppet.last_index.get(), 3, "nothing was proposed");
        });
    }

    #[test]
    fn a_get_that_cannot_be_caught_up_with_is_given_up() {
        on_stage(async |stage: Stage| {
            stage.puppet.reads.set(true);
            stage.puppet.last_index.set(3);
            assert_eq!(stage.end.call(GET, &get()).await, Some(Err(Refusal::Unsure)));
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
            let snapshot = Applied { index: 2, state: store.clone() }.snapshot();
            stage.apply.send(ApplyMsg::Snapshot { index: 2, term: 1, snapshot }).await;
            assert_eq!(call.await, Some(Err(Refusal::Unsure)));
            // Tried again, it is known to be done.
            stage.puppet.last_index.set(2);
            let again = stage.end.call(PUT_APPEND, &append(1));
            stage.world.tester().sleep(CHECK_INTERVAL / 2).await;
            stage.apply.send(command(3, &append(1))).await;
            assert_eq!(again.await, Some(Ok(Answer::Written)));
            store.apply(3, append(1)).unwrap();
            assert_eq!(*stage.kv.replica.state(), store);
        });
    }

    #[test]
    #[should_panic(expected = "handed up index 1 after index 1")]
    fn an_entry_that_is_handed_up_again_is_not_taken() {
        let mut applied = Applied { index: 0, state: Store::default() };
        for _ in 0..2 {
            applied.apply(1, open()).unwrap();
        }
    }
}
