//! What is due at which virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::executor::Parked;

/// A timer that wakes a task, for cancelling it.
#[derive(Copy, Clone, Debug)]
pub(crate) struct TimerId {
    slot: u32,
    sequence: u64,
}

/// What to do when a time has come.
pub(crate) enum Due {
    /// Wake a task.
    Wake(Parked),
    /// Tell the network about its message: a number that it chose itself.
    Message(u64),
}

/// An entry of the heap, in the order of time, then of being set.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: u64,
    sequence: u64,
    /// A message, or with the top bit set the slot of a task's timer.
    due: u64,
}

const IS_WAKE: u64 = 1 << 63;

/// A cancelled timer stays in the heap as a dead entry, known by its slot holding another sequence
/// number; when most of the heap is dead it is swept.
#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<Entry>>,
    slots: Vec<(u64, Option<Parked>)>,
    free: Vec<u32>,
    sequence: u64,
    dead: usize,
}

impl Timers {
    /// At `at`, wake `parked`.
    pub(crate) fn wake_at(&mut self, at: u64, parked: Parked) -> TimerId {
        self.sequence += 1;
        let sequence = self.sequence;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = (sequence, Some(parked));
                slot
            }
            None => {
                self.slots.push((sequence, Some(parked)));
                self.slots.len() as u32 - 1
            }
        };
        self.heap.push(Reverse(Entry { at, sequence, due: IS_WAKE | u64::from(slot) }));
        TimerId { slot, sequence }
    }

    /// At `at`, hand `message` to the network.
    pub(crate) fn message_at(&mut self, at: u64, message: u64) {
        debug_assert_eq!(message & IS_WAKE, 0, "a message's number leaves the top bit free");
        self.sequence += 1;
        self.heap.push(Reverse(Entry { at, sequence: self.sequence, due: message }));
    }

    /// Somebody else now waits for this timer. Returns who waited, or nobody if it has fired.
    pub(crate) fn replace(&mut self, id: TimerId, parked: Parked) -> Option<Parked> {
        match &mut self.slots[id.slot as usize] {
            (sequence, Some(waiter)) if *sequence == id.sequence => {
                Some(std::mem::replace(waiter, parked))
            }
            _ => None,
        }
    }

    /// Forgets a timer that may have fired already.
    pub(crate) fn cancel(&mut self, id: TimerId) -> Option<Parked> {
        let slot = &mut self.slots[id.slot as usize];
        if slot.0 != id.sequence {
            return None;
        }
        let parked = slot.1.take()?;
        slot.0 = 0;
        self.free.push(id.slot);
        self.dead += 1;
        if self.dead > 64 && self.dead > self.heap.len() / 2 {
            let slots = &self.slots;
            self.heap.retain(|Reverse(entry)| is_live(slots, entry));
            self.dead = 0;
        }
        Some(parked)
    }

    /// The time of the next thing that is due.
    pub(crate) fn next(&mut self) -> Option<u64> {
        loop {
            let Reverse(entry) = self.heap.peek()?;
            if is_live(&self.slots, entry) {
                return Some(entry.at);
            }
            self.heap.pop();
            self.dead -= 1;
        }
    }

    /// The next thing that is due at `now`.
    pub(crate) fn pop(&mut self, now: u64) -> Option<Due> {
        loop {
            let entry = match self.heap.peek() {
                Some(Reverse(entry)) if entry.at <= now => *entry,
                _ => return None,
            };
            self.heap.pop();
            if entry.due & IS_WAKE == 0 {
                return Some(Due::Message(entry.due));
            }
            let slot = (entry.due & !IS_WAKE) as u32;
            let (sequence, parked) = &mut self.slots[slot as usize];
            if *sequence == entry.sequence
                && let Some(parked) = parked.take()
            {
                *sequence = 0;
                self.free.push(slot);
                return Some(Due::Wake(parked));
            }
            self.dead -= 1;
        }
    }
}

fn is_live(slots: &[(u64, Option<Parked>)], entry: &Entry) -> bool {
    entry.due & IS_WAKE == 0 || slots[(entry.due & !IS_WAKE) as usize].0 == entry.sequence
}
