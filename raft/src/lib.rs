//! The reference Raft.

pub mod core;
pub mod log;
pub mod message;
mod peer;

use labraft::Implementation;

/// This Raft, for the lab.
pub const REFERENCE: Implementation =
    Implementation::new("reference", peer::make).with_read_saved(log::read_saved);
