//! Your shard controller: lab 4A.
//!
//! Start in `config`, with what needs no network; then go on in `server`. The tests and the sharded service
//! use [`Config`] with its fields, and the public functions of [`Clerk`] and [`Controller`], so their names and
//! types must stay. So must [`message::show`], which the lab's reports call.
//!
//! | module | what it is |
//! |---|---|
//! | `config` | one configuration: who has which shard |
//! | [`message`] | what a clerk asks a controller for |
//! | `clerk` | asks on behalf of a client: complete but for what tells a change from its copies |
//! | `server` | puts operations through the log, and answers when they are applied |
//!
//! Your key/value service, or the one that you were given, is the crate `kvraft`. What is public there can
//! be used here.

mod clerk;
mod config;
pub mod message;
mod server;

pub use clerk::Clerk;
pub use config::{Config, N_SHARDS};
pub use server::Controller;
