//! Runs one simulated world from beginning to end.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, Location, PanicHookInfo, catch_unwind};
use std::rc::{Rc, Weak};
use std::sync::OnceLock;
use std::time::Duration;

use crate::acts::Act;
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

/// A simulated world: the network, the servers, the clients, and the tester that controls them.
#[derive(Clone)]
pub struct World {
    executor: Rc<Executor>,
    network: Network,
    tester: Runtime,
    /// Every server ever made. Handlers may own their server, so they are cleared after the run.
    servers: Rc<RefCell<Vec<Weak<ServerState>>>>,
}

impl World {
    /// The network that all servers and clients share.
    #[inline]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The runtime of the tester: tasks, time and dice for the test itself.
    #[inline]
    pub fn tester(&self) -> &Runtime {
        &self.tester
    }

    /// Starts a new incarnation of server `i`, which has no services and is not on the network yet.
    pub fn server(&self, i: usize) -> Server {
        let server = Server::new(Runtime::new(&self.executor, Node::server(i)));
        self.servers.borrow_mut().push(Rc::downgrade(&server.0));
        server
    }

    /// Crashes a server: its tasks are dropped now, or, if one of them is running, when its poll
    /// returns. Its handlers are dropped too. Messages that it has sent are still delivered.
    ///
    /// Only who has the world can crash a server. Simulated code has a [`Server`] and a
    /// [`Runtime`], which cannot:
    ///
    /// ```compile_fail,E0624
    /// fn crash_myself(server: labrpc::Server) { server.crash(); }
    /// ```
    /// ```compile_fail,E0624
    /// fn crash_myself(rt: labrpc::Runtime) { rt.crash(); }
    /// ```
    /// ```
    /// fn crash(world: labrpc::World, server: labrpc::Server) { world.crash(&server); }
    /// ```
    pub fn crash(&self, server: &Server) {
        server.crash();
    }

    /// Decides whether the server of this runtime crashes at the save that it is about to make, and
    /// if so, crashes it. Messages that it sent before are still delivered; anything it sends in
    /// the rest of this poll is not. Only [`Chaos`] has such crashes.
    pub fn crashes_at_save(&self, runtime: &Runtime) -> bool {
        runtime.crashes_at_save()
    }

    /// The rates of the faults that the course's network does not have; `None` if they are off.
    pub fn chaos(&self) -> Option<Chaos> {
        self.executor.chaos.get()
    }

    /// How much faster one server's clock may run than another's in this run, in percent. What acts do to clocks does
    /// not count.
    pub fn clock_drift_percent(&self) -> u32 {
        self.chaos().map_or(0, |chaos| chaos.clock_drift_percent())
    }

    /// Whether the run belongs to a search, which puts faults at places of its choice; see
    /// [`RunSpec::asks_all`].
    pub fn is_searched(&self) -> bool {
        self.executor.decisions.borrow().asks_all()
    }

    /// Whether a server's timers may wait at this time for longer than they were set: under chaos with pauses, by an
    /// act, or because a fault of the run's specification says so.
    #[inline]
    pub fn can_hold_timers(&self) -> bool {
        let executor = &self.executor;
        let has_pauses = executor.chaos.get().is_some_and(|chaos| !chaos.pauses.is_zero());
        has_pauses || !executor.foreseen.has_no_pauses() || !self.timers_late().is_zero()
    }

    /// How late the run's specification makes single timers, all together: in a search, by its faults.
    #[inline]
    pub fn timers_late(&self) -> Duration {
        self.executor.decisions.borrow().timers_late()
    }

    /// Draws rates for the faults that the course's network does not have, and turns them on now.
    pub fn draw_chaos(&self) {
        let chaos = Chaos::draw(&mut self.executor.decisions.borrow_mut());
        self.set_chaos(Some(chaos));
    }

    /// Changes the rates of the faults that the course's network does not have, from now on; `None`
    /// turns them off. Servers that are already running keep the clocks that they have.
    pub fn set_chaos(&self, chaos: Option<Chaos>) {
        self.executor.chaos.set(chaos);
    }

    /// Registers a function that is called after each poll of a task of these servers, with the server's
    /// number. It must not change anything that the simulated code can see.
    pub fn after_each_poll(&self, servers: Range<usize>, observer: impl Fn(usize) + 'static) {
        self.executor.after_poll.borrow_mut().push((servers, Rc::new(observer)));
    }

    /// What is done to the world from outside, in the order of time.
    pub fn acts(&self) -> &[Act] {
        &self.executor.acts
    }

    /// A runtime for who carries out acts. Its tasks change none of the decisions that are made for others.
    pub fn outside(&self) -> Runtime {
        Runtime::new(&self.executor, Node::OUTSIDE)
    }

    /// The runtime of client `i`: its tasks, time and dice.
    pub fn client(&self, i: usize) -> Runtime {
        Runtime::new(&self.executor, Node::client(i))
    }
}

