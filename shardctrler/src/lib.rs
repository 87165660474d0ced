// SOLUTION FILE
//! The shard controller of the course's lab 4, replicated by a Raft: any that offers
//! [`labraft::Raft`].
//!
//! It decides which group of servers has which shard, and keeps every decision that it has ever made.
//!
//! Start here: [`Config`] is one decision; [`Clerk`] is what an administrator and the groups use;
//! [`Controller`] puts the clerks' operations through the log.
//!
//! | module | what it is |
//! |---|---|
//! | `config` | a configuration, and how the next one is made from it |
//! | [`message`] | what clerks and controllers send to one another |
//! | `clerk` | finds the leader, and tries until an operation is done |
//! | `server` | one server: a [`kvraft::Replica`] whose state is the list of configurations |
//! | [`history`] | that state: a value, without time, tasks or network |
//!
//! # How it works
//!
//! **Like lab 3.** Operations go through the log and are answered when they have been applied;
//! [`kvraft::Replica`] does that for both labs. A clerk tries an operation until a leader has answered, so
//! it may be in the log several times. For each clerk the state remembers the number of the last change that
//! it made, and a change with that number or a lower one makes no new configuration.
//!
//! **A new configuration moves as few shards as possible.** Each group's *target* is a tenth of what there is
//! to divide, rounded down or up, and the larger targets go to the groups that have most already. A group keeps
//! its first shards up to its target; the others, with those of groups that are gone, fill the groups that
//! are below theirs. Groups are always looked through in the order of their numbers, so that all servers make
//! the same configuration.
//!
//! **A configuration never changes.** So any controller that has applied the operation which made it may
//! answer a query for its number, without the log. A query for the latest one goes through the log, or through a
//! read of a Raft that offers them (part 2G): a deposed leader would answer with one that is out of date.
//!
//! # What is left out
//!
//! Snapshots: the course's controllers take none. Forgetting clerks: [`kvraft`] shows how sessions bound what
//! is remembered of them (Ongaro's thesis, 6.3).

mod clerk;
mod config;
pub mod history;
pub mod message;
mod server;

pub use clerk::Clerk;
pub use config::{Config, N_SHARDS};
pub use server::Controller;
