//! Reads without log entries (part 2G), which raft-rs calls ReadIndex.
//!
//! raft-rs begins a round of heartbeats for a read, and tells in a `Ready` that a majority has answered
//! it. Three things are left to its user:
//!
//! - It begins a round for every read. Here reads that come at the same instant share one.
//! - It ignores a read if the leader has not committed an entry of its term. Here such reads wait.
//! - It forgets its reads when it stops leading, and does not say so.

use std::collections::BTreeMap;

use futures::channel::oneshot;
use labraft::PendingRead;
use raft::{RawNode, ReadState, StateRole};

use crate::storage::Disk;

/// The reads that a server has taken and not answered.
#[derive(Default)]
pub struct Reads {
    /// Those for which no round has begun.
    new: Vec<Read>,
    /// Those that wait for a round, by its number.
    asked: BTreeMap<u64, Vec<Read>>,
    /// The number of the last round. Heartbeats of the round carry it, and so do their answers.
    last_round: u64,
}

struct Read {
    /// The term of the leader that has taken it.
    term: u64,
    answer: oneshot::Sender<Option<u64>>,
}

impl Reads {
    /// Takes a read, if this server leads. The round begins with the next `Ready` that is handled.
    pub fn begin(&mut self, raft: &raft::Raft<Disk>) -> Option<PendingRead> {
        if raft.state != StateRole::Leader {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        self.new.push(Read { term: raft.term, answer });
        // A read whose `answer` is dropped is lost.
        Some(PendingRead::new(async move { answered.await.ok().flatten() }))
    }

    /// Begins a round for the new reads, as soon as raft-rs takes reads.
    pub fn begin_round(&mut self, raw: &mut RawNode<Disk>) {
        let raft = &raw.raft;
        let is_ready = raft.state == StateRole::Leader && raft.commit_to_current_term();
        if is_ready && !self.new.is_empty() {
            self.last_round += 1;
            self.asked.insert(self.last_round, std::mem::take(&mut self.new));
            raw.read_index(context_of(self.last_round));
        }
    }

    /// Answers the reads of rounds that a majority has answered.
    pub fn confirm(&mut self, states: Vec<ReadState>) {
        for ReadState { index, request_ctx } in states {
            let reads = round_of(&request_ctx).and_then(|round| self.asked.remove(&round));
            for read in reads.into_iter().flatten() {
                // An error means that nobody waits any more.
                let _ = read.answer.send(Some(index));
            }
        }
    }

    /// Drops the reads of terms that this server does not lead any more.
    pub fn drop_lost(&mut self, raft: &raft::Raft<Disk>) {
        let is_kept = |read: &mut Read| raft.state == StateRole::Leader && raft.term == read.term;
        self.new.retain_mut(is_kept);
        self.asked.retain(|_, reads| {
            reads.retain_mut(is_kept);
            !reads.is_empty()
        });
    }
}

/// What the messages of a round carry.
fn context_of(round: u64) -> Vec<u8> {
    round.to_be_bytes().to_vec()
}

/// The round that a message with this context belongs to.
pub fn round_of(context: &[u8]) -> Option<u64> {
    context.try_into().ok().map(u64::from_be_bytes)
}
