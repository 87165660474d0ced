// SOLUTION FILE
//! The reference Raft: the algorithm of "In Search of an Understandable Consensus Algorithm
//! (Extended Version)" by Ongaro and Ousterhout, as far as the course's labs 2A to 2D go. Section
//! and figure numbers are that paper's.
//!
//! Start here: [`core::Core`] is the algorithm, with `core/elections.rs`, `core/replication.rs` and
//! `core/snapshots.rs`, in the order of the paper. It is a plain value: messages and time-outs are
//! put in, and it says what to save and what to send. It has no clock, no dice and no tasks, and its
//! tests need none. `peer` supplies them: it is the only file that touches the simulated world.
//!
//! | module | what it is |
//! |---|---|
//! | [`message`] | the remote procedures, field by field |
//! | [`log`] | the log, its compaction, and how it is saved |
//! | [`core`] | elections, replication, commitment, snapshots; and parts 2E to 2G |
//! | `peer` | tasks, timers and the network around the core |
//!
//! `raft/tests/scripts` shows the core at work: short scripts, each about one rule of the paper,
//! with every message that the servers of a small cluster exchange.
//!
//! # How it works
//!
//! A cluster agrees on a *log* of commands, and each server applies the log's commands in order.
//! Time is divided into *terms*, each of which has at most one *leader*. Only the leader accepts
//! commands from clients; it appends them to its log, and the other servers copy its log.
//!
//! **Election** (5.2). A server that hears from no leader for an election time-out becomes a
//! *candidate* in a new term, votes for itself, and asks the others for their votes. Each server
//! votes at most once in a term, first come, first served, and saves its vote before it answers; so
//! no two candidates can both get a majority in the same term. The time-out is drawn anew for each
//! wait, so that votes are rarely split twice in a row. Within its term a candidate keeps asking
//! the servers that have not voted for it: on a network that loses or delays most answers, this
//! saves many elections.
//!
//! **Election restriction** (5.4.1). A server refuses its vote to a candidate whose log is less up
//! to date than its own: the log with the later last term wins, and of two with the same last term
//! the longer one. A committed entry is in the logs of a majority, so every elected leader has it.
//!
//! **Replication** (5.3). For each follower a leader keeps `next_index`, where to go on sending,
//! and `match_index`, up to which the two logs are known to agree. An AppendEntries request names
//! the entry before the ones it carries, and a follower that does not have that entry refuses. By
//! induction, two logs that agree on the term at an index agree on everything before it (Log
//! Matching). A refusal says where the conflict begins: the term of the follower's entry and its
//! first index of that term. So the leader goes back a whole term at a time; `core/replication.rs` has drawings
//! of the three cases. A follower removes entries only where they conflict with what it is sent,
//! because a late message must not remove what a newer one has added.
//!
//! **Commitment** (5.4.2). An entry of the leader's own term is committed when a majority has it.
//! Earlier entries are committed along with it, never by counting (figure 8).
//!
//! **Persistence**. Term, vote and log are saved before any message that depends on them leaves.
//! The log is saved as shared pieces ([`labraft::Pieces`]): a save costs only what has changed.
//!
//! **Snapshots** (7). The service hands over a snapshot, and the log forgets the entries that it
//! covers. A follower that needs forgotten entries is sent the snapshot, in one piece. It installs
//! the snapshot only if that reaches beyond what it has committed, and keeps the entries behind the
//! snapshot if its log agrees with the snapshot's last entry.
//!
//! **Late answers.** A network delays messages. An answer counts only if the server still is what
//! it was, in the same term, when it asked; and only for what the request said: `match_index` is
//! taken from the request, not from what the log has become since.
//!
//! # Three choices beyond the paper
//!
//! Commands that are started at the same instant travel together. While a follower has several
//! requests to answer, new entries wait for an answer or for the next heartbeat, so that a slow
//! network is not flooded with copies of the same entries. And a candidate asks again within its
//! term.
//!
//! # What is switched off
//!
//! The course's Raft has neither pre-vote nor check-quorum with the voters' lease (thesis, 9.6, 6.2
//! and 4.2.3), nor leadership transfer (3.10), nor reads without log entries (6.4), nor flow control.
//! Made as [`EXTENDED`], this one has: see `core/pre_vote.rs`, `core/quorum.rs`, `core/transfer.rs`,
//! `core/reads.rs` and `core/flow.rs`, which the rest of the core calls in a few places, and which do
//! nothing there for [`REFERENCE`]. Made as [`LEASES`], its leaders also hold leases (6.4.1), so most
//! reads cost no message. That is a third Raft and not a part of the second, because under leases
//! hardly any read would need a round.
//!
//! # What is left out, and where it is described
//!
//! Membership changes (section 6), a `next_index` that moves on at sending (thesis, 10.2.1: on a network that
//! does not keep order it costs more than it saves), and snapshots in chunks (figure 13). The
//! labs expect commands to be numbered without gaps, so a new leader of the course's Raft does not
//! commit a no-op (section 8). Reads are asked of the leader; a follower that asks it for an index
//! (thesis, 6.4) is left out.

pub mod core;
mod describe;
pub mod log;
pub mod message;
mod peer;

use labraft::{Implementation, Offer};

/// This Raft, as the lab runs it: the course's.
pub const REFERENCE: Implementation =
    Implementation::new("reference", peer::make).with_messages(describe::describe);

/// This Raft with pre-vote, check-quorum and the voters' lease (part 2E), with leadership transfer
/// (2F), with reads that a majority confirms (2G), and with flow control.
pub const EXTENDED: Implementation = Implementation::new("extended", peer::make_extended)
    .with_messages(describe::describe)
    .with_internal_entries()
    .offering(Offer::StableLeader { election_timeout: peer::ELECTION_TIMEOUT_MIN })
    .offering(Offer::LeaderTransfer { longest: peer::transfer::LONGEST_TRANSFER })
    .offering(Offer::ReadIndex);

/// The same with leases: a leader that a majority has answered lately confirms reads by itself (2G).
pub const LEASES: Implementation =
    Implementation { name: "leases", make: peer::make_with_leases, ..EXTENDED }
        .offering(Offer::LeaseReads { clock_drift_percent: 50 });
