//! One simulated world from beginning to end.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::{Rc, Weak};
use std::sync::Once;
use std::time::Duration;

use crate::event::{Timed, Watch};
use crate::executor::{Executor, Limits, set_current};
use crate::faults::chaos::Chaos;
use crate::guard;
use crate::hash::Fingerprint;
use crate::network::{Network, Server, ServerState};
use crate::node::Node;
use crate::notes;
use crate::recorder::Recorder;
use crate::runtime::Runtime;
use crate::spec::{Address, Kind, RunSpec, Taken};
use crate::trouble::Trouble;

/// What there is in a simulation: the network, servers, clients, and the tester who runs it all.
#[derive(Clone)]
pub struct World {
    executor: Rc<Executor>,
    network: Network,
    tester: Runtime,
    /// All that were ever made: their handlers may hold them.
    servers: Rc<RefCell<Vec<Weak<ServerState>>>>,
}

impl World {
    /// The network; there is one.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The tester's own tasks, time and dice.
    pub fn tester(&self) -> &Runtime {
        &self.tester
    }

    /// A new incarnation of server `i`, without services and not yet on the network.
    pub fn server(&self, i: usize) -> Server {
        let server = Server::new(Runtime::new(&self.executor, Node::server(i)));
        self.servers.borrow_mut().push(Rc::downgrade(&server.0));
        server
    }

    /// The faults beyond the course's network, if there are any.
    pub fn chaos(&self) -> Option<Chaos> {
        self.executor.chaos.get()
    }

    /// Draws faults beyond the course's network; they begin now.
    pub fn draw_chaos(&self) {
        let chaos = Chaos::draw(&mut self.executor.decisions.borrow_mut());
        self.set_chaos(Some(chaos));
    }

    /// From now on there are other faults, or none, beyond the course's network. Clocks that are off
    /// stay so.
    pub fn set_chaos(&self, chaos: Option<Chaos>) {
        self.executor.chaos.set(chaos);
    }

    /// Has `observer` called after each poll of a task, with the node that the task runs for. It is to
    /// look, and to change nothing.
    pub fn after_each_poll(&self, observer: impl Fn(Node) + 'static) {
        self.executor.after_poll.replace(Some(Rc::new(observer)));
    }

    /// Tasks, time and dice of client `i`.
    pub fn client(&self, i: usize) -> Runtime {
        Runtime::new(&self.executor, Node::client(i))
    }
}

/// A run to be: what decides its chances, its limits, and whether to keep a record.
pub struct Simulation {
    spec: RunSpec,
    limits: Limits,
    record: bool,
    record_choices: bool,
    chaos: bool,
    watch: Option<Box<dyn Watch>>,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome<T> {
    /// What the main task returned, or why it did not.
    pub result: Result<T, Trouble>,
    /// Virtual time at the end.
    pub elapsed: Duration,
    /// The number of polls of tasks and arrivals of messages.
    pub event_count: u64,
    /// The same for every run of the same code with the same [`RunSpec`]; different for any other
    /// run, as far as 64 bits go.
    pub fingerprint: u64,
    /// The events in their order, if they were recorded.
    pub events: Vec<Timed>,
    /// The choices that were taken, in order, if they were recorded.
    pub choices: Vec<Taken>,
    /// Overrides of the `RunSpec` at addresses that the run never came to.
    pub unreached: Vec<Address>,
}

/// The stack of a simulation's thread. Deep recursion in tested code is cut off here.
const STACK_BYTES: usize = 16 << 20;

impl Simulation {
    /// A run with default [`Limits`] and no record.
    pub fn new(spec: RunSpec) -> Simulation {
        Simulation {
            spec,
            limits: Limits::default(),
            record: false,
            record_choices: false,
            chaos: false,
            watch: None,
        }
    }

    /// Sets the limits.
    pub fn limits(self, limits: Limits) -> Simulation {
        Simulation { limits, ..self }
    }

    /// Whether to keep events. It changes nothing about the run itself.
    pub fn record(self, yes: bool) -> Simulation {
        Simulation { record: yes, ..self }
    }

    /// Whether to keep choices. It changes nothing about the run itself.
    pub fn record_choices(self, yes: bool) -> Simulation {
        Simulation { record_choices: yes, ..self }
    }

    /// Whether there are faults beyond the course's network: see [`Chaos`].
    pub fn chaos(self, yes: bool) -> Simulation {
        Simulation { chaos: yes, ..self }
    }

    /// Shows all events, and the tasks that are polled, to a watcher while it runs. It changes nothing
    /// about the run itself.
    pub fn watch(self, watch: Box<dyn Watch>) -> Simulation {
        Simulation { watch: Some(watch), ..self }
    }

