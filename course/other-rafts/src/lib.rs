//! Three Rafts that are correct and unlike the reference, so that the lab must find nothing in them.
//!
//! The lab's checks were written beside one Raft, and what that one happens to do is easily taken for
//! what every Raft must do. These three do the same in other ways. A failure of one of them is a bug
//! of its own or a false alarm of the lab, and a false alarm is a bug of the lab.
//!
//! | module | what is different |
//! |---|---|
//! | [`pages`] | written by the course's pages: shared state, a task for each call, two loops |
//! | [`per_follower`] | one task for each other server, which asks, waits and goes on, as candidate and as leader |
//! | [`batching`] | collects commands, saves in a later poll than it changes, sends without waiting for answers, backs up by a hint of another form |
//!
//! They share two things: `log`, entries that do not begin at 1 and are saved without being copied, and
//! `messages`, the paper's messages, which the first two send.

use labraft::Implementation;

pub mod batching;
mod describe;
mod log;
mod messages;
pub mod pages;
pub mod per_follower;

/// The three, by the names that `--implementation` knows. The first is the default.
pub const ALL: [Implementation; 3] = [
    Implementation::new("pages", pages::make).with_messages(describe::papers),
    Implementation::new("per-follower", per_follower::make).with_messages(describe::papers),
    Implementation::new("batching", batching::make).with_messages(describe::batchings),
];
