//! The runtime, from which simulated code gets its tasks, time and random numbers.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rand::TryRng;

use crate::acts::BentClock;
use crate::decisions::SequenceId;
use crate::event::Event;
use crate::executor::Executor;
use crate::faults::chaos::Chaos;
use crate::faults::server::{ClockSkew, after_pause, crashes_at_save};
use crate::node::Node;
use crate::recorder::Part;
use crate::spec::Kind;
use crate::task::{GroupId, Waiting};
use crate::timers::TimerId;
use crate::trouble::Trouble;

/// Spawns tasks, tells the time and rolls dice for one node. It is cheap to clone.
///
/// A task that is spawned through a server's `Runtime` belongs to that incarnation of the server,
/// no matter which task spawns it. A crash ends all of them, whatever they are waiting for.
#[derive(Clone)]
pub struct Runtime {
    pub(crate) executor: Rc<Executor>,
    pub(crate) group: GroupId,
    node: Node,
    skew: ClockSkew,
    /// What acts do to this node's clock.
    bent: Option<Rc<BentClock>>,
}

impl Runtime {
    pub(crate) fn new(executor: &Rc<Executor>, node: Node) -> Runtime {
        let skew = ClockSkew::of(&mut executor.faults(), node);
        let bent = node.as_server().and_then(|server| executor.foreseen.clock(server));
        Runtime { executor: executor.clone(), group: executor.new_group(node), node, skew, bent }
    }

    /// The node that this runtime belongs to.
    pub fn node(&self) -> Node {
        self.node
    }

    /// Virtual time since the start of the simulation, as this node's clock shows it.
    #[inline]
    pub fn now(&self) -> Duration {
        let now = self.executor.now();
        let now = self.bent.as_ref().map_or(now, |clock| clock.shown(now));
        Duration::from_nanos(self.skew.shown(now))
    }

    /// How much faster one server's clock may run than another's, in percent: the bound on clock drift on which
    /// a leader's lease may rely (Ongaro's thesis, section 6.4.1). Between two moments, one clock counts at most
    /// this much more than another.
    pub fn clock_drift_percent(&self) -> u32 {
        Chaos::LARGEST_CLOCK_DRIFT_PERCENT
    }

    /// The true time, in nanoseconds, at which this node's clock shows `shown`. If the node is
    /// paused then, the end of the pause.
    fn due(&self, shown: Duration) -> u64 {
        let time = self.skew.time_of(u64::try_from(shown.as_nanos()).unwrap_or(u64::MAX));
        let time = self.bent.as_ref().map_or(time, |clock| clock.time_of(time));
        if self.executor.chaos.get().is_none() && self.executor.foreseen.has_no_pauses() {
            return time;
        }
        let time = Duration::from_nanos(time);
        after_pause(&mut self.executor.faults(), self.node, time).as_nanos() as u64
    }

    /// Spawns `future` as a task of this runtime's group. Reports show the task by its name.
    ///
    /// If the group has already been ended, the future is dropped at once, and awaiting the handle
    /// gives `None`.
    #[track_caller]
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
    {
        let at = Location::caller();
        let shared = Rc::new(RefCell::new(Join { result: None, waiter: None, over: false }));
        let finish = Finish(shared.clone());
        let task = Box::pin(async move {
            let result = future.await;
            finish.0.borrow_mut().result = Some(result);
        });
        self.executor.spawn(self.group, name, at, task);
        JoinHandle { executor: self.executor.clone(), shared, name, at }
    }

    /// Spawns a task like [`spawn`](Self::spawn), but returns no handle to wait for it.
    #[track_caller]
    pub fn spawn_detached(&self, name: &'static str, future: impl Future<Output = ()> + 'static) {
        self.executor.spawn(self.group, name, Location::caller(), Box::pin(future));
    }

    /// Waits until `span` has passed on this node's clock.
    #[track_caller]
    pub fn sleep(&self, span: Duration) -> Sleep {
        self.sleep_until(self.now().saturating_add(span))
    }

    /// Waits until this node's clock shows `time`. Completes at once if that time has passed.
    #[track_caller]
    pub fn sleep_until(&self, time: Duration) -> Sleep {
        Sleep {
            executor: self.executor.clone(),
            deadline: self.due(time),
            timer: None,
            at: Location::caller(),
        }
    }

