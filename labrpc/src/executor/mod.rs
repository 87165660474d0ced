//! Tasks, the virtual clock and groups of tasks, on one thread.
//!
//! Ready tasks run one at a time, in the order of keys drawn when they were woken; when none is
//! ready, time jumps to what is due next. Nothing here is shared between threads: a waker that is
//! used on another thread does nothing.

mod ready;
mod running;
mod tasks;

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use crate::decisions::Decisions;
use crate::event::Event;
use crate::faults::Faults;
use crate::faults::chaos::Chaos;
use crate::guard;
use crate::node::Node;
use crate::recorder::{Part, Recorder};
use crate::spec::{Kind, RunSpec};
use crate::task::{BoxFuture, GroupId, Parked, TaskInfo, TaskRef, Waiting};
use crate::timers::{Due, Timers};
use crate::trouble::Trouble;
use ready::ReadyTasks;
use running::Running;
use tasks::{NewTask, Task, TaskState, TaskWaker, Tasks};

/// When a run is ended from outside. Only counts and virtual time decide, never the wall clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The latest virtual time.
    pub virtual_time: Duration,
    /// The most polls of tasks and arrivals of messages.
    pub events: u64,
    /// The most polls of tasks at one instant.
    pub polls_per_instant: u64,
}

impl Default for Limits {
    /// An hour of virtual time, 1,000 million events, 2 million polls at one instant.
    fn default() -> Limits {
        Limits {
            virtual_time: Duration::from_secs(3600),
            events: 1_000_000_000,
            polls_per_instant: 2_000_000,
        }
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        CURRENT.with(|current| {
            if let Some(executor) = &*current.borrow() {
                executor.wake(self.task());
            }
        });
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Executor>>> = const { RefCell::new(None) };
}

/// The executor that runs on this thread.
pub(crate) fn current() -> Option<Rc<Executor>> {
    CURRENT.with(|current| current.borrow().clone())
}

/// Makes `executor` this thread's own, or none.
pub(crate) fn set_current(executor: Option<Rc<Executor>>) {
    CURRENT.with(|current| *current.borrow_mut() = executor);
}

/// What is called after each poll, with the task's node.
pub(crate) type AfterPoll = Rc<dyn Fn(Node)>;

/// Everything of a simulation but its network.
pub(crate) struct Executor {
    now: Cell<u64>,
    tasks: RefCell<Tasks>,
    ready: RefCell<ReadyTasks>,
    running: Running,
    pub(crate) timers: RefCell<Timers>,
    pub(crate) decisions: RefCell<Decisions>,
    pub(crate) recorder: Recorder,
    limits: Limits,
    /// How many polls and messages there were.
    events: Cell<u64>,
    /// How the run ends, once that is known.
    ended: RefCell<Option<Result<(), Trouble>>>,
    /// Faults beyond the course's network, if there are any at the moment.
    pub(crate) chaos: Cell<Option<Chaos>>,
    pub(crate) after_poll: RefCell<Option<AfterPoll>>,
}

impl Executor {
    pub(crate) fn new(spec: RunSpec, limits: Limits, record: bool, recorder: Recorder) -> Executor {
        Executor {
            now: Cell::new(0),
            tasks: RefCell::default(),
            ready: RefCell::default(),
            running: Running::new(),
            timers: RefCell::default(),
            decisions: RefCell::new(Decisions::new(spec, record)),
            recorder,
            limits,
            events: Cell::new(0),
            ended: RefCell::new(None),
            chaos: Cell::new(None),
            after_poll: RefCell::default(),
        }
    }

    /// Virtual nanoseconds since the start.
    pub(crate) fn now(&self) -> u64 {
        self.now.get()
    }

    /// How many polls and messages there were.
    pub(crate) fn events(&self) -> u64 {
        self.events.get()
    }

    /// What the faults of this moment are decided with.
    #[inline]
    pub(crate) fn faults(&self) -> Faults<'_> {
        Faults {
            decisions: self.decisions.borrow_mut(),
            chaos: self.chaos.get(),
            now: Duration::from_nanos(self.now()),
        }
    }

    // Groups and tasks.

    pub(crate) fn new_group(&self, node: Node) -> GroupId {
        self.tasks.borrow_mut().new_group(node)
    }

    pub(crate) fn is_alive(&self, group: GroupId) -> bool {
        self.tasks.borrow().is_alive(group)
    }

    /// Puts a task into a group, and says which it is. In a group that has ended, the future is
    /// dropped at once.
    pub(crate) fn spawn(
        &self,
        group: GroupId,
        name: &'static str,
        spawned_at: &'static Location<'static>,
        future: BoxFuture,
    ) -> Option<TaskRef> {
        if !self.is_alive(group) {
            return None;
        }
        let mut tasks = self.tasks.borrow_mut();
        let task = tasks.insert(group, NewTask { name, spawned_at, future });
        self.make_ready(task, tasks.at(task));
        Some(task)
    }

