//! The tables of a network: its client ends, links, servers and calls.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{EndId, ServerState};
use crate::event::Lost;
use crate::faults::message::Mode;
use crate::node::Node;
use crate::random::{Parties, Subject};
use crate::task::Parked;

/// The largest capacity, in bytes, with which a buffer is kept for later calls.
const KEPT_BUFFER_BYTES: usize = 64 * 1024;
/// The capacity, in bytes, with which a buffer begins: enough for most messages.
const FIRST_BUFFER_BYTES: usize = 256;

/// The state of a client end.
pub(super) struct End {
    pub(super) from: Node,
    /// The server that it is connected to. Until then it is the tester, which is never a server.
    pub(super) to: Node,
    /// The index of the link from `from` to `to`.
    pub(super) link: usize,
    pub(super) is_enabled: bool,
    /// Whether replies do not come back through it.
    pub(super) loses_replies: bool,
}

/// The link from one node to another. All ends between the two nodes share it.
struct Link {
    parties: Parties,
    /// The number of calls made so far.
    calls: u64,
}

/// The phase that a call is in.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// There is no call in this slot.
    Free,
    /// The request is on its way.
    Travelling,
    /// The call has failed, but the caller has not been told yet.
    Failing(Lost),
    /// The request has arrived, and the handler is running.
    Handling,
    /// The reply is on its way.
    Returning,
    /// The call is over, and the caller can take the answer.
    Done(Answer),
}

/// The result of a call.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Reply,
    Failed,
}

/// Identifies a call: its slot in the table, and a generation that tells it apart from earlier
/// calls in the same slot.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallId {
    pub(super) slot: u32,
    generation: u32,
}

/// Generations have 30 bits, so that a [`Wakeup`] fits into 64 bits.
const GENERATION_MASK: u32 = (1 << 30) - 1;

/// What the network has to do for a call at a certain time. The executor's timers store it as a
/// number.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Wakeup {
    /// Deliver a message, or tell the caller that it was lost.
    Message(CallId),
    /// Check whether the server is dead, in which case the call fails.
    DeadCheck(CallId),
}

const IS_DEAD_CHECK: u64 = 1 << 62;

impl Wakeup {
    /// Packs it into a number: the slot in the low 32 bits, the generation in the 30 bits above,
    /// then a flag for dead checks.
    pub(super) fn pack(self) -> u64 {
        match self {
            Wakeup::Message(call) => u64::from(call.generation) << 32 | u64::from(call.slot),
            Wakeup::DeadCheck(call) => Wakeup::Message(call).pack() | IS_DEAD_CHECK,
        }
    }

    pub(super) fn unpack(number: u64) -> Wakeup {
        let generation = (number >> 32) as u32 & GENERATION_MASK;
        let call = CallId { slot: number as u32, generation };
        if number & IS_DEAD_CHECK == 0 { Wakeup::Message(call) } else { Wakeup::DeadCheck(call) }
    }
}

/// A call, as stored in its slot in the table. When it is over, the slot is reused.
pub(super) struct Call {
    generation: u32,
    pub(super) phase: Phase,
    /// The number of the call in this run, counted from 0.
    pub(super) number: u64,
    /// The link and the number of the call on it, which are the address of decisions about it.
    pub(super) on_link: Subject,
    pub(super) end: EndId,
    pub(super) from: Node,
    pub(super) to: Node,
    /// The settings of the network at the time of the call. Later changes do not affect the call.
    pub(super) mode: Mode,
    pub(super) method: &'static str,
    /// The server that the end was connected to at the time of the call, if it could be reached.
    pub(super) server: Option<Rc<ServerState>>,
    /// The virtual time at which the call was made, in nanoseconds.
    pub(super) called_at: u64,
    /// The virtual time at which the request arrived, in nanoseconds.
    pub(super) dispatched_at: u64,
    /// The virtual time at which the reply was sent, in nanoseconds.
    pub(super) replied_at: u64,
    /// The encoded arguments, later the encoded reply; empty once they are lost.
    pub(super) buffer: Vec<u8>,
    pub(super) waiter: Option<Parked>,
    /// The observer's marks of the request and of the reply.
    pub(super) marks: (u64, u64),
    /// Whether nothing waits for the answer: the caller has dropped the call, or this is a copy.
    pub(super) is_abandoned: bool,
}

/// The whole state of a network.
pub(super) struct Tables {
    pub(super) mode: Mode,
    pub(super) is_closed: bool,
    /// Whether servers count the calls that they make.
    pub(super) counts_calls: bool,
    pub(super) ends: Vec<End>,
    links: Vec<Link>,
    link_of: BTreeMap<(Node, Node), usize>,
    pub(super) servers: BTreeMap<Node, Rc<ServerState>>,
    pub(super) calls: Vec<Call>,
    /// How many of them are in the phase [`Phase::Handling`].
    pub(super) handling: usize,
    free: Vec<u32>,
    /// Buffers that are not in use.
    buffers: Vec<Vec<u8>>,
    /// The number of calls made so far, including those after the network was closed.
    made: u64,
    pub(super) total_count: u64,
    pub(super) total_bytes: u64,
    /// The number of replies that have arrived at each client and that it still waited for.
    pub(super) replies: BTreeMap<Node, u64>,
}

