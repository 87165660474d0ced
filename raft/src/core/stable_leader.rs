// SOLUTION FILE
//! What a server with pre-vote and check-quorum remembers (part 2E). Nothing of it is saved.

/// What part 2E adds to a [`Core`](super::Core).
#[derive(Debug, Default)]
pub(super) struct StableLeader {
    pub(super) pre_candidacy: Option<PreCandidacy>,
    /// The term whose leader this server has heard since its lease timer ran out.
    pub(super) heard_in: Option<u64>,
    /// A leader's: the servers that have answered it since its lease timer ran out.
    pub(super) answered: Vec<bool>,
}

/// The question of a server whether it would be elected.
#[derive(Debug)]
pub(super) struct PreCandidacy {
    /// The term in which it would stand. If that is not the one after its current term, the
    /// question is out of date.
    pub(super) next_term: u64,
    /// Its vote when it asked. If it has voted for another since, it gives that one the time to win.
    pub(super) voted_for: Option<usize>,
    /// The servers that would vote for it, itself included.
    pub(super) pre_votes: Vec<bool>,
}
