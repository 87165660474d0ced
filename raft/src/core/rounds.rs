// SOLUTION FILE
//! What a leader remembers of its rounds and of the reads that wait for them (part 2G). Nothing of it is saved.

use std::collections::VecDeque;

/// What reads without log entries add to a [`Core`](super::Core). Nothing of it is saved.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// Whether leaders hold leases, and voters must therefore keep them.
    pub(super) have_leases: bool,
    /// The round that began last; 0 before the first. It goes on from term to term.
    pub(super) round: u64,
    /// A leader's: the last round that each server has answered in this term; 0 for none.
    pub(super) answered: Vec<u64>,
    /// A leader's: the index of the no-op at the start of its term.
    pub(super) no_op: u64,
    /// The last term in which this server began to hand over its leadership, which ends its lease for good: the
    /// server that it has told to stand may do so late, and voters set their promise aside for it.
    pub(super) handed_over_in: Option<u64>,
    /// A leader's: the reads that wait, in the order in which they came.
    pub(super) pending: VecDeque<PendingRead>,
    /// The number of the last read.
    pub(super) last_read: u64,
}

/// A read that waits for a round and for an index.
#[derive(Debug)]
pub(super) struct PendingRead {
    pub(super) read: u64,
    /// The first round that began after it came.
    pub(super) round: u64,
    /// What has to be committed, and then applied, before it is answered.
    pub(super) index: u64,
}

/// What a leader knows for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// The last round that a majority has answered.
    pub round: u64,
    /// The commit index, with everything that earlier leaders have committed.
    pub index: u64,
}