impl Tables {
    pub(super) fn new() -> Tables {
        Tables {
            mode: Mode { reliable: true, long_delays: false, long_reordering: false },
            is_closed: false,
            counts_calls: false,
            ends: Vec::new(),
            links: Vec::new(),
            link_of: BTreeMap::new(),
            servers: BTreeMap::new(),
            calls: Vec::new(),
            handling: 0,
            free: Vec::new(),
            buffers: Vec::new(),
            made: 0,
            total_count: 0,
            total_bytes: 0,
            replies: BTreeMap::new(),
        }
    }

    /// The index of the link from one node to another, which is created if necessary.
    pub(super) fn link(&mut self, from: Node, to: Node) -> usize {
        let links = &mut self.links;
        *self.link_of.entry((from, to)).or_insert_with(|| {
            links.push(Link { parties: Parties::new(from.raw(), to.raw()), calls: 0 });
            links.len() - 1
        })
    }

    pub(super) fn end(&mut self, end: EndId) -> &mut End {
        &mut self.ends[end.0 as usize]
    }

    /// Enters a new call through an end. Returns it with an empty buffer for its arguments.
    pub(super) fn new_call(&mut self, end: EndId, method: &'static str) -> (CallId, Vec<u8>) {
        let End { from, to, link, .. } = self.ends[end.0 as usize];
        let link = &mut self.links[link];
        let on_link = Subject { parties: link.parties, n: link.calls };
        link.calls += 1;
        self.made += 1;
        let id = self.insert(Call {
            generation: 0,
            phase: Phase::Travelling,
            number: self.made - 1,
            on_link,
            end,
            from,
            to,
            mode: self.mode,
            method,
            server: None,
            called_at: 0,
            dispatched_at: 0,
            replied_at: 0,
            buffer: Vec::new(),
            waiter: None,
            marks: (0, 0),
            is_abandoned: false,
        });
        let buffer = self.buffers.pop();
        (id, buffer.unwrap_or_else(|| Vec::with_capacity(FIRST_BUFFER_BYTES)))
    }

    /// Enters a copy of a call whose request is on its way. The copy's answer is thrown away.
    pub(super) fn copy_call(&mut self, original: CallId) -> CallId {
        let call = &self.calls[original.slot as usize];
        let copy = Call {
            generation: 0,
            phase: Phase::Travelling,
            server: call.server.clone(),
            dispatched_at: 0,
            replied_at: 0,
            buffer: call.buffer.clone(),
            waiter: None,
            is_abandoned: true,
            ..*call
        };
        self.insert(copy)
    }

    /// Puts a call into a free slot.
    fn insert(&mut self, call: Call) -> CallId {
        let Some(slot) = self.free.pop() else {
            self.calls.push(call);
            return CallId { slot: self.calls.len() as u32 - 1, generation: 0 };
        };
        let place = &mut self.calls[slot as usize];
        let generation = place.generation;
        *place = Call { generation, ..call };
        CallId { slot, generation }
    }

    /// Returns a call, or `None` if it is over or the network has been cleared.
    pub(super) fn get_mut(&mut self, id: CallId) -> Option<&mut Call> {
        self.calls.get_mut(id.slot as usize).filter(|call| call.generation == id.generation)
    }

    /// Returns a call that must still be in the table.
    #[inline]
    pub(super) fn call(&mut self, id: CallId) -> &mut Call {
        &mut self.calls[id.slot as usize]
    }

    /// Whether the caller can no longer get a reply: its end is disabled, or the server that the
    /// request was sent to has been deleted or replaced.
    pub(super) fn is_dead(&self, id: CallId) -> bool {
        let call = &self.calls[id.slot as usize];
        let is_there = call.server.as_ref().is_some_and(|server| server.is_known.get());
        !is_there || !self.ends[call.end.0 as usize].is_enabled
    }

    /// The calls whose handlers are running and for which `is_selected` returns true.
    pub(super) fn handled(&self, is_selected: impl Fn(&Call) -> bool) -> Vec<CallId> {
        if self.handling == 0 {
            return Vec::new();
        }
        let calls = self.calls.iter().zip(0..);
        let meant = calls.filter(|(call, _)| call.phase == Phase::Handling && is_selected(call));
        meant.map(|(call, slot)| CallId { slot, generation: call.generation }).collect()
    }

    /// Frees the slot of a call, and takes its buffer back.
    pub(super) fn release(&mut self, id: CallId, buffer: Vec<u8>) {
        let call = &mut self.calls[id.slot as usize];
        call.phase = Phase::Free;
        call.generation = (call.generation + 1) & GENERATION_MASK;
        self.free.push(id.slot);
        self.take_back(buffer);
    }

    /// A message is lost: its bytes are forgotten long before its sender knows.
    pub(super) fn lose(&mut self, id: CallId) {
        let buffer = std::mem::take(&mut self.call(id).buffer);
        self.take_back(buffer);
    }

    /// Keeps a buffer for a later call, unless it is too large.
    fn take_back(&mut self, mut buffer: Vec<u8>) {
        if (1..=KEPT_BUFFER_BYTES).contains(&buffer.capacity()) {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }

    /// Removes all servers and calls, and returns them, so that the caller can drop them when the
    /// tables are no longer borrowed.
    pub(super) fn clear(&mut self) -> impl Sized + use<> {
        self.is_closed = true;
        self.handling = 0;
        (std::mem::take(&mut self.servers), std::mem::take(&mut self.calls))
    }
}
