//! What a test, or a part of it, has used: calls, bytes, commands and time.

use std::time::Duration;

use crate::lab::Passed;

/// The figures of a run at one moment.
#[derive(Clone, Copy, Default)]
pub(super) struct Figures {
    /// Virtual time since the run began.
    pub(super) now: Duration,
    pub(super) rpcs: u64,
    pub(super) bytes: u64,
    /// In whatever the test counts.
    pub(super) commands: u64,
}

/// A test, or a part of it with figures of its own.
#[derive(Default)]
pub(super) struct TestPart {
    pub(super) title: String,
    pub(super) began: Figures,
}

impl TestPart {
    /// What the part has used, when it ends with these figures.
    pub(super) fn passed(&self, ended: Figures, servers: usize) -> Passed {
        Passed {
            title: self.title.clone(),
            took: ended.now - self.began.now,
            servers,
            rpcs: ended.rpcs - self.began.rpcs,
            bytes: ended.bytes - self.began.bytes,
            commands: ended.commands - self.began.commands,
        }
    }
}
