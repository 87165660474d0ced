//! Your Raft: labs 2A to 2D.
//!
//! Start in `peer`: it has the tasks and the handlers, and says what is not there yet. Add modules
//! as you like; all Rust files of this directory are handed in.
//!
//! | module | what it is |
//! |---|---|
//! | [`message`] | what servers say to one another |
//! | `peer` | a server: its state, its tasks, its handlers |

pub mod message;
mod peer;

use labraft::Implementation;

/// Your Raft, as the lab knows it. The constant keeps its name: the lab looks for it.
pub const REFERENCE: Implementation = Implementation::new("mine", peer::make);
