//! What the servers of a run have to keep: by what they are judged.

use super::reads::ReadsJudged;
use crate::offer::Offers;
use crate::without::Without;

/// What the servers of a run have to keep.
#[derive(Copy, Clone)]
pub(crate) struct Contract {
    pub(crate) persistence: Persistence,
    /// Whether the log may hold entries of the Raft's own.
    pub(crate) has_internal_entries: bool,
    /// What the Raft says that it offers.
    pub(crate) offers: Offers,
    /// By what its reads are judged, if it offers part 2G.
    pub(crate) reads: Option<ReadsJudged>,
    /// The properties that are left out, and whether probes are.
    pub(crate) without: Without,
}

/// Whether servers must save before they answer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// Servers must save before they answer, from lab 2C on.
    Required,
    /// In labs 2A and 2B a Raft saves nothing yet.
    NotYet,
}
