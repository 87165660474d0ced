//! What a cluster has used so far: calls, bytes, disk and time.

use std::time::Duration;

use super::Cluster;
use super::test_part::{Figures, TestPart};
use crate::failure::Checked;
use crate::persister::Persister;
use crate::reason::Reason;
use crate::without::Threshold;

/// The time limit of a test, in virtual time.
const LONGEST_TEST: Duration = Duration::from_secs(120);

impl Cluster {
    /// Returns the number of requests that a server has received since its last start, or 0 if stopped.
    pub fn rpc_count(&self, i: usize) -> u64 {
        self.network().count(self.node(i))
    }

    /// Returns the number of tasks that a server has at this moment, or 0 if stopped.
    pub fn tasks(&self, i: usize) -> usize {
        let slots = self.slots();
        slots[i].instance.as_ref().map_or(0, |instance| instance.server.runtime().tasks())
    }

    /// Returns the total number of RPCs made by all servers and clients since the run began.
    pub fn rpc_total(&self) -> u64 {
        self.network().total_count()
    }

    /// Returns the total size in bytes of all RPC arguments, and of the replies that arrived.
    pub fn bytes_total(&self) -> u64 {
        self.network().total_bytes()
    }

    /// Returns the size in bytes of the largest saved Raft state of any server, excluding snapshots.
    pub fn log_size(&self) -> usize {
        self.largest(Persister::state_size_bytes)
    }

    /// Returns the size in bytes of the largest saved snapshot of any server.
    pub fn snapshot_size(&self) -> usize {
        self.largest(Persister::snapshot_size_bytes)
    }

    /// Returns how many bytes all servers have saved, snapshots included.
    pub fn saved_bytes(&self) -> usize {
        let bytes = |saved: &Persister| saved.state_size_bytes() + saved.snapshot_size_bytes();
        self.slots().iter().flat_map(|slot| &slot.saved).map(bytes).sum()
    }

    fn figures(&self, commands: u64) -> Figures {
        Figures {
            now: self.tester().now(),
            rpcs: self.rpc_total(),
            bytes: self.bytes_total(),
            commands,
        }
    }

    fn largest(&self, size: impl Fn(&Persister) -> usize) -> usize {
        self.slots().iter().flat_map(|slot| &slot.saved).map(size).max().unwrap_or(0)
    }

    /// Begins a test, or a part of a test that is measured separately. `commands` is the test's running
    /// count of commands or operations at this point.
    pub fn begin_at(&self, title: &str, commands: u64) {
        self.step(|| format!("begin: {title}"));
        self.0.lab.begun(title);
        *self.0.part.borrow_mut() = TestPart { title: title.into(), began: self.figures(commands) };
    }

    /// Ends the part begun by [`begin_at`](Self::begin_at) and stores its measurements.
    ///
    /// # Errors
    /// If the test has exceeded the course's limit of 120 s of virtual time.
    pub fn end_at(&self, commands: u64) -> Checked<()> {
        self.check_timeout()?;
        let passed = self.0.part.borrow().passed(self.figures(commands), self.0.lab.servers());
        self.0.lab.passed(passed);
        Ok(())
    }

    /// Returns the virtual time by which the test must end.
    pub fn deadline(&self) -> Duration {
        self.0.made + LONGEST_TEST
    }

    pub(super) fn check_timeout(&self) -> Checked<()> {
        let took = self.tester().now() - self.0.made;
        if took > LONGEST_TEST && self.0.lab.without().has_threshold(Threshold::TestTime) {
            return Err(self.failure(None, Reason::TooSlow { took, limit: LONGEST_TEST }));
        }
        Ok(())
    }
}
