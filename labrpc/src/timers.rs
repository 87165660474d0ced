//! Timers: what has to happen at which virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::task::Parked;

/// Identifies a timer that wakes a task, so that it can be changed or cancelled.
#[derive(Copy, Clone, Debug)]
pub(crate) struct TimerId {
    slot: u32,
    sequence: u64,
}

/// What to do when a timer fires.
pub(crate) enum Due {
    /// Wake a task, directly or through its waker.
    Wake(Parked),
    /// Give this number back to the network, which knows what it means.
    Message(u64),
}

struct Slot {
    /// The sequence number of the entry that uses this slot; 0 if the slot is free.
    sequence: u64,
    due: Option<Due>,
}

/// An entry of the heap: time, sequence number and slot, packed into one number. Comparing is
/// cheap, and timers for the same time fire in the order in which they were set.
type Entry = u128;

const SLOT_BITS: u32 = 24;
const SEQUENCE_BITS: u32 = 40;

fn pack(at: u64, sequence: u64, slot: u32) -> Entry {
    u128::from(at) << 64 | u128::from(sequence) << SLOT_BITS | u128::from(slot)
}

fn time_of(entry: Entry) -> u64 {
    (entry >> 64) as u64
}

fn sequence_of(entry: Entry) -> u64 {
    entry as u64 >> SLOT_BITS
}

fn slot_of(entry: Entry) -> usize {
    entry as usize & ((1 << SLOT_BITS) - 1)
}

/// All timers of a simulation.
///
/// A cancelled timer leaves a dead entry in the heap: one whose slot has another sequence number.
/// When more than half of the entries are dead, they are removed.
#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<Entry>>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    sequence: u64,
    dead: usize,
}

impl Timers {
    /// Sets a timer that wakes `parked` at time `at`, in nanoseconds.
    pub(crate) fn wake_at(&mut self, at: u64, parked: Parked) -> TimerId {
        self.set(at, Due::Wake(parked))
    }

    /// Sets a timer that gives `message` back to the network at time `at`, in nanoseconds.
    pub(crate) fn message_at(&mut self, at: u64, message: u64) {
        self.set(at, Due::Message(message));
    }

    #[inline]
    fn set(&mut self, at: u64, due: Due) -> TimerId {
        self.sequence += 1;
        let sequence = self.sequence;
        let place = Slot { sequence, due: Some(due) };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = place;
                slot
            }
            None => {
                self.slots.push(place);
                self.slots.len() as u32 - 1
            }
        };
        assert!(
            slot < 1 << SLOT_BITS && sequence < 1 << SEQUENCE_BITS,
            "too many timers at the same time (slot {slot}) or in total ({sequence})"
        );
        self.heap.push(Reverse(pack(at, sequence, slot)));
        TimerId { slot, sequence }
    }

    /// Changes what a timer wakes. Returns what it would have woken before, or `None` if it has
    /// fired.
    pub(crate) fn replace(&mut self, id: TimerId, parked: Parked) -> Option<Parked> {
        let slot = &mut self.slots[id.slot as usize];
        if slot.sequence != id.sequence {
            return None;
        }
        match slot.due.replace(Due::Wake(parked)) {
            Some(Due::Wake(previous)) => Some(previous),
            Some(Due::Message(_)) | None => None,
        }
    }

    /// Cancels a timer. Returns what it would have done, or `None` if it has fired.
    pub(crate) fn cancel(&mut self, id: TimerId) -> Option<Due> {
        if self.slots[id.slot as usize].sequence != id.sequence {
            return None;
        }
        let due = self.release(id.slot);
        self.dead += 1;
        if self.dead > 64 && self.dead > self.heap.len() / 2 {
            let slots = &self.slots;
            self.heap.retain(|Reverse(entry)| is_live(slots, *entry));
            self.dead = 0;
        }
        due
    }

    /// The time of the next timer, in nanoseconds.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<u64> {
        loop {
            let Reverse(entry) = *self.heap.peek()?;
            if is_live(&self.slots, entry) {
                return Some(time_of(entry));
            }
            self.heap.pop();
            self.dead -= 1;
        }
    }

    /// Removes and returns the next timer that is due at `now`.
    #[inline]
    pub(crate) fn pop(&mut self, now: u64) -> Option<Due> {
        loop {
            let Reverse(entry) = *self.heap.peek()?;
            if time_of(entry) > now {
                return None;
            }
            self.heap.pop();
            if is_live(&self.slots, entry) {
                return self.release(slot_of(entry) as u32);
            }
            self.dead -= 1;
        }
    }

    fn release(&mut self, slot: u32) -> Option<Due> {
        self.free.push(slot);
        let slot = &mut self.slots[slot as usize];
        slot.sequence = 0;
        slot.due.take()
    }
}

fn is_live(slots: &[Slot], entry: Entry) -> bool {
    slots[slot_of(entry)].sequence == sequence_of(entry)
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn nobody() -> Parked {
        Parked::Foreign(Waker::noop().clone())
    }

    #[test]
    fn timers_fire_in_the_order_of_time_then_in_the_order_of_setting() {
        let mut timers = Timers::default();
        for (at, message) in [(5, 1), (3, 2), (5, 3), (3, 4)] {
            timers.message_at(at, message);
        }
        let mut order = Vec::new();
        while let Some(now) = timers.next() {
            while let Some(Due::Message(message)) = timers.pop(now) {
                order.push((now, message));
            }
        }
        assert_eq!(order, [(3, 2), (3, 4), (5, 1), (5, 3)]);
    }

    #[test]
    fn cancelled_timers_neither_fire_nor_use_up_memory() {
        let mut timers = Timers::default();
        timers.message_at(1_000_000, 7);
        for at in 0..100_000 {
            let id = timers.wake_at(2_000_000 + at, nobody());
            assert!(timers.cancel(id).is_some());
            assert!(timers.cancel(id).is_none(), "a timer is cancelled only once");
        }
        assert!(timers.heap.len() < 200 && timers.slots.len() < 4, "{}", timers.heap.len());
        assert_eq!(timers.next(), Some(1_000_000));
        assert!(matches!(timers.pop(1_000_000), Some(Due::Message(7))));
        assert_eq!(timers.next(), None);
    }
}
