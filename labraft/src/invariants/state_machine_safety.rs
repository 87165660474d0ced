//! State Machine Safety: no two servers apply different commands at the same index (Raft paper, figure 3).
//! An entry that a server reports as committed counts too, even before it is applied.

use bytes::Bytes;

use super::change::Change;
use super::history::{Committed, History, slot};
use crate::command::show;
use crate::property::{Holds, Property, violated};

pub(super) fn check(history: &mut History, change: &Change<'_>) -> Holds {
    let server = change.server;
    let now = change.now;
    let known = change.before.map_or(0, |before| before.commit_index);
    // Of what a snapshot covers, the term of the last entry may be known.
    for index in (known + 1).max(now.first_index - 1)..=now.commit_index {
        let Some(term) = history.servers[server].log.term_at(index) else { continue };
        let new = Committed { term, known_in: now.term, server };
        let committed = slot(&mut history.committed, index).get_or_insert(new);
        if committed.term != term {
            let Committed { term: other_term, server: other, .. } = *committed;
            return violated(
                Property::StateMachineSafety,
                [server, other],
                format!(
                    "server {server} takes the entry of term {term} at index {index} for committed, \
                     server {other} the one of term {other_term}"
                ),
            );
        }
    }
    Ok(())
}

/// A server hands up an entry: a command, or `None` for an entry of the Raft's own.
pub(super) fn check_entry(
    history: &mut History,
    server: usize,
    index: u64,
    command: Option<&Bytes>,
) -> Holds {
    let applied = slot(&mut history.applied, index);
    let (first, other) = applied.get_or_insert_with(|| (command.cloned(), server));
    if first.as_ref() == command {
        return Ok(());
    }
    violated(
        Property::StateMachineSafety,
        [server, *other],
        format!(
            "server {server} applies {} at index {index}, where server {other} applied {}",
            show_entry(command),
            show_entry(first.as_ref())
        ),
    )
}

fn show_entry(command: Option<&Bytes>) -> String {
    command.map_or_else(|| "an internal entry".into(), |command| show(command))
}

#[cfg(test)]
mod tests {
    use crate::invariants::Invariants;
    use crate::invariants::stage::{CONTRACT, Stage, assert_broken, command};
    use crate::property::Property;

    #[test]
    fn two_entries_committed_at_one_index_are_reported() {
        let mut stage = Stage::with_leader();
        stage.holds(1, |raft| raft.commit_index = 2);
        stage.holds(2, |raft| {
            raft.adopt_term(2);
            raft.write(2, (2, "z"));
        });
        stage.breaks(Property::StateMachineSafety, "index 2", 2, |raft| raft.commit_index = 2);
    }

    #[test]
    fn two_commands_applied_at_one_index_are_reported() {
        let mut invariants = Invariants::new(2, CONTRACT);
        assert_eq!(invariants.applied(0, &command(1, "a")), Ok(()));
        let applied = invariants.applied(1, &command(1, "x"));
        assert_broken(applied, Property::StateMachineSafety, "where server 0 applied");
    }
}
