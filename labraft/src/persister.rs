//! The simulated disk, which keeps a Raft's state and its service's snapshot across crashes.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use labrpc::{Runtime, World};

use crate::harness_event::HarnessEvent;

/// A byte string made of shared pieces. Appending a piece and cloning take constant time, and
/// strings with a common prefix share its memory.
///
/// A Raft whose log grows by one entry can therefore save the new state without copying the whole
/// log. A plain `Vec<u8>` converts to a single piece.
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
    /// The total length of this piece and all pieces before it, in bytes.
    len: usize,
}

impl Pieces {
    /// Creates an empty byte string.
    pub fn new() -> Pieces {
        Pieces::default()
    }

    /// Returns a new byte string with `bytes` appended. `self` stays as it is.
    pub fn push(&self, bytes: impl Into<Bytes>) -> Pieces {
        let bytes = bytes.into();
        Pieces(Some(Rc::new(Piece { len: self.len() + bytes.len(), before: self.clone(), bytes })))
    }

    /// The length in bytes.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |last| last.len)
    }

    /// Whether the length is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies all pieces into one vector.
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
    /// Drops the pieces in a loop. Recursion over a long chain of pieces would overflow the stack.
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
    /// The number of saves so far, including those of earlier incarnations.
    count: u64,
}

/// A server's simulated disk. It holds one state and one snapshot, which are saved together,
/// atomically.
///
/// The harness gives each incarnation of a server a copy of what the previous one saved. Anything
/// that a crashed incarnation writes after that is lost.
#[derive(Clone)]
pub struct Persister {
    saved: Rc<RefCell<Saved>>,
    /// The server whose disk it is, and its world; `None` outside of a simulation.
    owner: Option<(World, Runtime)>,
}

impl Persister {
    /// Creates an empty persister whose saves are recorded as events of the runtime's server.
    pub(crate) fn new(world: World, runtime: Runtime) -> Persister {
        Persister { saved: Rc::default(), owner: Some((world, runtime)) }
    }

    /// Creates an independent copy for the server's next incarnation.
    pub(crate) fn copy(&self, world: World, runtime: Runtime) -> Persister {
        let saved = self.saved.borrow().clone();
        Persister { saved: Rc::new(RefCell::new(saved)), owner: Some((world, runtime)) }
    }

    /// Replaces the saved state and the saved snapshot. To keep the current snapshot, pass it
    /// again. If there is none, pass empty bytes.
    ///
    /// Under the chaos profile, the server may crash during a save. Then nothing is saved, and
    /// whatever the server does afterwards has no effect.
    pub fn save(&self, state: impl Into<Pieces>, snapshot: Bytes) {
        let count = self.count() + 1;
        let saved = Saved { state: state.into(), snapshot, count };
        if let Some((world, runtime)) = &self.owner {
            if !runtime.is_alive() || world.crashes_at_save(runtime) {
                return;
            }
            let (state, snapshot) = (saved.state.len(), saved.snapshot.len());
            runtime.fingerprint(state as u64, snapshot as u64);
            runtime.record(|| HarnessEvent::Saved { state, snapshot }.event());
        }
        let replaced = self.saved.replace(saved);
        drop(replaced);
    }

    /// The number of saves so far, including those of earlier incarnations.
    pub(crate) fn count(&self) -> u64 {
        self.saved.borrow().count
    }

    /// The saved state; empty if nothing has been saved.
    pub fn read_state(&self) -> Vec<u8> {
        self.saved.borrow().state.to_vec()
    }

    /// The saved snapshot; empty if there is none.
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
    /// Creates an empty persister that belongs to no simulation, for an implementation's unit
    /// tests.
    fn default() -> Persister {
        Persister { saved: Rc::default(), owner: None }
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
    fn strings_with_a_common_prefix_do_not_affect_each_other() {
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