/// A builder for one run: its specification, its limits, and what to record.
pub struct Simulation {
    spec: RunSpec,
    limits: Limits,
    record: bool,
    record_choices: bool,
    chaos: bool,
    watch: Option<Box<dyn Watch>>,
}

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Outcome<T> {
    /// The main task's return value, or the reason why the run ended without one.
    pub result: Result<T, Trouble>,
    /// Virtual time from the start of the run to its end.
    pub elapsed: Duration,
    /// The number of task polls and message arrivals.
    pub event_count: u64,
    /// A 64-bit digest of the run. It is the same for every run of the same code with the same
    /// [`RunSpec`], and almost certainly different for any other run.
    pub fingerprint: u64,
    /// All events in order; empty unless [`Simulation::record`] was set.
    pub events: Vec<Timed>,
    /// All decisions in order; empty unless [`Simulation::record_choices`] was set.
    pub choices: Vec<Taken>,
    /// The overrides of the [`RunSpec`] whose decisions never came up in this run.
    pub unreached: Vec<Address>,
}

/// The stack size of a simulation's thread. Tested code that recurses deeper overflows its stack.
const STACK_BYTES: usize = 16 << 20;

impl Simulation {
    /// Creates a run with the default [`Limits`], which records nothing.
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

    /// Sets the limits at which the run is ended.
    pub fn limits(self, limits: Limits) -> Simulation {
        Simulation { limits, ..self }
    }

    /// Sets whether to record events. Recording does not change the run.
    pub fn record(self, yes: bool) -> Simulation {
        Simulation { record: yes, ..self }
    }

    /// Sets whether to record random decisions. Recording does not change the run.
    pub fn record_choices(self, yes: bool) -> Simulation {
        Simulation { record_choices: yes, ..self }
    }

    /// Sets whether to add the faults that the course's network does not have; see [`Chaos`].
    pub fn chaos(self, yes: bool) -> Simulation {
        Simulation { chaos: yes, ..self }
    }

    /// Sets a watcher, which sees each event and each poll as the run goes on. Watching does not
    /// change the run.
    pub fn watch(self, watch: Box<dyn Watch>) -> Simulation {
        Simulation { watch: Some(watch), ..self }
    }

    /// Builds a world, and runs the future that `main` returns until it completes or the run ends
    /// early.
    ///
    /// The run has a thread of its own. It starts with fresh thread-local state, so that it does
    /// not depend on anything that the process did before. The process's panic hook is replaced before
    /// each run, for the same reason; the one from before the first run still gets all panics outside
    /// of runs.
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
            .expect("the thread of a simulation cannot be started");
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
            result: ended.map(|()| result.take().expect("a completed main task has a result")),
            elapsed: Duration::from_nanos(executor.now()),
            event_count: executor.events(),
            fingerprint: fingerprint(&executor),
            events: executor.recorder.take_events(),
            choices: taken,
            unreached,
        };
        // Tasks and handlers refer to each other in cycles, which have to be broken to free them.
        // If a destructor of tested code panics here, it can no longer affect the outcome.
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
    /// Whether tested code is running on this thread: its panics are reported, not printed.
    static IS_TESTING: Cell<bool> = const { Cell::new(false) };
    /// Where this thread last panicked, which only the panic hook learns.
    static PANIC_PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs tested code and catches its panics, without printing them: they are reported as
/// [`Trouble`].
fn catch<R>(run: impl FnOnce() -> R) -> std::thread::Result<R> {
    IS_TESTING.set(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    IS_TESTING.set(false);
    result
}

type PanicHook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// The panic hook that was there before the first run.
static PREVIOUS_HOOK: OnceLock<PanicHook> = OnceLock::new();

/// Installs the panic hook that notes where tested code panicked, instead of printing it. All other
/// panics go to the hook that was there before the first run. Done before each run, because tested code
/// may have replaced the hook in an earlier one.
fn install_panic_hook() {
    PREVIOUS_HOOK.get_or_init(std::panic::take_hook);
    std::panic::set_hook(Box::new(note_panic));
}

fn note_panic(info: &PanicHookInfo<'_>) {
    match PREVIOUS_HOOK.get() {
        Some(previous) if !IS_TESTING.get() => previous(info),
        _ => {
            let place = info.location().map(ToString::to_string);
            PANIC_PLACE.with(|last| *last.borrow_mut() = place);
        }
    }
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
        // The offence caused the panic: `std::thread::spawn`, for example, panics when refused.
        return Trouble::Forbidden { offence, task };
    }
    let is_borrow = message.contains("already borrowed") || message.contains("already mutably");
    let suspects = match executor.current_node() {
        Some(node) if is_borrow => executor.suspended_tasks(node),
        _ => Vec::new(),
    };
    Trouble::Panicked { task, message, at: PANIC_PLACE.with(RefCell::take), suspects }
}
