//! A read that a Raft confirms without an entry of the log.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A read that a leader has begun: see [`Raft::read`](crate::Raft::read).
///
/// Awaited, it gives
/// - `Some(index)` when the server has confirmed that it was the leader at some moment after the call. `index` is at
///   least the commit index that the leader of that moment had, so the service sees everything that was committed
///   before the call if it answers once it has applied the log up to `index`.
/// - `None` if the server has lost its leadership before that, or has been killed.
///
/// It only waits: the Raft does its work whether somebody waits or not. It may be dropped.
pub struct PendingRead(Pin<Box<dyn Future<Output = Option<u64>>>>);

impl PendingRead {
    /// A read that is confirmed when `confirmed` gives an index, and lost when that gives `None`.
    pub fn new(confirmed: impl Future<Output = Option<u64>> + 'static) -> PendingRead {
        PendingRead(Box::pin(confirmed))
    }

    /// A read that is confirmed already, as it is under a lease.
    pub fn confirmed(index: u64) -> PendingRead {
        PendingRead::new(std::future::ready(Some(index)))
    }
}

impl Future for PendingRead {
    type Output = Option<u64>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<u64>> {
        self.0.as_mut().poll(context)
    }
}

impl fmt::Debug for PendingRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingRead")
    }
}
