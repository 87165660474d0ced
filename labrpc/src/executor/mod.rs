//! The executor: tasks, groups of tasks and the virtual clock, on one thread.
//!
//! Ready tasks run one at a time, in the order of keys that are drawn when they are woken. When no
//! task is ready, the clock jumps to the time at which the next timer fires or message arrives.
//! Nothing here is shared between threads, and a waker that is used on another thread does nothing.

mod limits;
mod ready;
mod running;
mod searched;
mod tasks;

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use crate::acts::{Act, Foreseen};
use crate::decisions::Decisions;
use crate::event::Event;
use crate::faults::Faults;
use crate::faults::chaos::Chaos;
use crate::guard;
use crate::node::Node;
use crate::recorder::{Part, Recorder};
use crate::spec::{Kind, RunSpec};
use crate::task::{AfterPoll, BoxFuture, GroupId, Parked, TaskInfo, TaskRef, Waiting};
use crate::timers::{Due, Timers};
use crate::trouble::Trouble;
pub use limits::Limits;
use ready::ReadyTasks;
use running::Running;
use tasks::{NewTask, Task, TaskState, TaskWaker, Tasks};

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

/// The executor of the simulation on this thread, if there is one.
pub(crate) fn current() -> Option<Rc<Executor>> {
    CURRENT.with(|current| current.borrow().clone())
}

/// Sets or removes the executor of this thread.
pub(crate) fn set_current(executor: Option<Rc<Executor>>) {
    CURRENT.with(|current| *current.borrow_mut() = executor);
}

/// The whole state of a simulation, except for its network.
pub(crate) struct Executor {
    now: Cell<u64>,
    tasks: RefCell<Tasks>,
    ready: RefCell<ReadyTasks>,
    running: Running,
    pub(crate) timers: RefCell<Timers>,
    pub(crate) decisions: RefCell<Decisions>,
    pub(crate) recorder: Recorder,
    limits: Limits,
    /// The longest virtual time that the run may take, in nanoseconds.
    latest: u64,
    /// The number of task polls and message arrivals so far.
    events: Cell<u64>,
    /// The result of the run, once it has one.
    ended: RefCell<Option<Result<(), Trouble>>>,
    /// The rates of the faults that the course's network does not have; `None` if they are off.
    pub(crate) chaos: Cell<Option<Chaos>>,
    pub(crate) after_poll: RefCell<Vec<AfterPoll>>,
    /// What is done to the world from outside, in the order of time.
    pub(crate) acts: Vec<Act>,
    pub(crate) foreseen: Foreseen,
}

impl Executor {
    pub(crate) fn new(spec: RunSpec, limits: Limits, record: bool, recorder: Recorder) -> Executor {
        let mut acts = spec.acts.clone();
        acts.sort_by_key(|act| act.at);
        Executor {
            foreseen: Foreseen::new(&acts),
            acts,
            now: Cell::new(0),
            tasks: RefCell::default(),
            ready: RefCell::default(),
            running: Running::new(),
            timers: RefCell::default(),
            decisions: RefCell::new(Decisions::new(spec, record)),
            recorder,
            latest: u64::try_from(limits.virtual_time.as_nanos()).unwrap_or(u64::MAX),
            limits,
            events: Cell::new(0),
            ended: RefCell::new(None),
            chaos: Cell::new(None),
            after_poll: RefCell::default(),
        }
    }

