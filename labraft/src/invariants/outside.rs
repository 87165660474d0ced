//! What is seen of a Raft that shows nothing of its inside: the term of each server and whether it leads, which
//! messages have reached whom, which commands leaders have accepted, what servers have handed up, and when they
//! have saved something. What messages say is not known.
//!
//! That is enough for weaker forms of some properties:
//!
//! - a server's term never decreases; after a restart, not below one that others rely on
//! - a server that has moved to a newer term saves before it answers a request that has come since
//! - a server that leads has heard from a majority since it has been in its term
//! - an entry is handed up after a leader that had accepted it, or a later one, has heard from a majority since
//! - a leader does not accept a command for an index at which one of an earlier term was handed up
//! - an older snapshot is not saved in place of a newer one
//! - a server that has just heard from its leader, or has just started, does not stand for election, and a leader
//!   that a majority has just written to does not stop leading in its term (two slips)
//!
//! A message counts for whatever it may have said, so a Raft that collects, pipelines or answers in another order
//! keeps all of them.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use labrpc::Delivery;

use super::contract::{Contract, Persistence};
use super::election_timer::SHORTEST_TIMEOUT;
use super::history::Traffic;
use crate::property::{Holds, Property, Violation, violated};
use crate::raft::{RaftState, Started};

/// How soon a server must have saved a newer term, if it goes on answering requests.
const TO_SAVE: Duration = Duration::from_millis(60);

/// No election time-out is this short, and no leader gives up for a silence of this length.
const SHORT: Duration = SHORTEST_TIMEOUT;
/// A server may be this late to notice a message that has reached it.
const TO_NOTICE: Duration = Duration::from_millis(5);

/// What has been seen of all servers of a run.
pub(super) struct Outside {
    must_save: bool,
    /// Whether the log holds only what `start` has accepted, so that it is known who has which entries.
    has_only_commands: bool,
    /// Whether replies mean nothing.
    is_one_way: bool,
    /// Whether a leader may have another server stand for election.
    has_transfers: bool,
    servers: Vec<Seen>,
    /// The highest term that a server has been in.
    highest_term: u64,
    /// By index of what was handed up: the newest term whose leader may have committed it.
    committed_in: BTreeMap<u64, u64>,
    /// By term: what its leader has accepted, and when others have last written to it.
    reigns: BTreeMap<u64, Reign>,
}

/// What has been seen of a server.
#[derive(Default)]
struct Seen {
    /// Its term, and since when; `None` before it is looked at for the first time after a start.
    term: Option<u64>,
    since: Duration,
    /// The term that it must remember when it restarts.
    relied_on: u64,
    /// The number of its saves when it was last looked at, and when the last of them was.
    saves: u64,
    saved_at: Duration,
    /// What has to be seen until others rely on its present term.
    promise: Option<Promise>,
    /// By server: whether a message has come from it that can belong to the present term.
    heard_from: Vec<bool>,
    /// Whether it leads, and since when.
    leads_since: Option<Duration>,
    /// Whether a request of its leader has reached it since it was last looked at.
    is_told: bool,
    /// When it was looked at after a request of its leader had reached it, and when any other message did.
    told_at: Option<Duration>,
    /// When it started, if it has been in its present term since.
    started_at: Option<Duration>,
    other_at: Option<Duration>,
    /// The snapshot that it has saved, and the index up to which it goes.
    snapshot: Bytes,
    covered: u64,
}

/// The term of a server on which nobody relies yet.
#[derive(Copy, Clone)]
struct Promise {
    /// The number of its saves when it was in an earlier term and had not saved this one.
    saves: u64,
    /// With more answers than this, one of them was sent in this term; `None` as long as that is not known.
    answers: Option<u64>,
}

/// The time of one leader.
struct Reign {
    leader: usize,
    /// The commands that it has accepted and that no majority can have yet: the index, and since when.
    accepted: Vec<(u64, Duration)>,
    /// By server: when the newest message was sent that has reached the leader from it.
    sent: Vec<Option<Duration>>,
    /// The highest index that it may have committed.
    may_be_committed: u64,
}

