// SOLUTION FILE
//! The log: entries at consecutive indexes, of which a snapshot may have replaced the first; and
//! how it is saved, together with the term and the vote.

use std::collections::VecDeque;

use bytes::Bytes;
use labraft::Pieces;
use labrpc::CodecError;
use serde::{Deserialize, Serialize};

use crate::message::Entry;

/// The entries from `last_included_index + 1` on.
///
/// At all times,
/// - the entries have consecutive indexes, beginning with `last_included_index + 1`;
/// - their terms never fall, and none is below `last_included_term`;
/// - `encoded` of each slot is the encoding of all entries up to and including that slot's.
///
/// The last point makes saving cheap: an append encodes only the new entry, and a save shares all
/// the pieces before it with the save before.
#[derive(Clone, Debug, Default)]
pub struct Log {
    last_included_index: u64,
    last_included_term: u64,
    slots: VecDeque<Slot>,
}

#[derive(Clone, Debug)]
struct Slot {
    entry: Entry,
    encoded: Pieces,
}

impl Log {
    /// The last index that a snapshot has replaced; 0 without a snapshot.
    pub fn last_included_index(&self) -> u64 {
        self.last_included_index
    }

    /// The term of the entry at [`last_included_index`](Self::last_included_index).
    pub fn last_included_term(&self) -> u64 {
        self.last_included_term
    }

    /// The first index that the log still holds.
    pub fn first_index(&self) -> u64 {
        self.last_included_index + 1
    }

    /// The index of the last entry, in the log or in the snapshot; 0 when there is none.
    pub fn last_index(&self) -> u64 {
        self.last_included_index + self.slots.len() as u64
    }

    /// The term of the last entry; 0 when there is none.
    pub fn last_term(&self) -> u64 {
        self.slots.back().map_or(self.last_included_term, |slot| slot.entry.term)
    }

    /// The term of the entry at `index`; `None` past the end of the log and within the snapshot.
    /// The term of the snapshot's last entry is still known, and index 0, before all entries, has
    /// term 0.
    pub fn term(&self, index: u64) -> Option<u64> {
        if index == self.last_included_index {
            return Some(self.last_included_term);
        }
        Some(self.entry(index)?.term)
    }

    /// The entry at `index`, if the log holds it.
    pub fn entry(&self, index: u64) -> Option<&Entry> {
        Some(&self.slots.get(self.place(index)?)?.entry)
    }

    /// All entries from `index` on.
    pub fn entries_from(&self, index: u64) -> Vec<Entry> {
        let start = self.place(index).unwrap_or(0).min(self.slots.len());
        self.slots.range(start..).map(|slot| slot.entry.clone()).collect()
    }

    /// The first index in the log whose entry has the same term as the entry at `index`.
    pub fn first_index_of_term_at(&self, index: u64) -> u64 {
        let term = self.term(index);
        let mut first = index;
        while first > self.first_index() && self.term(first - 1) == term {
            first -= 1;
        }
        first
    }

    /// The last index up to `index` whose entry has this term, if there is one.
    pub fn last_index_of_term(&self, term: u64, index: u64) -> Option<u64> {
        let mut last = index.min(self.last_index());
        // Terms never fall, so entries of later terms are all behind it.
        while last > self.last_included_index && self.term(last) > Some(term) {
            last -= 1;
        }
        if self.term(last) == Some(term) { Some(last) } else { None }
    }

    /// The place of `index` among the slots; `None` when the snapshot covers it.
    fn place(&self, index: u64) -> Option<usize> {
        index.checked_sub(self.first_index()).map(|place| place as usize)
    }

    /// Adds an entry at the end.
    ///
    /// # Panics
    /// If its term is below that of the last entry.
    pub fn append(&mut self, entry: Entry) {
        assert!(
            entry.term >= self.last_term(),
            "an entry of term {} cannot follow one of term {}",
            entry.term,
            self.last_term()
        );
        let before = self.slots.back().map(|slot| slot.encoded.clone()).unwrap_or_default();
        self.slots.push_back(Slot { encoded: before.push(encode(&entry)), entry });
    }

    /// Removes all entries from `index` on.
    ///
    /// # Panics
    /// If the snapshot covers `index`.
    pub fn truncate_from(&mut self, index: u64) {
        let place = self.place(index);
        let place = place.unwrap_or_else(|| {
            panic!("index {index} is in the snapshot up to {}", self.last_included_index)
        });
        self.slots.truncate(place);
    }

    /// Forgets all entries up to `index`, because a snapshot replaces them; those after it stay.
    ///
    /// # Panics
    /// If the log does not hold the entry at `index`.
    pub fn compact(&mut self, index: u64) {
        let term = self.term(index).unwrap_or_else(|| {
            panic!("index {index} is not in the log {}..={}", self.first_index(), self.last_index())
        });
        let forgotten = (index - self.last_included_index) as usize;
        self.slots.drain(..forgotten);
        self.last_included_index = index;
        self.last_included_term = term;
        // The pieces of the entries that stay are strung together anew, without those before them.
        let mut encoded = Pieces::new();
        for slot in &mut self.slots {
            encoded = encoded.push(encode(&slot.entry));
            slot.encoded = encoded.clone();
        }
    }