    /// Virtual time since the start of the run, in nanoseconds.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.now.get()
    }

    /// The number of task polls and message arrivals so far.
    pub(crate) fn events(&self) -> u64 {
        self.events.get()
    }

    /// Borrows what is needed to decide on faults at this moment.
    #[inline]
    pub(crate) fn faults(&self) -> Faults<'_> {
        Faults {
            decisions: self.decisions.borrow_mut(),
            chaos: self.chaos.get(),
            foreseen: &self.foreseen,
            now: Duration::from_nanos(self.now()),
        }
    }

    // Groups and tasks.

    pub(crate) fn new_group(&self, node: Node) -> GroupId {
        self.tasks.borrow_mut().new_group(node)
    }

    #[inline]
    pub(crate) fn is_alive(&self, group: GroupId) -> bool {
        self.tasks.borrow().is_alive(group)
    }

    pub(crate) fn count_tasks(&self, group: GroupId) -> usize {
        self.tasks.borrow().count(group)
    }

    /// Adds a task to a group, and makes it ready. If the group has ended, drops the future and returns `None`.
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

    /// Ends a group: its tasks are dropped now, or, if one is running, when its poll returns.
    pub(crate) fn kill(&self, group: GroupId) {
        let Some(ended) = self.tasks.borrow_mut().kill(group) else { return };
        let tasks = ended.tasks;
        self.recorder.mix(Part::Crash, u64::from(ended.node.raw()), tasks as u64);
        self.recorder.push(self.now(), ended.node, || Event::Crashed { tasks });
        drop(ended.futures);
    }

    /// Ends every group, in the order of creation.
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
        let mut decisions = self.decisions.borrow_mut();
        let key = decisions.decide(Kind::Order, slot.next_wake, 1 << 32);
        slot.next_wake.n += 1;
        let place = self.ready.borrow_mut().push(key as u32, task);
        decisions.note_place(place);
    }

    /// Notes what the running task is waiting for, and where.
    pub(crate) fn note_waiting(&self, waiting: Waiting) {
        self.running.note_waiting(waiting);
    }

    /// Notes what the running task is waiting for, and returns a handle with which to wake it.
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

    /// Counts a future that completes without having waited, such as a sleep of no length. Returns
    /// false if the running task has gone on like this for so long in one poll that the run has to
    /// end. The future must then stay pending, because only the end of the poll can end the run.
    #[inline]
    pub(crate) fn goes_on(&self, waiting: Waiting) -> bool {
        let awaits = self.running.count_immediate();
        if awaits < self.limits.polls_per_instant {
            return true;
        }
        self.note_waiting(waiting);
        let task = self.current_task().map(|task| TaskInfo { waiting: waiting.told(), ..task });
        self.end(Err(Trouble::NeverWaits { awaits, task }));
        false
    }

    // The run.

    /// Ends the run after the current poll or message. If this is called again, the first result
    /// counts.
    pub(crate) fn end(&self, how: Result<(), Trouble>) {
        self.ended.borrow_mut().get_or_insert(how);
    }

    /// Runs until [`end`](Self::end) is called or a limit is reached.
    ///
    /// `main` is the run's main task, which reports show. `on_message` delivers a message.
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
                self.decisions.borrow_mut().time_is(next);
            }
            self.fire(next, &on_message);
            if let Some(how) = self.take_end() {
                return how;
            }
        }
    }

    /// Polls tasks until none is ready, or until the run ends; then returns its result. `polls_now`
    /// counts the polls at this instant.
    fn poll_ready_tasks(&self, polls_now: &mut u64) -> Option<Result<(), Trouble>> {
        while self.poll_next() {
            *polls_now += 1;
            self.events.set(self.events.get() + 1);
            let how = self.take_end();
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

    /// Takes the result of the run, if it has one. After nearly every poll it has none.
    #[inline]
    fn take_end(&self) -> Option<Result<(), Trouble>> {
        if self.ended.borrow().is_none() {
            return None;
        }
        self.ended.take()
    }

    /// Handles everything that is due at this instant before any task runs, so that all tasks woken
    /// now run in a random order.
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

    /// Polls the next ready task. Returns false if there is none.
    fn poll_next(&self) -> bool {
        loop {
            let Some(task) = self.ready.borrow_mut().pop() else { return false };
            let mut tasks = self.tasks.borrow_mut();
            // A task that was dropped after it was woken is still in the list.
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
            // Replaces any other result: after an offence even the end of the test is not reliable.
            let task = self.current_task().map(Box::new);
            self.ended.replace(Some(Err(Trouble::Forbidden { offence, task })));
        }
        self.running.has_returned();
        self.observe_poll(task);
        if self.running.has_acted()
            && self.decisions.borrow().asks_all()
            && self.crashes_after_poll(task)
        {
            self.observe_poll(task);
        }
        let finished = self.put_back(task, future, waker, is_done);
        // The destructor still runs as part of the task.
        drop(finished);
        self.running.end();
    }

    /// Calls the functions that look at the polls of the task's server.
    #[inline]
    fn observe_poll(&self, task: TaskRef) {
        let observers = self.after_poll.borrow();
        if observers.is_empty() {
            return;
        }
        let Some(server) = self.tasks.borrow().node_of(task).as_server() else { return };
        for (_, observer) in observers.iter().filter(|(servers, _)| servers.contains(&server)) {
            observer(server);
        }
    }

    /// Puts a task back into its slot after a poll. Returns the future if it will not be polled again.
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

    // The node that a task acts for, and what reports say about tasks.

    /// Calls `act` on behalf of a node: whatever it logs is recorded at that node.
    pub(crate) fn run_as<R>(&self, node: Node, act: impl FnOnce() -> R) -> R {
        self.running.run_as(node, act)
    }

    /// Notes that the running task saves or sends something.
    #[inline]
    pub(crate) fn set_acted(&self) {
        self.running.set_acted();
    }

    /// Marks the rest of this poll as void: the server has crashed at a save, and cannot send anything any more.
    pub(crate) fn set_void(&self) {
        self.running.set_void();
    }

    /// Whether the rest of this poll is void; see [`set_void`](Self::set_void).
    pub(crate) fn is_void(&self) -> bool {
        self.running.is_void()
    }

    /// The node that the running task acts for.
    pub(crate) fn current_node(&self) -> Option<Node> {
        if let Some(node) = self.running.on_behalf_of() {
            return Some(node);
        }
        Some(self.tasks.borrow().node_of(self.running.task()?))
    }

    /// The task that is being polled or, after a panic, the one that panicked.
    pub(crate) fn current_task(&self) -> Option<TaskInfo> {
        self.tasks.borrow().info(self.running.task()?)
    }

    /// The task that was polled last, if it has not ended.
    fn polled_last(&self) -> Option<TaskInfo> {
        self.tasks.borrow().info(self.running.last()?)
    }

    /// The tasks of a node that have been polled before and are not running now.
    pub(crate) fn suspended_tasks(&self, node: Node) -> Vec<TaskInfo> {
        let mut suspended = self.tasks.borrow().list(|task| {
            task.was_polled && matches!(task.state, TaskState::Idle | TaskState::Ready)
        });
        suspended.retain(|task| task.node == node);
        suspended
    }

    /// The task that was polled last, and the tasks that are ready.
    fn busy_tasks(&self) -> Vec<TaskInfo> {
        let last = self.polled_last();
        let mut busy = self.tasks.borrow().list(|task| task.state == TaskState::Ready);
        busy.retain(|task| Some(task) != last.as_ref());
        last.into_iter().chain(busy).collect()
    }
}
