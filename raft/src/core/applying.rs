// SOLUTION FILE
//! What the service is given (section 5.3, and 7 for snapshots).

use labraft::{ApplyMsg, HandedUp};

use super::Core;

impl Core {
    /// Whether something is committed that the service has not been given yet.
    pub fn has_to_apply(&self) -> bool {
        self.last_applied < self.commit_index
    }

    /// The next command or snapshot for the service, or the next no-op, which counts as applied from now
    /// on; `None` when the service has been given everything that is committed.
    pub fn next_to_apply(&mut self) -> Option<HandedUp> {
        self.check_invariants();
        if !self.has_to_apply() {
            return None;
        }
        let index = self.log.last_included_index();
        if self.last_applied < index {
            let term = self.log.last_included_term();
            self.last_applied = index;
            let snapshot = self.snapshot.clone();
            return Some(HandedUp::Message(ApplyMsg::Snapshot { index, term, snapshot }));
        }
        self.last_applied += 1;
        let index = self.last_applied;
        if self.is_no_op(index) {
            return Some(HandedUp::Internal { index });
        }
        let entry = self.log.entry(index).expect("what is committed is in the log");
        let command = entry.command.clone();
        Some(HandedUp::Message(ApplyMsg::Command { index, command }))
    }
}
