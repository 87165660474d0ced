//! A signal and a channel for tasks of the same simulation.

use std::cell::RefCell;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::executor::current;
use crate::task::{Parked, Waiting};

/// Notes what the running task waits for, and returns with what to wake it.
fn park(context: &Context<'_>, what: &'static str, at: &'static Location<'static>) -> Parked {
    match current() {
        Some(executor) => executor.park(context, Waiting { what, detail: "", at }),
        None => Parked::Foreign(context.waker().clone()),
    }
}

fn wake(parked: Parked) {
    match (parked, current()) {
        (Parked::Foreign(waker), _) => waker.wake(),
        (parked, Some(executor)) => executor.unpark(parked),
        (Parked::Task(_), None) => {}
    }
}

/// Whether a future may complete without waiting; see [`Executor::goes_on`](crate::executor::Executor::goes_on).
fn goes_on(what: &'static str, at: &'static Location<'static>) -> bool {
    current().is_none_or(|executor| executor.goes_on(Waiting { what, detail: "", at }))
}

const NOTIFICATION: &str = "a notification";
const VALUE_TAKEN: &str = "the receiver to take the value it sent";
const VALUE: &str = "a value to be sent";

/// A signal that wakes a waiting task.
///
/// It stays set until a task takes it, so a signal that comes before the wait is not lost. Setting
/// it several times before it is taken is the same as setting it once.
#[derive(Clone, Default)]
pub struct Notify(Rc<RefCell<NotifyState>>);

#[derive(Default)]
struct NotifyState {
    is_set: bool,
    waiter: Option<Parked>,
}

impl Notify {
    /// Creates a signal that is not set.
    pub fn new() -> Notify {
        Notify::default()
    }

    /// Sets the signal, and wakes the task that waits for it, if there is one.
    #[inline]
    pub fn notify(&self) {
        let waiter = {
            let mut state = self.0.borrow_mut();
            state.is_set = true;
            state.waiter.take()
        };
        if let Some(waiter) = waiter {
            wake(waiter);
        }
    }

    /// Waits until the signal is set, then clears it.
    ///
    /// Only one task can wait at a time: if a second one does, the first is never woken.
    #[track_caller]
    pub fn notified(&self) -> Notified {
        Notified { notify: self.clone(), at: Location::caller() }
    }
}

/// A future that waits for a signal; returned by [`Notify::notified`].
#[must_use = "this does nothing until it is awaited"]
pub struct Notified {
    notify: Notify,
    at: &'static Location<'static>,
}

impl Future for Notified {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.notify.0.borrow_mut();
        if state.is_set {
            if !goes_on(NOTIFICATION, self.at) {
                return Poll::Pending;
            }
            state.is_set = false;
            return Poll::Ready(());
        }
        state.waiter = Some(park(context, NOTIFICATION, self.at));
        Poll::Pending
    }
}

/// Creates a channel without a buffer, like an unbuffered channel in Go: sending a value waits
/// until the receiver takes it. If either side is dropped before that, the value is dropped too.
pub fn rendezvous<T>() -> (RendezvousSender<T>, RendezvousReceiver<T>) {
    let shared = Rc::new(RefCell::new(Rendezvous {
        offered: None,
        was_taken: false,
        sender: None,
        receiver: None,
        is_closed: false,
    }));
    (RendezvousSender(shared.clone()), RendezvousReceiver(shared))
}

struct Rendezvous<T> {
    offered: Option<T>,
    /// Whether the receiver has taken the last value offered.
    was_taken: bool,
    sender: Option<Parked>,
    receiver: Option<Parked>,
    is_closed: bool,
}

impl<T> Rendezvous<T> {
    /// Closes the channel because one side was dropped. Returns the wakers to wake and the value to
    /// drop once the channel is no longer borrowed.
    fn close(&mut self) -> (Option<Parked>, Option<Parked>, Option<T>) {
        self.is_closed = true;
        (self.sender.take(), self.receiver.take(), self.offered.take())
    }
}

