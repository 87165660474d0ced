//! The properties that hold at every moment of a run, checked after each poll of a server's tasks, for
//! any implementation that answers [`Raft::probe`].
//!
//! The first broken promise ends the run, with the evidence; slips are collected. Each property is a file
//! of its own. Its `check` compares one [`Change`] of one server with the [`History`] of the run, and adds to the
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
//! | nextIndex is above matchIndex | figure 2 | `next_index` |
//! | apply order | section 5.3 | `apply_order` |
//! | snapshot and log fit together | section 7 | `snapshot` |
//! | saved before replying | figure 2 | `saved_first` |
//! | a start finds what was saved | figure 2 | `restored` |
//! | the election timer | section 5.2 | `election_timer` |
//! | what Start answers is so | the lab's contract | `started` |
//! | who hears from no majority leads no longer, and keeps its term | part 2E | `check_quorum` |
//! | who hands over leadership leads, takes no commands, and gives up in time | part 2F | `transfer` |
//! | a read sees what is committed, and ends | part 2G | `reads` |
//! | each step is one that the figure allows | figures 2 and 13 | `figure2` |
//! | weaker forms of some of these, without [`Raft::probe`] | | `outside` |
//!
//! To add a property: a row in `property.rs`, a file here, a line in `check_change` below, and a row in the
//! table above and in `docs/checks.md`. What it must remember goes into `history.rs`. Linearizability is checked at the end of a run: see
//! [`linearizability`](crate::linearizability).

mod acknowledged;
mod apply_order;
mod change;
mod check_quorum;
mod commit_monotone;
mod commit_rule;
mod contacts;
mod contract;
mod election_safety;
mod election_timer;
mod figure2;
mod from_outside;
mod history;
mod judge;
mod leader_append_only;
mod leader_completeness;
mod log_matching;
mod match_index;
mod next_index;
mod one_vote;
mod outside;
mod probe_form;
mod reads;
mod restored;
mod saved_first;
mod snapshot;
#[cfg(test)]
mod stage;
mod started;
mod state_machine_safety;
mod steps;
mod term_monotone;
#[cfg(test)]
mod tests;
mod transfer;
mod waypoints;

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use labrpc::Delivery;

use crate::persister::Persister;
use crate::property::Holds;
use crate::raft::{ApplyMsg, HandedUp, Probe, Raft, Started};
use crate::server_names::Places;
use crate::situation::{Situation, View};
use crate::waypoint::Reached;
use change::{Change, Difference};
pub(crate) use contract::{Contract, Persistence};
use figure2::Figure2;
pub(crate) use figure2::SharedMessages;
use history::History;
pub(crate) use history::Traffic;
use judge::Judge;
pub(crate) use judge::News;
use outside::Outside;
use reads::Reads;
pub(crate) use reads::{ReadMark, ReadsJudged};
use started::Accepted;
use transfer::Transfers;

/// How long a pause may go on after the last moment at which one could begin.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The checks of a run, with the history that they compare against.
pub(crate) struct Invariants {
    contract: Contract,
    judge: Judge,
    history: History,
    situation: Situation,
    /// The judge of steps, if the implementation tells what its messages say.
    figure2: Option<Figure2>,
    /// What servers have accepted, if that is told.
    accepted: Option<Accepted>,
    /// The transfers of leadership, if the Raft offers part 2F.
    transfers: Option<Transfers>,
    /// The reads without entries of the log, if the Raft offers part 2G.
    reads: Option<Reads>,
    /// What is seen of servers that show nothing of their inside, until one does.
    outside: Option<Box<Outside>>,
    waypoints: waypoints::Observer,
    /// Whether a server did not answer when it was asked for a probe.
    is_probe_missing: bool,
}

impl Invariants {
    /// Checks for this many servers, none of which is running yet.
    pub(crate) fn new(servers: usize, contract: Contract) -> Invariants {
        Invariants {
            contract,
            judge: Judge { without: contract.without, news: Vec::new() },
            history: History::new(servers, contract.offers.stable_leader),
            reads: contract.reads.map(|judged| Reads::new(servers, judged)),
            situation: Situation::new(servers),
            figure2: None,
            accepted: None,
            transfers: contract
                .offers
                .leader_transfer
                .map(|longest| Transfers::new(servers, longest)),
            outside: None,
            waypoints: waypoints::Observer::new(servers),
            is_probe_missing: false,
        }
    }

