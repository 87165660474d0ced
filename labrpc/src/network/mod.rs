//! The network: client ends, and the life of a request from call to answer.
//!
//! A request passes through these phases (the numbers are those of the twelve steps in the facts of
//! the Go lab):
//!
//! ```text
//! call (1-3) ──> Travelling ──arrives──> Handling ──answers──> Returning ──> Done(true)
//!    │               (5)        (6)         │ (7)      │ (8-9)     (10-12)
//!    └──> Failing (4, 5: unreachable or dropped) ──────┴─────────────────> Done(false)
//! ```
//!
//! A call is a value in a table, not a task; only the handler is a task, of the server's group.

mod calls;
mod client_end;
mod server;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use serde::Serialize;

use calls::{CallState, End, Phase, State};

pub use client_end::{Call, ClientEnd};
pub(crate) use server::ServerState;
pub use server::{Method, Server, Service};

use crate::codec;
use crate::decisions::Link;
use crate::event::{Event, Lost};
use crate::executor::Executor;
use crate::faults::message::{self as faults, DEAD_CHECK_EVERY, Mode, ReplyFate, RequestFate};
use crate::hash::hash_bytes;
use crate::node::Node;
use crate::recorder::Part;
use crate::task::Waiting;
use crate::trouble::Trouble;

/// Names a client end.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndId(u32);

/// A call that somebody waits for.
#[derive(Copy, Clone)]
pub(crate) struct Ticket {
    index: u32,
    generation: u32,
}

pub(crate) struct Shared {
    executor: Rc<Executor>,
    state: RefCell<State>,
}

/// The simulated network of one simulation. It starts reliable, without long delays or reordering.
#[derive(Clone)]
pub struct Network(Rc<Shared>);

impl Network {
    pub(crate) fn new(executor: &Rc<Executor>) -> Network {
        Network(Rc::new(Shared {
            executor: executor.clone(),
            state: RefCell::new(State {
                mode: Mode { reliable: true, long_delays: false, long_reordering: false },
                is_closed: false,
                ends: Vec::new(),
                servers: BTreeMap::new(),
                calls: Vec::new(),
                free: Vec::new(),
                made: 0,
                total_count: 0,
                total_bytes: 0,
            }),
        }))
    }

    /// A reliable network loses nothing and delays by microseconds. An unreliable one delays
    /// requests by 0 to 26 ms and loses one in ten of the requests and of the replies.
    pub fn reliable(&self, yes: bool) {
        self.step(Part::Mode, 0, u64::from(yes));
        self.state().mode.reliable = yes;
    }

    /// Whether two thirds of the replies are held back for 200 to 2199 ms.
    pub fn long_reordering(&self, yes: bool) {
        self.step(Part::Mode, 1, u64::from(yes));
        self.state().mode.long_reordering = yes;
    }

    /// Whether a call to a server that cannot be reached takes up to 7 s to fail, not up to 100 ms.
    pub fn long_delays(&self, yes: bool) {
        self.step(Part::Mode, 2, u64::from(yes));
        self.state().mode.long_delays = yes;
    }

    /// A new end for `from`. It starts disabled and not connected.
    pub fn make_end(&self, from: Node) -> ClientEnd {
        self.step(Part::End, u64::from(from.raw()), 2);
        let mut state = self.state();
        let link = self.link(from, Node::TESTER);
        state.ends.push(End { from, to: Node::TESTER, link, is_enabled: false });
        ClientEnd::new(&self.0, EndId(state.ends.len() as u32 - 1))
    }

    /// Sets which server an end talks to. The server need not be there yet.
    pub fn connect(&self, end: EndId, to: Node) {
        self.step(Part::End, u64::from(end.0) << 32 | u64::from(to.raw()), 3);
        let mut state = self.state();
        let end = &mut state.ends[end.0 as usize];
        end.to = to;
        end.link = self.link(end.from, to);
    }

