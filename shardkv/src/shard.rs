// BEGIN SOLUTION 4B
//stub: //! A shard: a tenth of all keys.
//stub:
//! One shard: its keys, which writes have taken effect in it, and what can be done to it.

use std::collections::BTreeMap;

use kvraft::message::OperationId;
use serde::{Deserialize, Serialize};
// END SOLUTION
use shardctrler::N_SHARDS;

/// The shard of a key, as in the course: the first byte decides.
pub fn key_to_shard(key: &str) -> usize {
    usize::from(key.bytes().next().unwrap_or(0)) % N_SHARDS
}

// BEGIN SOLUTION 4B
//stub: // 4B: what is in a shard, and moves with it.
/// What an operation does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Reads the value of a key.
    Get {
        /// The key to read. An absent key has the empty value.
        key: String,
    },
    /// Replaces the value of a key.
    Put {
        /// The key to set, whether it is present or not.
        key: String,
        /// The new value.
        value: String,
    },
    /// Appends to the value of a key.
    Append {
        /// The key to append to. An absent key has the empty value.
        key: String,
        /// What is appended.
        value: String,
    },
}

impl Action {
    /// The key that it reads or writes.
    pub fn key(&self) -> &str {
        match self {
            Action::Get { key } | Action::Put { key, .. } | Action::Append { key, .. } => key,
        }
    }
}

/// The result of a command that has been executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The value of the key; empty for an absent key.
    Value(String),
    /// It has taken effect, in this try or an earlier one.
    Done,
}

/// The data of a shard. It moves from group to group as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    values: BTreeMap<String, String>,
    /// For each clerk that has written here, the number of its last write.
    last_writes: BTreeMap<u64, u64>,
}

impl Shard {
    /// Executes an operation on a key of this shard.
    pub fn execute(&mut self, id: OperationId, action: Action) -> Answer {
        let (key, value, is_append) = match action {
            Action::Get { key } => {
                return Answer::Value(self.values.get(&key).cloned().unwrap_or_default());
            }
            Action::Put { key, value } => (key, value, false),
            Action::Append { key, value } => (key, value, true),
        };
        let last_write = self.last_writes.entry(id.clerk).or_default();
        // Another copy of it may have been applied before, here or where the shard was.
        if id.number > *last_write {
            *last_write = id.number;
            if is_append {
                self.values.entry(key).or_default().push_str(&value);
            } else {
                self.values.insert(key, value);
            }
        }
        Answer::Done
    }
}

/// Shards that one group hands to another in one configuration, by their numbers.
pub type Parcel = BTreeMap<usize, Shard>;
// END SOLUTION
