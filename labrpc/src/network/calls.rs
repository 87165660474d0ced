//! The ends, links and calls of a network, as data.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{EndId, ServerState};
use crate::event::Lost;
use crate::faults::message::Mode;
use crate::node::Node;
use crate::random::{Parties, Subject};
use crate::task::Parked;

/// A buffer that has grown beyond this many bytes is not kept for later calls.
const KEPT_BUFFER_BYTES: usize = 64 * 1024;

/// One way of a node to a server.
pub(super) struct End {
    pub(super) from: Node,
    /// Where it leads: to the tester, which is not a server, until it is connected.
    pub(super) to: Node,
    /// The place of the link between the two.
    pub(super) link: usize,
    pub(super) is_enabled: bool,
}

/// From one node to another, whatever the end.
struct Link {
    parties: Parties,
    /// How many calls there were.
    calls: u64,
}

/// How far a call has come.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The slot is free.
    Free,
    /// The request is under way.
    Travelling,
    /// It will fail; the caller does not know yet.
    Failing(Lost),
    /// The handler runs.
    Handling,
    /// The reply is under way.
    Returning,
    /// The caller can have the answer.
    Done(Answer),
}

/// What a call comes to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Reply,
    Failed,
}

/// A call in its slot of the table, told apart from earlier ones there.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallId {
    pub(super) slot: u32,
    generation: u32,
}

/// Generations have 30 bits, so that a [`Wakeup`] fits into 64.
const GENERATION_MASK: u32 = (1 << 30) - 1;

/// Why the executor's clock comes back to a call: what the network gives it to keep.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Wakeup {
    /// A message arrives, or the caller hears of its loss.
    Message(CallId),
    /// The caller looks whether the server is dead.
    DeadCheck(CallId),
}

const IS_DEAD_CHECK: u64 = 1 << 62;

impl Wakeup {
    /// As one number: the slot, the generation above it, and one flag.
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

/// One call. The slot and its buffer serve again after it.
pub(super) struct Call {
    generation: u32,
    pub(super) phase: Phase,
    /// Which call of the run it is, from 0.
    pub(super) number: u64,
    /// Which call of its link it is: what decisions about it are addressed by.
    pub(super) on_link: Subject,
    pub(super) end: EndId,
    pub(super) from: Node,
    pub(super) to: Node,
    /// The switches at the time of the call: a later change does not touch it.
    pub(super) mode: Mode,
    pub(super) method: &'static str,
    /// Where the request goes: the server that the end led to at the time of the call.
    pub(super) server: Option<Rc<ServerState>>,
    /// When its handler started, in nanoseconds.
    pub(super) dispatched_at: u64,
    /// The arguments, then the reply.
    pub(super) buffer: Vec<u8>,
    pub(super) waiter: Option<Parked>,
    /// Whether the caller does not want the answer any more.
    pub(super) is_abandoned: bool,
}

/// What a network is made of.
pub(super) struct Tables {
    pub(super) mode: Mode,
    pub(super) is_closed: bool,
    pub(super) ends: Vec<End>,
    links: Vec<Link>,
    link_of: BTreeMap<(Node, Node), usize>,
    pub(super) servers: BTreeMap<Node, Rc<ServerState>>,
    calls: Vec<Call>,
    free: Vec<u32>,
    /// Calls made, also those after the network was closed.
    made: u64,
    pub(super) total_count: u64,
    pub(super) total_bytes: u64,
}

impl Tables {
    pub(super) fn new() -> Tables {
        Tables {
            mode: Mode { reliable: true, long_delays: false, long_reordering: false },
            is_closed: false,
            ends: Vec::new(),
            links: Vec::new(),
            link_of: BTreeMap::new(),
            servers: BTreeMap::new(),
            calls: Vec::new(),
            free: Vec::new(),
            made: 0,
            total_count: 0,
            total_bytes: 0,
        }
    }

    /// The place of the link between two nodes.
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

    /// A new call through an end, and its buffer, which is empty.
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
            dispatched_at: 0,
            buffer: Vec::new(),
            waiter: None,
            is_abandoned: false,
        });
        (id, std::mem::take(&mut self.call(id).buffer))
    }

    /// A copy of a call whose request travels. Its answer is not wanted.
    pub(super) fn copy_call(&mut self, original: CallId) -> CallId {
        let call = &self.calls[original.slot as usize];
        let buffer = call.buffer.clone();
        let copy = Call {
            generation: 0,
            phase: Phase::Travelling,
            server: call.server.clone(),
            dispatched_at: 0,
            buffer: Vec::new(),
            waiter: None,
            is_abandoned: true,
            ..*call
        };
        let copy = self.insert(copy);
        self.calls[copy.slot as usize].buffer = buffer;
        copy
    }

    /// Puts a call into a slot, with the empty buffer that is kept there.
    fn insert(&mut self, call: Call) -> CallId {
        let Some(slot) = self.free.pop() else {
            self.calls.push(call);
            return CallId { slot: self.calls.len() as u32 - 1, generation: 0 };
        };
        let place = &mut self.calls[slot as usize];
        let generation = place.generation;
        let mut buffer = std::mem::take(&mut place.buffer);
        buffer.clear();
        *place = Call { generation, buffer, ..call };
        CallId { slot, generation }
    }

    /// A call, unless it is over and its slot serves another one, or the network has been cleared.
    pub(super) fn get_mut(&mut self, id: CallId) -> Option<&mut Call> {
        self.calls.get_mut(id.slot as usize).filter(|call| call.generation == id.generation)
    }

    /// A call that is known not to be over.
    pub(super) fn call(&mut self, id: CallId) -> &mut Call {
        &mut self.calls[id.slot as usize]
    }

    /// Whether no answer may come back to the caller: its end is disabled, or the server is not the
    /// very one that the request went to.
    pub(super) fn is_dead(&self, id: CallId) -> bool {
        let call = &self.calls[id.slot as usize];
        let is_same = match (&call.server, self.servers.get(&call.to)) {
            (Some(then), Some(now)) => Rc::ptr_eq(then, now),
            _ => false,
        };
        !is_same || !self.ends[call.end.0 as usize].is_enabled
    }

    /// The calls whose handlers run and that `is_meant` is true for.
    pub(super) fn handled(&self, is_meant: impl Fn(&Call) -> bool) -> Vec<CallId> {
        let calls = self.calls.iter().zip(0..);
        let meant = calls.filter(|(call, _)| call.phase == Phase::Handling && is_meant(call));
        meant.map(|(call, slot)| CallId { slot, generation: call.generation }).collect()
    }

    /// Frees a slot. The buffer is kept for the next call there.
    pub(super) fn release(&mut self, id: CallId, mut buffer: Vec<u8>) {
        let call = &mut self.calls[id.slot as usize];
        call.phase = Phase::Free;
        call.generation = (call.generation + 1) & GENERATION_MASK;
        if buffer.capacity() > KEPT_BUFFER_BYTES {
            buffer = Vec::new();
        }
        call.buffer = buffer;
        self.free.push(id.slot);
    }

    /// Forgets servers and calls. What is returned is to be dropped when nothing is borrowed.
    pub(super) fn clear(&mut self) -> impl Sized + use<> {
        self.is_closed = true;
        (std::mem::take(&mut self.servers), std::mem::take(&mut self.calls))
    }
}
