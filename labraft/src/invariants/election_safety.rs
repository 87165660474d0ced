//! Election Safety: at most one leader is elected in a term (Raft paper, figure 3). Leaders of one term
//! count however far apart in time they lead.

use std::time::Duration;

use super::change::Change;
use super::history::History;
use crate::property::{Holds, Property, violated};
use crate::raft::Role;

pub(super) fn check(history: &mut History, change: &Change<'_>) -> Holds {
    if change.now.role != Role::Leader {
        return Ok(());
    }
    check_leader(history, change.server, change.now.term, change.at)
}

/// A server leads in a term. This is known even for a Raft without a probe.
pub(super) fn check_leader(history: &mut History, server: usize, term: u64, at: Duration) -> Holds {
    let (leader, since) = *history.leaders.entry(term).or_insert((server, at));
    if leader == server {
        return Ok(());
    }
    violated(
        Property::ElectionSafety,
        [server, leader],
        format!(
            "server {server} leads in term {term}, and so did server {leader} from {:.6} s on",
            since.as_secs_f64()
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use crate::invariants::stage::{CONTRACT, Stage};
    use crate::invariants::{Invariants, Traffic};
    use crate::property::Property;
    use crate::raft::{Raft, RaftState, Role, Started};

    #[test]
    fn two_leaders_of_one_term_are_reported_whenever_they_led() {
        let mut stage = Stage::with_leader();
        stage.holds(0, |raft| raft.adopt_term(2));
        stage.breaks(Property::ElectionSafety, "so did server 0", 1, |raft| {
            raft.role = Some(Role::Leader);
        });
    }

    /// A leader of this term without a probe.
    struct LeaderWithoutProbe(u64);

    impl Raft for LeaderWithoutProbe {
        fn start(&self, _: Bytes) -> Option<Started> {
            None
        }

        fn state(&self) -> RaftState {
            RaftState { term: self.0, is_leader: true }
        }

        fn snapshot(&self, _: u64, _: Bytes) {}

        fn kill(&self) {}
    }

    #[test]
    fn without_a_probe_two_leaders_of_one_term_are_still_reported() {
        let mut invariants = Invariants::new(2, CONTRACT);
        let mut leads = |server, term| {
            let raft = LeaderWithoutProbe(term);
            invariants.check(server, (&raft, None), Traffic::default(), Duration::ZERO)
        };
        assert_eq!(leads(0, 1), Ok(()));
        assert_eq!(leads(1, 2), Ok(()));
        assert_eq!(leads(0, 1), Ok(()));
        assert_eq!(leads(0, 2).unwrap_err().property, Property::ElectionSafety);
    }
}