    /// Ends a group: its tasks are dropped now, the running one when its poll returns.
    pub(crate) fn kill(&self, group: GroupId) {
        let Some(ended) = self.tasks.borrow_mut().kill(group) else { return };
        let tasks = ended.tasks;
        self.recorder.mix(Part::Crash, u64::from(ended.node.raw()), tasks as u64);
        self.recorder.push(self.now(), ended.node, || Event::Crashed { tasks });
        drop(ended.futures);
    }

    /// Ends every group, in the order of their making.
    pub(crate) fn kill_all(&self) {
        let mut next = 0;
        loop {
            let group = self.tasks.borrow().group(next);
            let Some(group) = group else { return };
            self.kill(group);
            next += 1;
        }
    }

    // Waking and waiting.

    #[inline]
    pub(crate) fn wake(&self, task: TaskRef) {
        if let Some(slot) = self.tasks.borrow_mut().get_mut(task) {
            self.make_ready(task, slot);
        }
    }

    #[inline]
    fn make_ready(&self, task: TaskRef, slot: &mut Task) {
        slot.state = match slot.state {
            TaskState::Idle => TaskState::Ready,
            TaskState::Running => TaskState::Woken,
            TaskState::Free | TaskState::Ready | TaskState::Woken | TaskState::Killed => return,
        };
        let key = self.decisions.borrow_mut().decide(Kind::Order, slot.next_wake, 1 << 32);
        slot.next_wake.n += 1;
        self.ready.borrow_mut().push(key as u32, task);
    }

    /// Notes that the running task waits, for what and where.
    pub(crate) fn note_waiting(&self, waiting: Waiting) {
        self.running.note_waiting(waiting);
    }

    /// Notes that the running task waits, and returns whom to wake.
    #[inline]
    pub(crate) fn park(&self, context: &Context<'_>, waiting: Waiting) -> Parked {
        self.note_waiting(waiting);
        self.running.parked(context)
    }

    #[inline]
    pub(crate) fn unpark(&self, parked: Parked) {
        match parked {
            Parked::Task(task) => self.wake(task),
            Parked::Foreign(waker) => waker.wake(),
        }
    }

    // The run.

    /// Ends the run after the current poll or message. The first call decides.
    pub(crate) fn end(&self, how: Result<(), Trouble>) {
        self.ended.borrow_mut().get_or_insert(how);
    }

    /// Runs until [`end`](Self::end) is called or a limit is met. `main` is the task that the run is
    /// about, for reports; `on_message` is the network.
    pub(crate) fn run(
        &self,
        main: Option<TaskRef>,
        on_message: impl Fn(u64),
    ) -> Result<(), Trouble> {
        let mut polls_now = 0;
        loop {
            if let Some(how) = self.poll_ready_tasks(&mut polls_now) {
                return how;
            }
            let next = self.timers.borrow_mut().next();
            let next = self.check_limits(next, main)?;
            if next > self.now.get() {
                polls_now = 0;
                self.now.set(next);
                guard::set_now(next);
                self.decisions.borrow_mut().time_is(Duration::from_nanos(next));
            }
            self.fire(next, &on_message);
            if let Some(how) = self.ended.take() {
                return how;
            }
        }
    }

    /// Polls tasks until none is ready, or the run ends; then says how. `polls_now` counts the polls at
    /// this instant.
    fn poll_ready_tasks(&self, polls_now: &mut u64) -> Option<Result<(), Trouble>> {
        while self.poll_next() {
            *polls_now += 1;
            self.events.set(self.events.get() + 1);
            let how = self.ended.take();
            if how.is_some() {
                return how;
            }
            if *polls_now >= self.limits.polls_per_instant {
                let tasks = self.busy_tasks();
                return Some(Err(Trouble::Spinning { polls: *polls_now, tasks }));
            }
        }
        None
    }

    /// The time of what is due next, unless the run ends there.
    fn check_limits(&self, next: Option<u64>, main: Option<TaskRef>) -> Result<u64, Trouble> {
        let Some(next) = next else {
            return Err(Trouble::Stuck { waiting: self.tasks.borrow().list(|_| true) });
        };
        if u128::from(next) > self.limits.virtual_time.as_nanos() {
            let main = main.and_then(|task| self.tasks.borrow().info(task));
            return Err(Trouble::TimeLimit { limit: self.limits.virtual_time, main });
        }
        if self.events() > self.limits.events {
            return Err(Trouble::EventLimit {
                limit: self.limits.events,
                last: self.polled_last(),
            });
        }
        Ok(next)
    }

    /// Does all that is due at this instant, before any task runs: so their order is drawn.
    fn fire(&self, now: u64, on_message: &impl Fn(u64)) {
        loop {
            let due = self.timers.borrow_mut().pop(now);
            match due {
                None => return,
                Some(Due::Message(message)) => {
                    self.events.set(self.events.get() + 1);
                    on_message(message);
                }
                Some(Due::Wake(Parked::Task(task))) => self.wake_by_timer(now, task),
                Some(Due::Wake(Parked::Foreign(waker))) => {
                    self.recorder.mix(Part::Timer, now, 0);
                    waker.wake();
                }
            }
        }
    }

