//! What the tests of several parts share.

use std::future::pending;

use labraft::{Checked, Cluster, Command, Config, Failure};
use labrpc::JoinHandle;

/// How many values Go's `rand.Int()` has: it is a number of 63 bits.
pub(crate) const RANDOM_INTS: u64 = 1 << 63;

/// A random number as a command: as good as unique.
pub(crate) fn random(cfg: &Config) -> u64 {
    cfg.dice().below(RANDOM_INTS)
}

/// The number that a command is, if it is one.
pub(crate) fn as_int(command: &[u8]) -> Option<u64> {
    Command::from_bytes(command)?.as_int()
}

/// Fails the test in its own words unless `holds`.
pub(crate) fn check(cfg: &Cluster, holds: bool, otherwise: impl FnOnce() -> String) -> Checked<()> {
    if holds { Ok(()) } else { Err(cfg.expected(otherwise())) }
}

/// Starts a server from what it had saved, crashing it first if it runs, and connects it.
pub(crate) fn restart(cfg: &Config, i: usize) {
    cfg.start1(i);
    cfg.connect(i);
}

/// Runs a client of the test beside it. What the client finds wrong ends the run at that moment.
#[track_caller]
pub(crate) fn spawn_client<T: 'static>(
    cfg: &Cluster,
    name: &'static str,
    client: impl Future<Output = Checked<T>> + 'static,
) -> JoinHandle<T> {
    let lab = cfg.lab().clone();
    cfg.tester().spawn(name, async move {
        match client.await {
            Ok(value) => value,
            Err(Failure { reason, server, .. }) => {
                lab.fail(server, reason);
                pending().await
            }
        }
    })
}
