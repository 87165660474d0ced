//! A log whose front may have been discarded, and the form in which it is saved.

use std::cell::Cell;

use bytes::Bytes;
use labraft::{ApplyMsg, EntryProbe, Pieces};
use serde::{Deserialize, Serialize};

/// An entry of the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The term in which a leader created the entry.
    pub(crate) term: u64,
    /// The command, as it was passed to `start`.
    pub(crate) command: Bytes,
}

/// Where a follower's log differs from its leader's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Conflict {
    /// The term of the follower's entry there; `None` if its log ends before.
    pub(crate) term: Option<u64>,
    /// The first index that the follower has of that term; without a term, one after its last entry.
    pub(crate) first_index: u64,
}

/// One part of what is saved: the end of the snapshot, the entries after it, then term and vote.
#[derive(Serialize, Deserialize)]
enum Record {
    Snapshot { last_index: u64, last_term: u64 },
    Entry(Entry),
    Vote { term: u64, voted_for: Option<usize> },
}

impl Record {
    fn encoded(&self) -> Vec<u8> {
        labrpc::encode(self).expect("a record can be encoded")
    }
}

/// What a server finds on its disk when it starts.
#[derive(Default)]
pub(crate) struct Saved {
    pub(crate) term: u64,
    pub(crate) voted_for: Option<usize>,
    pub(crate) log: Log,
}

impl Saved {
    /// Reads what [`Log::saved_with`] has made; nothing at all if the disk is empty.
    pub(crate) fn read(mut state: &[u8]) -> Saved {
        let mut saved = Saved::default();
        while !state.is_empty() {
            match labrpc::decode_first(&mut state).expect("the saved state can be read") {
                Record::Snapshot { last_index, last_term } => {
                    saved.log = Log::after(last_index, last_term);
                }
                Record::Entry(entry) => saved.log.push(entry),
                Record::Vote { term, voted_for } => {
                    saved.term = term;
                    saved.voted_for = voted_for;
                }
            }
        }
        saved.log.take_lowest_written();
        saved
    }
}

/// The entries after a snapshot, which may cover nothing.
///
/// Indexes are the log's own, beginning at 1; nobody else computes with positions in the vector.
pub(crate) struct Log {
    /// The last index that the snapshot covers, 0 without a snapshot.
    snapshot_index: u64,
    /// The term of the entry at that index.
    snapshot_term: u64,
    entries: Vec<Entry>,
    /// What is saved of the snapshot's end and the first n entries, at position n. Each shares the
    /// bytes of the one before.
    encoded: Vec<Pieces>,
    lowest_written: Cell<Option<u64>>,
}

impl Default for Log {
    fn default() -> Log {
        Log::after(0, 0)
    }
}

impl Log {
    /// An empty log behind a snapshot.
    pub(crate) fn after(last_index: u64, last_term: u64) -> Log {
        let front = Record::Snapshot { last_index, last_term };
        Log {
            snapshot_index: last_index,
            snapshot_term: last_term,
            entries: Vec::new(),
            encoded: vec![Pieces::from(front.encoded())],
            lowest_written: Cell::new(Some(last_index + 1)),
        }
    }

    /// The last index that the snapshot covers.
    pub(crate) fn snapshot_index(&self) -> u64 {
        self.snapshot_index
    }

    /// The term of the last entry that the snapshot covers.
    pub(crate) fn snapshot_term(&self) -> u64 {
        self.snapshot_term
    }

    pub(crate) fn first_index(&self) -> u64 {
        self.snapshot_index + 1
    }

    pub(crate) fn last_index(&self) -> u64 {
        self.snapshot_index + self.entries.len() as u64
    }

    pub(crate) fn last_term(&self) -> u64 {
        self.entries.last().map_or(self.snapshot_term, |last| last.term)
    }

    /// The entry at an index, if it is there.
    pub(crate) fn get(&self, index: u64) -> Option<&Entry> {
        let position = index.checked_sub(self.first_index())?;
        self.entries.get(usize::try_from(position).ok()?)
    }