    /// Forgets all entries, because a snapshot whose last entry has this index and term replaces
    /// them.
    pub fn reset(&mut self, last_included_index: u64, last_included_term: u64) {
        *self = Log { last_included_index, last_included_term, slots: VecDeque::new() };
    }
}

fn encode(entry: &Entry) -> Bytes {
    labrpc::encode(entry).expect("an entry can be encoded").into()
}

/// What follows the entries in a saved state. The part that changes most often comes last, so that
/// the pieces before it can be shared; its size is fixed, so that it can be found from the end.
#[derive(Serialize, Deserialize)]
struct Trailer {
    current_term: u64,
    voted_for: u64,
    last_included_index: u64,
    last_included_term: u64,
    entries: u64,
}

const TRAILER_BYTES: usize = 5 * 8;
/// Stands for `None` in [`Trailer::voted_for`].
const NO_VOTE: u64 = u64::MAX;

/// What a server keeps on its disk (figure 2, "Persistent state on all servers").
#[derive(Clone, Debug, Default)]
pub struct PersistentState {
    /// The latest term that the server knows of.
    pub current_term: u64,
    /// The candidate that has the server's vote in that term.
    pub voted_for: Option<usize>,
    /// The log, from the end of the snapshot on.
    pub log: Log,
}

/// Encodes what a server keeps on its disk: the entries, then the trailer.
pub fn encode_state(current_term: u64, voted_for: Option<usize>, log: &Log) -> Pieces {
    let trailer = Trailer {
        current_term,
        voted_for: voted_for.map_or(NO_VOTE, |candidate| candidate as u64),
        last_included_index: log.last_included_index,
        last_included_term: log.last_included_term,
        entries: log.slots.len() as u64,
    };
    let entries = log.slots.back().map(|slot| slot.encoded.clone()).unwrap_or_default();
    entries.push(labrpc::encode(&trailer).expect("numbers can be encoded"))
}

/// Reads what [`encode_state`] has written.
///
/// # Errors
/// If the bytes are not a saved state.
pub fn decode_state(bytes: &[u8]) -> Result<PersistentState, CodecError> {
    let trailer_at = bytes.len().saturating_sub(TRAILER_BYTES);
    let (mut entries, trailer) = bytes.split_at(trailer_at);
    let trailer: Trailer = labrpc::decode(trailer)?;
    let mut log = Log::default();
    log.reset(trailer.last_included_index, trailer.last_included_term);
    for _ in 0..trailer.entries {
        log.append(labrpc::decode_first(&mut entries)?);
    }
    let voted_for = (trailer.voted_for != NO_VOTE).then_some(trailer.voted_for as usize);
    Ok(PersistentState { current_term: trailer.current_term, voted_for, log })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_of_terms(terms: &[u64]) -> Log {
        let mut log = Log::default();
        for &term in terms {
            log.append(Entry { term, command: Bytes::copy_from_slice(&term.to_le_bytes()) });
        }
        log
    }

    #[test]
    fn an_empty_log_ends_at_index_0_of_term_0() {
        let log = Log::default();
        assert_eq!((log.first_index(), log.last_index(), log.last_term()), (1, 0, 0));
        assert_eq!((log.term(0), log.term(1)), (Some(0), None));
    }

    #[test]
    fn compaction_keeps_indexes_terms_and_what_follows() {
        let mut log = log_of_terms(&[1, 1, 2, 4, 4]);
        log.compact(3);
        assert_eq!((log.first_index(), log.last_index()), (4, 5));
        assert_eq!([2, 3, 4, 6].map(|i| log.term(i)), [None, Some(2), Some(4), None]);
        assert_eq!(log.entries_from(5).len(), 1);
        log.compact(5);
        assert_eq!((log.last_index(), log.last_term()), (5, 4));
    }

    #[test]
    fn the_bounds_of_a_term_are_found_within_what_the_log_holds() {
        let mut log = log_of_terms(&[1, 2, 2, 2, 5]);
        assert_eq!(log.first_index_of_term_at(4), 2);
        assert_eq!(log.last_index_of_term(2, 5), Some(4));
        assert_eq!(log.last_index_of_term(3, 5), None);
        log.compact(3);
        assert_eq!(log.first_index_of_term_at(4), 4, "index 3 is in the snapshot");
        assert_eq!(log.last_index_of_term(1, 5), None);
    }

    #[test]
    fn a_saved_state_is_read_back_after_appends_truncation_and_compaction() {
        let mut log = log_of_terms(&[1, 1, 2, 2, 3]);
        log.truncate_from(4);
        log.append(Entry { term: 7, command: Bytes::from_static(b"x") });
        log.compact(2);
        let bytes = encode_state(9, Some(2), &log).to_vec();
        let read = decode_state(&bytes).unwrap();
        assert_eq!((read.current_term, read.voted_for), (9, Some(2)));
        assert_eq!((read.log.last_included_index(), read.log.last_included_term()), (2, 1));
        assert_eq!(read.log.entries_from(3), log.entries_from(3));
        assert!(decode_state(&bytes[..20]).is_err());
    }

    #[test]
    #[should_panic(expected = "cannot follow")]
    fn terms_never_fall_along_the_log() {
        log_of_terms(&[2, 1]);
    }
}
