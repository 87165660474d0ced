//! A leader that hands over leadership takes no commands meanwhile, and does not try for long (part 2F;
//! Ongaro's thesis, section 3.10).
//!
//! This is judged by what a Raft says that it does: by [`Raft::transferee`](crate::Raft::transferee).

use std::collections::BTreeSet;
use std::time::Duration;

use super::change::Change;
use super::history::{History, longest};
use crate::property::{Holds, Property, violated};
use crate::raft::{Probe, Raft, Role};

/// The transfers of all servers, if the Raft offers part 2F.
pub(super) struct Transfers {
    /// After how much time at the latest a leader gives up.
    longest: Duration,
    servers: Vec<OfServer>,
    /// The servers to which leadership was being handed, each with the term after the leader's: in it, it may
    /// stand for election without having waited for anything.
    chosen: BTreeSet<(usize, u64)>,
}

#[derive(Clone, Default)]
struct OfServer {
    /// The transfer that was under way when it was looked at last.
    under_way: Option<UnderWay>,
    /// The last transfer that was under way while it led, unless it has ended while it led.
    unfinished: Option<UnderWay>,
    /// Whom it was handing over to the last time it was looked at, and the time before.
    transferees: [Option<usize>; 2],
}

#[derive(Copy, Clone)]
struct UnderWay {
    to: usize,
    /// The term that the leader hands over.
    term: u64,
    /// Since when, in the time that the leader was awake.
    since: Duration,
}

impl Transfers {
    pub(super) fn new(servers: usize, longest: Duration) -> Transfers {
        let servers = vec![OfServer::default(); servers];
        Transfers { longest, servers, chosen: BTreeSet::new() }
    }

    /// A server is started, and hands over nothing.
    pub(super) fn started(&mut self, server: usize) {
        self.servers[server] = OfServer::default();
    }

    /// Whom a server was handing over to at the last two moments at which it was looked at.
    pub(super) fn of(&self, server: usize) -> [Option<usize>; 2] {
        self.servers[server].transferees
    }

    /// Whether a leader has chosen this server to lead in the term that it is in now.
    pub(super) fn has_chosen(&self, change: &Change<'_>) -> bool {
        self.chosen.contains(&(change.server, change.now.term))
    }

    /// Checks a server that has done something, whether it has changed or not.
    pub(super) fn check(
        &mut self,
        history: &History,
        server: usize,
        (transferee, now): (Option<usize>, &Probe),
        at: Duration,
    ) -> Holds {
        let servers = self.servers.len();
        let known = &mut self.servers[server];
        let [last, _] = known.transferees;
        known.transferees = [transferee, last];
        let Some(to) = transferee else {
            known.under_way = None;
            if now.role == Role::Leader {
                known.unfinished = None;
            }
            return Ok(());
        };
        if now.role != Role::Leader || to == server || to >= servers {
            return cannot_be(known, server, to, now);
        }
        let of_server = &history.servers[server];
        let awake = of_server.awake.total;
        let is_same = |known: UnderWay| (known.to, known.term) == (to, now.term);
        let inherited = known.unfinished.filter(|left| left.to == to && left.term < now.term);
        let under_way = match known.under_way.filter(|&known| is_same(known)) {
            Some(under_way) => under_way,
            None => UnderWay { to, term: now.term, since: awake },
        };
        known.under_way = Some(under_way);
        known.unfinished = Some(under_way);
        self.chosen.insert((to, now.term + 1));
        if let Some(UnderWay { term, .. }) = inherited {
            return violated(
                Property::TransferBegins,
                vec![server, to],
                format!(
                    "server {server} begins to lead term {}, and is handing over leadership to server {to} \
                     already, as it was when it led term {term}",
                    now.term
                ),
            );
        }
        let keeps_time = of_server.keeps_time(at) && !of_server.traffic.timers_may_wait;
        let is_judged = keeps_time && of_server.awake.is_active(at);
        let lasted = awake.saturating_sub(under_way.since);
        if !is_judged || lasted <= longest(self.longest) {
            return Ok(());
        }
        // Once is enough.
        known.under_way = Some(UnderWay { since: Duration::MAX, ..under_way });
        violated(
            Property::TransferEnds,
            vec![server, to],
            format!(
                "server {server} still leads term {}, and has been handing over leadership to server {to} for \
                 {} ms; it says that it gives up after {} ms",
                now.term,
                lasted.as_millis(),
                self.longest.as_millis()
            ),
        )
    }
}

