//! What holds at every moment of every run of Raft: checked after each poll of a server's tasks, for
//! any implementation that answers [`Raft::probe`].
//!
//! The first moment at which a property does not hold ends the run, with the property, and with the
//! facts that contradict one another. Only what has changed is looked at. The history of a run is never
//! forgotten: what was led, voted, acknowledged and committed counts through crashes and restarts.

mod conduct;
mod service;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use crate::command::show;
use crate::property::{Checked, Property, Violation, violated};
use crate::raft::{ApplyMsg, EntryProbe, Probe, Raft, Role};
use crate::situation::{Situation, View};
use conduct::Heard;
use service::Services;

/// The servers' Rafts that run at the moment.
pub(crate) type Rafts<'a> = &'a dyn Fn(usize) -> Option<Rc<dyn Raft>>;

/// The history of a run, as far as the properties need it.
pub(crate) struct Invariants {
    must_save: bool,
    servers: Vec<ServerHistory>,
    /// Who led in a term, and since when.
    leaders: BTreeMap<u64, (usize, Duration)>,
    /// By index: what was seen there first in any log.
    entries: Vec<Option<KnownEntry>>,
    /// What was seen of other terms, by index and term.
    others: BTreeMap<(u64, u64), KnownEntry>,
    /// By index: what was committed.
    committed: Vec<Option<Committed>>,
    situation: Situation,
    services: Services,
}

/// How often an incarnation of a server has saved, and has answered other servers.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) saves: u64,
    pub(crate) answers: u64,
}

/// What is known of one server.
#[derive(Default)]
struct ServerHistory {
    /// None when it has not been looked at since it was started.
    last: Option<Probe>,
    max_term: u64,
    /// The last vote: the term, and for whom.
    vote: Option<(u64, usize)>,
    /// The last entry that a leader knows it to have.
    acknowledged: Option<Acknowledged>,
    /// The log's range and, by index, the terms of its entries.
    first_index: u64,
    last_index: u64,
    terms: Vec<u64>,
    /// Before what it did last, and after it.
    traffic: [Traffic; 2],
    /// What was to start its election timer anew, and when.
    heard: Option<(Duration, Heard)>,
}

impl ServerHistory {
    /// The term of an entry of the log; none where there is no entry, or a snapshot instead.
    fn term_at(&self, index: u64) -> Option<u64> {
        let is_there = (self.first_index..=self.last_index).contains(&index);
        is_there.then(|| self.terms.get(index as usize).copied()).flatten()
    }

    /// Whether it has the entry of that index and term, be it within its snapshot.
    fn has(&self, index: u64, term: u64) -> bool {
        index < self.first_index || self.term_at(index) == Some(term)
    }
}

#[derive(Copy, Clone)]
struct Acknowledged {
    index: u64,
    term: u64,
    /// The leader's term.
    to: u64,
}

struct KnownEntry {
    term: u64,
    /// A digest of the command.
    command: u64,
    /// The term of the entry before it, where that was to be seen.
    before: Option<u64>,
    server: usize,
}

/// By Log Matching, the term stands for the entry.
#[derive(Copy, Clone)]
struct Committed {
    term: u64,
    /// The term of the server that was seen first to know.
    known_in: u64,
    server: usize,
}

impl Invariants {
    /// For so many servers. `must_save` says whether a Raft is to have persistence: before lab 2C none has.
    pub(crate) fn new(servers: usize, must_save: bool) -> Invariants {
        Invariants {
            must_save,
            servers: (0..servers).map(|_| ServerHistory::default()).collect(),
            leaders: BTreeMap::new(),
            entries: Vec::new(),
            others: BTreeMap::new(),
            committed: Vec::new(),
            situation: Situation::new(servers),
            services: Services::new(servers),
        }
    }

    /// Server `i` starts anew, its service from this snapshot: what it had only in memory is gone.
    pub(crate) fn started(&mut self, i: usize, snapshot: &Bytes) {
        self.servers[i].last = None;
        self.servers[i].heard = None;
        self.services.started(i, snapshot);
    }

