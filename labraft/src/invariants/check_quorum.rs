//! A leader that hears from no majority steps down (part 2E; Ongaro's thesis, section 6.2).
//!
//! Any message that reaches a leader counts as hearing from its sender. A leader looks once in each election time-out
//! whom it has heard from since it last looked, so it may need two of them to find out.

use std::time::Duration;

use super::change::Change;
use super::history::{History, longest};
use crate::property::{Holds, Property, violated};
use crate::raft::{Probe, Role};

/// Checks a server that has done something, whether it has changed or not.
pub(super) fn check(history: &mut History, server: usize, now: &Probe, at: Duration) -> Holds {
    let Some(election_timeout) = history.contacts.election_timeout else { return Ok(()) };
    let known = &history.servers[server];
    let awake = known.awake.total;
    let is_judged =
        known.keeps_time(at) && known.awake.is_active(at) && !known.traffic.timers_may_wait;
    let heard = &mut history.contacts.servers[server];
    if now.role != Role::Leader {
        heard.leads_since = None;
        return Ok(());
    }
    let leads_since = *heard.leads_since.get_or_insert(awake);
    let patience = longest(2 * election_timeout);
    let until = history.contacts.majority_until(server, leads_since);
    let silent = awake.saturating_sub(until);
    if !is_judged || silent <= patience {
        return Ok(());
    }
    // Once is enough.
    history.contacts.servers[server].leads_since = Some(Duration::MAX);
    violated(
        Property::CheckQuorum,
        vec![server],
        format!(
            "server {server} still leads term {}, and has heard from no majority for {} ms; its election \
             time-out is {} ms",
            now.term,
            silent.as_millis(),
            election_timeout.as_millis()
        ),
    )
}

/// A server begins an election only if a majority can have told it that it would win (Ongaro's thesis,
/// section 9.6). So a server that is cut off stays in its term.
pub(super) fn check_candidacy(history: &History, change: &Change<'_>) -> Holds {
    /// Longer than a server asks before it asks anew.
    const RECENT: Duration = Duration::from_secs(3);

    let Some(before) = change.before.filter(|_| history.contacts.election_timeout.is_some()) else {
        return Ok(());
    };
    let now = change.now;
    let is_new_candidacy = now.role != Role::Follower && now.term > before.term;
    let since = change.at.saturating_sub(RECENT);
    let others = history.contacts.since(change.server, since);
    if !is_new_candidacy || 2 * (others + 1) > history.servers.len() {
        return Ok(());
    }
    violated(
        Property::TermStability,
        vec![change.server],
        format!(
            "server {} begins an election in term {}, though only {others} of the {} other servers have told \
             it anything for {} s",
            change.server,
            now.term,
            history.servers.len() - 1,
            RECENT.as_secs()
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::invariants::Contract;
    use crate::invariants::stage::{CONTRACT, RaftFields, Stage};
    use crate::offer::Offers;
    use crate::property::Property;
    use crate::raft::{FollowerProbe, Role};

    const TIMEOUT: Duration = Duration::from_millis(300);

    fn offering(election_timeout: Option<Duration>) -> Stage {
        let offers = Offers { stable_leader: election_timeout, ..Offers::NOTHING };
        Stage::with_contract(Contract { offers, ..CONTRACT })
    }

    fn lead(raft: &mut RaftFields) {
        raft.adopt_term(1);
        raft.voted_for = Some(0);
        raft.role = Some(Role::Leader);
        raft.followers = vec![FollowerProbe { next_index: 1, match_index: 0 }; 3];
    }

    /// Server 0 is elected by server 1, and hears from it every 100 ms for as long as that answers.
    fn leads_for(stage: &mut Stage, answered: u32, alone: u32) {
        stage.hears(0, 1);
        stage.holds(0, lead);
        for _ in 0..answered {
            stage.now += TIMEOUT / 3;
            stage.hears(0, 1);
            stage.holds(0, |_| ());
        }
        for _ in 0..alone {
            stage.now += TIMEOUT / 3;
            stage.holds(0, |_| ());
        }
    }

    #[test]
    fn a_leader_that_a_majority_answers_leads_on() {
        leads_for(&mut offering(Some(TIMEOUT)), 50, 0);
    }

    #[test]
    fn a_leader_that_hears_from_no_majority_steps_down() {
        let mut stage = offering(Some(TIMEOUT));
        leads_for(&mut stage, 10, 9);
        stage.now += TIMEOUT / 3;
        let words = "still leads term 1, and has heard from no majority for 1000 ms";
        stage.breaks(Property::CheckQuorum, words, 0, |_| ());
    }

    #[test]
    fn a_paused_leader_is_given_the_time_in_which_it_is_awake() {
        let mut stage = offering(Some(TIMEOUT));
        leads_for(&mut stage, 10, 1);
        stage.now += Duration::from_secs(60);
        stage.holds(0, |_| ());
        stage.holds(0, |raft| raft.role = None);
    }

    #[test]
    fn where_it_is_not_offered_a_leader_leads_on() {
        leads_for(&mut offering(None), 1, 100);
    }

    fn stand(raft: &mut RaftFields) {
        raft.adopt_term(1);
        raft.voted_for = Some(0);
        raft.role = Some(Role::Candidate);
    }

    #[test]
    fn a_server_that_a_majority_has_told_something_may_stand() {
        let mut stage = offering(Some(TIMEOUT));
        stage.now += Duration::from_secs(10);
        stage.hears(0, 2);
        stage.now += TIMEOUT;
        stage.holds(0, stand);
    }

    #[test]
    fn a_server_that_is_cut_off_keeps_its_term() {
        let mut stage = offering(Some(TIMEOUT));
        stage.hears(0, 2);
        stage.now += Duration::from_secs(10);
        let words = "though only 0 of the 2 other servers";
        stage.breaks(Property::TermStability, words, 0, stand);
        let mut stage = offering(None);
        stage.holds(0, stand);
    }
}