impl Reign {
    fn new(leader: usize, servers: usize) -> Reign {
        Reign { leader, accepted: Vec::new(), sent: vec![None; servers], may_be_committed: 0 }
    }

    /// The time since when a majority has written to the leader, which is one of it; `None` if it has not.
    fn majority_since(&self) -> Option<Duration> {
        let mut sent = self.sent.clone();
        sent.remove(self.leader);
        sent.sort_unstable_by(|a, b| b.cmp(a));
        let others = self.sent.len() / 2;
        match others.checked_sub(1) {
            Some(last) => sent[last],
            None => Some(Duration::MAX),
        }
    }

    /// Notes what a majority may have by now.
    fn note_committed(&mut self) {
        let Some(since) = self.majority_since() else { return };
        let is_later = |&(_, at): &(u64, Duration)| at > since;
        let may_be = self.accepted.iter().filter(|accepted| !is_later(accepted));
        let highest = may_be.map(|&(index, _)| index).max().unwrap_or(0);
        self.may_be_committed = self.may_be_committed.max(highest);
        self.accepted.retain(is_later);
    }
}

impl Outside {
    pub(super) fn new(servers: usize, is_one_way: bool, contract: &Contract) -> Outside {
        let seen = || Seen { heard_from: vec![false; servers], ..Seen::default() };
        Outside {
            must_save: contract.persistence == Persistence::Required,
            has_only_commands: !contract.has_internal_entries,
            is_one_way,
            has_transfers: contract.offers.leader_transfer.is_some(),
            highest_term: 0,
            committed_in: BTreeMap::new(),
            servers: (0..servers).map(|_| seen()).collect(),
            reigns: BTreeMap::new(),
        }
    }

    /// A server was started.
    pub(super) fn started(&mut self, server: usize, at: Duration) {
        let seen = &mut self.servers[server];
        seen.term = None;
        seen.promise = None;
        seen.leads_since = None;
        seen.is_told = false;
        seen.told_at = None;
        seen.started_at = Some(at);
        seen.other_at = None;
    }

    /// A message of one server arrives at another.
    pub(super) fn delivered(
        &mut self,
        (from, to): (usize, usize),
        message: &Delivery<'_>,
        at: Duration,
    ) {
        if self.is_one_way && message.is_reply {
            return;
        }
        let term = self.servers[to].term;
        let sender = &self.servers[from];
        let led = sender.leads_since.is_some_and(|since| since <= message.called_at);
        let is_of_leader = led && sender.term == term && !message.is_reply;
        let seen = &mut self.servers[to];
        if is_of_leader {
            seen.is_told = true;
        } else {
            seen.other_at = Some(at);
        }
        // A reply to a request of an earlier term cannot be a vote in this one.
        if message.called_at >= seen.since {
            seen.heard_from[from] = true;
        }
        let Some(reign) = term.and_then(|term| self.reigns.get_mut(&term)) else { return };
        if reign.leader == to {
            reign.sent[from] = reign.sent[from].max(Some(message.sent_at));
            reign.note_committed();
        }
    }

    /// A server says that it has accepted a command.
    pub(super) fn accepted(
        &mut self,
        server: usize,
        Started { index, term }: Started,
        at: Duration,
    ) -> Holds {
        let all = self.servers.len();
        let reign = self.reigns.entry(term).or_insert_with(|| Reign::new(server, all));
        if reign.leader == server {
            reign.accepted.push((index, at));
            reign.note_committed();
        }
        match self.committed_in.get(&index) {
            Some(&committed_in) if committed_in < term => violated(
                Property::LeaderCompleteness,
                [server],
                format!(
                    "server {server}, the leader of term {term}, accepts a command for index {index}, at which an entry \
                     was committed in term {committed_in}: its log does not have that entry"
                ),
            ),
            _ => Ok(()),
        }
    }