    fn wake_by_timer(&self, now: u64, task: TaskRef) {
        let mut tasks = self.tasks.borrow_mut();
        let Some(slot) = tasks.get_mut(task) else { return };
        self.recorder.mix(Part::Timer, now, slot.next_wake.parties.pair());
        if self.recorder.is_on() {
            let woke = Event::Woke { task: slot.name.into() };
            self.recorder.push(now, tasks.node_of(task), || woke);
        }
        self.make_ready(task, tasks.at(task));
    }

    /// Polls the next task that is ready; false when there is none.
    fn poll_next(&self) -> bool {
        loop {
            let Some(task) = self.ready.borrow_mut().pop() else { return false };
            let mut tasks = self.tasks.borrow_mut();
            // A task that was woken and then dropped is still among the ready ones.
            if let Some(slot) = tasks.get_mut(task)
                && slot.state == TaskState::Ready
            {
                slot.state = TaskState::Running;
                let future = slot.future.take().expect("a ready task has its future");
                let waker = slot.waker.take().expect("a ready task has its waker");
                drop(tasks);
                self.poll(task, future, waker);
                return true;
            }
        }
    }

    #[inline]
    fn poll(&self, task: TaskRef, mut future: BoxFuture, waker: Waker) {
        self.running.begin(task, &waker);
        self.recorder.watch_poll(|| self.current_task());
        let is_done = future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        if let Some(offence) = guard::end_of_poll() {
            // What came of it, even the end of the test, is not to be trusted.
            let task = self.current_task().map(Box::new);
            self.ended.replace(Some(Err(Trouble::Forbidden { offence, task })));
        }
        self.running.has_returned();
        if let Some(after_poll) = self.after_poll.borrow().as_ref() {
            let node = self.tasks.borrow().node_of(task);
            after_poll(node);
        }
        let finished = self.put_back(task, future, waker, is_done);
        // Its destructor is still the task's own doing.
        drop(finished);
        self.running.end();
    }

    /// A task is back from its poll. Returns the future if it will not be polled again.
    #[inline]
    fn put_back(
        &self,
        task: TaskRef,
        future: BoxFuture,
        waker: Waker,
        is_done: bool,
    ) -> Option<BoxFuture> {
        let mut tasks = self.tasks.borrow_mut();
        let slot = tasks.at(task);
        slot.waker = Some(waker);
        if is_done || slot.state == TaskState::Killed {
            tasks.release(task.slot);
            return Some(future);
        }
        slot.was_polled = true;
        slot.waiting = self.running.waiting();
        slot.future = Some(future);
        slot.state = match slot.state {
            TaskState::Woken => TaskState::Ready,
            _ => TaskState::Idle,
        };
        None
    }

    // On whose behalf tasks run, and what reports say of them.

    /// Calls `act` on behalf of a node: what is logged meanwhile is that node's.
    pub(crate) fn run_as<R>(&self, node: Node, act: impl FnOnce() -> R) -> R {
        self.running.run_as(node, act)
    }

    /// The running server has crashed at a save: the rest of what it does in this poll is void.
    pub(crate) fn set_void(&self) {
        self.running.set_void();
    }

    /// Whether what the running server does is void.
    pub(crate) fn is_void(&self) -> bool {
        self.running.is_void()
    }

    /// The node on whose behalf the running task acts.
    pub(crate) fn current_node(&self) -> Option<Node> {
        if let Some(node) = self.running.on_behalf_of() {
            return Some(node);
        }
        Some(self.tasks.borrow().node_of(self.running.task()?))
    }

    /// The task that is being polled; after a panic, the one that panicked.
    pub(crate) fn current_task(&self) -> Option<TaskInfo> {
        self.tasks.borrow().info(self.running.task()?)
    }

    /// The task that was polled last, if it is still there.
    fn polled_last(&self) -> Option<TaskInfo> {
        self.tasks.borrow().info(self.running.last()?)
    }

    /// The other tasks of a node, which wait for something.
    pub(crate) fn suspended_tasks(&self, node: Node) -> Vec<TaskInfo> {
        let mut suspended = self.tasks.borrow().list(|task| {
            task.was_polled && matches!(task.state, TaskState::Idle | TaskState::Ready)
        });
        suspended.retain(|task| task.node == node);
        suspended
    }

    /// The task that was polled last, and those that are ready.
    fn busy_tasks(&self) -> Vec<TaskInfo> {
        let last = self.polled_last();
        let mut busy = self.tasks.borrow().list(|task| task.state == TaskState::Ready);
        busy.retain(|task| Some(task) != last.as_ref());
        last.into_iter().chain(busy).collect()
    }
}
