// SOLUTION FILE
//! What a server with leadership transfer remembers (part 2F). Nothing of it is saved.

/// What part 2F adds to a [`Core`](super::Core).
#[derive(Debug, Default)]
pub(super) struct Handover {
    /// A leader's: the transfer that is under way.
    pub(super) transfer: Option<Transfer>,
    /// The last term in which this server was told to stand for election.
    pub(super) told_to_stand_in: Option<u64>,
}

/// A leader's attempt to hand over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transfer {
    /// The server that is to lead next.
    pub(super) to: usize,
    /// Whether it has been sent a TimeoutNow since the last heartbeats.
    pub(super) is_told: bool,
}