    /// Has every step judged by figure 2, with the messages that an observer of the network collects. Larger
    /// clusters than [`figure2::MOST_SERVERS`] are judged by the other properties alone.
    pub(crate) fn judge_steps(&mut self, messages: SharedMessages) {
        let must_save = self.contract.persistence == Persistence::Required;
        let servers = self.history.servers.len();
        if servers > figure2::MOST_SERVERS {
            return;
        }
        let judged = Figure2::new(servers, messages, must_save, self.contract.offers);
        self.figure2 = Some(judged);
    }

    /// Has the answers to commands judged: from now on [`accepted`](Self::accepted) is told of all of them. A
    /// Raft with entries of its own appends what nobody has started.
    pub(crate) fn judge_starts(&mut self) {
        let servers = self.history.servers.len();
        self.accepted = (!self.contract.has_internal_entries).then(|| Accepted::new(servers));
    }

    /// Adds the waypoints that the run comes to from now on to `reached`.
    pub(crate) fn note_waypoints(&mut self, reached: Reached) {
        self.waypoints.reached = reached;
    }

    /// Whether something was found that nobody has taken yet.
    pub(crate) fn has_news(&self) -> bool {
        !self.judge.news.is_empty()
    }

    /// What was found since the last call, and does not end the run.
    pub(crate) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.judge.news)
    }

    /// A server was started, and its service from this snapshot; without one it is empty.
    pub(crate) fn started(&mut self, server: usize, snapshot: &Bytes, at: Duration) {
        self.history.started(server, snapshot);
        if let Some(outside) = &mut self.outside {
            outside.started(server, at);
        }
        if let Some(figure2) = &mut self.figure2 {
            figure2.started(server, at);
        }
        if let Some(accepted) = &mut self.accepted {
            accepted.started(server);
        }
        if let Some(transfers) = &mut self.transfers {
            transfers.started(server);
        }
        if let Some(reads) = &mut self.reads {
            reads.started(server);
        }
    }

    /// A task of a server was polled. Before its check, which also follows a question of the tester's.
    #[inline]
    pub(crate) fn polled(&mut self, server: usize, at: Duration) {
        self.history.servers[server].awake.note(at);
    }

    /// From this time on an act makes the clock of a server leap, stand still or run at another rate. Whether
    /// the server does things in time is not judged then.
    pub(crate) fn bend_clock(&mut self, server: usize, from: Duration) {
        let bent = &mut self.history.servers[server].clock_bent;
        *bent = Some(bent.map_or(from, |known| from.min(known)));
    }

    /// A server was stopped.
    pub(crate) fn stopped(&mut self, server: usize) {
        self.waypoints.stopped(&self.history, server);
        let known = &mut self.history.servers[server];
        known.is_running = false;
        let in_step = std::mem::take(&mut known.stops_in_step);
        restored::stopped(&mut self.history, server, in_step);
    }

    /// A server crashes in the middle of a step, nearly always while it saves. [`stopped`](Self::stopped) follows.
    pub(crate) fn stopped_in_step(&mut self, server: usize) {
        self.waypoints.stopped_in_save();
        self.history.servers[server].stops_in_step = true;
    }

    /// A message of one server arrives at another.
    pub(crate) fn delivered(
        &mut self,
        between: (usize, usize),
        message: &Delivery<'_>,
        at: Duration,
    ) {
        self.heard(between, at);
        if let Some(outside) = &mut self.outside {
            outside.delivered(between, message, at);
        }
        self.waypoints.delivered(&self.history, between, message, at);
    }

    /// A server hears from another.
    fn heard(&mut self, between: (usize, usize), at: Duration) {
        let History { servers, contacts, .. } = &mut self.history;
        if contacts.election_timeout.is_some() {
            contacts.note(between, at, servers[between.1].awake.by(at));
        }
    }

    /// A server's Raft says that it has accepted a command.
    pub(crate) fn accepted(
        &mut self,
        server: usize,
        command: &Bytes,
        started: Started,
        raft: &dyn Raft,
    ) -> Holds {
        let state = raft.state();
        self.waypoints.accepted(&self.history, server, command);
        self.accepted_at(server, state.term, started.index, command);
        if self.transfers.is_some() {
            self.judge.rule_on(transfer::check_accepted(server, raft))?;
        }
        self.judge.rule_on(started::check_term(server, started.term, state))
    }

    /// A server's Raft says that it has begun to hand over leadership.
    pub(crate) fn hands_over(&mut self, server: usize, to: usize, raft: &dyn Raft) -> Holds {
        match self.transfers {
            Some(_) => self.judge.rule_on(transfer::check_begun(server, to, raft)),
            None => Ok(()),
        }
    }

    /// A server in this term says that a command will appear at this index.
    fn accepted_at(&mut self, server: usize, term: u64, index: u64, command: &[u8]) {
        if let Some(accepted) = &mut self.accepted {
            accepted.note(server, term, index, command);
        }
    }

    /// A server is asked for a read in this term. For as long as somebody waits for the read, the mark is kept.
    /// `None` if reads are not judged.
    pub(crate) fn read_begins(&mut self, server: usize, term: u64) -> Option<Rc<ReadMark>> {
        Some(self.reads.as_mut()?.begin(server, term))
    }

    /// A read is confirmed: its service may answer from the state that it has at this index.
    pub(crate) fn read_confirmed(&mut self, read: &ReadMark, index: u64) -> Holds {
        let Some(reads) = &self.reads else { return Ok(()) };
        self.judge.rule_on(reads.check_confirmed(read, index))
    }

    /// A server was started or stopped, or a link was opened or cut.
    pub(crate) fn links_changed(&mut self, at: Duration) {
        self.situation.links_changed(at);
    }

    /// A server hands this up to its service.
    pub(crate) fn applied(&mut self, server: usize, handed_up: &HandedUp) -> Holds {
        let Invariants { judge, history, outside, .. } = self;
        let (index, command) = match handed_up {
            HandedUp::Message(ApplyMsg::Snapshot { index, term, snapshot }) => {
                let snapshot = (*index, *term, snapshot);
                return judge.rule_on(snapshot::check_handed_up(history, server, snapshot));
            }
            HandedUp::Message(ApplyMsg::Command { index, command }) => (*index, Some(command)),
            HandedUp::Internal { index } => (*index, None),
        };
        if command.is_none() && !self.contract.has_internal_entries {
            return apply_order::undeclared(server, index);
        }
        judge.rule_on(apply_order::check_entry(history, server, index))?;
        if let (Some(outside), Some(_)) = (outside, command) {
            judge.rule_on(outside.check_applied(server, index))?;
        }
        judge.rule_on(state_machine_safety::check_entry(history, server, index, command))
    }

    /// The service of a server has made a snapshot of everything up to `index`.
    pub(crate) fn snapshot_made(&mut self, server: usize, index: u64, snapshot: &Bytes) -> Holds {
        let checked = snapshot::check_made(&mut self.history, server, index, snapshot);
        self.judge.rule_on(checked)
    }

    /// A server's probe at its last check, if it was checked since it was started.
    pub(crate) fn last_probe(&self, server: usize) -> Option<&Probe> {
        self.history.servers[server].last.as_ref()
    }

    /// Checks a server that has run and may have changed. `saved` is its disk, and `traffic` says how much it has
    /// saved and sent so far.
    pub(crate) fn check(
        &mut self,
        server: usize,
        (raft, saved): (&dyn Raft, Option<&Persister>),
        traffic: Traffic,
        at: Duration,
    ) -> Holds {
        if traffic.timers_may_wait {
            self.history.timers_waited = Some(at);
        }
        // A pause that has begun goes on when faults have ended.
        let timers_may_wait =
            self.history.timers_waited.is_some_and(|waited| at < waited + LONGEST_PAUSE);
        let history = &mut self.history.servers[server];
        let earlier = history.traffic;
        history.traffic = Traffic { timers_may_wait, ..traffic };
        // Probes are asked for even if runs are judged without, to know whether there are any.
        let probe = raft.probe();
        if probe.is_none() && !std::mem::replace(&mut self.is_probe_missing, true) {
            self.judge.news.push(News::NoProbe);
        }
        // The probe stays where the Raft has written it: to read in large pieces what was just written in small ones
        // takes longer than all that is done with it if nothing has changed.
        let Some(now) = &probe else { return self.check_from_outside(server, (raft, saved), at) };
        if !self.contract.without.has_probes() {
            return self.check_from_outside(server, (raft, saved), at);
        }
        self.outside = None;
        if self.contract.offers.stable_leader.is_some() {
            let checked = check_quorum::check(&mut self.history, server, now, at);
            self.judge.rule_on(checked)?;
        }
        if let Some(transfers) = &mut self.transfers {
            let moment = (raft.transferee(), now);
            let checked = transfers.check(&self.history, server, moment, at);
            self.judge.rule_on(checked)?;
        }
        if let Some(reads) = &mut self.reads {
            let awake = self.history.servers[server].awake;
            let checked = reads.check(server, now, awake, at);
            self.judge.rule_on(checked)?;
        }
        // Nothing has changed in most polls: this is what the checks cost.
        let last = self.history.servers[server].last.as_ref();
        match last.map_or(Difference::Other, |last| Difference::between(last, now)) {
            Difference::Nothing => {
                let checked = saved_first::check_late_answer(&self.history, server, earlier);
                self.judge.rule_on(checked)?;
                return self.check_step_without_change(server, now, earlier, at);
            }
            Difference::LastApplied => return self.check_applied(server, raft, probe, earlier, at),
            Difference::Other => {}
        }
        if let Err(misshapen) = probe_form::check(server, self.history.servers.len(), now) {
            // Without this property, there is nothing to be seen in the probe.
            self.judge.rule_on(Err(misshapen))?;
            return self.check_from_outside(server, (raft, saved), at);
        }
        let must_save = self.contract.persistence == Persistence::Required;
        let history = &mut self.history.servers[server];
        let restored = restored::check(history, server, raft, now);
        let before = history.last.take();
        let change = Change {
            server,
            before: before.as_ref(),
            now,
            raft,
            at,
            log: history.log.update(raft, before.as_ref(), now),
            saved: traffic.saves != earlier.saves,
            answered: traffic.answers != earlier.answers,
        };
        let mut checked = self.check_step(&change).and_then(|()| self.check_change(&change));
        if must_save && checked.is_ok() {
            checked = self.judge.rule_on(restored);
        }
        self.waypoints.changed(&self.history, &change);
        self.situation.server_changed(at, server, before.as_ref(), now);
        self.history.servers[server].last = probe;
        checked
    }

    /// All checks of a change. The order decides which property is reported when several are broken.
    fn check_change(&mut self, change: &Change<'_>) -> Holds {
        let Invariants { contract, judge, history, accepted, transfers, reads, .. } = self;
        let chosen = transfers.as_ref().is_some_and(|transfers| transfers.has_chosen(change));
        if let Some(reads) = reads {
            reads.note_commit(change);
        }
        judge.rule_on(probe_form::check_told(change.server, change.raft.state(), change.now))?;
        judge.rule_on(term_monotone::check(history, change))?;
        judge.rule_on(one_vote::check(history, change))?;
        judge.rule_on(commit_monotone::check(change))?;
        judge.rule_on(snapshot::check(history, change))?;
        judge.rule_on(apply_order::check(history, change))?;
        judge.rule_on(log_matching::check(history, change))?;
        judge.rule_on(acknowledged::check(history, change))?;
        if contract.persistence == Persistence::Required {
            judge.rule_on(saved_first::check(history, change))?;
        }
        if history.servers[change.server].keeps_time(change.at) && !chosen {
            judge.rule_on(election_timer::check(history, change))?;
        }
        if !chosen {
            judge.rule_on(check_quorum::check_candidacy(history, change))?;
        }
        judge.rule_on(election_safety::check(history, change))?;
        judge.rule_on(leader_append_only::check(change))?;
        if let Some(accepted) = accepted {
            judge.rule_on(accepted.check(change, &history.servers[change.server].log))?;
        }
        judge.rule_on(match_index::check(history, change))?;
        judge.rule_on(next_index::check(change))?;
        judge.rule_on(commit_rule::check(history, change))?;
        judge.rule_on(saved_first::check_commit(history, change))?;
        judge.rule_on(leader_completeness::check(history, change))?;
        judge.rule_on(state_machine_safety::check(history, change))
    }

    /// The state of the servers and what they have been doing, a line each, for the report of a run that
    /// made no progress. `reaches` says whether messages of one server get to another, and `places` what servers are
    /// called.
    pub(crate) fn situation(
        &self,
        now: Duration,
        reaches: &dyn Fn(usize, usize) -> bool,
        places: &Places,
    ) -> Vec<String> {
        let views = self.history.servers.iter().map(|server| View {
            is_running: server.is_running,
            probe: server.last.as_ref(),
            last_term: server.log.term_at(server.log.last_index),
        });
        let views: Vec<View<'_>> = views.collect();
        self.situation.lines(now, &views, reaches, places)
    }
}
