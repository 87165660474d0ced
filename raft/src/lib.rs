// SOLUTION FILE
//! The reference Raft: the algorithm of "In Search of an Understandable Consensus Algorithm
//! (Extended Version)" by Ongaro and Ousterhout, as far as the course's labs 2A to 2D go. Section
//! and figure numbers are that paper's.
//!
//! Start here: [`core::Core`] is the algorithm. It is a value that messages and time-outs are put
//! into, and that says what to save and what to send; it has no clock, no dice, no tasks, and its
//! tests need none. `peer` gives it these: it is the only file that touches the simulated world.
//!
//! | module | what it is |
//! |---|---|
//! | [`message`] | the three remote procedures, field by field |
//! | [`log`] | the log, its compaction, and how it is saved |
//! | [`core`] | elections, replication, commitment, snapshots |
//! | `peer` | tasks, timers and the network around the core |
//!
//! # How it works
//!
//! A cluster agrees on a *log* of commands, and each server applies the log's commands in order. Time
//! is divided into *terms*, each of which has at most one *leader*. Only a leader adds to the log; the
//! others take over what it sends.
//!
//! **Election** (5.2). A server that hears of no leader for an election time-out becomes a
//! *candidate* in a new term, votes for itself, and asks the others. Each server votes once a term,
//! first come, first served, and saves its vote before it answers; so two candidates cannot both get
//! a majority. The time-out is drawn anew for each wait, so that votes are rarely split for long. A
//! candidate asks again, within its term, whoever has not voted for it: on a network that loses or
//! delays most answers that saves many elections.
//!
//! **Election restriction** (5.4.1). A vote is refused to a candidate whose log is less up to date
//! than the voter's: the later last term wins, then the longer log. A committed entry is in a
//! majority of logs, so whoever is elected has it.
//!
//! **Replication** (5.3). For each follower a leader keeps `next_index`, where to go on sending, and
//! `match_index`, up to where the logs are known to agree. An AppendEntries names the entry before
//! the ones it brings; a follower that does not have that entry refuses. By induction two logs that
//! agree on the term at an index agree on everything before it. A refusal tells where the conflict
//! begins: the term of the follower's entry and its first index of that term, so that the leader goes
//! back a whole term at a time. A follower removes entries only where they contradict what it is sent:
//! an old message must not take back what a newer one has brought.
//!
//! **Commitment** (5.4.2). An entry of the leader's own term is committed when a majority has it;
//! earlier ones are committed along with it, never by counting (figure 8).
//!
//! **Persistence**. Term, vote and log are saved before any message that depends on them leaves. The
//! log is saved as shared pieces ([`labraft::Pieces`]): a save costs what has changed.
//!
//! **Snapshots** (7). The service hands over a snapshot and the log forgets what it covers. A follower
//! that needs forgotten entries is sent the snapshot, in one piece. It takes it only if it reaches
//! beyond what it has committed, and keeps the entries that follow if they go on from it.
//!
//! **Stale news.** Messages arrive late. An answer counts only in the term and the role in which the
//! question was asked, and for what the question said: `match_index` is taken from the request, not
//! from what the log has become.
//!
//! # Three choices beyond the paper
//!
//! Commands that are started at one instant travel together. While a follower owes a few answers, new
//! entries wait for one of them or for the next heartbeat, so that a slow network is not flooded with
//! the same entries again and again. And a candidate asks again within its term.
//!
//! # What is left out, and where it is described
//!
//! Membership changes (section 6), pre-vote and check-quorum (Ongaro's thesis, 9.6 and 6.2),
//! read-only requests without the log (thesis, 6.4), leadership transfer (thesis, 3.10), pipelining
//! (thesis, 10.2.1), and snapshots in chunks (figure 13). The labs number commands without gaps, so a
//! new leader does not commit a no-op (section 8).

pub mod core;
pub mod log;
pub mod message;
mod peer;

use labraft::Implementation;

/// This Raft, for the lab.
pub const REFERENCE: Implementation =
    Implementation::new("reference", peer::make).with_read_saved(log::read_saved);
