//! The steps of a call, from sending the request to taking the reply.

use std::cell::RefCell;
use std::fmt::Debug;
use std::ops::Range;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use serde::Serialize;

use super::EndId;
use super::calls::{Answer, Call, CallId, Phase, Tables, Wakeup};
use super::observer::{Content, Failed, Observer, Read, ReplyValue, Sent};
use crate::codec;
use crate::event::{Event, Lost};
use crate::executor::Executor;
use crate::faults::message::{self, Direction, Fate, Message};
use crate::hash::hash_bytes;
use crate::node::Node;
use crate::recorder::Part;
use crate::task::Waiting;
use crate::trouble::Trouble;

/// While a handler runs, its caller checks whether the server is dead at every multiple of this
/// time, in nanoseconds.
const DEAD_CHECK_EVERY: u64 = 100_000_000;

/// The state that all handles of a network share.
pub(crate) struct Shared {
    pub(super) executor: Rc<Executor>,
    pub(super) tables: RefCell<Tables>,
    pub(super) on_delivery: RefCell<Vec<DeliveryObserver>>,
    /// Who looks at the messages among which servers.
    pub(super) observers: RefCell<Vec<ServersObserver>>,
}

/// An observer, and the servers whose messages to each other it sees.
type ServersObserver = (Range<usize>, Rc<dyn Observer>);

/// Sees each message that arrives.
pub(super) type DeliveryObserver = Box<dyn Fn(Delivery<'_>)>;

/// A message that has arrived where code will read it: a request at a server that is running, or a
/// reply at a caller that waits for it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// The node that sent the message.
    pub from: Node,
    /// The node at which the message arrived.
    pub to: Node,
    /// The encoded arguments, or the encoded reply.
    pub bytes: &'a [u8],
    /// Whether it is a reply.
    pub is_reply: bool,
    /// The virtual time at which the request was sent: this one, or the one that the reply answers.
    pub called_at: Duration,
    /// The virtual time at which the message itself was sent.
    pub sent_at: Duration,
}