    /// Whether a server has saved another snapshot than the last one that was looked at.
    pub(super) fn has_saved(&self, server: usize, snapshot: &Bytes) -> bool {
        let known = &self.servers[server].snapshot;
        (known.as_ptr(), known.len()) != (snapshot.as_ptr(), snapshot.len())
    }

    /// A server has saved this snapshot, which goes up to an index.
    pub(super) fn check_snapshot(
        &mut self,
        server: usize,
        snapshot: Bytes,
        index: Option<u64>,
    ) -> Holds {
        let seen = &mut self.servers[server];
        seen.snapshot = snapshot;
        let Some(index) = index else { return Ok(()) };
        let before = std::mem::replace(&mut seen.covered, index);
        if index >= before || !self.must_save {
            return Ok(());
        }
        violated(
            Property::Snapshot,
            [server],
            format!(
                "server {server} has saved a snapshot up to index {index} in place of one up to {before}: an older \
                 snapshot has replaced a newer one"
            ),
        )
    }

    /// A server hands its service the command at an index.
    pub(super) fn check_applied(&mut self, server: usize, index: u64) -> Holds {
        if !self.has_only_commands || self.committed_in.contains_key(&index) {
            return Ok(());
        }
        let mut reigns = self.reigns.iter().rev();
        if let Some((&term, _)) = reigns.find(|(_, reign)| reign.may_be_committed >= index) {
            self.committed_in.insert(index, term);
            return Ok(());
        }
        violated(
            Property::CommitRule,
            [server],
            format!(
                "server {server} hands its service the entry at index {index}, which cannot be committed: no leader \
                 that has accepted a command at this index or behind it has heard from a majority since"
            ),
        )
    }

    /// A server has done something, and is in this state.
    pub(super) fn check_state(
        &mut self,
        server: usize,
        state: RaftState,
        traffic: Traffic,
        at: Duration,
    ) -> Vec<Violation> {
        let checks = [
            self.check_timer(server, state, at),
            self.check_stays(server, state, at),
            self.check_term(server, state, traffic, at),
            self.check_saved(server, traffic, at),
            self.check_leader(server, state, at),
        ];
        self.highest_term = self.highest_term.max(state.term);
        let seen = &mut self.servers[server];
        if std::mem::take(&mut seen.is_told) {
            seen.told_at = Some(at);
        }
        checks.into_iter().filter_map(Result::err).collect()
    }

    /// The first server in a term has begun an election, or was asked by a candidate that has crashed.
    fn check_timer(&self, server: usize, state: RaftState, at: Duration) -> Holds {
        let seen = &self.servers[server];
        let stands = seen.term.is_some() && state.term > self.highest_term;
        let is_alone = self.servers.len() == 1;
        if !stands || is_alone || self.has_transfers || self.is_one_way {
            return Ok(());
        }
        let is_short = |since: &Duration| at < *since + SHORT;
        let is_noticed = |told: &Duration| at >= *told + TO_NOTICE;
        let told = seen.told_at.filter(is_noticed).filter(is_short);
        let started = seen.started_at.filter(is_short);
        let (since, what) = match (told, started) {
            (Some(told), _) => (told, "it heard from the leader of its term"),
            (None, Some(started)) => (started, "it started"),
            (None, None) => return Ok(()),
        };
        if seen.other_at.is_some_and(|other| other + 2 * SHORT > at) {
            return Ok(());
        }
        violated(
            Property::ElectionTimer,
            [server],
            format!(
                "server {server} begins an election in term {}, {:.1} ms after {what}: \
                 that should have restarted its election timer",
                state.term,
                (at - since).as_secs_f64() * 1000.0
            ),
        )
    }

