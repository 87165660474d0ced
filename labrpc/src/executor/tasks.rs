//! The tables of tasks and groups.

use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Waker;

use crate::node::Node;
use crate::random::{Parties, Subject};
use crate::task::{BoxFuture, GroupId, TaskInfo, TaskRef, Waiting, file_and_line};

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum TaskState {
    /// There is no task in this slot.
    Free,
    /// The task is waiting to be woken.
    Idle,
    Ready,
    Running,
    /// The task is running, and has been woken since this poll began.
    Woken,
    /// The task is running, and will be dropped when this poll returns.
    Killed,
}

/// A task, as stored in its slot in the table.
pub(super) struct Task {
    pub(super) generation: u32,
    pub(super) state: TaskState,
    pub(super) group: GroupId,
    /// The address of the decision about its next place among the ready tasks: its node, its number
    /// there, and how often it has been woken.
    pub(super) next_wake: Subject,
    /// `None` while the task is being polled.
    pub(super) future: Option<BoxFuture>,
    /// `None` while the task is being polled.
    pub(super) waker: Option<Waker>,
    shared: Arc<TaskWaker>,
    pub(super) name: &'static str,
    spawned_at: &'static Location<'static>,
    pub(super) was_polled: bool,
    /// What it is waiting for, if that is a future of this crate.
    pub(super) waiting: Option<Waiting>,
}

/// The data of a task's [`Waker`].
pub(super) struct TaskWaker {
    slot: u32,
    generation: AtomicU32,
}

impl TaskWaker {
    pub(super) fn task(&self) -> TaskRef {
        TaskRef { slot: self.slot, generation: self.generation.load(Ordering::Relaxed) }
    }
}

struct Group {
    node: Node,
    /// The index of the node's counter of tasks.
    counter: usize,
    is_alive: bool,
    /// The number of its tasks that have not ended.
    tasks: usize,
}

/// A task that is about to be added to the table.
pub(super) struct NewTask {
    pub(super) name: &'static str,
    pub(super) spawned_at: &'static Location<'static>,
    pub(super) future: BoxFuture,
}

/// The result of ending a group.
pub(super) struct Ended {
    pub(super) node: Node,
    /// The number of tasks that were ended.
    pub(super) tasks: usize,
    /// Their futures, to be dropped when nothing is borrowed, because their destructors may spawn
    /// or wake tasks.
    pub(super) futures: Vec<Option<BoxFuture>>,
}

/// All tasks and groups of a simulation. The slots of tasks that have ended are reused.
#[derive(Default)]
pub(super) struct Tasks {
    slots: Vec<Task>,
    free: Vec<u32>,
    groups: Vec<Group>,
    /// The number of tasks that each node has had so far, over all its incarnations.
    counters: Vec<u32>,
    counter_of: BTreeMap<Node, usize>,
}

impl Tasks {
    pub(super) fn new_group(&mut self, node: Node) -> GroupId {
        let counters = &mut self.counters;
        let counter = *self.counter_of.entry(node).or_insert_with(|| {
            counters.push(0);
            counters.len() - 1
        });
        self.groups.push(Group { node, counter, is_alive: true, tasks: 0 });
        GroupId(self.groups.len() as u32 - 1)
    }

    /// The `i`-th group in the order of creation, if there is one.
    pub(super) fn group(&self, i: usize) -> Option<GroupId> {
        (i < self.groups.len()).then_some(GroupId(i as u32))
    }

    #[inline]
    pub(super) fn is_alive(&self, group: GroupId) -> bool {
        self.groups[group.0 as usize].is_alive
    }

    pub(super) fn node_of_group(&self, group: GroupId) -> Node {
        self.groups[group.0 as usize].node
    }

    /// The node and the group of a running task.
    pub(super) fn owner_of(&self, task: TaskRef) -> (Node, GroupId) {
        let group = self.slots[task.slot as usize].group;
        (self.node_of_group(group), group)
    }

    /// The node of a task, which may have ended if its slot has not been reused.
    pub(super) fn node_of(&self, task: TaskRef) -> Node {
        self.node_of_group(self.slots[task.slot as usize].group)
    }

    /// Returns a task, or `None` if it has ended.
    #[inline]
    pub(super) fn get_mut(&mut self, task: TaskRef) -> Option<&mut Task> {
        let slot = &mut self.slots[task.slot as usize];
        (slot.generation == task.generation).then_some(slot)
    }

    /// Returns a task that must not have ended.
    #[inline]
    pub(super) fn at(&mut self, task: TaskRef) -> &mut Task {
        &mut self.slots[task.slot as usize]
    }

