//! A leader that hands over leadership takes no commands meanwhile, and does not try for long (part 2F;
//! Ongaro's thesis, section 3.10).
//!
//! This is judged by what a Raft says that it does: by [`Raft::transferee`](crate::Raft::transferee).

use std::collections::BTreeSet;
use std::time::Duration;

use super::change::Change;
use super::history::History;
use crate::property::{Holds, Property, violated};
use crate::raft::{Probe, Raft, Role};

/// How much longer a transfer may take than the Raft declares: clocks run a fifth faster or slower at most.
const CLOCKS: (u32, u32) = (5, 4);
/// And how much longer after a pause of the server, which counts as time awake for a moment.
const WAKING_UP: Duration = Duration::from_millis(200);

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
        let (most, of) = CLOCKS;
        let lasted = awake.saturating_sub(under_way.since);
        if !is_judged || lasted <= self.longest * most / of + WAKING_UP {
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