    /// Lets other tasks run. The task is ready again at once, and which of the ready tasks runs
    /// next is random.
    #[track_caller]
    pub fn yield_now(&self) -> impl Future<Output = ()> + use<> {
        let executor = self.executor.clone();
        let waiting = Waiting { what: "its turn", detail: "", at: Location::caller() };
        let mut has_yielded = false;
        poll_fn(move |context| {
            if has_yielded {
                return Poll::Ready(());
            }
            has_yielded = true;
            executor.unpark(executor.park(context, waiting));
            Poll::Pending
        })
    }

    /// Waits for `future` for at most `limit`. Returns the future's output; if the limit passes
    /// first, drops the future and returns `None`.
    #[track_caller]
    pub fn timeout<F: Future>(
        &self,
        limit: Duration,
        future: F,
    ) -> impl Future<Output = Option<F::Output>> + use<F> {
        let mut sleep = self.sleep(limit);
        async move {
            let mut future = pin!(future);
            poll_fn(|context| match future.as_mut().poll(context) {
                Poll::Ready(value) => Poll::Ready(Some(value)),
                Poll::Pending => Pin::new(&mut sleep).poll(context).map(|()| None),
            })
            .await
        }
    }

    /// The random numbers of this node. They continue where the previous incarnation stopped.
    pub fn dice(&self) -> Dice {
        self.dice_of(Kind::Dice, 0)
    }

    /// One of the test's independent dice, selected by `which`: one for its own steps, and one for
    /// each client that it simulates.
    pub fn workload(&self, which: u32) -> Dice {
        self.dice_of(Kind::Workload, which)
    }

    /// Decides whether the next step of a generated schedule takes place. It always does unless the
    /// [`RunSpec`](crate::RunSpec) says otherwise, which makes it possible to repeat a run without
    /// the step. `which` is the number of the schedule.
    pub fn happens(&self, which: u32) -> bool {
        let mut decisions = self.executor.decisions.borrow_mut();
        let stream = decisions.sequence(Kind::Schedule, self.node.raw(), which);
        decisions.draw_shaped(stream, 2, |_| 1) == 1
    }

    fn dice_of(&self, kind: Kind, which: u32) -> Dice {
        let stream = self.executor.decisions.borrow_mut().sequence(kind, self.node.raw(), which);
        Dice { executor: self.executor.clone(), stream }
    }

    /// Calls `act` on behalf of this node: whatever it logs is recorded at this node, no matter
    /// which task calls.
    pub fn act<R>(&self, act: impl FnOnce() -> R) -> R {
        self.executor.run_as(self.node, act)
    }

    /// Adds two numbers to the run's fingerprint, so that runs in which they differ can be told
    /// apart.
    #[inline]
    pub fn fingerprint(&self, a: u64, b: u64) {
        self.executor.recorder.mix(Part::Upper, a, b);
    }

    /// Records an event at this node. `event` is called only if the run is recorded.
    #[inline]
    pub fn record(&self, event: impl FnOnce() -> Event) {
        self.executor.recorder.push(self.executor.now(), self.node, event);
    }

    /// Whether events are being recorded.
    #[inline]
    pub fn is_recording(&self) -> bool {
        self.executor.recorder.is_on()
    }

    /// Ends the whole run with [`Trouble::Stopped`] as soon as the current poll returns.
    pub fn stop(&self) {
        self.executor.end(Err(Trouble::Stopped));
    }

    /// See [`World::crashes_at_save`](crate::World::crashes_at_save).
    pub(crate) fn crashes_at_save(&self) -> bool {
        self.executor.set_acted();
        let crashes = crashes_at_save(&mut self.executor.faults(), self.node);
        if crashes {
            self.executor.set_void();
            self.crash();
        }
        crashes
    }

    /// Ends this group: its tasks are dropped now, or, if one is running, when its poll returns.
    pub(crate) fn crash(&self) {
        self.executor.kill(self.group);
    }

    /// Whether this group has not been ended by a crash.
    #[inline]
    pub fn is_alive(&self) -> bool {
        self.executor.is_alive(self.group)
    }