    fn link(&self, from: Node, to: Node) -> Link {
        self.0.executor.choices.borrow_mut().link(from.raw(), to.raw())
    }

    /// Enables or disables an end. Requests that are under way are not touched, but no answer of a
    /// handler that is still running comes back through a disabled end.
    pub fn enable(&self, end: EndId, yes: bool) {
        self.step(Part::End, u64::from(end.0), u64::from(yes));
        self.state().ends[end.0 as usize].is_enabled = yes;
        if !yes {
            self.look_after_handlers(|call| call.end == end);
        }
    }

    /// Puts a server under a name, in the place of what was there.
    pub fn add_server(&self, name: Node, server: &Server) {
        self.step(Part::Server, u64::from(name.raw()), 1);
        let replaced = self.state().servers.insert(name, server.0.clone());
        drop(replaced);
        self.look_after_handlers(|call| call.to == name);
    }

    /// Takes the server away. Its handlers run on, but none of their answers arrive. A server that
    /// has crashed is to be taken away as well: until then calls to it wait for an answer.
    pub fn delete_server(&self, name: Node) {
        self.step(Part::Server, u64::from(name.raw()), 0);
        let deleted = self.state().servers.remove(&name);
        drop(deleted);
        self.look_after_handlers(|call| call.to == name);
    }

    /// How many requests were dispatched to the server that now has this name; 0 when there is none.
    pub fn count(&self, name: Node) -> u64 {
        self.state().servers.get(&name).map_or(0, |server| server.count.get())
    }

    /// How many calls were handed to the network, whatever became of them.
    pub fn total_count(&self) -> u64 {
        self.state().total_count
    }

    /// The bytes of the arguments of all those calls and of the replies that arrived.
    pub fn total_bytes(&self) -> u64 {
        self.state().total_bytes
    }

    /// Closes the network: later calls fail at once. Those under way go on.
    pub fn cleanup(&self) {
        self.step(Part::Mode, 3, 0);
        self.state().is_closed = true;
    }

    /// Forgets servers and calls, so that nothing of the world outlives the run.
    pub(crate) fn clear(&self) {
        let forgotten = {
            let mut state = self.state();
            state.is_closed = true;
            (std::mem::take(&mut state.servers), std::mem::take(&mut state.calls))
        };
        drop(forgotten);
    }

    fn state(&self) -> std::cell::RefMut<'_, State> {
        self.0.state.borrow_mut()
    }

    /// The tester's steps are part of the fingerprint.
    fn step(&self, part: Part, which: u64, value: u64) {
        self.0.executor.recorder.mix(part, which, value);
    }

    /// Something changed that may make servers dead for callers whose handlers still run: those
    /// callers notice at their next look.
    fn look_after_handlers(&self, concerned: impl Fn(&CallState) -> bool) {
        let state = self.state();
        for (index, call) in state.calls.iter().enumerate() {
            if call.phase == Phase::Handling && concerned(call) {
                self.0.set_dead_check(index as u32, call);
            }
        }
    }

    /// The executor's clock has come to the time of a message.
    pub(crate) fn on_message(&self, message: u64) {
        let (index, generation) = (message as u32, (message >> 32) as u32 & GENERATION_MASK);
        let (phase, is_dead) = {
            let state = self.state();
            let call = &state.calls[index as usize];
            if call.generation != generation {
                return;
            }
            (call.phase, state.is_dead(call))
        };
        if message & DEAD_CHECK != 0 {
            if phase == Phase::Handling && is_dead {
                self.0.fail(index, Lost::Dead);
            }
            return;
        }
        match phase {
            Phase::Failing(why) => self.0.fail(index, why),
            Phase::Travelling => self.0.dispatch(index),
            Phase::Returning => self.0.deliver_reply(index),
            Phase::Free | Phase::Handling | Phase::Done(_) => {}
        }
    }
}

// A message is the slot of its call, the generation of the slot, and one flag.
const GENERATION_MASK: u32 = (1 << 30) - 1;
const DEAD_CHECK: u64 = 1 << 62;

