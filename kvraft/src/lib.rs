// SOLUTION FILE
//! The key/value service of the course's lab 3: replicated by a Raft, any that offers
//! [`labraft::Raft`].
//!
//! Start here: [`Clerk`] is what a client uses; [`KvServer`] puts what clerks ask through the log;
//! [`store::Store`] is what the log's operations do to the data, and the only thing that is
//! replicated.
//!
//! | module | what it is |
//! |---|---|
//! | [`message`] | what clerks and servers say to one another, field by field |
//! | `clerk` | finds the leader, and tries until an operation is done |
//! | `server` | proposes operations, answers those that were applied, makes snapshots |
//! | [`store`] | the data and the clerks' sessions: a value, without time, tasks or network |
//!
//! # How it works
//!
//! **Every operation goes through the log**, a Get too: what a server has applied may be old news,
//! and a leader cannot know that it still is one. The leader proposes the operation, waits until it
//! comes out of its own Raft, and answers with what applying it gave. So each operation takes
//! effect at one moment between its call and its answer: the service is *linearizable*.
//!
//! **An operation has an identity**, its clerk and a number that grows by one. A server that waits
//! for an index knows by the identity whether it was its own operation that was committed there. If
//! it was another, or if the term has moved on, or if it takes too long, the server says so and the
//! clerk tries elsewhere: the operation may still be committed, or not.
//!
//! **Exactly once** (Ongaro's thesis, 6.3). So an operation may be in the log several times. A
//! clerk opens a *session*, which has the index of its opening as its number. The store remembers
//! for each session the number of its last write, and lets a write with that number or a lower one
//! pass without effect. A clerk has one operation at a time, so that is enough; and since this is
//! decided where operations are applied, and is part of every snapshot, all servers decide alike.
//!
//! **Snapshots.** When the Raft's saved state reaches the limit, the server hands its Raft the
//! store's bytes. A new incarnation begins with the snapshot that it finds.
//!
//! **Bounds.** A handler waits no longer than half a second, so a clerk that never returns leaves
//! nothing behind it but its session; and of these the store keeps a thousand, dropping the one
//! that has rested longest. A clerk whose session was dropped is told so rather than served twice.
//!
//! # What is left out, and where it is described
//!
//! Reads without the log, by leases or by asking a majority who leads (thesis, 6.4); sessions that
//! clerks close (6.3).

mod clerk;
pub mod message;
mod server;
pub mod store;

pub use clerk::Clerk;
pub use server::KvServer;