fn close<T>(shared: &Rc<RefCell<Rendezvous<T>>>) {
    let (sender, receiver, offered) = shared.borrow_mut().close();
    drop(offered);
    sender.into_iter().chain(receiver).for_each(wake);
}

/// The sending side of a [`rendezvous`] channel.
pub struct RendezvousSender<T>(Rc<RefCell<Rendezvous<T>>>);

impl<T> RendezvousSender<T> {
    /// Offers a value and waits until the receiver takes it. Returns false if the receiver has been
    /// dropped. Dropping the future withdraws the value.
    #[track_caller]
    pub fn send(&mut self, value: T) -> Offer<'_, T> {
        Offer { sender: self, value: Some(value), is_offered: false, at: Location::caller() }
    }
}

impl<T> Drop for RendezvousSender<T> {
    fn drop(&mut self) {
        close(&self.0);
    }
}

/// A future that waits until a value is taken; returned by [`RendezvousSender::send`].
#[must_use = "nothing is sent until this is awaited"]
pub struct Offer<'a, T> {
    sender: &'a mut RendezvousSender<T>,
    value: Option<T>,
    is_offered: bool,
    at: &'static Location<'static>,
}

impl<T> Unpin for Offer<'_, T> {}

impl<T> Future for Offer<'_, T> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        let this = &mut *self;
        let mut shared = this.sender.0.borrow_mut();
        if this.is_offered && shared.was_taken {
            this.is_offered = false;
            return Poll::Ready(true);
        }
        if shared.is_closed {
            return if goes_on(VALUE_TAKEN, this.at) { Poll::Ready(false) } else { Poll::Pending };
        }
        if let Some(value) = this.value.take() {
            shared.offered = Some(value);
            shared.was_taken = false;
            this.is_offered = true;
        }
        shared.sender = Some(park(context, VALUE_TAKEN, this.at));
        let receiver = shared.receiver.take();
        drop(shared);
        if let Some(receiver) = receiver {
            wake(receiver);
        }
        Poll::Pending
    }
}

impl<T> Drop for Offer<'_, T> {
    fn drop(&mut self) {
        if self.is_offered {
            let offered = self.sender.0.borrow_mut().offered.take();
            drop(offered);
        }
    }
}

/// The receiving side of a [`rendezvous`] channel.
pub struct RendezvousReceiver<T>(Rc<RefCell<Rendezvous<T>>>);

impl<T> RendezvousReceiver<T> {
    /// Waits for the next value and takes it. Returns `None` if the sender has been dropped.
    #[track_caller]
    pub fn receive(&mut self) -> Receive<'_, T> {
        self.receive_at(Location::caller())
    }

    /// Like [`receive`](Self::receive), but reports show `at` as the place where the task waits.
    pub fn receive_at(&mut self, at: &'static Location<'static>) -> Receive<'_, T> {
        Receive { receiver: self, at }
    }
}

impl<T> Drop for RendezvousReceiver<T> {
    fn drop(&mut self) {
        close(&self.0);
    }
}

/// A future that waits for a value; returned by [`RendezvousReceiver::receive`].
#[must_use = "nothing is received until this is awaited"]
pub struct Receive<'a, T> {
    receiver: &'a mut RendezvousReceiver<T>,
    at: &'static Location<'static>,
}

impl<T> Future for Receive<'_, T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut shared = self.receiver.0.borrow_mut();
        if let Some(value) = shared.offered.take() {
            shared.was_taken = true;
            let sender = shared.sender.take();
            drop(shared);
            if let Some(sender) = sender {
                wake(sender);
            }
            return Poll::Ready(Some(value));
        }
        if shared.is_closed {
            return if goes_on(VALUE, self.at) { Poll::Ready(None) } else { Poll::Pending };
        }
        shared.receiver = Some(park(context, VALUE, self.at));
        Poll::Pending
    }
}
