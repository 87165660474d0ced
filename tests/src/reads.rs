//! Reads without log entries that a test begins, and what becomes of them.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use labraft::{Checked, Config, expectation};

use crate::steps::{LOOK_EVERY, check};

/// How soon reads have to end once the server that took them hears the others.
pub(crate) const END_LIMIT: Duration = Duration::from_secs(1);

/// What has become of a read.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has no answer yet.
    Waits,
    /// The service may answer when it has applied everything up to this index.
    Confirmed(u64),
    /// The server could not confirm that it led.
    Lost,
}

/// A read that a server has taken.
pub(crate) struct Read {
    pub(crate) server: usize,
    outcome: Rc<Cell<Outcome>>,
}

impl Read {
    /// Begins a read on a server, and has a task wait for its end. `None` if the server takes none.
    pub(crate) fn begin(cfg: &Config, server: usize) -> Option<Read> {
        let pending = cfg.read(server)?;
        let outcome = Rc::new(Cell::new(Outcome::Waits));
        let read = Read { server, outcome: outcome.clone() };
        cfg.tester().spawn_detached("read", async move {
            outcome.set(pending.await.map_or(Outcome::Lost, Outcome::Confirmed));
        });
        Some(read)
    }

    pub(crate) fn outcome(&self) -> Outcome {
        self.outcome.get()
    }

    pub(crate) fn waits(&self) -> bool {
        self.outcome() == Outcome::Waits
    }
}

/// Waits until all of these reads have ended, for no longer than `limit`.
///
/// # Errors
/// If one waits longer; `why` says why it should not.
pub(crate) async fn all_end(
    cfg: &Config,
    reads: &[Read],
    limit: Duration,
    why: &str,
) -> Checked<()> {
    let end = cfg.tester().now() + limit;
    while reads.iter().any(Read::waits) && cfg.tester().now() < end {
        cfg.sleep(LOOK_EVERY / 5).await;
    }
    let mut waiting = reads.iter().filter(|read| read.waits());
    let first = waiting.next().map(|read| read.server);
    check(cfg, first.is_none(), || {
        let server = first.unwrap_or_default();
        expectation!(
            "{} reads wait for an answer of server {server} and others, {} ms after {why}",
            1 + waiting.count(),
            limit.as_millis()
        )
    })
}
