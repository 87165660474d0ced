//! The tasks that are ready to run, in order.

use crate::decisions::Place;
use crate::task::TaskRef;

/// A ready task, packed into one number so that comparing is cheap: the drawn key (32 bits), the
/// order of waking (40), the task's slot (24) and its generation (32).
type ReadyTask = u128;

const SLOT_BITS: u32 = 24;
const ORDER_BITS: u32 = 40;

/// The ready tasks, sorted by the keys drawn for them. The smallest key runs first.
#[derive(Default)]
pub(super) struct ReadyTasks {
    /// In descending order, so that the next task is at the end. Few tasks are ready at the same
    /// time, and for few a sorted list is faster than a heap.
    sorted: Vec<ReadyTask>,
    /// The number of times that a task has become ready. Of tasks with equal keys, the one that was
    /// woken first runs first.
    wakes: u64,
}

impl ReadyTasks {
    /// Adds a task and returns its place among those that are ready.
    #[inline]
    pub(super) fn push(&mut self, key: u32, task: TaskRef) -> Place {
        let ready = pack(key, self.wakes, task);
        self.wakes += 1;
        let place = self.sorted.partition_point(|other| *other > ready);
        self.sorted.insert(place, ready);
        match (self.sorted.len(), place) {
            (1, _) => Place::Alone,
            (_, 0) => Place::Last,
            _ => Place::Earlier,
        }
    }

    /// Takes the next task, which may have ended since it became ready.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<TaskRef> {
        self.sorted.pop().map(unpack)
    }
}

fn pack(key: u32, order: u64, task: TaskRef) -> ReadyTask {
    assert!(
        order < 1 << ORDER_BITS && task.slot < 1 << SLOT_BITS,
        "too many tasks at the same time (slot {}) or too many wakes ({order})",
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
    fn the_smallest_key_runs_first_and_equal_keys_run_in_the_order_of_waking() {
        let task = |slot| TaskRef { slot, generation: u32::MAX - slot };
        let mut ready = ReadyTasks::default();
        for (key, slot) in [(7, 0), (u32::MAX, 1), (7, 2), (0, 3), (7, (1 << SLOT_BITS) - 1)] {
            ready.push(key, task(slot));
        }
        let order: Vec<TaskRef> = std::iter::from_fn(|| ready.pop()).collect();
        assert_eq!(order, [3, 0, 2, (1 << SLOT_BITS) - 1, 1].map(task));
    }
}