    /// Server `i` hands this to its service.
    pub(crate) fn applied(&mut self, i: usize, message: &ApplyMsg) -> Checked {
        self.services.applied(i, message)
    }

    /// The service of server `i` has everything up to `index` in a snapshot.
    pub(crate) fn makes_snapshot(&mut self, i: usize, index: u64, snapshot: &Bytes) -> Checked {
        self.services.makes_snapshot(i, index, snapshot)
    }

    /// What server `i` answered when it was looked at last, since it was started.
    pub(crate) fn last(&self, i: usize) -> Option<&Probe> {
        self.servers[i].last.as_ref()
    }

    /// Looks at server `i`, which may have changed.
    pub(crate) fn check(
        &mut self,
        i: usize,
        raft: &dyn Raft,
        traffic: Traffic,
        now: Duration,
        rafts: Rafts<'_>,
    ) -> Checked {
        let [_, before] = self.servers[i].traffic;
        self.servers[i].traffic = [before, traffic];
        let Some(probe) = raft.probe() else {
            // From outside it can be seen who says that it leads.
            let state = raft.state();
            return if state.is_leader { self.leads(i, state.term, now) } else { Ok(()) };
        };
        // Nothing has changed in most polls: this is what the checks cost.
        if self.servers[i].last.as_ref() == Some(&probe) {
            return Ok(());
        }
        let last = self.servers[i].last.take();
        let checked = self.check_change(i, raft, last.as_ref(), &probe, now, rafts);
        self.servers[i].last = Some(probe);
        checked
    }

    fn check_change(
        &mut self,
        i: usize,
        raft: &dyn Raft,
        last: Option<&Probe>,
        probe: &Probe,
        now: Duration,
        rafts: Rafts<'_>,
    ) -> Checked {
        self.check_own(i, last, probe)?;
        self.services.check(i, last, probe)?;
        let log_has_changed = self.check_entries(i, raft, last, probe)?;
        if let Some(last) = last {
            if self.must_save {
                self.check_saved(i, last, probe, log_has_changed)?;
            }
            self.check_election_timer(i, last, probe, now)?;
        }
        if last.is_none() {
            self.check_restart(i)?;
        }
        if probe.role == Role::Leader {
            self.leads(i, probe.term, now)?;
        }
        let reigned = last.filter(|last| last.role == Role::Leader && last.term == probe.term);
        match reigned {
            Some(last) => self.check_reign(i, last, probe, rafts)?,
            None if probe.role == Role::Leader => self.check_complete(i, probe)?,
            None => {}
        }
        let role = (probe.role, probe.term);
        if last.is_none_or(|last| (last.role, last.term) != role) {
            self.situation.has_role(now, i, probe.role, probe.term);
        }
        self.situation.has_committed(now, probe.commit_index);
        self.check_committed(i, last, probe)
    }

    /// What a server must hold to by itself.
    fn check_own(&mut self, i: usize, last: Option<&Probe>, probe: &Probe) -> Checked {
        let Probe { term, commit_index, last_applied, last_index, .. } = *probe;
        let server = &mut self.servers[i];
        if term < server.max_term {
            let before = server.max_term;
            return violated(
                Property::TermMonotone,
                format!("server {i} is in term {term} and has been in {before}"),
            );
        }
        server.max_term = term;
        if let Some((_, candidate)) = server.vote.filter(|vote| vote.0 == term)
            && probe.voted_for != Some(candidate)
        {
            let now = match probe.voted_for {
                Some(other) => format!("its vote is server {other}'s"),
                None if last.is_none() => "after a restart it has no vote".into(),
                None => "it has no vote".into(),
            };
            return violated(
                Property::OneVote,
                format!("server {i} voted for server {candidate} in term {term}; now {now}"),
            );
        }
        if let Some(candidate) = probe.voted_for {
            server.vote = Some((term, candidate));
        }
        if last_applied > commit_index || commit_index > last_index {
            return violated(
                Property::CommitMonotone,
                format!(
                    "server {i} has applied {last_applied}, committed {commit_index}, and its log ends \
                     at {last_index}"
                ),
            );
        }
        if let Some(last) = last
            && (commit_index < last.commit_index || last_applied < last.last_applied)
        {
            let (committed, applied) = (last.commit_index, last.last_applied);
            return violated(
                Property::CommitMonotone,
                format!(
                    "server {i} had committed {committed} and applied {applied}; now it is \
                     {commit_index} and {last_applied}"
                ),
            );
        }
        Ok(())
    }