/// Nobody can hand over like this.
fn cannot_be(known: &mut OfServer, server: usize, to: usize, now: &Probe) -> Holds {
    let is_new = known.under_way.is_none();
    known.under_way = Some(UnderWay { to, term: now.term, since: Duration::MAX });
    if !is_new {
        return Ok(());
    }
    let why = match now.role {
        Role::Leader if to == server => "itself".into(),
        Role::Leader => format!("server {to}, and there is none"),
        role => format!("server {to}, and is a {role} of term {}", now.term),
    };
    let what = format!("server {server} says that it is handing over leadership to {why}");
    violated(Property::TransferBegins, vec![server], what)
}

/// A server was asked to hand over leadership, and says that it does.
pub(super) fn check_begun(server: usize, to: usize, raft: &dyn Raft) -> Holds {
    let state = raft.state();
    let transferee = raft.transferee();
    if state.is_leader && transferee == Some(to) {
        return Ok(());
    }
    let role = if state.is_leader { "leads" } else { "does not lead" };
    let shown = transferee.map_or("nobody".into(), |other| format!("server {other}"));
    violated(
        Property::TransferBegins,
        vec![server],
        format!(
            "server {server} says that it has begun to hand over leadership to server {to}; it {role} term {}, \
             and is handing over to {shown}",
            state.term
        ),
    )
}

