//! Shared by the test files: a world with one caller and one worker, and runs with known decisions.

#![allow(dead_code, reason = "no test file uses everything in here")]

use std::cell::Cell;
use std::collections::BTreeSet;
use std::future::Future;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use labrpc::{
    Address, ClientEnd, Kind, Limits, Method, Network, Node, Outcome, RunSpec, Server, Service,
    Simulation, World,
};

/// The seeds under which most tests run.
pub(crate) const SEEDS: Range<u64> = 0..20;

/// The caller in a [`Lab`]. It is a server, as in Raft.
pub(crate) const CALLER: Node = Node::server(0);
/// The server that is called in a [`Lab`].
pub(crate) const WORKER: Node = Node::server(1);

/// Takes as many milliseconds as its argument says, and returns that number.
pub(crate) const WORK: Method<u64, u64> = Method::new("Worker.Work");
/// The encoded size of a number, as an argument or a reply.
pub(crate) const NUMBER_BYTES: u64 = 8;

/// How long a request or a reply travels in a run of [`exact`].
pub(crate) const TRANSIT: Duration = Duration::from_micros(10);

pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A run in which all messages travel for the shortest time, so that tests know when they arrive.
pub(crate) fn exact(seed: u64) -> RunSpec {
    neutral(RunSpec::seed(seed), &[Kind::RequestTransit, Kind::ReplyTransit])
}

/// The same run, in which all decisions of these kinds are neutral.
pub(crate) fn neutral(mut spec: RunSpec, kinds: &[Kind]) -> RunSpec {
    spec.neutral.extend(kinds.iter().map(|&kind| (kind, BTreeSet::new())));
    spec
}

/// The same run with these decisions about the first call from the caller to the worker.
pub(crate) fn with(mut spec: RunSpec, luck: &[(Kind, u64)]) -> RunSpec {
    spec.overrides.extend(luck.iter().map(|&(kind, value)| (on_link(kind, 0), value)));
    spec
}

/// The address of the `n`-th decision of a kind about calls from the caller to the worker.
pub(crate) fn on_link(kind: Kind, n: u64) -> Address {
    Address { kind, from: 0, to: 1, n }
}

/// Runs a world and returns the result of its main task. Panics if the run ends early, for example
/// because an assertion fails in it.
#[track_caller]
pub(crate) fn finish<T, Main, Future_>(spec: RunSpec, main: Main) -> T
where
    T: Send + 'static,
    Main: FnOnce(World) -> Future_ + Send + 'static,
    Future_: Future<Output = T> + 'static,
{
    let seed = spec.seed;
    match Simulation::new(spec).run(main).result {
        Ok(value) => value,
        Err(trouble) => panic!("seed {seed}: {trouble}\n{}", trouble.details().join("\n")),
    }
}

/// Runs a world and records it, with low limits that soon end a run which would go on forever.
pub(crate) fn recorded<T, Main, Future_>(spec: RunSpec, main: Main) -> Outcome<T>
where
    T: Send + 'static,
    Main: FnOnce(World) -> Future_ + Send + 'static,
    Future_: Future<Output = T> + 'static,
{
    let limits = Limits { virtual_time: ms(60_000), events: 1_000_000, polls_per_instant: 10_000 };
    Simulation::new(spec).limits(limits).record(true).record_choices(true).run(main)
}

/// Creates an end that is connected and enabled.
pub(crate) fn open_end(network: &Network, from: Node, to: Node) -> ClientEnd {
    let end = network.make_end(from);
    network.connect(end.id(), to);
    network.enable(end.id(), true);
    end
}

/// A caller with an end that is connected to a worker, on a reliable network.
pub(crate) struct Lab {
    pub(crate) world: World,
    pub(crate) worker: Server,
    pub(crate) end: ClientEnd,
    /// The number of requests that all incarnations of the worker have finished.
    pub(crate) done: Rc<Cell<u64>>,
}

impl Lab {
    pub(crate) fn new(world: &World) -> Lab {
        let done = Rc::new(Cell::new(0));
        let worker = new_worker(world, &done);
        world.network().add_server(WORKER, &worker);
        let end = open_end(world.network(), CALLER, WORKER);
        Lab { world: world.clone(), worker, end, done }
    }

    pub(crate) fn network(&self) -> &Network {
        self.world.network()
    }

    pub(crate) fn now(&self) -> Duration {
        self.world.tester().now()
    }

    pub(crate) async fn sleep(&self, span: Duration) {
        self.world.tester().sleep(span).await;
    }

    pub(crate) async fn sleep_until(&self, time: Duration) {
        self.world.tester().sleep_until(time).await;
    }

    pub(crate) fn enable(&self, yes: bool) {
        self.network().enable(self.end.id(), yes);
    }

    /// Starts another incarnation of the worker, which replaces the current one on the network.
    pub(crate) fn restart(&self) -> Server {
        let worker = new_worker(&self.world, &self.done);
        self.network().add_server(WORKER, &worker);
        worker
    }
}

fn new_worker(world: &World, done: &Rc<Cell<u64>>) -> Server {
    let worker = world.server(1);
    let (runtime, done) = (worker.runtime().clone(), done.clone());
    worker.add_service(Service::new().method(WORK, move |span| {
        let (runtime, done) = (runtime.clone(), done.clone());
        async move {
            runtime.sleep(ms(span)).await;
            done.set(done.get() + 1);
            span
        }
    }));
    worker
}

/// Counts its clones, so that a test can tell when the tasks that own them are dropped.
#[derive(Clone, Default)]
pub(crate) struct Guards(Rc<()>);

impl Guards {
    /// The number of clones that exist, not counting this one.
    pub(crate) fn others(&self) -> usize {
        Rc::strong_count(&self.0) - 1
    }
}
