// SOLUTION FILE
//! Reads without log entries (Ongaro's thesis, section 6.4): a leader makes sure that it still leads, and
//! its service answers from its own state.
//!
//! What a leader has applied may be out of date in two ways, and each needs a remedy:
//!
//! - It may have been replaced. So every request to the followers belongs to a numbered *round*, and a
//!   read waits until a majority has answered requests of a round that began after the read came. All
//!   reads that came before a round share it.
//! - It may not know yet what leaders before it have committed. So a leader begins its term with an empty
//!   entry, a *no-op*, and a read waits until that is committed.
//!
//! ```text
//!              read a, b        read c
//! leader     -----|--|-------------|----------------------------------
//! round 7            |------- a majority answers: a, b
//! round 8                                   |----- a majority answers: c
//! ```
//!
//! The round is the leader's own number for a request, and is not sent along: an answer is read in the light of the
//! request that it answers.
//!
//! With *leases* (section 6.4.1) a read need not wait for a round. Whoever has answered a round votes for
//! nobody else for one shortest election time-out, so the leader cannot have been replaced that soon
//! after the round *began*; see `peer/reads.rs` for the time, and `quorum.rs` for the voters.

use bytes::Bytes;
use labraft::Role;

use super::rounds::{Confirmed, PendingRead, Reads};
use super::{Core, Message};
use crate::message::Entry;

impl Core {
    /// Adds reads without log entries to a server that has just been made.
    #[must_use]
    pub fn with_reads(self) -> Core {
        Core { reads: Some(Reads::default()), ..self }
    }

    /// Adds reads, and what leases need besides [`with_stable_leader`](Self::with_stable_leader): a server
    /// that starts may have answered a leader before it stopped, and waits as if it had.
    #[must_use]
    pub fn with_lease_reads(self) -> Core {
        let mut core =
            Core { reads: Some(Reads { have_leases: true, ..Reads::default() }), ..self };
        core.begin_lease(core.current_term);
        core
    }

    /// Whether leaders hold leases, which depend on this server's vote if another leads.
    pub fn has_leases(&self) -> bool {
        self.reads.as_ref().is_some_and(|reads| reads.have_leases)
    }

    /// This server has begun to lead: with a no-op, which belongs to no client.
    pub(super) fn begin_reads(&mut self) {
        let Some(reads) = &mut self.reads else { return };
        reads.answered = vec![0; self.servers];
        reads.no_op = self.log.last_index() + 1;
        self.append(Entry { term: self.current_term, command: Bytes::new() });
        // In a cluster of one, this server alone is a majority.
        self.advance_commit_index();
    }

    /// Whether the entry at `index` of the log is a no-op: each term's first entry is.
    pub(super) fn is_no_op(&self, index: u64) -> bool {
        self.reads.is_some() && self.log.term(index) != self.log.term(index - 1)
    }

    /// This server leads no longer, so its reads cannot be confirmed.
    pub(super) fn drop_reads(&mut self) {
        let Some(reads) = &mut self.reads else { return };
        let dropped = reads.pending.drain(..).map(|pending| (pending.read, None));
        self.output.reads.extend(dropped);
    }

    /// A client wants to read. Returns the number under which [`Output::reads`](super::Output::reads) will have the
    /// answer; `None` if this server does not lead. The round begins with the next call that takes the output.
    pub fn read(&mut self) -> Option<u64> {
        self.check_invariants();
        if self.role != Role::Leader {
            return None;
        }
        let reads = self.reads.as_mut()?;
        reads.last_read += 1;
        let read = reads.last_read;
        let index = self.commit_index.max(reads.no_op);
        reads.pending.push_back(PendingRead { read, round: reads.round + 1, index });
        Some(read)
    }

    /// A leader is about to write to all others: a new round. What it writes in the same call belongs to it.
    pub(super) fn begin_round(&mut self) {
        if let Some(reads) = &mut self.reads {
            reads.round += 1;
        }
    }

    /// A server has answered a request of this round and of this leader's present term.
    pub(super) fn note_round(&mut self, from: usize, round: u64) {
        if let Some(reads) = &mut self.reads {
            reads.answered[from] = reads.answered[from].max(round);
        }
    }

    /// The last round that a majority has answered, as [`advance_commit_index`](Self::advance_commit_index)
    /// finds how far a majority has come.
    fn confirmed_round(&self, reads: &Reads) -> u64 {
        let mut answered = reads.answered.clone();
        answered[self.me] = reads.round;
        answered.sort_unstable();
        answered[(self.servers - 1) / 2]
    }

    /// What this server knows for certain if it leads, of which leases are made: `None` before its no-op is
    /// committed, while no majority has answered it, and from a transfer of its leadership on.
    pub fn confirmed(&self) -> Option<Confirmed> {
        let reads = self.reads.as_ref().filter(|_| self.role == Role::Leader)?;
        let confirmed = Confirmed { round: self.confirmed_round(reads), index: self.commit_index };
        let is_handed_over = reads.handed_over_in == Some(self.current_term);
        (confirmed.round > 0 && confirmed.index >= reads.no_op && !is_handed_over)
            .then_some(confirmed)
    }

    /// This leader begins to hand over: no lease until the next term.
    pub(super) fn end_read_lease(&mut self) {
        if let Some(reads) = &mut self.reads {
            reads.handed_over_in = Some(self.current_term);
        }
    }

    /// Answers the reads that are confirmed, and begins a round for those that no round is on its way for.
    /// The last thing in each call.
    pub(super) fn attend_to_reads(&mut self) {
        self.begin_round_for_reads();
        let Some(reads) = self.reads.as_ref().filter(|_| self.role == Role::Leader) else { return };
        let confirmed = self.confirmed_round(reads);
        let is_confirmed =
            |read: &&PendingRead| read.round <= confirmed && read.index <= self.commit_index;
        let count = reads.pending.iter().take_while(is_confirmed).count();
        let Some(reads) = &mut self.reads else { return };
        let answers = reads.pending.drain(..count).map(|read| (read.read, Some(read.index)));
        self.output.reads.extend(answers);
        self.output.round = reads.round;
    }

    fn begin_round_for_reads(&mut self) {
        let Some(reads) = self.reads.as_ref().filter(|_| self.role == Role::Leader) else { return };
        let confirmed = self.confirmed_round(reads);
        let begun = reads.round;
        let waits = reads.pending.back().is_some_and(|read| read.round > begun);
        let is_on_its_way = |read: &PendingRead| read.round <= begun && read.round > confirmed;
        if !waits || reads.pending.iter().any(is_on_its_way) {
            return;
        }
        self.begin_round();
        for server in self.others() {
            let is_of_round = |message: &Message| {
                matches!(message, Message::AppendEntries(_) | Message::InstallSnapshot(_))
            };
            let mut messages = self.output.messages.iter();
            let is_written_to = messages.any(|(to, message)| *to == server && is_of_round(message));
            // A server that owes many answers is left to the heartbeats.
            if !is_written_to && self.has_room(server) {
                self.send_append(server);
            }
        }
    }
}
