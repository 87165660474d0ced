//! What the tests of the optional parts of lab 2 have in common: leaders, the terms that they lead, and the other
//! servers.

use labraft::{Checked, Config, Part, RaftState, expectation};

use crate::steps::{check, random};

/// A leader and its term.
#[derive(Copy, Clone)]
pub(crate) struct Reign {
    pub(crate) leader: usize,
    pub(crate) term: u64,
}

/// Checks that the Raft under test offers a part, so that there is something to test.
pub(crate) fn check_offered(cfg: &Config, part: Part) -> Checked<()> {
    check(cfg, cfg.lab().implementation().offers.include(part), || {
        expectation!(
            "this Raft does not say that it offers part {part}; see `Implementation::offering`"
        )
    })
}

/// Waits for a leader that all connected servers follow, of a Raft that offers a part.
pub(crate) async fn reign(cfg: &Config, part: Part) -> Checked<Reign> {
    check_offered(cfg, part)?;
    let leader = cfg.check_one_leader().await?;
    cfg.one(random(cfg), connected(cfg), true).await?;
    let term = cfg.check_terms()?;
    Ok(Reign { leader, term })
}

/// The number of servers that are connected.
pub(crate) fn connected(cfg: &Config) -> usize {
    (0..cfg.n()).filter(|&i| cfg.is_connected(i)).count()
}

/// The other servers, in the order of their numbers.
pub(crate) fn others(cfg: &Config, server: usize) -> Vec<usize> {
    (0..cfg.n()).filter(|&i| i != server).collect()
}

/// Whether a server leads a term after this one.
pub(crate) fn leads_after(cfg: &Config, server: usize, term: u64) -> bool {
    let RaftState { term: present, is_leader } = state(cfg, server);
    is_leader && present > term
}

/// A server's state; one that is down leads nothing.
pub(crate) fn state(cfg: &Config, server: usize) -> RaftState {
    cfg.state(server).unwrap_or(RaftState { term: 0, is_leader: false })
}
