//! What survives a crash: a Raft's saved state and its service's snapshot.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use labrpc::Runtime;

use crate::harness_event::HarnessEvent;

/// A byte string in shared pieces. Adding a piece and copying cost the same for any length, and
/// strings that share a beginning share its memory.
///
/// So a Raft whose log grows by one entry saves the new piece and a few bytes more, not the log. A
/// plain `Vec<u8>` is one piece.
///
/// ```
/// use labraft::Pieces;
/// let log = Pieces::new().push(vec![1, 2]).push(vec![3]);
/// let longer = log.push(vec![4, 5]);
/// assert_eq!((log.len(), longer.len()), (3, 5));
/// assert_eq!(longer.to_vec(), [1, 2, 3, 4, 5]);
/// ```
#[derive(Clone, Default)]
pub struct Pieces(Option<Rc<Piece>>);

struct Piece {
    before: Pieces,
    bytes: Bytes,
    /// Of all pieces up to this one.
    len: usize,
}

impl Pieces {
    /// No bytes.
    pub fn new() -> Pieces {
        Pieces::default()
    }

    /// These bytes and then one piece more.
    pub fn push(&self, bytes: impl Into<Bytes>) -> Pieces {
        let bytes = bytes.into();
        Pieces(Some(Rc::new(Piece { len: self.len() + bytes.len(), before: self.clone(), bytes })))
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |last| last.len)
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes in one.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut pieces = Vec::new();
        let mut next = self;
        while let Some(piece) = &next.0 {
            pieces.push(&piece.bytes[..]);
            next = &piece.before;
        }
        pieces.reverse();
        pieces.concat()
    }
}

impl Drop for Piece {
    /// One piece after the other: a recursion as long as the log would overflow the stack.
    fn drop(&mut self) {
        let mut before = self.before.0.take();
        while let Some(Ok(mut piece)) = before.map(Rc::try_unwrap) {
            before = piece.before.0.take();
        }
    }
}

impl<T: Into<Bytes>> From<T> for Pieces {
    fn from(bytes: T) -> Pieces {
        Pieces::new().push(bytes)
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pieces({} bytes)", self.len())
    }
}

#[derive(Clone, Default)]
struct Saved {
    state: Pieces,
    snapshot: Bytes,
    /// How often anything was saved.
    count: u64,
}

/// A server's disk: one state and one snapshot, saved together and at once.
///
/// The harness gives each incarnation a copy of what the last one had saved, so what a dead one
/// still writes is lost.
#[derive(Clone)]
pub struct Persister {
    saved: Rc<RefCell<Saved>>,
    runtime: Option<Runtime>,
}

impl Persister {
    /// An empty one, whose saves are recorded as the server's.
    pub(crate) fn new(runtime: Runtime) -> Persister {
        Persister { saved: Rc::default(), runtime: Some(runtime) }
    }

    /// One with the same contents, apart from this one.
    pub(crate) fn copy(&self, runtime: Runtime) -> Persister {
        let saved = self.saved.borrow().clone();
        Persister { saved: Rc::new(RefCell::new(saved)), runtime: Some(runtime) }
    }

    /// Saves both, in the place of what was there. Whoever has nothing new for the snapshot passes
    /// the present one again; without one, no bytes.
    ///
    /// Under chaos a server may crash at this moment. Then nothing is saved, and whatever the server does
    /// afterwards is void.
    pub fn save(&self, state: impl Into<Pieces>, snapshot: Bytes) {
        let count = self.count() + 1;
        let saved = Saved { state: state.into(), snapshot, count };
        if let Some(runtime) = &self.runtime {
            if !runtime.is_alive() || runtime.crashes_at_save() {
                return;
            }
            let (state, snapshot) = (saved.state.len(), saved.snapshot.len());
            runtime.fingerprint(state as u64, snapshot as u64);
            runtime.record(|| HarnessEvent::Saved { state, snapshot }.event());
        }
        let replaced = self.saved.replace(saved);
        drop(replaced);
    }

    /// How often anything was saved.
    pub(crate) fn count(&self) -> u64 {
        self.saved.borrow().count
    }

    /// The saved state; empty when nothing was saved.
    pub fn read_state(&self) -> Vec<u8> {
        self.saved.borrow().state.to_vec()
    }

    /// The saved snapshot; empty when there is none.
    pub fn read_snapshot(&self) -> Bytes {
        self.saved.borrow().snapshot.clone()
    }

    /// The size of the saved state in bytes.
    pub fn state_size_bytes(&self) -> usize {
        self.saved.borrow().state.len()
    }

    /// The size of the saved snapshot in bytes.
    pub fn snapshot_size_bytes(&self) -> usize {
        self.saved.borrow().snapshot.len()
    }
}

impl Default for Persister {
    /// An empty one outside of any simulation, for tests of a Raft's own.
    fn default() -> Persister {
        Persister { saved: Rc::default(), runtime: None }
    }
}

impl fmt::Debug for Persister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let saved = self.saved.borrow();
        write!(f, "Persister({:?}, snapshot of {} bytes)", saved.state, saved.snapshot.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_share_what_they_have_in_common() {
        let base = Pieces::new().push(&b"ab"[..]).push(&b"c"[..]);
        let (left, right) = (base.push(&b"d"[..]), base.push(&b"ef"[..]));
        assert_eq!(left.to_vec(), b"abcd");
        assert_eq!(right.to_vec(), b"abcef");
        assert_eq!(right.len(), 5);
        drop(base);
        drop(left);
        assert_eq!(right.to_vec(), b"abcef");
    }

    #[test]
    fn a_very_long_string_is_dropped_without_recursion() {
        let mut pieces = Pieces::new();
        for _ in 0..1_000_000 {
            pieces = pieces.push(&b"x"[..]);
        }
        assert_eq!(pieces.len(), 1_000_000);
        drop(pieces);
    }

    #[test]
    fn a_save_replaces_both_parts() {
        let persister = Persister::default();
        assert!(persister.read_state().is_empty() && persister.read_snapshot().is_empty());
        persister.save(vec![1, 2, 3], Bytes::from_static(b"snap"));
        persister.save(vec![4], Bytes::new());
        assert_eq!((persister.read_state(), persister.state_size_bytes()), (vec![4], 1));
        assert_eq!(persister.snapshot_size_bytes(), 0);
    }
}