/// A server has accepted a command.
pub(super) fn check_accepted(server: usize, raft: &dyn Raft) -> Holds {
    let Some(to) = raft.transferee() else { return Ok(()) };
    violated(
        Property::TransferNoCommands,
        vec![server, to],
        format!(
            "server {server} accepted a command in term {}, while it is handing over leadership to server {to}",
            raft.state().term
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use crate::invariants::Contract;
    use crate::invariants::stage::{CONTRACT, RaftFields, Stage, assert_broken};
    use crate::offer::{Offer, Offers};
    use crate::property::Property;
    use crate::raft::{FollowerProbe, Role, Started};

    const LONGEST: Duration = Duration::from_millis(600);
    const ELECTION_TIMEOUT: Duration = Duration::from_millis(300);

    fn offering(offers: Offers) -> Stage {
        Stage::with_contract(Contract { offers, ..CONTRACT })
    }

    fn lead(term: u64) -> impl Fn(&mut RaftFields) {
        move |raft| {
            raft.adopt_term(term);
            raft.voted_for = Some(0);
            raft.role = Some(Role::Leader);
            raft.followers = vec![FollowerProbe { next_index: 1, match_index: 0 }; 3];
        }
    }

    /// Server 0 leads term 1, of a Raft that offers the part.
    fn with_leader() -> Stage {
        let mut stage = offering(Offers::NOTHING.with(Offer::LeaderTransfer { longest: LONGEST }));
        stage.holds(0, lead(1));
        stage
    }

    /// It hands over for so many tenths of a second, in which it does something.
    fn hands_over_for(stage: &mut Stage, tenths: u32, to: impl Fn(u32) -> usize) {
        for tenth in 0..tenths {
            stage.holds(0, |raft| raft.transferee = Some(to(tenth)));
            stage.now += Duration::from_millis(100);
        }
    }

    #[test]
    fn a_transfer_that_is_given_up_in_time_is_fine() {
        let mut stage = with_leader();
        for _ in 0..3 {
            hands_over_for(&mut stage, 8, |_| 1);
            stage.holds(0, |raft| raft.transferee = None);
        }
    }

    #[test]
    fn a_transfer_that_goes_on_is_reported_once() {
        let mut stage = with_leader();
        hands_over_for(&mut stage, 10, |_| 1);
        let words = "handing over leadership to server 1 for 1000 ms; it says that it gives up after 600 ms";
        stage.breaks(Property::TransferEnds, words, 0, |_| ());
        hands_over_for(&mut stage, 10, |_| 1);
    }

    #[test]
    fn a_transfer_to_another_server_begins_anew() {
        let mut stage = with_leader();
        hands_over_for(&mut stage, 16, |tenth| if tenth < 8 { 1 } else { 2 });
    }

    #[test]
    fn a_paused_leader_is_given_the_time_in_which_it_is_awake() {
        let mut stage = with_leader();
        hands_over_for(&mut stage, 3, |_| 1);
        stage.now += Duration::from_secs(60);
        stage.holds(0, |_| ());
        stage.holds(0, |raft| raft.transferee = None);
    }

    #[test]
    fn only_a_leader_hands_over_and_to_another_server() {
        let mut stage = with_leader();
        let words = "server 1, and is a follower of term 0";
        stage.breaks(Property::TransferBegins, words, 2, |raft| raft.transferee = Some(1));
        for (to, words) in [(0, "over leadership to itself"), (3, "server 3, and there is none")] {
            let mut stage = with_leader();
            stage.breaks(Property::TransferBegins, words, 0, |raft| raft.transferee = Some(to));
        }
    }

    #[test]
    fn a_leader_does_not_go_on_with_the_transfer_of_an_earlier_term() {
        let resigned = || {
            let mut stage = with_leader();
            stage.holds(0, |raft| raft.transferee = Some(1));
            stage.holds(0, |raft| {
                raft.adopt_term(2);
                raft.followers.clear();
                raft.transferee = None;
            });
            stage
        };
        let mut stage = resigned();
        let words = "begins to lead term 3, and is handing over leadership to server 1 already";
        stage.breaks(Property::TransferBegins, words, 0, |raft| {
            lead(3)(raft);
            raft.transferee = Some(1);
        });
        let mut stage = resigned();
        stage.holds(0, lead(3));
        stage.holds(0, |raft| raft.transferee = Some(1));
    }

    #[test]
    fn no_command_is_accepted_while_leadership_is_handed_over() {
        let mut stage = with_leader();
        let command = Bytes::from_static(b"a");
        let started = Started { index: 1, term: 1 };
        assert_eq!(stage.accepts(0, &command, started), Ok(()));
        stage.holds(0, |raft| raft.transferee = Some(1));
        let accepted = stage.accepts(0, &command, started);
        assert_broken(
            accepted,
            Property::TransferNoCommands,
            "handing over leadership to server 1",
        );
    }

    #[test]
    fn a_transfer_that_is_said_to_have_begun_can_be_seen() {
        let mut stage = with_leader();
        let words = "leads term 1, and is handing over to nobody";
        assert_broken(stage.hands_over(0, 1), Property::TransferBegins, words);
        assert_broken(stage.hands_over(1, 2), Property::TransferBegins, "it does not lead term 0");
        stage.holds(0, |raft| raft.transferee = Some(1));
        assert_eq!(stage.hands_over(0, 1), Ok(()));
    }

    fn stand(raft: &mut RaftFields) {
        raft.adopt_term(2);
        raft.voted_for = Some(1);
        raft.role = Some(Role::Candidate);
    }

    #[test]
    fn the_chosen_server_may_stand_in_the_next_term_though_a_majority_told_it_nothing() {
        let both = Offers::NOTHING
            .with(Offer::StableLeader { election_timeout: ELECTION_TIMEOUT })
            .with(Offer::LeaderTransfer { longest: LONGEST });
        let with_follower = || {
            let mut stage = offering(both);
            stage.hears(0, 1);
            stage.holds(0, lead(1));
            stage.now += Duration::from_secs(10);
            stage.holds(1, |raft| raft.adopt_term(1));
            stage
        };
        let mut stage = with_follower();
        stage.breaks(Property::TermStability, "server 1 begins an election", 1, stand);
        let mut stage = with_follower();
        stage.hears(0, 1);
        stage.holds(0, |raft| raft.transferee = Some(1));
        stage.holds(1, stand);
    }

    #[test]
    fn where_it_is_not_offered_nobody_looks() {
        let mut stage = offering(Offers::NOTHING);
        stage.holds(0, lead(1));
        hands_over_for(&mut stage, 30, |_| 0);
        assert_eq!(stage.hands_over(1, 1), Ok(()));
    }
}