impl Shared {
    /// Steps 1 to 5: enters and counts the call, notes which server it goes to, and decides what
    /// happens to the request.
    pub(super) fn send(
        &self,
        end: EndId,
        method: &'static str,
        args: &(impl Serialize + Debug + 'static),
    ) -> CallId {
        let (id, mut buffer) = self.tables.borrow_mut().new_call(end, method);
        // Encoding runs tested code, so nothing may be borrowed here.
        codec::encode_into(args, &mut buffer)
            .unwrap_or_else(|error| panic!("the arguments of {method} cannot be encoded: {error}"));
        let tables = &mut *self.tables.borrow_mut();
        let call = tables.call(id);
        call.buffer = buffer;
        call.called_at = self.executor.now();
        self.record_request(call, args);
        if self.executor.is_void() {
            // The server crashed earlier in this poll, so it no longer sends anything.
            call.phase = Phase::Done(Answer::Failed);
        } else if tables.is_closed {
            let call = tables.call(id);
            self.record_loss(call, Lost::Closed);
            call.phase = Phase::Done(Answer::Failed);
        } else {
            // Before a copy may be made, which has the same mark.
            self.observe_request(tables.call(id), Content::of_request(method, args));
            self.executor.set_acted();
            self.send_request(tables, id);
        }
        id
    }

    /// Tells the observer that a request leaves.
    fn observe_request(&self, call: &mut Call, content: Content<'_>) {
        let Call { from, to, .. } = *call;
        self.observe_between(from, to, |observer| {
            call.marks.0 = observer.sent(Sent { from, to, answers: None, content });
        });
    }

    /// Has the observer of the messages between these two nodes look at one, if there is an observer.
    #[inline]
    fn observe_between(&self, a: Node, b: Node, look: impl FnOnce(&dyn Observer)) {
        let observers = self.observers.borrow();
        if observers.is_empty() {
            return;
        }
        let (Some(a), Some(b)) = (a.as_server(), b.as_server()) else { return };
        let of_both = |servers: &Range<usize>| servers.contains(&a) && servers.contains(&b);
        if let Some((_, observer)) = observers.iter().find(|(servers, _)| of_both(servers)) {
            look(&**observer);
        }
    }

    /// Tells the observer that a message is being read.
    fn observe_reading(&self, message: Read) {
        self.observe_between(message.from, message.to, |observer| observer.read(message));
    }

    fn record_request(&self, call: &Call, args: &impl Debug) {
        let recorder = &self.executor.recorder;
        recorder.mix(Part::Request, hash_bytes(&call.buffer), both(call.from, call.to));
        recorder.push(self.executor.now(), call.from, || Event::Sent {
            call: call.number,
            to: call.to,
            method: call.method.into(),
            bytes: call.buffer.len(),
            content: format!("{args:?}"),
        });
    }

    fn record_loss(&self, call: &Call, why: Lost) {
        self.executor.recorder.push(self.executor.now(), call.from, || Event::Lost {
            call: call.number,
            to: call.to,
            method: call.method.into(),
            why,
        });
    }

    /// Counts a request, decides what happens to it, and sets a timer for that.
    fn send_request(&self, tables: &mut Tables, id: CallId) {
        let Call { end, from, to, .. } = *tables.call(id);
        if tables.counts_calls
            && let Some(sender) = tables.servers.get(&from)
        {
            sender.calls.set(sender.calls.get() + 1);
        }
        let is_enabled = tables.end(end).is_enabled;
        let server = tables.servers.get(&to).filter(|_| is_enabled).cloned();
        tables.total_count += 1;
        tables.total_bytes += tables.call(id).buffer.len() as u64;
        let call = tables.call(id);
        call.server = server;
        let request = Message {
            direction: Direction::Request,
            call: call.on_link,
            from: call.from,
            to: call.to,
            mode: call.mode,
            has_way: call.server.is_some(),
            is_cut: false,
        };
        match message::decide(request, &mut self.executor.faults()) {
            Fate::Lost { why, after } => {
                call.phase = Phase::Failing(why);
                tables.lose(id);
                self.wake_after(after, id);
            }
            Fate::Arrives { after, copy_after, .. } => {
                call.phase = Phase::Travelling;
                self.wake_after(after, id);
                if let Some(after) = copy_after {
                    let copy = tables.copy_call(id);
                    self.wake_after(after, copy);
                }
            }
        }
    }

    /// Sets a timer that calls [`on_wakeup`](Self::on_wakeup) for a call after some time.
    fn wake_after(&self, after: Duration, call: CallId) {
        let at = self.executor.now() + after.as_nanos() as u64;
        self.executor.timers.borrow_mut().message_at(at, Wakeup::Message(call).pack());
    }

    /// Takes the next step of a call whose timer has fired, unless the call is over.
    pub(super) fn on_wakeup(self: &Rc<Self>, number: u64) {
        let wakeup = Wakeup::unpack(number);
        let (Wakeup::Message(id) | Wakeup::DeadCheck(id)) = wakeup;
        let Some(phase) = self.tables.borrow_mut().get_mut(id).map(|call| call.phase) else {
            return;
        };
        match (wakeup, phase) {
            (Wakeup::Message(_), Phase::Failing(why)) => self.fail(id, why),
            (Wakeup::Message(_), Phase::Travelling) => self.dispatch(id),
            (Wakeup::Message(_), Phase::Returning) => self.deliver_reply(id),
            (Wakeup::DeadCheck(_), Phase::Handling) if self.tables.borrow().is_dead(id) => {
                self.tables.borrow_mut().handling -= 1;
                self.fail(id, Lost::Dead);
            }
            _ => {}
        }
    }

    /// Step 6: the request arrives at the server, and its handler starts as a task there.
    fn dispatch(self: &Rc<Self>, id: CallId) {
        let now = self.executor.now();
        let mut tables = self.tables.borrow_mut();
        let is_dead = tables.is_dead(id);
        tables.handling += 1;
        let call = tables.call(id);
        call.phase = Phase::Handling;
        call.dispatched_at = now;
        let server = call.server.clone().expect("a request on its way has a server");
        let buffer = std::mem::take(&mut call.buffer);
        let Call { method, from, to, number, marks, called_at, .. } = *call;
        drop(tables);
        if is_dead {
            self.set_dead_check(id);
        }
        server.count.set(server.count.get() + 1);
        if !server.runtime.is_alive() {
            // A server that has crashed does not handle requests.
            return;
        }
        let delivered = || Event::Delivered { call: number, from, method: method.into() };
        self.executor.recorder.push(now, to, delivered);
        let called_at = Duration::from_nanos(called_at);
        let sent_at = called_at;
        self.observe(Delivery { from, to, bytes: &buffer, is_reply: false, called_at, sent_at });
        let handlers = server.handlers.borrow();
        let Some(handler) = handlers.iter().find(|handler| handler.method == method) else {
            let known = handlers.iter().map(|handler| handler.method).collect();
            self.executor.end(Err(Trouble::UnknownMethod { server: to, method, known }));
            return;
        };
        let request = Read { from, to, answers: None, mark: marks.0 };
        let task = (handler.make)(buffer, Responder { network: self.clone(), call: id, request });
        self.executor.spawn(server.runtime.group, method, handler.registered_at, task);
    }

    /// Step 7: has the caller check whether the server is dead, at the next multiple of 100 ms
    /// after the request arrived.
    pub(super) fn set_dead_check(&self, id: CallId) {
        let dispatched_at = self.tables.borrow_mut().call(id).dispatched_at;
        let looks = (self.executor.now() - dispatched_at) / DEAD_CHECK_EVERY + 1;
        let at = dispatched_at + looks * DEAD_CHECK_EVERY;
        self.executor.timers.borrow_mut().message_at(at, Wakeup::DeadCheck(id).pack());
    }

    /// Steps 8 to 10: the handler has returned; decides what happens to the reply.
    fn reply(&self, id: CallId, buffer: Vec<u8>, content: &dyn ReplyValue) {
        let tables = &mut *self.tables.borrow_mut();
        let Some(Phase::Handling) = tables.get_mut(id).map(|call| call.phase) else {
            return; // The call has already failed.
        };
        if self.executor.is_void() {
            return; // The server crashed earlier in this poll.
        }
        tables.handling -= 1;
        let has_way = !tables.is_dead(id);
        let end = tables.call(id).end;
        let is_cut = tables.end(end).loses_replies;
        let call = tables.call(id);
        if let (Some(server), Some(_)) = (&call.server, call.from.as_server()) {
            server.answers.set(server.answers.get() + 1);
        }
        call.buffer = buffer;
        call.replied_at = self.executor.now();
        self.executor.recorder.mix(Part::Reply, hash_bytes(&call.buffer), both(call.to, call.from));
        let reply = Message {
            direction: Direction::Reply,
            call: call.on_link,
            from: call.to,
            to: call.from,
            mode: call.mode,
            has_way,
            is_cut,
        };
        self.executor.set_acted();
        let fate = message::decide(reply, &mut self.executor.faults());
        self.record_reply(call, fate, content);
        self.observe_reply(call, content);
        match fate {
            Fate::Lost { why, after } => {
                call.phase = Phase::Failing(why);
                tables.lose(id);
                self.wake_after(after, id);
            }
            Fate::Arrives { after, copy_after, .. } => {
                debug_assert!(copy_after.is_none(), "a reply arrives once");
                call.phase = Phase::Returning;
                self.wake_after(after, id);
            }
        }
    }

    /// Tells the observer that a reply leaves.
    fn observe_reply(&self, call: &mut Call, reply: &dyn ReplyValue) {
        let Call { from, to, method, marks: (request, _), .. } = *call;
        self.observe_between(from, to, |observer| {
            let content = Content::of_reply(method, reply);
            call.marks.1 =
                observer.sent(Sent { from: to, to: from, answers: Some(request), content });
        });
    }

    fn record_reply(&self, call: &Call, fate: Fate, content: &dyn ReplyValue) {
        self.executor.recorder.push(self.executor.now(), call.to, || Event::Replied {
            call: call.number,
            to: call.from,
            method: call.method.into(),
            bytes: call.buffer.len(),
            content: format!("{content:?}"),
            held: match fate {
                Fate::Arrives { held, .. } => held,
                Fate::Lost { .. } => Duration::ZERO,
            },
        });
    }

    /// Step 11: the reply arrives. It does so even if the server has died since it was sent.
    fn deliver_reply(&self, id: CallId) {
        let mut borrowed = self.tables.borrow_mut();
        let tables = &mut *borrowed;
        let call = &mut tables.calls[id.slot as usize];
        tables.total_bytes += call.buffer.len() as u64;
        if !call.is_abandoned {
            if call.from.as_server().is_none() {
                *tables.replies.entry(call.from).or_default() += 1;
            }
            let (from, to) = (call.to, call.from);
            let called_at = Duration::from_nanos(call.called_at);
            let sent_at = Duration::from_nanos(call.replied_at);
            let bytes = &call.buffer;
            self.observe(Delivery { from, to, bytes, is_reply: true, called_at, sent_at });
        }
        self.executor.recorder.push(self.executor.now(), call.from, || Event::Answered {
            call: call.number,
            from: call.to,
            method: call.method.into(),
        });
        drop(borrowed);
        self.finish(id, Answer::Reply);
    }

    fn observe(&self, delivery: Delivery<'_>) {
        for observer in &*self.on_delivery.borrow() {
            observer(delivery);
        }
    }

    /// Tells the caller that there will be no reply.
    fn fail(&self, id: CallId, why: Lost) {
        self.record_loss(self.tables.borrow_mut().call(id), why);
        self.finish(id, Answer::Failed);
    }

    fn finish(&self, id: CallId, answer: Answer) {
        // This may be the last reference to the server, which must not be dropped during the
        // borrow.
        let (waiter, _server) = {
            let tables = &mut *self.tables.borrow_mut();
            let call = tables.call(id);
            let is_answered = u64::from(answer == Answer::Reply);
            self.executor.recorder.mix(Part::Answer, call.number, is_answered);
            call.phase = Phase::Done(answer);
            let taken = (call.waiter.take(), call.server.take());
            if call.is_abandoned {
                let buffer = std::mem::take(&mut call.buffer);
                tables.release(id, buffer);
            }
            taken
        };
        if let Some(waiter) = waiter {
            self.executor.unpark(waiter);
        }
    }

    /// Step 12: returns the answer if it has come: the bytes of the reply, which the caller must
    /// return with [`give_back`](Self::give_back), or `None`. If it has not come, the running task
    /// will be woken when it does.
    pub(super) fn poll_answer(
        &self,
        id: CallId,
        context: &Context<'_>,
        waiting: Waiting,
    ) -> Poll<Option<Vec<u8>>> {
        let tables = &mut *self.tables.borrow_mut();
        let call = tables.call(id);
        let Phase::Done(answer) = call.phase else {
            let previous = call.waiter.replace(self.executor.park(context, waiting));
            drop(previous);
            return Poll::Pending;
        };
        let buffer = std::mem::take(&mut call.buffer);
        match answer {
            Answer::Reply => {
                let Call { from, to, marks: (request, mark), .. } = *call;
                self.observe_reading(Read { from: to, to: from, answers: Some(request), mark });
                Poll::Ready(Some(buffer))
            }
            Answer::Failed => {
                let Call { from, to, marks: (mark, _), .. } = *call;
                self.observe_between(from, to, |observer| {
                    observer.failed(Failed { from, to, mark });
                });
                tables.release(id, buffer);
                Poll::Ready(None)
            }
        }
    }

    /// Takes back the buffer of a reply that has been read, and frees the slot of its call.
    pub(super) fn give_back(&self, id: CallId, buffer: Vec<u8>) {
        self.tables.borrow_mut().release(id, buffer);
    }

    /// Notes that the caller has dropped the call and will not take its answer.
    pub(super) fn abandon(&self, id: CallId) {
        let tables = &mut *self.tables.borrow_mut();
        // A future may be dropped after the network has been cleared at the end of the run.
        let Some(call) = tables.get_mut(id) else { return };
        if matches!(call.phase, Phase::Done(_)) {
            let buffer = std::mem::take(&mut call.buffer);
            tables.release(id, buffer);
        } else {
            call.is_abandoned = true;
            call.waiter = None;
        }
    }
}

/// Packs two nodes into one number, for the fingerprint.
#[inline]
fn both(from: Node, to: Node) -> u64 {
    u64::from(from.raw()) << 32 | u64::from(to.raw())
}

/// Sends the reply to one request.
pub(crate) struct Responder {
    network: Rc<Shared>,
    call: CallId,
    request: Read,
}

impl Responder {
    /// Notes that the handler begins to run.
    pub(crate) fn begin(&self) {
        self.network.observe_reading(self.request);
    }

    pub(crate) fn reply(self, buffer: Vec<u8>, reply: &dyn ReplyValue) {
        self.network.reply(self.call, buffer, reply);
    }
}
