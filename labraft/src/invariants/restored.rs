//! A server starts with what it had saved (Raft paper, figure 2: currentTerm, votedFor and log[] are persistent
//! state).
//!
//! What it has lost is found by `term_monotone`, `one_vote` and `acknowledged`. Here it is the other way round: a
//! vote or an entry that it did not have when it was stopped. Nobody can have given it one since, because the first
//! check comes before it has read anything.

use super::history::{History, ServerHistory, Shown};
use crate::property::{Holds, Property, violated};
use crate::raft::{Probe, Raft};

/// A server is stopped. In the middle of a step it may have saved what it had no time to show.
pub(super) fn stopped(history: &mut History, server: usize, in_step: bool) {
    let known = &mut history.servers[server];
    let last = known.last.as_ref().filter(|_| !in_step);
    known.shown = last.map(|last| Shown {
        term: last.term,
        voted_for: last.voted_for,
        last_index: last.last_index,
    });
}

/// Compares a server that has just been started with what it showed before. The copy of its log is still
/// the one from then.
pub(super) fn check(
    history: &mut ServerHistory,
    server: usize,
    raft: &dyn Raft,
    now: &Probe,
) -> Holds {
    let Some(shown) = history.shown.take() else { return Ok(()) };
    if let Some(candidate) = now.voted_for
        && now.term == shown.term
        && shown.voted_for.is_none()
    {
        return violated(
            Property::Restored,
            [server, candidate],
            format!(
                "server {server} had voted for nobody in term {} when it was stopped; after the restart its vote \
                 in this term is for server {candidate}",
                now.term
            ),
        );
    }
    let from = now.first_index.max(history.log.first_index);
    for index in from..=now.last_index {
        let Some(entry) = raft.entry(index) else { break };
        let had = history.log.entry(index).filter(|_| index <= shown.last_index);
        let what = match had {
            Some(had) if had.term == entry.term => continue,
            Some(had) => format!("had entry {index} of term {}", had.term),
            None => format!("had no entry {index}"),
        };
        return violated(
            Property::Restored,
            [server],
            format!(
                "server {server} {what} when it was stopped; after the restart it has an entry {index} of term {}",
                entry.term
            ),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::invariants::Persistence;
    use crate::invariants::stage::{Stage, assert_broken};
    use crate::property::Property;

    #[test]
    fn a_vote_that_nobody_was_given_is_reported() {
        let mut stage = Stage::with_leader();
        stage.holds(1, |raft| raft.adopt_term(2));
        let restarted = stage.restart(1, |raft| raft.voted_for = Some(0));
        let words = "had voted for nobody in term 2 when it was stopped";
        assert_broken(restarted, Property::Restored, words);
    }

    #[test]
    fn an_entry_that_was_not_there_or_was_replaced_is_reported() {
        let mut stage = Stage::with_leader();
        stage.holds(1, |raft| raft.truncate(1));
        let restarted = stage.restart(1, |raft| raft.write(2, (1, "b")));
        assert_broken(restarted, Property::Restored, "had no entry 2 when it was stopped");
        let mut stage = Stage::with_leader();
        stage.holds(1, |raft| {
            raft.adopt_term(2);
            raft.write(2, (2, "c"));
        });
        let restarted = stage.restart(1, |raft| raft.write(2, (1, "b")));
        assert_broken(restarted, Property::Restored, "had entry 2 of term 2 when it was stopped");
    }

    #[test]
    fn what_was_shown_may_be_found_again_and_a_leaders_new_entries_be_lost() {
        let mut stage = Stage::with_leader();
        assert_eq!(stage.restart(1, |_| ()), Ok(()));
        stage.holds(0, |raft| raft.write(3, (1, "c")));
        assert_eq!(stage.restart(0, |raft| raft.truncate(2)), Ok(()));
    }

    /// Some Rafts begin an election as soon as they are started.
    #[test]
    fn a_vote_of_a_newer_term_is_fine() {
        let mut stage = Stage::with_leader();
        let restarted = stage.restart(1, |raft| {
            raft.adopt_term(2);
            raft.voted_for = Some(1);
        });
        assert_eq!(restarted, Ok(()));
    }

    #[test]
    fn a_server_that_crashes_as_it_saves_may_have_saved_what_it_has_not_shown() {
        let mut stage = Stage::with_leader();
        stage.holds(1, |raft| raft.adopt_term(2));
        stage.invariants.stopped_in_step(1);
        let restarted = stage.restart(1, |raft| {
            raft.voted_for = Some(2);
            raft.write(3, (1, "c"));
        });
        assert_eq!(restarted, Ok(()));
    }

    #[test]
    fn before_lab_2c_nothing_has_to_be_found_again() {
        let mut stage = Stage::with_leader();
        stage.invariants.contract.persistence = Persistence::NotYet;
        stage.holds(1, |raft| raft.adopt_term(2));
        assert_eq!(stage.restart(1, |raft| raft.voted_for = Some(0)), Ok(()));
    }
}
