//! Leader Completeness: a leader's log contains all entries that were committed in earlier terms (Raft
//! paper, figure 3).
//!
//! It is enough to look, when a server becomes leader, for the last such entry: by Log Matching the
//! others are there too.

use super::change::Change;
use super::history::{Committed, History};
use crate::property::{Holds, Property, violated};

pub(super) fn check(history: &History, change: &Change<'_>) -> Holds {
    if !change.is_new_leader() {
        return Ok(());
    }
    let leader_term = change.now.term;
    let Some((index, committed)) = last_committed_before(history, leader_term) else {
        return Ok(());
    };
    let Committed { term, known_in, server: committed_by } = committed;
    let server = change.server;
    let log = &history.servers[server].log;
    if log.has(index, term) {
        return Ok(());
    }
    let has = match log.term_at(index) {
        Some(other) => format!("has an entry of term {other} at index {index}"),
        None => format!("has a log that ends at {}", change.now.last_index),
    };
    violated(
        Property::LeaderCompleteness,
        [server, committed_by],
        format!(
            "server {server} leads in term {leader_term} and {has}; entry {index} of term {term} was \
             committed on server {committed_by} in term {known_in}"
        ),
    )
}

/// The last entry, with its index, that was known to be committed in an earlier term than this one.
fn last_committed_before(history: &History, term: u64) -> Option<(u64, Committed)> {
    for (index, committed) in history.committed.iter().enumerate().rev() {
        if let Some(committed) = committed.filter(|committed| committed.known_in < term) {
            return Some((index as u64, committed));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::invariants::stage::Stage;
    use crate::property::Property;
    use crate::raft::Role;

    #[test]
    fn a_leader_without_a_committed_entry_is_reported() {
        let mut stage = Stage::with_leader();
        stage.holds(0, |raft| raft.commit_index = 2);
        stage.holds(1, |raft| {
            raft.adopt_term(2);
            raft.voted_for = Some(1);
            raft.truncate(1);
        });
        stage.breaks(Property::LeaderCompleteness, "a log that ends at 1", 1, |raft| {
            raft.role = Some(Role::Leader);
        });
    }
}
