//! The properties that hold at every moment of a run, checked after each poll of a server's tasks, for
//! any implementation that answers [`Raft::probe`].
//!
//! The first property that does not hold ends the run, with the evidence. Each property is a file of its
//! own. Its `check` compares one [`Change`] of one server with the [`History`] of the run, and adds to the
//! history what later checks need. Only what has changed is checked, so that most polls cost one comparison.
//!
//! | property | Raft paper | file |
//! |---|---|---|
//! | Election Safety | figure 3 | `election_safety` |
//! | Leader Append-Only | figure 3 | `leader_append_only` |
//! | Log Matching | figure 3 | `log_matching` |
//! | Leader Completeness | figure 3 | `leader_completeness` |
//! | State Machine Safety | figure 3 | `state_machine_safety` |
//! | the commit rule | section 5.4.2 | `commit_rule` |
//! | the term never decreases | figure 2 | `term_monotone` |
//! | one vote per term | figure 2 | `one_vote` |
//! | commitIndex and lastApplied never decrease | figure 2 | `commit_monotone` |
//! | acknowledged entries stay | section 5.3 | `acknowledged` |
//! | matchIndex is replicated | figure 2 | `match_index` |
//! | apply order | section 5.3 | `apply_order` |
//! | snapshot and log fit together | section 7 | `snapshot` |
//! | saved before replying | figure 2 | `saved_first` |
//! | the election timer | section 5.2 | `election_timer` |
//!
//! To add a property: a row in `property.rs`, a file here, a line in `check_change` below, and a row in the
//! table above and in `docs/checks.md`. What it must remember goes into `history.rs`. Linearizability is checked at the end of a run: see
//! [`linearizability`](crate::linearizability).

mod acknowledged;
mod apply_order;
mod change;
mod commit_monotone;
mod commit_rule;
mod election_safety;
mod election_timer;
mod history;
mod leader_append_only;
mod leader_completeness;
mod log_matching;
mod match_index;
mod one_vote;
mod saved_first;
mod snapshot;
#[cfg(test)]
mod stage;
mod state_machine_safety;
mod term_monotone;

use std::time::Duration;

use bytes::Bytes;

use crate::property::Holds;
use crate::raft::{ApplyMsg, Probe, Raft};
use crate::situation::{Situation, View};
use change::Change;
use history::History;
pub(crate) use history::Traffic;

/// The checks of a run, with the history that they compare against.
pub(crate) struct Invariants {
    persistence: Persistence,
    history: History,
    situation: Situation,
}

/// Whether servers must save before they reply.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// Servers must save before they reply, from lab 2C on.
    Required,
    /// In labs 2A and 2B a Raft saves nothing yet.
    NotYet,
}

impl Invariants {
    /// Checks for this many servers, none of which is running yet.
    pub(crate) fn new(servers: usize, persistence: Persistence) -> Invariants {
        Invariants {
            persistence,
            history: History::new(servers),
            situation: Situation::new(servers),
        }
    }

    /// A server was started, and its service from this snapshot; without one it is empty.
    pub(crate) fn started(&mut self, server: usize, snapshot: &Bytes) {
        self.history.started(server, snapshot);
    }

    /// A server was stopped.
    pub(crate) fn stopped(&mut self, server: usize) {
        self.history.servers[server].is_running = false;
    }

    /// A server was started or stopped, or a link was opened or cut.
    pub(crate) fn links_changed(&mut self, at: Duration) {
        self.situation.links_changed(at);
    }

    /// A server hands this message to its service.
    pub(crate) fn applied(&mut self, server: usize, message: &ApplyMsg) -> Holds {
        match message {
            ApplyMsg::Command { index, command } => {
                apply_order::check_command(&mut self.history, server, *index)?;
                state_machine_safety::check_command(&mut self.history, server, *index, command)
            }
            ApplyMsg::Snapshot { index, snapshot, .. } => {
                snapshot::check_handed_up(&mut self.history, server, *index, snapshot)
            }
        }
    }

    /// The service of a server has made a snapshot of everything up to `index`.
    pub(crate) fn snapshot_made(&mut self, server: usize, index: u64, snapshot: &Bytes) -> Holds {
        snapshot::check_made(&mut self.history, server, index, snapshot)
    }

    /// A server's probe at its last check, if it was checked since it was started.
    pub(crate) fn last_probe(&self, server: usize) -> Option<&Probe> {
        self.history.servers[server].last.as_ref()
    }

    /// Checks a server that has run and may have changed. `traffic` is what it has saved and sent so far.
    pub(crate) fn check(
        &mut self,
        server: usize,
        raft: &dyn Raft,
        traffic: Traffic,
        at: Duration,
    ) -> Holds {
        let history = &mut self.history.servers[server];
        let earlier = std::mem::replace(&mut history.traffic, traffic);
        let Some(now) = raft.probe() else {
            // What can be seen from outside is whether it leads.
            let state = raft.state();
            if !state.is_leader {
                return Ok(());
            }
            return election_safety::check_leader(&mut self.history, server, state.term, at);
        };
        // Nothing has changed in most polls: this is what the checks cost.
        if history.last.as_ref() == Some(&now) {
            return Ok(());
        }
        let before = history.last.take();
        let change = Change {
            server,
            before: before.as_ref(),
            now: &now,
            raft,
            at,
            log: history.log.update(raft, before.as_ref(), &now),
            saved: traffic.saves != earlier.saves,
            replied: traffic.replies != earlier.replies,
        };
        let checked = self.check_change(&change);
        self.situation.server_changed(at, server, before.as_ref(), &now);
        self.history.servers[server].last = Some(now);
        checked
    }

    /// All checks of a change. The order decides which property is reported when several are broken.
    fn check_change(&mut self, change: &Change<'_>) -> Holds {
        let history = &mut self.history;
        term_monotone::check(history, change)?;
        one_vote::check(history, change)?;
        commit_monotone::check(change)?;
        snapshot::check(history, change)?;
        apply_order::check(history, change)?;
        log_matching::check(history, change)?;
        acknowledged::check(history, change)?;
        if self.persistence == Persistence::Required {
            saved_first::check(change)?;
        }
        election_timer::check(history, change)?;
        election_safety::check(history, change)?;
        leader_append_only::check(change)?;
        match_index::check(history, change)?;
        commit_rule::check(history, change)?;
        leader_completeness::check(history, change)?;
        state_machine_safety::check(history, change)
    }

    /// The state of the servers and what they have been doing, a line each, for the report of a run that
    /// made no progress. `reaches` says whether messages of one server get to another.
    pub(crate) fn situation(
        &self,
        now: Duration,
        reaches: &dyn Fn(usize, usize) -> bool,
    ) -> Vec<String> {
        let views = self.history.servers.iter().map(|server| View {
            is_running: server.is_running,
            probe: server.last.as_ref(),
            last_term: server.log.term_at(server.log.last_index),
        });
        let views: Vec<View<'_>> = views.collect();
        self.situation.lines(now, &views, reaches)
    }
}
