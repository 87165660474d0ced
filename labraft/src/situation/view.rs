//! The data about one server in a report.

use crate::raft::Probe;

/// One server at the moment of the report.
pub(crate) struct View<'a> {
    pub(crate) is_running: bool,
    /// Its last probe; `None` when its Raft has none.
    pub(crate) probe: Option<&'a Probe>,
    /// The term of its last entry.
    pub(crate) last_term: Option<u64>,
}

impl View<'_> {
    /// What decides whose log is more up-to-date: the last entry's term, then its index (Raft paper,
    /// section 5.4.1).
    pub(super) fn last_entry(&self) -> Option<(u64, u64)> {
        self.probe.map(|probe| (self.last_term.unwrap_or(0), probe.last_index))
    }
}
