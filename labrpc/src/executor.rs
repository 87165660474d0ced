//! Tasks, the virtual clock and groups of tasks, on one thread.
//!
//! Ready tasks run one at a time, in the order of keys drawn when they were woken; when nobody is
//! ready, time jumps to what is due next. Nothing here is shared between threads: a waker that is
//! used on another thread does nothing.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use crate::decisions::{Choices, Counted};
use crate::event::Event;
use crate::faults::chaos::Chaos;
use crate::guard;
use crate::node::Node;
use crate::recorder::{Part, Recorder};
use crate::spec::{Kind, RunSpec};
use crate::task::{BoxFuture, GroupId, Parked, TaskInfo, TaskRef, Waiting};
use crate::timers::{Due, Timers};
use crate::trouble::Trouble;

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

#[derive(Copy, Clone)]
struct Group {
    node: Node,
    /// The place of the node's counter of tasks.
    counter: usize,
    alive: bool,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum State {
    Free,
    Idle,
    Ready,
    Running,
    /// Running, and to run again.
    Woken,
    /// Running, and to be dropped when this poll returns.
    Killed,
}

struct Slot {
    generation: u32,
    state: State,
    group: GroupId,
    /// The number of the task among those of its node is the stream's `to`.
    order: Counted,
    /// Absent while it runs.
    future: Option<BoxFuture>,
    /// Absent while it runs.
    waker: Option<Waker>,
    shared: Arc<TaskWaker>,
    name: &'static str,
    spawned_at: &'static Location<'static>,
    was_polled: bool,
    /// What it waits for, if that is one of our futures.
    waiting: Option<Waiting>,
}

/// What a [`Waker`] of ours holds.
struct TaskWaker {
    slot: u32,
    generation: AtomicU32,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let task = TaskRef { slot: self.slot, generation: self.generation.load(Ordering::Relaxed) };
        CURRENT.with(|current| {
            if let Some(executor) = &*current.borrow() {
                executor.wake(task);
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

/// A task that is ready: the drawn key, the order of waking, then which task it is, packed into one
/// number so that comparing is cheap. The order of waking has 40 bits, the slot 24.
type ReadyTask = u128;

const SLOT_BITS: u32 = 24;

fn ready_task(key: u32, sequence: u64, task: TaskRef) -> ReadyTask {
    assert!(
        sequence < 1 << 40 && task.slot < 1 << SLOT_BITS,
        "{} tasks at a time, {sequence} wakes in all",
        task.slot
    );
    u128::from(key) << 96
        | u128::from(sequence) << 56
        | u128::from(task.slot) << 32
        | u128::from(task.generation)
}

fn task_of(ready: ReadyTask) -> TaskRef {
    let slot = (ready >> 32) as u32 & ((1 << SLOT_BITS) - 1);
    TaskRef { slot, generation: ready as u32 }
}

pub(crate) struct Executor {
    now: Cell<u64>,
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<u32>>,
    /// Sorted, the next one last. Few tasks are ready at a time, and for few a sorted list is quicker
    /// than a heap.
    ready: RefCell<Vec<ReadyTask>>,
    wakes: Cell<u64>,
    groups: RefCell<Vec<Group>>,
    /// How many tasks each node has had; never restarts with an incarnation.
    task_counts: RefCell<Vec<u32>>,
    task_counters: RefCell<BTreeMap<Node, usize>>,
    pub(crate) timers: RefCell<Timers>,
    pub(crate) choices: RefCell<Choices>,
    pub(crate) recorder: Recorder,
    limits: Limits,
    current: Cell<Option<TaskRef>>,
    /// The data pointer of the running task's own waker.
    current_waker: Cell<*const ()>,
    current_waiting: Cell<Option<Waiting>>,
    /// On whose behalf the running task acts, when that is not its own node.
    acting: Cell<Option<Node>>,
    polled_last: Cell<Option<TaskRef>>,
    /// The task that the run is about, for reports.
    main: Cell<Option<TaskRef>>,
    events: Cell<u64>,
    ended: RefCell<Option<Result<(), Trouble>>>,
    /// Faults beyond the course's network, if there are any at the moment.
    pub(crate) chaos: Cell<Option<Chaos>>,
    /// Whether the running server has crashed at a save: the rest of what it does is void.
    pub(crate) is_void: Cell<bool>,
    /// Called after each poll with the task's node: for checks.
    pub(crate) observer: RefCell<Option<Observer>>,
}

pub(crate) type Observer = Rc<dyn Fn(Node)>;

impl Executor {
    pub(crate) fn new(spec: RunSpec, limits: Limits, record: bool, recorder: Recorder) -> Executor {
        Executor {
            now: Cell::new(0),
            slots: RefCell::default(),
            free: RefCell::default(),
            ready: RefCell::default(),
            wakes: Cell::new(0),
            groups: RefCell::default(),
            task_counts: RefCell::default(),
            task_counters: RefCell::default(),
            timers: RefCell::default(),
            choices: RefCell::new(Choices::new(spec, record)),
            recorder,
            limits,
            current: Cell::new(None),
            current_waker: Cell::new(std::ptr::null()),
            current_waiting: Cell::new(None),
            acting: Cell::new(None),
            polled_last: Cell::new(None),
            main: Cell::new(None),
            events: Cell::new(0),
            ended: RefCell::new(None),
            chaos: Cell::new(None),
            is_void: Cell::new(false),
            observer: RefCell::default(),
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

    // Groups and tasks.

    pub(crate) fn new_group(&self, node: Node) -> GroupId {
        let mut counts = self.task_counts.borrow_mut();
        let counter = *self.task_counters.borrow_mut().entry(node).or_insert_with(|| {
            counts.push(0);
            counts.len() - 1
        });
        let mut groups = self.groups.borrow_mut();
        groups.push(Group { node, counter, alive: true });
        GroupId(groups.len() as u32 - 1)
    }

    pub(crate) fn is_alive(&self, group: GroupId) -> bool {
        self.groups.borrow()[group.0 as usize].alive
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
        let order = {
            let Group { node, counter, alive } = self.groups.borrow()[group.0 as usize];
            if !alive {
                return None;
            }
            let count = &mut self.task_counts.borrow_mut()[counter];
            *count += 1;
            self.choices.borrow().new_stream(Kind::Order, node.raw(), *count - 1)
        };
        let slot = self.free.borrow_mut().pop();
        let mut slots = self.slots.borrow_mut();
        let slot = match slot {
            Some(slot) => {
                let place = &mut slots[slot as usize];
                if Arc::strong_count(&place.shared) == 2 {
                    // Nobody else has kept the last task's waker: it can serve again.
                    place.shared.generation.store(place.generation, Ordering::Relaxed);
                } else {
                    (place.shared, place.waker) = new_waker(slot, place.generation);
                }
                place.state = State::Idle;
                place.group = group;
                place.order = order;
                place.future = Some(future);
                place.name = name;
                place.spawned_at = spawned_at;
                place.was_polled = false;
                place.waiting = None;
                slot
            }
            None => {
                let slot = slots.len() as u32;
                let (shared, waker) = new_waker(slot, 0);
                slots.push(Slot {
                    generation: 0,
                    state: State::Idle,
                    group,
                    order,
                    future: Some(future),
                    waker,
                    shared,
                    name,
                    spawned_at,
                    was_polled: false,
                    waiting: None,
                });
                slot
            }
        };
        let place = &mut slots[slot as usize];
        self.make_ready(slot, place);
        Some(TaskRef { slot, generation: place.generation })
    }

    /// Ends a group: its tasks are dropped now, the running one when its poll returns.
    pub(crate) fn kill(&self, group: GroupId) {
        let node = {
            let group = &mut self.groups.borrow_mut()[group.0 as usize];
            if !group.alive {
                return;
            }
            group.alive = false;
            group.node
        };
        let mut dropped = Vec::new();
        let mut tasks = 0;
        for (number, slot) in self.slots.borrow_mut().iter_mut().enumerate() {
            if slot.group != group {
                continue;
            }
            match slot.state {
                State::Idle | State::Ready => {
                    dropped.push(slot.future.take());
                    self.release(number as u32, slot);
                    tasks += 1;
                }
                State::Running | State::Woken => {
                    slot.state = State::Killed;
                    tasks += 1;
                }
                State::Free | State::Killed => {}
            }
        }
        self.recorder.mix(Part::Crash, u64::from(node.raw()), tasks as u64);
        self.recorder.push(self.now(), node, || Event::Crashed { tasks });
        // Outside of any borrow: destructors may call back.
        drop(dropped);
    }

    /// Ends every group, in the order of their making.
    pub(crate) fn kill_all(&self) {
        let mut next = 0;
        while next < self.groups.borrow().len() {
            self.kill(GroupId(next as u32));
            next += 1;
        }
    }

    fn release(&self, number: u32, slot: &mut Slot) {
        slot.state = State::Free;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.borrow_mut().push(number);
    }

    // Waking and waiting.

    #[inline]
    pub(crate) fn wake(&self, task: TaskRef) {
        let mut slots = self.slots.borrow_mut();
        let slot = &mut slots[task.slot as usize];
        if slot.generation == task.generation {
            self.make_ready(task.slot, slot);
        }
    }

    #[inline]
    fn make_ready(&self, number: u32, slot: &mut Slot) {
        slot.state = match slot.state {
            State::Idle => State::Ready,
            State::Running => State::Woken,
            State::Free | State::Ready | State::Woken | State::Killed => return,
        };
        let key = self.choices.borrow_mut().draw_from(&mut slot.order, 1 << 32) as u32;
        let sequence = self.wakes.get();
        self.wakes.set(sequence + 1);
        let task = TaskRef { slot: number, generation: slot.generation };
        let ready_task = ready_task(key, sequence, task);
        let mut ready = self.ready.borrow_mut();
        let place = ready.partition_point(|other| *other > ready_task);
        ready.insert(place, ready_task);
    }

    /// Notes that the running task waits, for what and where.
    pub(crate) fn note_waiting(&self, waiting: Waiting) {
        self.current_waiting.set(Some(waiting));
    }

    /// Notes that the running task waits, and returns whom to wake.
    #[inline]
    pub(crate) fn park(&self, context: &Context<'_>, waiting: Waiting) -> Parked {
        self.note_waiting(waiting);
        match self.current.get() {
            Some(task) if context.waker().data() == self.current_waker.get() => Parked::Task(task),
            _ => Parked::Foreign(context.waker().clone()),
        }
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

    /// Runs until [`end`](Self::end) is called or a limit is met. `on_message` is the network.
    pub(crate) fn run(
        &self,
        main: Option<TaskRef>,
        on_message: impl Fn(u64),
    ) -> Result<(), Trouble> {
        self.main.set(main);
        let latest = u64::try_from(self.limits.virtual_time.as_nanos()).unwrap_or(u64::MAX);
        let mut polls = 0;
        loop {
            while self.poll_next() {
                polls += 1;
                self.events.set(self.events.get() + 1);
                if let Some(how) = self.ended.take() {
                    return how;
                }
                if polls >= self.limits.polls_per_instant {
                    return Err(Trouble::Spinning { polls, tasks: self.busy_tasks() });
                }
            }
            let Some(next) = self.timers.borrow_mut().next() else {
                return Err(Trouble::Stuck { waiting: self.tasks(|_| true) });
            };
            if next > latest {
                let main = self.main.get().and_then(|task| self.info(task));
                return Err(Trouble::TimeLimit { limit: self.limits.virtual_time, main });
            }
            if self.events.get() > self.limits.events {
                let last = self.polled_last();
                return Err(Trouble::EventLimit { limit: self.limits.events, last });
            }
            if next > self.now.get() {
                polls = 0;
                self.now.set(next);
                guard::set_now(next);
                self.choices.borrow_mut().time_is(Duration::from_nanos(next));
            }
            self.fire(next, &on_message);
            if let Some(how) = self.ended.take() {
                return how;
            }
        }
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
        let slot = &mut self.slots.borrow_mut()[task.slot as usize];
        if slot.generation != task.generation {
            return;
        }
        self.recorder.mix(Part::Timer, now, slot.order.identity());
        let node = || self.groups.borrow()[slot.group.0 as usize].node;
        if self.recorder.is_on() {
            self.recorder.push(now, node(), || Event::Woke { task: slot.name.into() });
        }
        self.make_ready(task.slot, slot);
    }

    /// Polls the next task that is ready; false when there is none.
    fn poll_next(&self) -> bool {
        let (task, future, waker) = loop {
            let Some(ready) = self.ready.borrow_mut().pop() else { return false };
            let task = task_of(ready);
            let slot = &mut self.slots.borrow_mut()[task.slot as usize];
            // A task that was woken and then dropped is still in the list.
            if slot.generation == task.generation && slot.state == State::Ready {
                slot.state = State::Running;
                let future = slot.future.take().expect("a ready task has its future");
                let waker = slot.waker.take().expect("a ready task has its waker");
                break (task, future, waker);
            }
        };
        self.poll(task, future, waker);
        true
    }

    #[inline]
    fn poll(&self, task: TaskRef, mut future: BoxFuture, waker: Waker) {
        self.current.set(Some(task));
        self.polled_last.set(Some(task));
        self.current_waker.set(waker.data());
        self.current_waiting.set(None);
        self.recorder.watch_poll(|| self.current_task());
        let is_done = future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        if let Some(offence) = guard::end_of_poll() {
            // What came of it, even the end of the test, is not to be trusted.
            let task = self.current_task().map(Box::new);
            self.ended.replace(Some(Err(Trouble::Forbidden { offence, task })));
        }
        self.current_waker.set(std::ptr::null());
        self.is_void.set(false);
        if let Some(observer) = self.observer.borrow().as_ref() {
            let group = self.slots.borrow()[task.slot as usize].group;
            let node = self.groups.borrow()[group.0 as usize].node;
            observer(node);
        }

        let mut finished = None;
        {
            let slot = &mut self.slots.borrow_mut()[task.slot as usize];
            slot.waker = Some(waker);
            if is_done || slot.state == State::Killed {
                self.release(task.slot, slot);
                finished = Some(future);
            } else {
                slot.was_polled = true;
                slot.waiting = self.current_waiting.get();
                slot.future = Some(future);
                slot.state = match slot.state {
                    State::Woken => State::Ready,
                    _ => State::Idle,
                };
            }
        }
        // Its destructor is still the task's own doing.
        drop(finished);
        self.current.set(None);
    }

    // What reports say of tasks.

    /// Calls `act` on behalf of a node: what is logged meanwhile is that node's.
    pub(crate) fn act_as<R>(&self, node: Node, act: impl FnOnce() -> R) -> R {
        let before = self.acting.replace(Some(node));
        let result = act();
        self.acting.set(before);
        self.is_void.set(false);
        result
    }

    /// The node on whose behalf the running task acts.
    pub(crate) fn current_node(&self) -> Option<Node> {
        if let Some(node) = self.acting.get() {
            return Some(node);
        }
        let group = self.slots.borrow()[self.current.get()?.slot as usize].group;
        Some(self.groups.borrow()[group.0 as usize].node)
    }

    /// The task that is being polled; after a panic, the one that panicked.
    pub(crate) fn current_task(&self) -> Option<TaskInfo> {
        self.info(self.current.get()?)
    }

    /// The task that was polled last, if it is still there.
    fn polled_last(&self) -> Option<TaskInfo> {
        self.info(self.polled_last.get()?)
    }

    /// The other tasks of a node, which wait for something.
    pub(crate) fn suspended_tasks(&self, node: Node) -> Vec<TaskInfo> {
        let mut suspended =
            self.tasks(|slot| slot.was_polled && matches!(slot.state, State::Idle | State::Ready));
        suspended.retain(|task| task.node == node);
        suspended
    }

    fn busy_tasks(&self) -> Vec<TaskInfo> {
        let last = self.polled_last();
        let mut busy = self.tasks(|slot| slot.state == State::Ready);
        busy.retain(|task| Some(task) != last.as_ref());
        last.into_iter().chain(busy).collect()
    }

    fn info(&self, task: TaskRef) -> Option<TaskInfo> {
        let slots = self.slots.borrow();
        let slot = &slots[task.slot as usize];
        (slot.generation == task.generation).then(|| self.describe(slot))
    }

    fn tasks(&self, which: impl Fn(&Slot) -> bool) -> Vec<TaskInfo> {
        let slots = self.slots.borrow();
        let chosen = slots.iter().filter(|slot| slot.state != State::Free && which(slot));
        chosen.map(|slot| self.describe(slot)).collect()
    }

    fn describe(&self, slot: &Slot) -> TaskInfo {
        let place = |at: &Location<'_>| format!("{}:{}", at.file(), at.line());
        TaskInfo {
            node: self.groups.borrow()[slot.group.0 as usize].node,
            name: slot.name,
            spawned_at: place(slot.spawned_at),
            waiting: match slot.waiting {
                Some(Waiting { what, detail, at }) => {
                    format!("waits at {} for {what}{detail}", place(at))
                }
                None if slot.was_polled => "waits for something of its own".into(),
                None => "has not run yet".into(),
            },
        }
    }
}

fn new_waker(slot: u32, generation: u32) -> (Arc<TaskWaker>, Option<Waker>) {
    let shared = Arc::new(TaskWaker { slot, generation: AtomicU32::new(generation) });
    (shared.clone(), Some(Waker::from(shared)))
}
