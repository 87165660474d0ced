//! What a leader says when it accepts a command is so: the term is its own, and the command appears at the
//! index that it names. By these two a service recognizes whether a command of its own was lost with the leader
//! that had accepted it.

use super::change::Change;
use super::history::LogCopy;
use crate::property::{Holds, Property, violated};
use crate::raft::{RaftState, Role};

/// A server has accepted a command in this term, and is now in this state.
pub(super) fn check_term(server: usize, term: u64, state: RaftState) -> Holds {
    if state.term == term {
        return Ok(());
    }
    violated(
        Property::StartedTerm,
        [server],
        format!(
            "server {server} says that it accepted a command in term {term}; its current term is {}",
            state.term
        ),
    )
}

/// The commands that the servers have accepted, and the entries that they have appended as leaders.
///
/// A Raft may append a command before it says at which index, or after it.
pub(super) struct Accepted(Vec<OfServer>);

/// Those of one server since it was started.
#[derive(Default)]
struct OfServer {
    /// The term of the commands.
    term: u64,
    /// The commands that are not in the log yet.
    promised: Vec<Place>,
    /// The entries of which nothing was said yet.
    unnamed: Vec<Place>,
}

/// An index, and a digest of the command that is there.
type Place = (u64, u64);

impl OfServer {
    /// What was accepted in another term, and is not in the log, will not be appended in this one.
    fn enter_term(&mut self, term: u64) {
        if self.term != term {
            self.term = term;
            self.promised.clear();
        }
    }
}

impl Accepted {
    pub(super) fn new(servers: usize) -> Accepted {
        Accepted((0..servers).map(|_| OfServer::default()).collect())
    }

    /// A server was started: what was accepted before may be lost.
    pub(super) fn started(&mut self, server: usize) {
        self.0[server] = OfServer::default();
    }

    /// A server in this term says that a command will appear at this index.
    pub(super) fn note(&mut self, server: usize, term: u64, index: u64, command: &[u8]) {
        let known = &mut self.0[server];
        let place = (index, labrpc::hash_bytes(command));
        known.enter_term(term);
        if let Some(unnamed) = known.unnamed.iter().position(|unnamed| *unnamed == place) {
            known.unnamed.swap_remove(unnamed);
        } else {
            known.promised.push(place);
        }
    }

    /// Checks that a leader appends what it has accepted, where it said it would. Of entries that it appended
    /// in earlier steps, that must have been said by now.
    pub(super) fn check(&mut self, change: &Change<'_>, log: &LogCopy) -> Holds {
        let server = change.server;
        let known = &mut self.0[server];
        if let Some((index, _)) = known.unnamed.pop() {
            return violated(
                Property::StartedIndex,
                [server],
                format!(
                    "server {server} appended entry {index} to its log in term {} as the leader, and has \
                     accepted no such command for this index (a Raft that has entries of its own must declare \
                     them: Implementation::with_internal_entries)",
                    known.term
                ),
            );
        }
        known.enter_term(change.now.term);
        let Some(first) = change.log.first_new.filter(|_| change.now.role == Role::Leader) else {
            return Ok(());
        };
        let entries = (first..=change.now.last_index).filter_map(|at| Some((at, log.entry(at)?)));
        for (index, entry) in entries.filter(|(_, entry)| entry.term == change.now.term) {
            let place = (index, entry.command);
            match known.promised.iter().position(|promised| *promised == place) {
                Some(promised) => _ = known.promised.swap_remove(promised),
                None => known.unnamed.push(place),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::stage::{Stage, assert_broken};

    #[test]
    fn a_command_is_accepted_in_the_current_term() {
        let state = RaftState { term: 3, is_leader: true };
        assert_eq!(check_term(0, 3, state), Ok(()));
        assert_broken(
            check_term(0, 2, state),
            Property::StartedTerm,
            "in term 2; its current term is 3",
        );
    }

    /// A leader of term 1 with two entries, of whose further commands it is known when it accepts them.
    fn stage() -> Stage {
        let mut stage = Stage::with_leader();
        stage.invariants.judge_starts();
        stage
    }

    fn accepts(stage: &mut Stage, index: u64, command: &'static str) {
        stage.invariants.accepted_at(0, 1, index, command.as_bytes());
    }

    #[test]
    fn a_command_may_be_named_before_it_is_appended_or_after_it() {
        let mut stage = stage();
        accepts(&mut stage, 3, "c");
        stage.holds(0, |raft| raft.write(3, (1, "c")));
        stage.holds(0, |raft| raft.write(4, (1, "d")));
        accepts(&mut stage, 4, "d");
        stage.holds(0, |raft| raft.commit_index = 1);
    }

    #[test]
    fn an_entry_that_nobody_has_named_is_reported() {
        let mut stage = stage();
        accepts(&mut stage, 4, "c");
        stage.holds(0, |raft| raft.write(3, (1, "c")));
        let words = "accepted no such command for this index";
        stage.breaks(Property::StartedIndex, words, 0, |raft| raft.commit_index = 1);
    }

    #[test]
    fn another_command_at_the_named_index_is_reported() {
        let mut stage = stage();
        accepts(&mut stage, 3, "c");
        stage.holds(0, |raft| raft.write(3, (1, "x")));
        stage.breaks(Property::StartedIndex, "appended entry 3", 0, |raft| raft.commit_index = 1);
    }

    #[test]
    fn a_command_that_was_accepted_in_an_earlier_term_is_not_appended_in_a_later_one() {
        let mut stage = stage();
        accepts(&mut stage, 3, "c");
        stage.holds(0, |raft| raft.adopt_term(2));
        stage.holds(0, |raft| {
            raft.adopt_term(3);
            raft.voted_for = Some(0);
            raft.role = Some(Role::Leader);
        });
        stage.holds(0, |raft| raft.write(3, (3, "c")));
        stage.breaks(Property::StartedIndex, "in term 3", 0, |raft| raft.commit_index = 1);
    }
}
