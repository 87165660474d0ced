//! The parts of the course's labs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A part of the course's labs. `Raft2E` to `Raft2G` are optional: they are for Rafts that [offer](crate::Offer) them.
/// `Beyond` holds the tests that the course does not have, and `Search` the scenarios that are short enough for a
/// search of all runs with few faults.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the course's own names")]
pub enum Part {
    #[serde(rename = "2A")]
    Raft2A,
    #[serde(rename = "2B")]
    Raft2B,
    #[serde(rename = "2C")]
    Raft2C,
    #[serde(rename = "2D")]
    Raft2D,
    #[serde(rename = "2E")]
    Raft2E,
    #[serde(rename = "2F")]
    Raft2F,
    #[serde(rename = "2G")]
    Raft2G,
    #[serde(rename = "3A")]
    Kv3A,
    #[serde(rename = "3B")]
    Kv3B,
    #[serde(rename = "4A")]
    Shard4A,
    #[serde(rename = "4B")]
    Shard4B,
    #[serde(rename = "4C")]
    Shard4C,
    #[serde(rename = "beyond")]
    Beyond,
    #[serde(rename = "search")]
    Search,
}

impl Part {
    /// The parts of the course's labs, in the order of the course.
    pub const COURSE: [Part; 12] = [
        Part::Raft2A,
        Part::Raft2B,
        Part::Raft2C,
        Part::Raft2D,
        Part::Raft2E,
        Part::Raft2F,
        Part::Raft2G,
        Part::Kv3A,
        Part::Kv3B,
        Part::Shard4A,
        Part::Shard4B,
        Part::Shard4C,
    ];

    /// The part's name on the command line and in files, such as `2A`.
    pub const fn name(self) -> &'static str {
        match self {
            Part::Raft2A => "2A",
            Part::Raft2B => "2B",
            Part::Raft2C => "2C",
            Part::Raft2D => "2D",
            Part::Raft2E => "2E",
            Part::Raft2F => "2F",
            Part::Raft2G => "2G",
            Part::Kv3A => "3A",
            Part::Kv3B => "3B",
            Part::Shard4A => "4A",
            Part::Shard4B => "4B",
            Part::Shard4C => "4C",
            Part::Beyond => "beyond",
            Part::Search => "search",
        }
    }

    /// Whether the part goes beyond the course, and is only for Rafts that [offer](crate::Offer) it.
    pub const fn is_optional(self) -> bool {
        matches!(self, Part::Raft2E | Part::Raft2F | Part::Raft2G)
    }

    /// Whether the part belongs to lab 3, which tests the key/value service.
    pub const fn is_kv(self) -> bool {
        matches!(self, Part::Kv3A | Part::Kv3B)
    }

    /// Whether the part belongs to lab 4, which tests the shard controller and the sharded service.
    pub const fn is_sharded(self) -> bool {
        matches!(self, Part::Shard4A | Part::Shard4B | Part::Shard4C)
    }

    /// Whether the part tests a service on top of Raft: that of lab 3 or of lab 4.
    pub const fn is_service(self) -> bool {
        self.is_kv() || self.is_sharded()
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
