//! A leader accepts a command in the term that it leads: a service recognizes by the term whether a command of
//! its own was lost with the leader that had accepted it.

use crate::property::{Holds, Property, violated};
use crate::raft::RaftState;

/// A server has accepted a command in this term, and is now in this state.
pub(super) fn check(server: usize, term: u64, state: RaftState) -> Holds {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::stage::assert_broken;

    #[test]
    fn a_command_is_accepted_in_the_current_term() {
        let state = RaftState { term: 3, is_leader: true };
        assert_eq!(check(0, 3, state), Ok(()));
        assert_broken(
            check(0, 2, state),
            Property::StartedTerm,
            "in term 2; its current term is 3",
        );
    }
}