    /// The number of this group's tasks that have not ended.
    pub fn tasks(&self) -> usize {
        self.executor.count_tasks(self.group)
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Runtime({})", self.node)
    }
}

/// A future that completes at a virtual time; returned by [`Runtime::sleep`].
#[must_use = "a sleep does nothing until it is awaited"]
pub struct Sleep {
    executor: Rc<Executor>,
    deadline: u64,
    timer: Option<TimerId>,
    at: &'static Location<'static>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let waiting = Waiting { what: "a timer", detail: "", at: this.at };
        if this.executor.now() >= this.deadline {
            // The timer may not have fired yet at this instant; dropping the `Sleep` cancels it.
            let has_waited = this.timer.is_some();
            return match has_waited || this.executor.goes_on(waiting) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            };
        }
        let parked = this.executor.park(context, waiting);
        let mut timers = this.executor.timers.borrow_mut();
        match this.timer {
            None => {
                this.deadline = this.deadline.saturating_add(this.executor.timer_hold());
                this.timer = Some(timers.wake_at(this.deadline, parked));
            }
            Some(timer) => {
                let previous = timers.replace(timer, parked);
                drop(timers);
                drop(previous);
            }
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            let due = self.executor.timers.borrow_mut().cancel(timer);
            drop(due);
        }
    }
}

struct Join<T> {
    result: Option<T>,
    waiter: Option<Waker>,
    over: bool,
}

/// Marks the task as over when it is dropped, whether the task has finished or was ended.
struct Finish<T>(Rc<RefCell<Join<T>>>);

impl<T> Drop for Finish<T> {
    fn drop(&mut self) {
        let waiter = {
            let mut join = self.0.borrow_mut();
            join.over = true;
            join.waiter.take()
        };
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }
}

/// Waits for a task, and returns its result, or `None` if its group was ended first.
///
/// Dropping the handle does not end the task. Reports show where the task was spawned, not where it
/// is awaited.
pub struct JoinHandle<T> {
    executor: Rc<Executor>,
    shared: Rc<RefCell<Join<T>>>,
    name: &'static str,
    at: &'static Location<'static>,
}

impl<T> JoinHandle<T> {
    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.shared.borrow().over
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut join = self.shared.borrow_mut();
        let waiting = Waiting { what: "the end of task ", detail: self.name, at: self.at };
        if join.over {
            return match self.executor.goes_on(waiting) {
                true => Poll::Ready(join.result.take()),
                false => Poll::Pending,
            };
        }
        join.waiter = Some(context.waker().clone());
        self.executor.note_waiting(waiting);
        Poll::Pending
    }
}

/// A source of random numbers in which each draw is a decision with an [`Address`](crate::Address).
///
/// It is an [`Rng`](rand::Rng), so everything in `rand` works with it. [`below`](Dice::below) draws
/// a bounded number in a single decision.
#[derive(Clone)]
pub struct Dice {
    executor: Rc<Executor>,
    stream: SequenceId,
}

impl Dice {
    /// Draws a number from `0..bound`, each with the same probability.
    ///
    /// # Panics
    /// Panics if `bound` is 0.
    pub fn below(&self, bound: u64) -> u64 {
        assert!(bound > 0, "cannot draw a number below 0");
        self.executor.decisions.borrow_mut().draw(self.stream, bound)
    }

    /// Draws a duration from `from..to`, in whole nanoseconds.
    ///
    /// # Panics
    /// Panics if `from` is not less than `to`.
    pub fn span(&self, from: Duration, to: Duration) -> Duration {
        assert!(from < to, "cannot draw a duration between {from:?} and {to:?}");
        from + Duration::from_nanos(self.below((to - from).as_nanos() as u64))
    }

    /// Returns true with a probability of `thousandths` in 1,000.
    pub fn chance(&self, thousandths: u64) -> bool {
        self.below(1000) < thousandths
    }
}

impl TryRng for Dice {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.executor.decisions.borrow_mut().draw(self.stream, 1 << 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.executor.decisions.borrow_mut().draw(self.stream, 0))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let word = self.try_next_u64()?.to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        Ok(())
    }
}
