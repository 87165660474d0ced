//! Your Raft: labs 2A to 2D.
//!
//! Start in `peer`: it has the tasks and the handlers, and says what is missing. Add modules as you
//! like; all Rust files in this directory are handed in.
//!
//! | module | what it is |
//! |---|---|
//! | [`message`] | what servers send to one another |
//! | `peer` | a server: its state, its tasks, its handlers |

pub mod message;
mod peer;

use labraft::Implementation;

/// Your Raft, as the lab runs it. The lab looks for a constant with this name.
pub const REFERENCE: Implementation = Implementation::new("mine", peer::make);