    /// A leader leads until there is a newer term, or until it hears from no majority.
    fn check_stays(&mut self, server: usize, state: RaftState, at: Duration) -> Holds {
        let seen = &mut self.servers[server];
        let stops = seen.leads_since.is_some() && !state.is_leader && seen.term == Some(state.term);
        if !stops {
            return Ok(());
        }
        seen.leads_since = None;
        let reign = self.reigns.get(&state.term).filter(|reign| reign.leader == server);
        let is_heard = |since: Duration| at < since.saturating_add(SHORT);
        if self.has_transfers || !reign.and_then(Reign::majority_since).is_some_and(is_heard) {
            return Ok(());
        }
        violated(
            Property::LeadersStay,
            [server],
            format!(
                "server {server} stops leading term {}, in which a majority has just written to it, without a newer \
                 term",
                state.term
            ),
        )
    }

    fn check_term(
        &mut self,
        server: usize,
        state: RaftState,
        traffic: Traffic,
        at: Duration,
    ) -> Holds {
        let seen = &mut self.servers[server];
        let before = seen.term.replace(state.term);
        if before == Some(state.term) {
            return Ok(());
        }
        if before.is_some() {
            seen.started_at = None;
        }
        seen.since = at;
        seen.leads_since = None;
        seen.heard_from.fill(false);
        // One that saves in the background may be seen in the term only after it has saved it.
        let is_just_saved = seen.saves > 0 && at < seen.saved_at + TO_SAVE;
        let saves = seen.saves - u64::from(is_just_saved);
        // Each request is answered once at most, so with one answer more, a request was answered that has come since.
        let answers = (!self.is_one_way).then_some(traffic.requests);
        // What it has read from its disk when it started is saved.
        seen.promise = before.map(|_| Promise { saves, answers });
        match before {
            Some(before) if state.term < before => lower_term(server, state.term, before),
            _ if state.term < seen.relied_on && self.must_save => {
                lower_term(server, state.term, seen.relied_on)
            }
            _ => Ok(()),
        }
    }

    /// When a server has answered what has come since it moved to its term, others rely on that it is not in a
    /// lower one again.
    fn check_saved(&mut self, server: usize, traffic: Traffic, at: Duration) -> Holds {
        let seen = &mut self.servers[server];
        if traffic.saves != seen.saves {
            (seen.saves, seen.saved_at) = (traffic.saves, at);
        }
        let Some(promise) = seen.promise.as_mut().filter(|_| at >= seen.since + TO_SAVE) else {
            return Ok(());
        };
        if traffic.answers <= *promise.answers.get_or_insert(traffic.answers) {
            return Ok(());
        }
        let term = seen.term.unwrap_or(0);
        let is_saved = traffic.saves > promise.saves;
        seen.promise = None;
        seen.relied_on = seen.relied_on.max(term);
        if is_saved || !self.must_save {
            return Ok(());
        }
        violated(
            Property::SavedFirst,
            [server],
            format!(
                "server {server} moved to term {term} {} ms ago, and answers other servers without having saved \
                 anything since",
                (at - seen.since).as_millis()
            ),
        )
    }

    /// Who leads has the votes of a majority, and each of them is a message.
    fn check_leader(&mut self, server: usize, state: RaftState, at: Duration) -> Holds {
        let all = self.servers.len();
        let seen = &mut self.servers[server];
        if !state.is_leader || seen.leads_since.is_some() {
            return Ok(());
        }
        seen.leads_since = Some(at);
        self.reigns.entry(state.term).or_insert_with(|| Reign::new(server, all));
        seen.relied_on = seen.relied_on.max(state.term);
        let voters = 1 + seen.heard_from.iter().filter(|&&heard| heard).count();
        // What has led from its start on has no elections: it may be something else than a Raft.
        if 2 * voters > all || seen.started_at.is_some() {
            return Ok(());
        }
        violated(
            Property::Candidates2,
            [server],
            format!(
                "server {server} leads term {}, and has heard from {} of {all} servers since it has been in this \
                 term, itself included",
                state.term, voters
            ),
        )
    }
}

fn lower_term(server: usize, term: u64, before: u64) -> Holds {
    violated(
        Property::TermMonotone,
        [server],
        format!("server {server} is in term {term} and has been in term {before}"),
    )
}

#[cfg(test)]
mod tests;
