//! The faults of tasks that only searches ask for: crashes after a poll, and late timers.

use super::Executor;
use crate::faults::server;
use crate::task::TaskRef;

impl Executor {
    /// Crashes the server whose task has saved or sent something in this poll, if that is decided, and
    /// returns whether it is. What it sent is still delivered.
    pub(super) fn crashes_after_poll(&self, task: TaskRef) -> bool {
        let (node, group) = self.tasks.borrow().owner_of(task);
        let is_crash = self.is_alive(group)
            && server::crashes_after_poll(&mut self.decisions.borrow_mut(), node);
        if is_crash {
            self.kill(group);
        }
        is_crash
    }

    /// How much later than set the timer fires that the running task is setting. Zero except in a
    /// search.
    #[inline]
    pub(crate) fn timer_hold(&self) -> u64 {
        let mut decisions = self.decisions.borrow_mut();
        match self.running.task() {
            Some(task) if decisions.may_ask() => {
                let mut tasks = self.tasks.borrow_mut();
                let (node, _) = tasks.owner_of(task);
                let hold = server::timer_hold(&mut decisions, node, tasks.at(task).next_wake);
                hold.as_nanos() as u64
            }
            _ => 0,
        }
    }
}