    /// Builds a world and runs the future that `main` makes for it, on a thread of its own, until
    /// that future is done or something ends the run.
    ///
    /// The fresh thread gives each run fresh thread-local state: a run does not depend on what its
    /// process did before.
    pub fn run<T, Main, Future_>(self, main: Main) -> Outcome<T>
    where
        T: Send + 'static,
        Main: FnOnce(World) -> Future_ + Send + 'static,
        Future_: Future<Output = T> + 'static,
    {
        install_panic_hook();
        let thread = std::thread::Builder::new()
            .name("simulation".into())
            .stack_size(STACK_BYTES)
            .spawn(move || self.run_here(main))
            .expect("the system gives a thread");
        match thread.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    fn run_here<T, Main, Future_>(self, main: Main) -> Outcome<T>
    where
        T: 'static,
        Main: FnOnce(World) -> Future_,
        Future_: Future<Output = T> + 'static,
    {
        let is_watched = self.record || self.watch.is_some();
        let recorder = Recorder::new(self.record, self.watch);
        let executor =
            Rc::new(Executor::new(self.spec, self.limits, self.record_choices, recorder));
        set_current(Some(executor.clone()));
        let entropy = {
            let mut choices = executor.decisions.borrow_mut();
            let sequence = choices.sequence(Kind::Entropy, Node::TESTER.raw(), 0);
            choices.draw(sequence, 0)
        };
        let inside = guard::enter(entropy);
        let network = Network::new(&executor);
        let tester = Runtime::new(&executor, Node::TESTER);
        let servers = Rc::<RefCell<Vec<Weak<ServerState>>>>::default();
        let world = World {
            executor: executor.clone(),
            network: network.clone(),
            tester,
            servers: servers.clone(),
        };
        if self.chaos {
            world.draw_chaos();
        }
        let result = Rc::new(RefCell::new(None));
        if is_watched {
            notes::listen();
        }
        let ended = catch(|| {
            let future = main(world.clone());
            let (slot, ender) = (result.clone(), executor.clone());
            let main = Box::pin(async move {
                *slot.borrow_mut() = Some(future.await);
                ender.end(Ok(()));
            });
            let main = executor.spawn(world.tester.group, "main", Location::caller(), main);
            executor.run(main, |message| network.on_message(message))
        });
        let ended = ended.unwrap_or_else(|panic| Err(panicked(&executor, panic.as_ref())));
        let mut choices = executor.decisions.borrow_mut();
        let (taken, unreached) = (choices.take_record(), choices.unreached());
        drop(choices);
        let outcome = Outcome {
            result: ended.map(|()| result.take().expect("the main task left its result")),
            elapsed: Duration::from_nanos(executor.now()),
            event_count: executor.events(),
            fingerprint: fingerprint(&executor),
            events: executor.recorder.take_events(),
            choices: taken,
            unreached,
        };
        // Tasks, handlers and what they hold point at one another: take them apart. A destructor of
        // tested code that panics here has nothing left to spoil.
        drop(catch(|| {
            executor.after_poll.take();
            executor.kill_all();
            network.clear();
            servers.take().iter().filter_map(Weak::upgrade).for_each(|server| server.clear());
        }));
        set_current(None);
        drop(inside);
        outcome
    }
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Simulation({:?}, {:?})", self.spec, self.limits)
    }
}

fn fingerprint(executor: &Executor) -> u64 {
    let mut whole = Fingerprint::default();
    whole.add(executor.decisions.borrow().fingerprint(), executor.recorder.fingerprint());
    whole.add(executor.now(), executor.events());
    whole.value()
}

thread_local! {
    /// Whether tested code runs on this thread, whose panics are findings.
    static IS_TESTING: Cell<bool> = const { Cell::new(false) };
    /// Where the last panic of this thread happened: the hook knows, the payload does not.
    static PANIC_PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs tested code. A panic there is a finding, to be reported as [`Trouble`] and not printed.
fn catch<R>(run: impl FnOnce() -> R) -> std::thread::Result<R> {
    IS_TESTING.set(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    IS_TESTING.set(false);
    result
}

/// Panics outside of tested code stay as they were.
fn install_panic_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !IS_TESTING.get() {
                return previous(info);
            }
            let place = info.location().map(ToString::to_string);
            PANIC_PLACE.with(|last| *last.borrow_mut() = place);
        }));
    });
}

fn panicked(executor: &Executor, payload: &(dyn Any + Send)) -> Trouble {
    let message = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message")
        .to_string();
    let task = executor.current_task().map(Box::new);
    if let Some(offence) = guard::end_of_poll() {
        // The panic is what became of it: a thread that could not be started, for example.
        return Trouble::Forbidden { offence, task };
    }
    let is_borrow = message.contains("already borrowed") || message.contains("already mutably");
    let suspects = match executor.current_node() {
        Some(node) if is_borrow => executor.suspended_tasks(node),
        _ => Vec::new(),
    };
    Trouble::Panicked { task, message, at: PANIC_PLACE.with(RefCell::take), suspects }
}
