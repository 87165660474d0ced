//! The tasks that are ready to run, and in which order.

use crate::task::TaskRef;

/// A task that is ready: the drawn key, the order of waking, then which task it is, packed into one
/// number so that comparing is cheap. The order of waking has 40 bits, the slot 24.
type ReadyTask = u128;

const SLOT_BITS: u32 = 24;
const ORDER_BITS: u32 = 40;

/// The tasks that are ready, sorted by the keys that were drawn for them, the smallest first.
#[derive(Default)]
pub(super) struct ReadyTasks {
    /// The next one is the last. Few tasks are ready at a time, and for few a sorted list is quicker than
    /// a heap.
    sorted: Vec<ReadyTask>,
    /// How many tasks have become ready so far: of equal keys, the one that was woken first goes first.
    wakes: u64,
}

impl ReadyTasks {
    #[inline]
    pub(super) fn push(&mut self, key: u32, task: TaskRef) {
        let ready = pack(key, self.wakes, task);
        self.wakes += 1;
        let place = self.sorted.partition_point(|other| *other > ready);
        self.sorted.insert(place, ready);
    }

    /// The next task. It may have ended since it became ready.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<TaskRef> {
        self.sorted.pop().map(unpack)
    }
}

fn pack(key: u32, order: u64, task: TaskRef) -> ReadyTask {
    assert!(
        order < 1 << ORDER_BITS && task.slot < 1 << SLOT_BITS,
        "{} tasks at a time, {order} wakes in all",
        task.slot
    );
    u128::from(key) << 96
        | u128::from(order) << 56
        | u128::from(task.slot) << 32
        | u128::from(task.generation)
}

fn unpack(ready: ReadyTask) -> TaskRef {
    let slot = (ready >> 32) as u32 & ((1 << SLOT_BITS) - 1);
    TaskRef { slot, generation: ready as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_key_goes_first_and_of_equal_keys_the_one_woken_first() {
        let task = |slot| TaskRef { slot, generation: u32::MAX - slot };
        let mut ready = ReadyTasks::default();
        for (key, slot) in [(7, 0), (u32::MAX, 1), (7, 2), (0, 3), (7, (1 << SLOT_BITS) - 1)] {
            ready.push(key, task(slot));
        }
        let order: Vec<TaskRef> = std::iter::from_fn(|| ready.pop()).collect();
        assert_eq!(order, [3, 0, 2, (1 << SLOT_BITS) - 1, 1].map(task));
    }
}