fn message(index: u32, generation: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(index)
}

impl Shared {
    /// Steps 1 to 5: counts, takes a snapshot of the world, and decides what becomes of the request.
    pub(crate) fn send(
        &self,
        end: EndId,
        method: &'static str,
        args: &(impl Serialize + Debug),
    ) -> Ticket {
        let (index, mut buffer) = self.take_slot(end, method);
        codec::encode_into(args, &mut buffer)
            .unwrap_or_else(|error| panic!("the arguments of {method} cannot be encoded: {error}"));
        let state = &mut *self.state.borrow_mut();
        let is_closed = state.is_closed;
        let call = &mut state.calls[index as usize];
        let recorder = &self.executor.recorder;
        let nodes = u64::from(call.from.raw()) << 32 | u64::from(call.to.raw());
        recorder.mix(Part::Request, hash_bytes(&buffer), nodes);
        recorder.push(self.executor.now(), call.from, || Event::Sent {
            call: call.number,
            to: call.to,
            method: method.into(),
            bytes: buffer.len(),
            content: format!("{args:?}"),
        });
        if self.executor.is_void.get() {
            // It crashed a moment ago: nothing leaves any more.
            call.phase = Phase::Done(false);
            call.buffer = buffer;
            return Ticket { index, generation: call.generation };
        }
        if is_closed {
            recorder.push(self.executor.now(), call.from, || Event::Lost {
                call: call.number,
                to: call.to,
                method: method.into(),
                why: Lost::Closed,
            });
            call.phase = Phase::Done(false);
            call.buffer = buffer;
            return Ticket { index, generation: call.generation };
        }
        state.total_count += 1;
        state.total_bytes += buffer.len() as u64;
        call.buffer = buffer;
        let end = &state.ends[end.0 as usize];
        call.server = state.servers.get(&call.to).filter(|_| end.is_enabled).cloned();
        let mut choices = self.executor.choices.borrow_mut();
        let is_reachable = call.server.is_some();
        let now = self.executor.now();
        let fate = match self.executor.chaos.get().filter(|_| is_reachable) {
            None => faults::request(&mut choices, call.on_link, call.mode, is_reachable),
            Some(chaos) => {
                let on_link = call.on_link;
                faults::request_in_chaos(chaos, &mut choices, on_link, call.mode, now, call.to)
            }
        };
        drop(choices);
        let mut copy_after = None;
        let (phase, after) = match fate {
            RequestFate::Unreachable { after } => (Phase::Failing(Lost::Unreachable), after),
            RequestFate::Dropped { after } => (Phase::Failing(Lost::Dropped), after),
            RequestFate::Arrives { after, copy_after: copy } => {
                copy_after = copy;
                (Phase::Travelling, after)
            }
        };
        call.phase = phase;
        let generation = call.generation;
        let mut timers = self.executor.timers.borrow_mut();
        timers.message_at(now + after, message(index, generation));
        if let Some(after) = copy_after {
            let copy = state.copy_of(index);
            timers.message_at(now + after, copy);
        }
        Ticket { index, generation }
    }

    /// A slot for a new call, and its empty buffer.
    fn take_slot(&self, end: EndId, method: &'static str) -> (u32, Vec<u8>) {
        let state = &mut *self.state.borrow_mut();
        let End { from, to, link, .. } = state.ends[end.0 as usize];
        state.made += 1;
        let call = CallState {
            generation: 0,
            phase: Phase::Travelling,
            number: state.made - 1,
            on_link: self.executor.choices.borrow_mut().next_call(link),
            end,
            from,
            to,
            mode: state.mode,
            method,
            server: None,
            dispatched_at: 0,
            buffer: Vec::new(),
            waiter: None,
            is_abandoned: false,
        };
        match state.free.pop() {
            Some(index) => {
                let slot = &mut state.calls[index as usize];
                let mut buffer = std::mem::take(&mut slot.buffer);
                buffer.clear();
                *slot = CallState { generation: slot.generation, ..call };
                (index, buffer)
            }
            None => {
                state.calls.push(call);
                (state.calls.len() as u32 - 1, Vec::new())
            }
        }
    }

