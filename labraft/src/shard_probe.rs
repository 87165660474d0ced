//! What a server of the sharded service of lab 4 shows of itself, for checks after every event.

use std::collections::BTreeSet;

/// The state of a group, as far as one of its servers has applied the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardProbe {
    /// The index of the last entry that was applied; 0 before the first.
    pub applied: u64,
    /// The number of the configuration that the group is in.
    pub config: u64,
    /// The shards that are the group's and have arrived, so that operations on them can be executed. They stay
    /// here until the group goes to a configuration that takes them away.
    pub served: ShardSet,
    /// Shards that are kept for their new owners, each with the number of the configuration by which the
    /// group lost it. A service that never deletes what it has lost lists all of it.
    pub kept: BTreeSet<(u64, usize)>,
}

/// A set of shards, whose numbers are below 64.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardSet(u64);

impl ShardSet {
    /// Whether a shard is in the set.
    pub const fn contains(self, shard: usize) -> bool {
        self.0 >> shard & 1 == 1
    }

    /// The shards in the set, in order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..64).filter(move |&shard| self.contains(shard))
    }

    /// The shards that are in this set and not in the other.
    pub const fn without(self, other: ShardSet) -> ShardSet {
        ShardSet(self.0 & !other.0)
    }
}

impl FromIterator<usize> for ShardSet {
    fn from_iter<T: IntoIterator<Item = usize>>(shards: T) -> ShardSet {
        ShardSet(shards.into_iter().fold(0, |bits, shard| bits | 1 << shard))
    }
}