    /// What was written into a log: the same entry has the same past everywhere. Says whether the log
    /// has changed.
    fn check_entries(
        &mut self,
        i: usize,
        raft: &dyn Raft,
        last: Option<&Probe>,
        probe: &Probe,
    ) -> Result<bool, Violation> {
        let server = &mut self.servers[i];
        let mut has_changed = server.last_index != probe.last_index;
        (server.first_index, server.last_index) = (probe.first_index, probe.last_index);
        let Some(from) = (match last {
            None => Some(probe.first_index),
            Some(_) => probe.lowest_written.map(|lowest| lowest.max(probe.first_index)),
        }) else {
            return Ok(has_changed);
        };
        let mut before = match from {
            1 => Some(0),
            _ => raft.entry(from - 1).map(|entry| entry.term),
        };
        for index in from..=probe.last_index {
            let Some(entry) = raft.entry(index) else { break };
            let terms = &mut self.servers[i].terms;
            if terms.len() <= index as usize {
                terms.resize(index as usize + 1, 0);
            }
            has_changed |= terms[index as usize] != entry.term;
            terms[index as usize] = entry.term;
            self.check_entry(i, index, &entry, before)?;
            before = Some(entry.term);
        }
        self.check_acknowledged(i, from, last, probe)?;
        Ok(has_changed)
    }

    /// An entry was written: it is the one of this index and term everywhere, after the same past.
    fn check_entry(
        &mut self,
        i: usize,
        index: u64,
        entry: &EntryProbe,
        before: Option<u64>,
    ) -> Checked {
        let EntryProbe { term, command } = entry;
        let place = index as usize;
        if self.entries.len() <= place {
            self.entries.resize_with(place + 1, || None);
        }
        let new =
            || KnownEntry { term: *term, command: labrpc::hash_bytes(command), before, server: i };
        let first = self.entries[place].get_or_insert_with(new);
        let known = match first.term == *term {
            true => first,
            false => self.others.entry((index, *term)).or_insert_with(new),
        };
        let other = known.server;
        if other != i && known.command != labrpc::hash_bytes(command) {
            let command = show(command);
            return violated(
                Property::LogMatching,
                format!(
                    "entry {index} of term {term} is {command} on server {i}, and another command on \
                     server {other}"
                ),
            );
        }
        if let (Some(ours), Some(theirs)) = (before, known.before)
            && ours != theirs
        {
            let previous = index - 1;
            return violated(
                Property::LogMatching,
                format!(
                    "entry {index} of term {term} is on servers {i} and {other}, but entry {previous} \
                     before it is of term {ours} on server {i} and of term {theirs} on server {other}"
                ),
            );
        }
        known.before = known.before.or(before);
        Ok(())
    }

    /// The log was written from an index on: what was acknowledged there must still be there, unless a
    /// later leader replaced it.
    fn check_acknowledged(
        &mut self,
        i: usize,
        from: u64,
        last: Option<&Probe>,
        probe: &Probe,
    ) -> Checked {
        let server = &mut self.servers[i];
        let (Some(last), Some(Acknowledged { index, term, to })) = (last, server.acknowledged)
        else {
            return Ok(());
        };
        if from > index || server.has(index, term) {
            return Ok(());
        }
        if to == probe.term && last.term == probe.term {
            return violated(
                Property::Acknowledged,
                format!(
                    "server {i} acknowledged entry {index} of term {term} to the leader of term {to}, \
                     and has taken it back in the same term"
                ),
            );
        }
        server.acknowledged = None;
        Ok(())
    }