    /// Step 6: the request is at the server, and its handler starts as a task there.
    fn dispatch(self: &Rc<Self>, index: u32) {
        let now = self.executor.now();
        let mut state = self.state.borrow_mut();
        let call = &mut state.calls[index as usize];
        call.phase = Phase::Handling;
        call.dispatched_at = now;
        let server = call.server.clone().expect("a request travels to a server");
        let (method, from, to) = (call.method, call.from, call.to);
        let (number, generation) = (call.number, call.generation);
        let buffer = std::mem::take(&mut call.buffer);
        if state.is_dead(&state.calls[index as usize]) {
            self.set_dead_check(index, &state.calls[index as usize]);
        }
        drop(state);
        server.count.set(server.count.get() + 1);
        if !server.runtime.is_alive() {
            // The request reached an incarnation that has crashed: nobody handles it.
            return;
        }
        let delivered = || Event::Delivered { call: number, from, method: method.into() };
        self.executor.recorder.push(now, to, delivered);
        let handlers = server.handlers.borrow();
        let Some(handler) = handlers.iter().find(|handler| handler.method == method) else {
            let known = handlers.iter().map(|handler| handler.method).collect();
            self.executor.end(Err(Trouble::UnknownMethod { server: to, method, known }));
            return;
        };
        let responder = Responder { network: self.clone(), index, generation };
        let task = (handler.make)(buffer, responder);
        self.executor.spawn(server.runtime.group, method, handler.registered_at, task);
    }

    /// Step 7: the caller looks at the next multiple of 100 ms after the request was dispatched.
    fn set_dead_check(&self, index: u32, call: &CallState) {
        let looks = (self.executor.now() - call.dispatched_at) / DEAD_CHECK_EVERY + 1;
        let at = call.dispatched_at + looks * DEAD_CHECK_EVERY;
        let look = DEAD_CHECK | message(index, call.generation);
        self.executor.timers.borrow_mut().message_at(at, look);
    }

    /// Steps 8 to 10: the handler has answered.
    fn reply(&self, index: u32, generation: u32, buffer: Vec<u8>, reply: &dyn Debug) {
        let state = &mut *self.state.borrow_mut();
        let call = &state.calls[index as usize];
        if call.generation != generation || call.phase != Phase::Handling {
            return; // The caller has given the server up.
        }
        if self.executor.is_void.get() {
            return; // It crashed a moment ago, in the middle of this.
        }
        let is_dead = state.is_dead(call);
        let call = &mut state.calls[index as usize];
        if let (Some(server), Some(_)) = (&call.server, call.from.as_server()) {
            server.answers.set(server.answers.get() + 1);
        }
        let nodes = u64::from(call.to.raw()) << 32 | u64::from(call.from.raw());
        self.executor.recorder.mix(Part::Reply, hash_bytes(&buffer), nodes);
        let fate = if is_dead {
            Err((Lost::Dead, 0))
        } else {
            let mut choices = self.executor.choices.borrow_mut();
            let fate = match self.executor.chaos.get() {
                None => faults::reply(&mut choices, call.on_link, call.mode),
                Some(chaos) => {
                    let (now, way) = (self.executor.now(), (call.to, call.from));
                    faults::reply_in_chaos(chaos, &mut choices, call.on_link, call.mode, now, way)
                }
            };
            match fate {
                ReplyFate::Dropped => Err((Lost::Dropped, 0)),
                ReplyFate::Cut { after } => Err((Lost::Unreachable, after)),
                ReplyFate::Arrives { after, held } => Ok((after, held)),
            }
        };
        let now = self.executor.now();
        self.executor.recorder.push(now, call.to, || Event::Replied {
            call: call.number,
            to: call.from,
            method: call.method.into(),
            bytes: buffer.len(),
            content: format!("{reply:?}"),
            held: Duration::from_nanos(fate.map_or(0, |(_, held)| held)),
        });
        call.buffer = buffer;
        let after = match fate {
            Ok((after, _)) => {
                call.phase = Phase::Returning;
                after
            }
            Err((why, after)) => {
                call.phase = Phase::Failing(why);
                after
            }
        };
        let mut timers = self.executor.timers.borrow_mut();
        timers.message_at(now + after, message(index, generation));
    }