    /// The term at an index; also at the snapshot's last. `None` if it is unknown here.
    pub(crate) fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.snapshot_index {
            return Some(self.snapshot_term);
        }
        self.get(index).map(|entry| entry.term)
    }

    /// The entries from an index on, which must not have been discarded.
    pub(crate) fn from(&self, index: u64) -> &[Entry] {
        assert!(index > self.snapshot_index, "entry {index} is in the snapshot");
        let position = (index - self.first_index()) as usize;
        self.entries.get(position..).unwrap_or_default()
    }

    /// Whether a log that ends with this entry is at least as up to date as this one (5.4.1).
    pub(crate) fn is_covered_by(&self, last_term: u64, last_index: u64) -> bool {
        (last_term, last_index) >= (self.last_term(), self.last_index())
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.note_written(self.last_index() + 1);
        let before = self.encoded.last().expect("the front is always there");
        let longer = before.push(Record::Entry(entry.clone()).encoded());
        self.encoded.push(longer);
        self.entries.push(entry);
    }

    /// Removes the entry at an index and all that follow. The index is behind the snapshot.
    pub(crate) fn truncate(&mut self, from: u64) {
        if from <= self.last_index() {
            self.note_written(from);
            let kept = (from - self.first_index()) as usize;
            self.entries.truncate(kept);
            self.encoded.truncate(kept + 1);
        }
    }

    /// Adds entries of a leader that follow `prev`, which matches. What is there already stays, and
    /// what contradicts them is removed. Returns whether anything changed.
    pub(crate) fn merge(&mut self, prev: u64, entries: Vec<Entry>) -> bool {
        let mut has_changed = false;
        for (index, entry) in (prev + 1..).zip(entries) {
            // What a snapshot covers was committed, so it is the same.
            if index <= self.snapshot_index || self.term_at(index) == Some(entry.term) {
                continue;
            }
            self.truncate(index);
            self.push(entry);
            has_changed = true;
        }
        has_changed
    }

    /// Puts a snapshot in the place of the entries up to its last. Keeps what follows if the entry at
    /// that index is the snapshot's (7), and otherwise nothing.
    pub(crate) fn start_after(&mut self, last_index: u64, last_term: u64) {
        let is_same = self.term_at(last_index) == Some(last_term);
        let rest = if is_same { self.from(last_index + 1).to_vec() } else { Vec::new() };
        let lowest = if is_same { self.lowest_written.get() } else { Some(last_index + 1) };
        *self = Log::after(last_index, last_term);
        for entry in rest {
            self.push(entry);
        }
        self.lowest_written.set(lowest);
    }

    /// Makes this log, which is older, the same as another, by what the other has written since this was
    /// last done.
    pub(crate) fn copy(&mut self, newer: &Log) {
        if newer.snapshot_index > self.snapshot_index {
            self.start_after(newer.snapshot_index, newer.snapshot_term);
        }
        if let Some(lowest) = newer.take_lowest_written() {
            self.truncate(lowest.max(self.first_index()));
        }
        for entry in newer.from(self.last_index() + 1) {
            self.push(entry.clone());
        }
    }

    /// The next thing for the service after `last_applied`: the snapshot, if the log begins only
    /// later, or a committed command. It counts as applied from now on.
    pub(crate) fn next_message(
        &self,
        last_applied: &mut u64,
        commit_index: u64,
        snapshot: &Bytes,
    ) -> Option<ApplyMsg> {
        if *last_applied < self.snapshot_index {
            *last_applied = self.snapshot_index;
            let index = self.snapshot_index;
            let term = self.snapshot_term;
            return Some(ApplyMsg::Snapshot { index, term, snapshot: snapshot.clone() });
        }
        let index = *last_applied + 1;
        let entry = self.get(index).filter(|_| index <= commit_index)?;
        *last_applied = index;
        Some(ApplyMsg::Command { index, command: entry.command.clone() })
    }

    /// As a follower: where this log differs from a leader's that has this entry, if it does there.
    pub(crate) fn conflict(&self, prev: u64, prev_term: u64) -> Option<Conflict> {
        if prev > self.last_index() {
            return Some(Conflict { term: None, first_index: self.last_index() + 1 });
        }
        // What is unknown is in the snapshot, so it was committed and matches.
        let term = self.term_at(prev).filter(|&term| term != prev_term)?;
        let is_before = |index: &u64| self.term_at(*index) != Some(term);
        let last_before = (self.snapshot_index + 1..prev).rev().find(is_before);
        let first_index = last_before.unwrap_or(self.snapshot_index) + 1;
        Some(Conflict { term: Some(term), first_index })
    }

    /// As a leader: where to go on after a follower's conflict at `prev`. After this log's last entry
    /// of the follower's term, or else where the follower's term begins.
    pub(crate) fn resume_after(&self, prev: u64, conflict: &Conflict) -> u64 {
        let is_same = |index: &u64| conflict.term == self.term_at(*index);
        let last = conflict.term.and_then(|_| (self.first_index()..=prev).rev().find(is_same));
        last.map_or(conflict.first_index, |last| last + 1).clamp(1, prev.max(1))
    }

    /// What to save: this log, a term and a vote. The state is not copied.
    pub(crate) fn saved_with(&self, term: u64, voted_for: Option<usize>) -> Pieces {
        let log = self.encoded.last().expect("the front is always there");
        log.push(Record::Vote { term, voted_for }.encoded())
    }

    /// The lowest index written or removed since this was last asked.
    pub(crate) fn take_lowest_written(&self) -> Option<u64> {
        self.lowest_written.take()
    }

    /// An entry, for the checks.
    pub(crate) fn shown(&self, index: u64) -> Option<EntryProbe> {
        let entry = self.get(index)?;
        Some(EntryProbe { term: entry.term, command: entry.command.clone() })
    }

    /// The term at the end of the snapshot, for the checks.
    pub(crate) fn shown_snapshot_term(&self) -> Option<u64> {
        (self.snapshot_index > 0).then_some(self.snapshot_term)
    }

    fn note_written(&self, index: u64) {
        let lowest = self.lowest_written.get().map_or(index, |lowest| lowest.min(index));
        self.lowest_written.set(Some(lowest));
    }
}
