// SOLUTION FILE
//! The log: entries at consecutive indexes, of which a snapshot may have replaced the first ones.

use std::collections::VecDeque;

use bytes::Bytes;
use labraft::{Pieces, SavedState};
use labrpc::CodecError;
use serde::{Deserialize, Serialize};

use crate::message::Entry;

/// Entries from `last_included_index + 1` on.
///
/// It holds that
/// - the entries have consecutive indexes, the first being `last_included_index + 1`;
/// - their terms never fall, and none is below `last_included_term`;
/// - each slot's `encoded` is the encoding of all entries up to it.
///
/// The last point makes saving cheap: an append encodes the new entry only, and a save shares all
/// the pieces before it.
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

    /// The term of the entry at `index`; `None` when it is past the end or within the snapshot. The
    /// snapshot's last index is still known, and index 0, before all entries, has term 0.
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

    /// The first index that the log holds of the term at `index`.
    pub fn first_index_of_term_at(&self, index: u64) -> u64 {
        let term = self.term(index);
        let mut first = index;
        while first > self.first_index() && self.term(first - 1) == term {
            first -= 1;
        }
        first
    }

    /// The last index of an entry of `term`, looking back from `index`.
    pub fn last_index_of_term(&self, term: u64, index: u64) -> Option<u64> {
        let candidates = (self.last_included_index..=index.min(self.last_index())).rev();
        let mut not_later = candidates.skip_while(|&i| self.term(i).is_some_and(|t| t > term));
        not_later.next().filter(|&i| self.term(i) == Some(term))
    }

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
    /// If some of them are within the snapshot.
    pub fn truncate_from(&mut self, index: u64) {
        let place = self.place(index);
        let place = place.unwrap_or_else(|| {
            panic!("index {index} is in the snapshot up to {}", self.last_included_index)
        });
        self.slots.truncate(place);
    }

    /// Forgets all entries up to `index`, which a snapshot now replaces; those after it stay.
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
        // What is left begins a new string of pieces.
        let mut encoded = Pieces::new();
        for slot in &mut self.slots {
            encoded = encoded.push(encode(&slot.entry));
            slot.encoded = encoded.clone();
        }
    }

    /// Forgets everything: a snapshot that ends with an entry of this index and term replaces it.
    pub fn reset(&mut self, last_included_index: u64, last_included_term: u64) {
        *self = Log { last_included_index, last_included_term, slots: VecDeque::new() };
    }
}

fn encode(entry: &Entry) -> Bytes {
    labrpc::encode(entry).expect("an entry can be encoded").into()
}

/// What stands behind the entries in a saved state. Its size is always the same, so it is found from
/// the end: the part that changes most comes last, and the pieces before it can be shared.
#[derive(Serialize, Deserialize)]
struct Trailer {
    current_term: u64,
    voted_for: u64,
    last_included_index: u64,
    last_included_term: u64,
    entries: u64,
}

const TRAILER_BYTES: usize = 5 * 8;
const NOBODY: u64 = u64::MAX;

/// The saved state: the entries, then the trailer.
pub fn encode_state(current_term: u64, voted_for: Option<usize>, log: &Log) -> Pieces {
    let trailer = Trailer {
        current_term,
        voted_for: voted_for.map_or(NOBODY, |candidate| candidate as u64),
        last_included_index: log.last_included_index,
        last_included_term: log.last_included_term,
        entries: log.slots.len() as u64,
    };
    let entries = log.slots.back().map(|slot| slot.encoded.clone()).unwrap_or_default();
    entries.push(labrpc::encode(&trailer).expect("numbers can be encoded"))
}

/// Term, vote and log of a saved state.
///
/// # Errors
/// When the bytes are not a saved state.
pub fn decode_state(bytes: &[u8]) -> Result<(u64, Option<usize>, Log), CodecError> {
    let trailer_at = bytes.len().saturating_sub(TRAILER_BYTES);
    let (mut entries, trailer) = bytes.split_at(trailer_at);
    let trailer: Trailer = labrpc::decode(trailer)?;
    let mut log = Log::default();
    log.reset(trailer.last_included_index, trailer.last_included_term);
    for _ in 0..trailer.entries {
        log.append(labrpc::decode_first(&mut entries)?);
    }
    let voted_for = (trailer.voted_for != NOBODY).then_some(trailer.voted_for as usize);
    Ok((trailer.current_term, voted_for, log))
}

/// A saved state for the lab's checks; see [`labraft::Implementation::read_saved`].
pub fn read_saved(bytes: &[u8]) -> Option<SavedState> {
    let (term, voted_for, log) = decode_state(bytes).ok()?;
    Some(SavedState {
        term,
        voted_for,
        last_included_index: log.last_included_index,
        last_included_term: log.last_included_term,
        terms: log.slots.iter().map(|slot| slot.entry.term).collect(),
    })
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
        let (term, voted_for, read) = decode_state(&bytes).unwrap();
        assert_eq!((term, voted_for), (9, Some(2)));
        assert_eq!((read.last_included_index(), read.last_included_term()), (2, 1));
        assert_eq!(read.entries_from(3), log.entries_from(3));
        assert_eq!(read_saved(&bytes).unwrap().terms, [2, 7]);
        assert!(decode_state(&bytes[..20]).is_err());
    }

    #[test]
    #[should_panic(expected = "cannot follow")]
    fn terms_never_fall_along_the_log() {
        log_of_terms(&[2, 1]);
    }
}