    /// Step 11: the reply is there. Nothing is checked any more: it arrives even from the dead.
    fn deliver_reply(&self, index: u32) {
        {
            let state = &mut *self.state.borrow_mut();
            let call = &state.calls[index as usize];
            state.total_bytes += call.buffer.len() as u64;
            self.executor.recorder.push(self.executor.now(), call.from, || Event::Answered {
                call: call.number,
                from: call.to,
                method: call.method.into(),
            });
        }
        self.finish(index, true);
    }

    /// Step 12: the answer, if it is there: the bytes of a reply, to be given back, or `None`. If it is
    /// not there, the running task will be woken.
    pub(crate) fn poll_answer(
        &self,
        Ticket { index, .. }: Ticket,
        context: &Context<'_>,
        waiting: Waiting,
    ) -> Poll<Option<Vec<u8>>> {
        let state = &mut *self.state.borrow_mut();
        let call = &mut state.calls[index as usize];
        let Phase::Done(is_answered) = call.phase else {
            let previous = call.waiter.replace(self.executor.park(context, waiting));
            drop(previous);
            return Poll::Pending;
        };
        let buffer = std::mem::take(&mut call.buffer);
        if is_answered {
            return Poll::Ready(Some(buffer));
        }
        state.release(index, buffer);
        Poll::Ready(None)
    }

    /// The reply has been read: its slot and buffer serve again.
    pub(crate) fn give_back(&self, Ticket { index, .. }: Ticket, buffer: Vec<u8>) {
        self.state.borrow_mut().release(index, buffer);
    }

    /// Nobody waits for this answer any more.
    pub(crate) fn abandon(&self, Ticket { index, generation }: Ticket) {
        let state = &mut *self.state.borrow_mut();
        // When the run is over, its calls have been forgotten.
        let Some(call) = state.calls.get_mut(index as usize) else { return };
        if call.generation != generation {
            return;
        }
        if matches!(call.phase, Phase::Done(_)) {
            let buffer = std::mem::take(&mut call.buffer);
            state.release(index, buffer);
        } else {
            call.is_abandoned = true;
            call.waiter = None;
        }
    }

    fn fail(&self, index: u32, why: Lost) {
        {
            let call = &self.state.borrow().calls[index as usize];
            self.executor.recorder.push(self.executor.now(), call.from, || Event::Lost {
                call: call.number,
                to: call.to,
                method: call.method.into(),
                why,
            });
        }
        self.finish(index, false);
    }

    fn finish(&self, index: u32, is_answered: bool) {
        // The server may be the last of its incarnation: it is dropped outside of the borrow.
        let (waiter, _server) = {
            let state = &mut *self.state.borrow_mut();
            let call = &mut state.calls[index as usize];
            self.executor.recorder.mix(Part::Answer, call.number, u64::from(is_answered));
            call.phase = Phase::Done(is_answered);
            let taken = (call.waiter.take(), call.server.take());
            if call.is_abandoned {
                let buffer = std::mem::take(&mut call.buffer);
                state.release(index, buffer);
            }
            taken
        };
        if let Some(waiter) = waiter {
            self.executor.unpark(waiter);
        }
    }
}

/// How a handler answers its request.
pub(crate) struct Responder {
    network: Rc<Shared>,
    index: u32,
    generation: u32,
}

impl Responder {
    pub(crate) fn reply(self, buffer: Vec<u8>, reply: &dyn Debug) {
        self.network.reply(self.index, self.generation, buffer, reply);
    }
}
