// SOLUTION FILE
//! The sharded key/value service of the course's lab 4, replicated by Rafts: any that offer
//! [`labraft::Raft`].
//!
//! Keys are divided into shards, and each shard is served by a *group*: a few servers with a Raft of their
//! own. The shard controller ([`shardctrler`]) decides which group has which shard. When it decides anew,
//! groups hand shards to one another while clients go on.
//!
//! Start here: [`store::Store`] is what a group replicates, and all rules are in it; [`ShardServer`] is one server
//! of a group; [`Clerk`] is what a client uses.
//!
//! | module | what it is |
//! |---|---|
//! | [`message`] | what clerks and servers send to one another, and the commands in a group's log |
//! | [`shard`] | one shard: its keys, and which writes have taken effect in it |
//! | [`store`] | the state of a group: a value, without time, tasks or network |
//! | `setup` | what a server is started with |
//! | `server` | one server: a [`kvraft::Replica`] of the store, and its handlers |
//! | `mover` | what a leader does so that its group follows the controller |
//! | `clerk` | finds the group and its leader, and tries until an operation is done |
//!
//! # How it works
//!
//! **Everything that changes a group goes through its log**: clients' operations, but also each new
//! configuration, shards that arrive, and the word that they have arrived. So all servers of a group agree on
//! which operations came before a shard was handed over and which came after, and whether a shard
//! is served is decided where operations are applied.
//!
//! **A group goes from one configuration to the next**, and takes a new one only when it has all shards of the
//! one before. What it loses by it is put into a *parcel* for the group that gains it, and is served no more
//! from this entry of the log on. What it gains is served as soon as it arrives, and the shards that stay
//! are served all along (the course's second challenge).
//!
//! **The new owner asks for a parcel.** Any server of the old owner that has applied the configuration may
//! give it, because a parcel never changes. It is known by the number of the configuration and by the group that it is
//! for. So a late copy of a request or an answer cannot do any harm: a parcel of another number is not awaited,
//! and one that was put in is awaited no more. No group waits for another that waits for it: who
//! awaits a parcel has made up its own parcels of that configuration already.
//!
//! **A parcel is kept until it has arrived** (the first challenge). The new owner remembers in its state
//! whom it has to tell; when the old owner's log has the word, the parcel is deleted, and then the new owner
//! forgets about it. Neither of the two waits with anything for that.
//!
//! **Exactly once.** Which writes of a clerk have taken effect is remembered for each shard, and goes along with
//! it. A clerk that is told to ask another group keeps the number of its operation, and a group that tells it
//! so remembers nothing.
//!
//! **A new leader begins its term with an empty entry.** Only an entry of the own term commits those before it
//! (Raft paper, section 5.4.2). Without it, two groups that were restarted can wait for each other: each has in
//! its log what the other needs, and neither gets a client's operation, because both refuse them.
//!
//! # What is left out
//!
//! Shards that no group has: when all groups leave, the data is dropped, as in the course. Forgetting clerks:
//! [`kvraft`] shows how sessions bound what is remembered of them (Ongaro's thesis, 6.3).

mod clerk;
pub mod message;
mod mover;
mod server;
mod setup;
pub mod shard;
pub mod store;

pub use clerk::Clerk;
pub use server::ShardServer;
pub use setup::GroupSetup;
pub use shard::key_to_shard;
