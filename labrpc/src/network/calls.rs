//! The ends and calls of a network, as data.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{EndId, GENERATION_MASK, ServerState, message};
use crate::decisions::{CallOnLink, Link};
use crate::event::Lost;
use crate::faults::message::Mode;
use crate::node::Node;
use crate::task::Parked;

/// A buffer that has grown beyond this many bytes is not kept for later calls.
const KEPT_BUFFER_BYTES: usize = 64 * 1024;

pub(super) struct End {
    pub(super) from: Node,
    /// The tester, who is no server, until the end is connected.
    pub(super) to: Node,
    pub(super) link: Link,
    pub(super) is_enabled: bool,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Free,
    Travelling,
    Failing(Lost),
    Handling,
    Returning,
    Done(bool),
}

/// One call. The slot and its buffer serve again after it.
pub(super) struct CallState {
    pub(super) generation: u32,
    pub(super) phase: Phase,
    /// The how-manieth call of the run.
    pub(super) number: u64,
    /// The how-manieth from there to there.
    pub(super) on_link: CallOnLink,
    pub(super) end: EndId,
    pub(super) from: Node,
    pub(super) to: Node,
    /// The switches at the time of the call: a later change does not touch it.
    pub(super) mode: Mode,
    pub(super) method: &'static str,
    pub(super) server: Option<Rc<ServerState>>,
    pub(super) dispatched_at: u64,
    /// The arguments, then the reply.
    pub(super) buffer: Vec<u8>,
    pub(super) waiter: Option<Parked>,
    pub(super) is_abandoned: bool,
}

pub(super) struct State {
    pub(super) mode: Mode,
    pub(super) is_closed: bool,
    pub(super) ends: Vec<End>,
    pub(super) servers: BTreeMap<Node, Rc<ServerState>>,
    pub(super) calls: Vec<CallState>,
    pub(super) free: Vec<u32>,
    /// Calls made, also those after the network was closed.
    pub(super) made: u64,
    pub(super) total_count: u64,
    pub(super) total_bytes: u64,
}

impl State {
    /// Whether no answer may come back to the caller: its end is disabled, or the server is not the
    /// very one that the request went to.
    pub(super) fn is_dead(&self, call: &CallState) -> bool {
        let is_same = match (&call.server, self.servers.get(&call.to)) {
            (Some(then), Some(now)) => Rc::ptr_eq(then, now),
            _ => false,
        };
        !is_same || !self.ends[call.end.0 as usize].is_enabled
    }

    /// A copy of a request that travels: nobody waits for its answer. Returns its message.
    pub(super) fn copy_of(&mut self, index: u32) -> u64 {
        let CallState { number, on_link, end, from, to, mode, method, .. } =
            self.calls[index as usize];
        let original = &self.calls[index as usize];
        let copy = CallState {
            generation: 0,
            phase: Phase::Travelling,
            number,
            on_link,
            end,
            from,
            to,
            mode,
            method,
            server: original.server.clone(),
            dispatched_at: 0,
            buffer: original.buffer.clone(),
            waiter: None,
            is_abandoned: true,
        };
        match self.free.pop() {
            Some(place) => {
                let generation = self.calls[place as usize].generation;
                self.calls[place as usize] = CallState { generation, ..copy };
                message(place, generation)
            }
            None => {
                self.calls.push(copy);
                message(self.calls.len() as u32 - 1, 0)
            }
        }
    }

    pub(super) fn release(&mut self, index: u32, mut buffer: Vec<u8>) {
        let call = &mut self.calls[index as usize];
        call.phase = Phase::Free;
        call.generation = (call.generation + 1) & GENERATION_MASK;
        if buffer.capacity() > KEPT_BUFFER_BYTES {
            buffer = Vec::new();
        }
        call.buffer = buffer;
        self.free.push(index);
    }
}