    /// Adds a task to a group, which must be alive.
    pub(super) fn insert(&mut self, group: GroupId, new: NewTask) -> TaskRef {
        let NewTask { name, spawned_at, future } = new;
        let Group { node, counter, tasks, .. } = &mut self.groups[group.0 as usize];
        *tasks += 1;
        let count = &mut self.counters[*counter];
        let next_wake = Subject { parties: Parties::new(node.raw(), *count), n: 0 };
        *count += 1;
        let Some(slot) = self.free.pop() else {
            let slot = self.slots.len() as u32;
            let (shared, waker) = new_waker(slot, 0);
            self.slots.push(Task {
                generation: 0,
                state: TaskState::Idle,
                group,
                next_wake,
                future: Some(future),
                waker,
                shared,
                name,
                spawned_at,
                was_polled: false,
                waiting: None,
            });
            return TaskRef { slot, generation: 0 };
        };
        let task = &mut self.slots[slot as usize];
        if Arc::strong_count(&task.shared) == 2 {
            // There are no other clones of the previous task's waker, so it can be reused.
            task.shared.generation.store(task.generation, Ordering::Relaxed);
        } else {
            (task.shared, task.waker) = new_waker(slot, task.generation);
        }
        task.state = TaskState::Idle;
        task.group = group;
        task.next_wake = next_wake;
        task.future = Some(future);
        task.name = name;
        task.spawned_at = spawned_at;
        task.was_polled = false;
        task.waiting = None;
        TaskRef { slot, generation: task.generation }
    }

    /// Frees the slot of a task that has ended.
    pub(super) fn release(&mut self, slot: u32) {
        let task = &mut self.slots[slot as usize];
        task.state = TaskState::Free;
        task.generation = task.generation.wrapping_add(1);
        self.groups[task.group.0 as usize].tasks -= 1;
        self.free.push(slot);
    }

    /// Ends a group: its tasks end now, or, if one is running, when its poll returns. Returns
    /// `None` if the group has already been ended.
    pub(super) fn kill(&mut self, group: GroupId) -> Option<Ended> {
        let of_tasks = &mut self.groups[group.0 as usize];
        if !of_tasks.is_alive {
            return None;
        }
        of_tasks.is_alive = false;
        let mut ended = Ended { node: of_tasks.node, tasks: 0, futures: Vec::new() };
        if of_tasks.tasks == 0 {
            return Some(ended);
        }
        for slot in 0..self.slots.len() {
            let task = &mut self.slots[slot];
            if task.group != group {
                continue;
            }
            match task.state {
                TaskState::Idle | TaskState::Ready => {
                    ended.futures.push(task.future.take());
                    ended.tasks += 1;
                    self.release(slot as u32);
                }
                TaskState::Running | TaskState::Woken => {
                    task.state = TaskState::Killed;
                    ended.tasks += 1;
                }
                TaskState::Free | TaskState::Killed => {}
            }
        }
        Some(ended)
    }

    /// The number of a group's tasks that have not ended.
    pub(super) fn count(&self, group: GroupId) -> usize {
        self.groups[group.0 as usize].tasks
    }

    /// Describes a task for a report, if it has not ended.
    pub(super) fn info(&self, task: TaskRef) -> Option<TaskInfo> {
        let slot = &self.slots[task.slot as usize];
        (slot.generation == task.generation).then(|| self.describe(slot))
    }

    /// Describes the tasks for which `is_selected` returns true, for a report.
    pub(super) fn list(&self, is_selected: impl Fn(&Task) -> bool) -> Vec<TaskInfo> {
        let there = self.slots.iter().filter(|task| task.state != TaskState::Free);
        there.filter(|task| is_selected(task)).map(|task| self.describe(task)).collect()
    }

    fn describe(&self, task: &Task) -> TaskInfo {
        TaskInfo {
            node: self.node_of_group(task.group),
            name: task.name,
            spawned_at: file_and_line(task.spawned_at),
            waiting: match task.waiting {
                Some(waiting) => waiting.told(),
                None if task.was_polled => {
                    "waits for something that the lab cannot identify".into()
                }
                // While it is polled, its future is not in the table.
                None if task.future.is_none() => "is in its first poll".into(),
                None => "has not run yet".into(),
            },
        }
    }
}

fn new_waker(slot: u32, generation: u32) -> (Arc<TaskWaker>, Option<Waker>) {
    let shared = Arc::new(TaskWaker { slot, generation: AtomicU32::new(generation) });
    (shared.clone(), Some(Waker::from(shared)))
}