    /// What must have survived a crash.
    fn check_restart(&self, i: usize) -> Checked {
        let server = &self.servers[i];
        let Some(Acknowledged { index, term, to }) = server.acknowledged else { return Ok(()) };
        if server.has(index, term) {
            return Ok(());
        }
        violated(
            Property::Acknowledged,
            format!(
                "server {i} acknowledged entry {index} of term {term} to the leader of term {to}; after \
                 a restart it does not have it"
            ),
        )
    }

    fn leads(&mut self, i: usize, term: u64, now: Duration) -> Checked {
        let &mut (leader, since) = self.leaders.entry(term).or_insert((i, now));
        if leader == i {
            return Ok(());
        }
        let since = since.as_secs_f64();
        violated(
            Property::ElectionSafety,
            format!(
                "server {i} leads in term {term}, and so did server {leader} from {since:.6} s on"
            ),
        )
    }

    /// What a leader must hold to from one moment to the next.
    fn check_reign(&mut self, i: usize, last: &Probe, probe: &Probe, rafts: Rafts<'_>) -> Checked {
        let term = probe.term;
        let had = last.last_index;
        if probe.lowest_written.is_some_and(|lowest| lowest <= had) || probe.last_index < had {
            let lowest = probe.lowest_written.unwrap_or(probe.last_index + 1);
            return violated(
                Property::LeaderAppendOnly,
                format!(
                    "server {i}, the leader of term {term}, has changed its log from entry {lowest} on; \
                     it had {had}"
                ),
            );
        }
        for (j, (before, now)) in last.followers.iter().zip(&probe.followers).enumerate() {
            if j == i || before == now {
                continue;
            }
            self.situation.has_searched((i, j), term, *before, *now);
            let (matched, next) = (now.match_index, now.next_index);
            if matched < before.match_index || matched >= next || matched > probe.last_index {
                return violated(
                    Property::MatchIndex,
                    format!(
                        "server {i}, the leader of term {term} with {} entries, has matchIndex {matched} \
                         and nextIndex {next} for server {j}; matchIndex was {}",
                        probe.last_index, before.match_index
                    ),
                );
            }
            if matched > before.match_index {
                self.check_match(i, j, matched, term, rafts)?;
            }
        }
        if probe.commit_index > last.commit_index {
            self.check_commit_rule(i, probe, rafts)?;
        }
        Ok(())
    }

    /// A leader believes that a follower has its log up to `matched`: while the follower is in the same
    /// term, it does.
    fn check_match(
        &mut self,
        leader: usize,
        follower: usize,
        matched: u64,
        term: u64,
        rafts: Rafts<'_>,
    ) -> Checked {
        let Some(of_entry) = self.servers[leader].term_at(matched) else { return Ok(()) };
        let server = &mut self.servers[follower];
        let is_in_term = server.last.as_ref().is_some_and(|probe| probe.term == term);
        if !is_in_term || rafts(follower).is_none() {
            return Ok(());
        }
        if !server.has(matched, of_entry) {
            let has = match server.term_at(matched) {
                Some(other) => format!("one of term {other} there"),
                None => format!("a log that ends at {}", server.last_index),
            };
            return violated(
                Property::MatchIndex,
                format!(
                    "server {leader}, the leader of term {term}, takes server {follower} to have entry \
                     {matched} of term {of_entry}; it has {has}"
                ),
            );
        }
        let known = &mut server.acknowledged;
        if known.is_none_or(|known| (known.to, known.index) < (term, matched)) {
            *known = Some(Acknowledged { index: matched, term: of_entry, to: term });
        }
        Ok(())
    }

