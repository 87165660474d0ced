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
//!
//! A message counts for whatever it may have said, so a Raft that collects, pipelines or answers in another order
//! keeps all of them.

use std::collections::BTreeMap;
use std::time::Duration;

use labrpc::Delivery;

use super::contract::{Contract, Persistence};
use super::history::Traffic;
use crate::property::{Holds, Property, Violation, violated};
use crate::raft::{RaftState, Started};

/// How soon a server must have saved a newer term, if it goes on answering requests.
const TO_SAVE: Duration = Duration::from_millis(60);

/// What has been seen of all servers of a run.
pub(super) struct Outside {
    must_save: bool,
    /// Whether the log holds only what `start` has accepted, so that it is known who has which entries.
    has_only_commands: bool,
    /// Whether replies mean nothing.
    is_one_way: bool,
    servers: Vec<Seen>,
    /// By term: what its leader has accepted, and when others have last written to it.
    reigns: BTreeMap<u64, Reign>,
    /// The highest index that may be committed.
    may_be_committed: u64,
}

/// What has been seen of a server.
#[derive(Default)]
struct Seen {
    /// Its term, and since when; `None` before it is looked at for the first time after a start.
    term: Option<u64>,
    since: Duration,
    /// The term that it must remember when it restarts.
    relied_on: u64,
    /// The number of its saves when it was last looked at.
    saves: u64,
    /// What has to be seen until others rely on its present term.
    promise: Option<Promise>,
    /// By server: whether a message has come from it that can belong to the present term.
    heard_from: Vec<bool>,
    is_leader: bool,
}

/// The term of a server on which nobody relies yet.
#[derive(Copy, Clone)]
struct Promise {
    /// The number of its saves when it was in an earlier term.
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
}

impl Reign {
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

    /// Removes what a majority may have by now from the list, and returns the highest index of it.
    fn committed(&mut self) -> Option<u64> {
        let since = self.majority_since()?;
        let covered = |&&(_, at): &&(u64, Duration)| at <= since;
        let highest = self.accepted.iter().filter(covered).map(|&(index, _)| index).max();
        self.accepted.retain(|accepted| !covered(&accepted));
        highest
    }
}

impl Outside {
    pub(super) fn new(servers: usize, is_one_way: bool, contract: &Contract) -> Outside {
        let seen = || Seen { heard_from: vec![false; servers], ..Seen::default() };
        Outside {
            must_save: contract.persistence == Persistence::Required,
            has_only_commands: !contract.has_internal_entries,
            is_one_way,
            servers: (0..servers).map(|_| seen()).collect(),
            reigns: BTreeMap::new(),
            may_be_committed: 0,
        }
    }

    /// A server was started.
    pub(super) fn started(&mut self, server: usize) {
        let seen = &mut self.servers[server];
        seen.term = None;
        seen.promise = None;
        seen.is_leader = false;
    }

    /// A message of one server arrives at another.
    pub(super) fn delivered(&mut self, (from, to): (usize, usize), message: &Delivery<'_>) {
        if self.is_one_way && message.is_reply {
            return;
        }
        let seen = &mut self.servers[to];
        // A reply to what was asked in an earlier term is no vote in this one.
        if message.called_at >= seen.since {
            seen.heard_from[from] = true;
        }
        let Some(reign) = seen.term.and_then(|term| self.reigns.get_mut(&term)) else { return };
        if reign.leader == to {
            reign.sent[from] = reign.sent[from].max(Some(message.sent_at));
            self.may_be_committed = self.may_be_committed.max(reign.committed().unwrap_or(0));
        }
    }

    /// A server says that it has accepted a command.
    pub(super) fn accepted(&mut self, server: usize, started: Started, at: Duration) {
        let all = self.servers.len();
        let reign = self.reigns.entry(started.term).or_insert_with(|| Reign {
            leader: server,
            accepted: Vec::new(),
            sent: vec![None; all],
        });
        if reign.leader == server {
            reign.accepted.push((started.index, at));
            self.may_be_committed = self.may_be_committed.max(reign.committed().unwrap_or(0));
        }
    }

    /// A server hands its service the command at an index.
    pub(super) fn check_applied(&self, server: usize, index: u64) -> Holds {
        if index <= self.may_be_committed || !self.has_only_commands {
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
            self.check_term(server, state, traffic, at),
            self.check_saved(server, traffic, at),
            self.check_leader(server, state),
        ];
        checks.into_iter().filter_map(Result::err).collect()
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
        seen.since = at;
        seen.heard_from.fill(false);
        let saves = seen.saves;
        // Each request is answered once at most, so with one answer more, a request was answered that has come since.
        let answers = (!self.is_one_way).then_some(traffic.requests);
        seen.promise = Some(Promise { saves, answers });
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
        seen.saves = traffic.saves;
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
    fn check_leader(&mut self, server: usize, state: RaftState) -> Holds {
        let all = self.servers.len();
        let seen = &mut self.servers[server];
        let has_led = std::mem::replace(&mut seen.is_leader, state.is_leader);
        if !state.is_leader || has_led {
            return Ok(());
        }
        seen.relied_on = seen.relied_on.max(state.term);
        let voters = 1 + seen.heard_from.iter().filter(|&&heard| heard).count();
        if 2 * voters > all {
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
