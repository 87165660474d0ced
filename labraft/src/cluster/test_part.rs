//! Measurements of a test or a part of it: RPCs, bytes, commands and time.

use std::time::Duration;

use crate::lab::Passed;

/// A run's counters at one moment, all counted from the start of the run.
#[derive(Clone, Copy, Default)]
pub(super) struct Figures {
    /// Virtual time since the run began.
    pub(super) now: Duration,
    /// RPCs sent by all servers and clients.
    pub(super) rpcs: u64,
    pub(super) bytes: u64,
    /// Commands or operations, as counted by the test.
    pub(super) commands: u64,
}

/// A test, or a part of it that is measured separately.
#[derive(Default)]
pub(super) struct TestPart {
    pub(super) title: String,
    pub(super) began: Figures,
}

impl TestPart {
    /// Computes what this part used, given the counters at its end.
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