    /// A leader has taken more for committed.
    fn check_commit_rule(&self, i: usize, probe: &Probe, rafts: Rafts<'_>) -> Checked {
        let (index, term) = (probe.commit_index, probe.term);
        let Some(of_entry) = self.servers[i].term_at(index) else { return Ok(()) };
        let n = self.servers.len();
        // Whoever is down may have it on its disk.
        let may_have = |&j: &usize| rafts(j).is_none() || self.servers[j].has(index, of_entry);
        let holders: Vec<usize> = (0..n).filter(may_have).collect();
        if holders.len() <= n / 2 {
            return violated(
                Property::CommitRule,
                format!(
                    "server {i}, the leader of term {term}, takes entry {index} for committed, which only \
                     servers {holders:?} of {n} have"
                ),
            );
        }
        if of_entry < term && holders.len() < n {
            return violated(
                Property::CommitRule,
                format!(
                    "server {i}, the leader of term {term}, takes entry {index} of term {of_entry} for \
                     committed by counting servers {holders:?}; a later leader may replace it"
                ),
            );
        }
        Ok(())
    }

    /// A new leader has everything that was committed in earlier terms. By Log Matching it is enough to
    /// look at the last such entry.
    fn check_complete(&self, i: usize, probe: &Probe) -> Checked {
        let known = self.committed.iter().enumerate().rev();
        let mut earlier = known.filter_map(|(index, known)| Some((index as u64, known.as_ref()?)));
        let Some((index, committed)) = earlier.find(|(_, known)| known.known_in < probe.term)
        else {
            return Ok(());
        };
        let server = &self.servers[i];
        let Committed { term, known_in, server: by } = *committed;
        if server.has(index, term) {
            return Ok(());
        }
        let ours = match server.term_at(index) {
            Some(other) => format!("has one of term {other} there"),
            None => format!("has a log that ends at {}", probe.last_index),
        };
        violated(
            Property::LeaderCompleteness,
            format!(
                "server {i} leads in term {} and {ours}; entry {index} of term {term} was committed on \
                 server {by} in term {known_in}",
                probe.term
            ),
        )
    }

    /// All servers take the same entries for committed.
    fn check_committed(&mut self, i: usize, last: Option<&Probe>, probe: &Probe) -> Checked {
        let known = last.map_or(0, |last| last.commit_index);
        for index in (known + 1).max(probe.first_index)..=probe.commit_index {
            let Some(term) = self.servers[i].term_at(index) else { continue };
            let place = index as usize;
            if self.committed.len() <= place {
                self.committed.resize(place + 1, None);
            }
            let new = Committed { term, known_in: probe.term, server: i };
            let committed = self.committed[place].get_or_insert(new);
            if committed.term != term {
                let Committed { term: other, server, .. } = *committed;
                return violated(
                    Property::StateMachineSafety,
                    format!(
                        "server {i} takes the entry of term {term} at index {index} for committed, \
                         server {server} the one of term {other}"
                    ),
                );
            }
        }
        Ok(())
    }

    /// It has changed who runs, or who reaches whom.
    pub(crate) fn has_changed(&mut self, now: Duration) {
        self.situation.has_changed(now);
    }

    /// What the servers are at, and what they have been doing, a line each: for reports of runs that came
    /// to a standstill. `is_running` and `reaches` say who runs, and whose messages get to whom.
    pub(crate) fn situation(
        &self,
        now: Duration,
        is_running: &dyn Fn(usize) -> bool,
        reaches: &dyn Fn(usize, usize) -> bool,
    ) -> Vec<String> {
        let views = self.servers.iter().enumerate().map(|(i, server)| View {
            is_running: is_running(i),
            probe: server.last.as_ref(),
            last_term: server.term_at(server.last_index),
        });
        let views: Vec<View<'_>> = views.collect();
        self.situation.lines(now, &views, reaches)
    }
}

#[cfg(test)]
mod tests;
