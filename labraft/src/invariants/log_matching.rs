//! Log Matching: two logs that contain an entry with the same index and term are identical up to it
//! (Raft paper, figure 3).
//!
//! It is enough to look at the entries that were just written, and to compare each with the entry of the
//! same index and term that was seen first: they have the same command, and the entries before them have
//! the same term. By induction everything before is the same too.

use super::change::{Change, Written};
use super::history::{History, KnownEntry};
use crate::command::show;
use crate::property::{Holds, Property, violated};

pub(super) fn check(history: &mut History, change: &Change<'_>) -> Holds {
    check_kept(history, change)?;
    let Some(written) = change.log.written else { return Ok(()) };
    let Written { mut term_before, .. } = written;
    let History { servers, entries, .. } = history;
    for (index, entry) in servers[change.server].log.written(written) {
        let ours = KnownEntry { entry, term_before, server: change.server };
        let known = entries.get_or_insert(index, ours);
        check_command(change, index, ours, known)?;
        check_term_before(index, ours, known)?;
        known.term_before = known.term_before.or(term_before);
        term_before = Some(entry.term);
    }
    Ok(())
}

/// The entries that a server has kept behind a new snapshot must follow the snapshot's last entry.
fn check_kept(history: &mut History, change: &Change<'_>) -> Holds {
    let first_index = change.now.first_index;
    if change.before.is_none_or(|before| before.first_index == first_index) {
        return Ok(());
    }
    let History { servers, entries, .. } = history;
    let log = &servers[change.server].log;
    let Some(&entry) = log.entry(first_index) else { return Ok(()) };
    let ours = KnownEntry { entry, term_before: log.snapshot_term, server: change.server };
    check_term_before(first_index, ours, entries.get_or_insert(first_index, ours))
}

fn check_command(change: &Change<'_>, index: u64, ours: KnownEntry, known: &KnownEntry) -> Holds {
    if known.server == ours.server || known.entry.command == ours.entry.command {
        return Ok(());
    }
    let command = change.raft.entry(index).map(|entry| show(&entry.command)).unwrap_or_default();
    let KnownEntry { server: other, .. } = known;
    let KnownEntry { server, entry, .. } = ours;
    violated(
        Property::LogMatching,
        [server, *other],
        format!(
            "entry {index} of term {} is {command} on server {server}, and another command on server \
             {other}",
            entry.term
        ),
    )
}

fn check_term_before(index: u64, ours: KnownEntry, known: &KnownEntry) -> Holds {
    let (Some(our_term), Some(other_term)) = (ours.term_before, known.term_before) else {
        return Ok(());
    };
    if our_term == other_term {
        return Ok(());
    }
    let KnownEntry { server: other, .. } = known;
    let KnownEntry { server, entry, .. } = ours;
    violated(
        Property::LogMatching,
        [server, *other],
        format!(
            "entry {index} of term {} is on servers {server} and {other}, but entry {} before it is of \
             term {our_term} on server {server} and of term {other_term} on server {other}",
            entry.term,
            index - 1
        ),
    )
}

#[cfg(test)]
mod tests {
    use crate::invariants::stage::Stage;
    use crate::property::Property;

    /// The snapshot ends with an entry of term 2, but the entry kept behind it follows one of term 1.
    #[test]
    fn an_entry_that_is_kept_behind_a_snapshot_it_does_not_follow_is_reported() {
        let mut stage = Stage::with_leader();
        let words = "entry 1 before it is of term 2 on server 1 and of term 1 on server 0";
        stage.breaks(Property::LogMatching, words, 1, |raft| {
            raft.term = 2;
            raft.voted_for = None;
            raft.cover(1, 1, 1);
            raft.snapshot_term = Some(2);
        });
        let mut stage = Stage::with_leader();
        stage.holds(1, |raft| {
            raft.cover(1, 1, 1);
            raft.snapshot_term = Some(1);
        });
    }

    #[test]
    fn one_entry_with_two_commands_is_reported() {
        let mut stage = Stage::with_leader();
        stage.breaks(Property::LogMatching, "entry 2 of term 1", 1, |raft| {
            raft.write(2, (1, "x"));
        });
    }

    #[test]
    fn one_entry_behind_two_different_entries_is_reported() {
        let mut stage = Stage::with_leader();
        stage.holds(1, |raft| {
            raft.adopt_term(3);
            raft.write(3, (3, "c"));
        });
        stage.breaks(Property::LogMatching, "entry 2 before it is of term 2", 2, |raft| {
            raft.adopt_term(3);
            raft.write(2, (2, "y"));
            raft.write(3, (3, "c"));
        });
    }
}
