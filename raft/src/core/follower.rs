// SOLUTION FILE
//! What a leader remembers of each other server.

/// What a leader knows about another server's log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Follower {
    /// The next index to send. A guess until the first request succeeds.
    pub(super) next_index: u64,
    /// Up to this index the log is known to be the same as the leader's.
    pub(super) match_index: u64,
    /// How many requests of this term it has not answered yet.
    pub(super) in_flight: usize,
}
