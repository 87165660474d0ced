//! A change of one server, which every check is given.

use std::time::Duration;

use crate::raft::{Probe, Raft, Role};

/// A change of a server's Raft since its last check.
pub(super) struct Change<'a> {
    /// The server.
    pub(super) server: usize,
    /// Its probe at the last check; `None` at the first check after each start.
    pub(super) before: Option<&'a Probe>,
    /// Its present probe.
    pub(super) now: &'a Probe,
    /// Its Raft, for data that the history does not keep, such as the bytes of commands.
    pub(super) raft: &'a dyn Raft,
    /// Virtual time.
    pub(super) at: Duration,
    /// The changes in its log.
    pub(super) log: LogChange,
    /// Whether it has saved since the last check.
    pub(super) saved: bool,
    /// Whether it has answered another server since the last check.
    pub(super) answered: bool,
}

/// How a server's probe differs from the one at its last check.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// In nothing.
    Nothing,
    /// In `last_applied`, as after each entry that is handed up, or only in what the last one said was written.
    LastApplied,
    /// In anything else. Whatever was written is a change, also if the same index was written just before.
    Other,
}

impl Difference {
    #[inline]
    pub(super) fn between(before: &Probe, now: &Probe) -> Difference {
        let Probe {
            term,
            role,
            voted_for,
            first_index,
            last_index,
            commit_index,
            last_applied,
            lowest_written,
            followers,
        } = now;
        let is_same = *term == before.term
            && *role == before.role
            && *voted_for == before.voted_for
            && *first_index == before.first_index
            && *last_index == before.last_index
            && *commit_index == before.commit_index
            && lowest_written.is_none()
            && *followers == before.followers;
        if !is_same {
            Difference::Other
        } else if *last_applied != before.last_applied || before.lowest_written.is_some() {
            Difference::LastApplied
        } else {
            Difference::Nothing
        }
    }
}

/// The changes in a server's log since its last check.
#[derive(Copy, Clone)]
pub(super) struct LogChange {
    /// What was written; after a start, the whole log.
    pub(super) written: Option<Written>,
    /// Whether any entry differs from the entry that was there: an entry may be overwritten by itself.
    pub(super) has_new_entries: bool,
    /// The first index at which there is an entry that was not there.
    pub(super) first_new: Option<u64>,
    /// The first entry that was replaced or removed, other than by a snapshot that covers it: its index and
    /// its term.
    pub(super) replaced: Option<(u64, u64)>,
}

impl LogChange {
    pub(super) const NOTHING: LogChange =
        LogChange { written: None, has_new_entries: false, first_new: None, replaced: None };
}

/// Entries that a server has written to its log.
#[derive(Copy, Clone)]
pub(super) struct Written {
    /// The first index.
    pub(super) from: u64,
    /// The last index; `from - 1` when entries were only removed.
    pub(super) to: u64,
    /// The term of the entry before the first one, when that is in the log.
    pub(super) term_before: Option<u64>,
}

impl Change<'_> {
    /// The probe at the last check, if the server was then leader of the term that it is in now.
    pub(super) fn before_as_leader(&self) -> Option<&Probe> {
        self.before.filter(|before| before.role == Role::Leader && before.term == self.now.term)
    }

    /// Whether it has become leader.
    pub(super) fn is_new_leader(&self) -> bool {
        self.now.role == Role::Leader && self.before_as_leader().is_none()
    }
}
