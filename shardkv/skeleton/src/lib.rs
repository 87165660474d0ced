//! Your sharded key/value service: labs 4B and 4C.
//!
//! Start in `server`. The tests use [`GroupSetup`], the public functions of [`Clerk`] and [`ShardServer`], and
//! [`message::show`], so their names and types must stay.
//!
//! | module | what it is |
//! |---|---|
//! | `setup` | what a server gets when it is started |
//! | [`shard`] | which shard a key belongs to |
//! | [`message`] | what clerks and servers send to one another |
//! | `clerk` | asks on behalf of a client: complete but for what tells a write from its copies |
//! | `server` | one server of a group: operations, configurations, and shards that move |
//!
//! The controller is the crate `shardctrler`, and lab 3 the crate `kvraft`. What is public there can be
//! used here.

mod clerk;
pub mod message;
mod server;
mod setup;
pub mod shard;

pub use clerk::Clerk;
pub use server::ShardServer;
pub use setup::GroupSetup;
pub use shard::key_to_shard;
