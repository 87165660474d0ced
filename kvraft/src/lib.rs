// SOLUTION FILE
//! The key/value service of the course's lab 3, replicated by a Raft: any that offers
//! [`labraft::Raft`].
//!
//! Start here: [`Clerk`] is what a client uses; [`KvServer`] puts the clerks' operations through
//! the log; [`store::Store`] is what the operations in the log act on, and the only thing that is
//! replicated.
//!
//! | module | what it is |
//! |---|---|
//! | [`message`] | what clerks and servers send to one another, field by field |
//! | `clerk` | finds the leader, and tries until an operation is done |
//! | `server` | one server of the service |
//! | `replica` | one server of any service: proposes commands, answers the ones that were applied, makes snapshots |
//! | [`store`] | the data and the clerks' sessions: a value, without time, tasks or network |
//!
//! # How it works
//!
//! **Every operation goes through the log**, even a Get: what a server has applied may be out of
//! date, and a leader cannot know by itself whether it still is the leader. The leader proposes the
//! operation, waits until its own Raft hands it up again, applies it, and answers with the result.
//! So each operation takes effect at one moment between its call and its answer: the service is
//! *linearizable*.
//!
//! **Gets without the log** (thesis, 6.4). A Raft may offer to confirm that it leads
//! ([`labraft::Raft::read`]). Then a Get waits for that, and until everything that was committed before
//! is applied here; it is answered from the state and leaves nothing in the log. With any other Raft it goes through the
//! log like a write.
//!
//! **An operation has an identity**: its clerk, and a number that grows by one. When a server waits
//! for an index, the identity tells it whether the operation that was committed there is its own.
//! If it is another, or if the term has changed, or if it takes too long, the server says so and
//! the clerk tries elsewhere. The operation may be committed later nevertheless.
//!
//! **Exactly once** (Ongaro's thesis, 6.3). So an operation may be in the log several times. A
//! clerk opens a *session*, whose number is the index of the entry that opened it. For each session
//! the store remembers the number of the last write, and a write with that number or a lower one
//! has no effect. One number is enough, because a clerk has one operation at a time. And because
//! this is decided where operations are applied, and is part of every snapshot, all servers decide
//! alike.
//!
//! **Snapshots.** When the Raft's saved state reaches the limit, the server hands its Raft the
//! store's bytes. After a restart a server begins with the snapshot that it finds.
//!
//! **Bounds.** A handler waits no longer than half a second, so a clerk that never returns leaves
//! nothing behind but its session. The store keeps a thousand sessions, and drops the one that has
//! been unused for longest. A clerk whose session was dropped gets an error, because its writes can
//! no longer be told from copies.
//!
//! # What is left out, and where it is described
//!
//! Reads by followers (thesis, 6.4), and sessions that clerks close (6.3).

mod clerk;
pub mod message;
mod replica;
mod server;
pub mod store;

pub use clerk::Clerk;
pub use replica::{NoAnswer, Replica, StateMachine};
pub use server::KvServer;
