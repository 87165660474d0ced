//! The parts of a run's history that the properties need. They survive crashes and
//! restarts, except where it says so.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::change::{LogChange, Written};
use super::contacts::Contacts;
use crate::raft::{Probe, Raft};

/// The history of a run.
pub(super) struct History {
    pub(super) servers: Vec<ServerHistory>,
    /// By term: the server that led in it, and since when.
    pub(super) leaders: BTreeMap<u64, (usize, Duration)>,
    /// The entries seen in any log.
    pub(super) entries: KnownEntries,
    /// By index: the first server that reported an entry there as committed.
    pub(super) committed: Vec<Option<Committed>>,
    /// By index: the command that was applied there first, or `None` for an entry of the Raft's own, and on
    /// which server.
    pub(super) applied: Vec<Option<(Option<Bytes>, usize)>>,
    /// By index: the snapshots that services made of everything up to it.
    pub(super) snapshots: BTreeMap<u64, Vec<Bytes>>,
    /// When servers last heard from one another.
    pub(super) contacts: Contacts,
    /// When timers could last be held up.
    pub(super) timers_waited: Option<Duration>,
}

/// The history of one server.
#[derive(Default)]
pub(super) struct ServerHistory {
    pub(super) is_running: bool,
    /// Whether it is about to be stopped in the middle of a step.
    pub(super) stops_in_step: bool,
    /// Its probe at the last check; `None` when it was not checked since it was started.
    pub(super) last: Option<Probe>,
    pub(super) highest_term: u64,
    /// Its last vote: the term, and the candidate.
    pub(super) vote: Option<(u64, usize)>,
    /// The last entry that a leader knows to be in its log.
    pub(super) acknowledged: Option<Acknowledged>,
    pub(super) log: LogCopy,
    /// The counts of its saves and answers at the last check.
    pub(super) traffic: Traffic,
    /// What it shows and has not saved.
    pub(super) unsaved: Option<Unsaved>,
    /// What it showed when it was stopped, until it is checked after the next start.
    pub(super) shown: Option<Shown>,
    /// How long it has been awake.
    pub(super) awake: Awake,
    /// From when on its clock is not to be relied on, because of an act.
    pub(super) clock_bent: Option<Duration>,
    /// When its election timer should have restarted last, and why. Forgotten at a start.
    pub(super) timer_restart: Option<(Duration, TimerRestart)>,
    /// The last index that its service has applied; `None` if that is not known, because the service started
    /// from a snapshot of unknown origin.
    pub(super) applied: Option<u64>,
    /// The last index of the newest snapshot that its service made itself. Forgotten at a start.
    pub(super) own_snapshot: u64,
}

impl ServerHistory {
    /// Whether its clock is to be relied on at a time.
    #[inline]
    pub(super) fn keeps_time(&self, at: Duration) -> bool {
        self.clock_bent.is_none_or(|from| at < from)
    }
}

/// The numbers of saves and of answers to other servers in one incarnation of a server. With one-way
/// messages, each call to another server counts as an answer.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) saves: u64,
    pub(crate) answers: u64,
    /// The number of requests that have reached it, from servers and clients.
    pub(crate) requests: u64,
    /// Whether its service waits for the next message. This and the next are no counts, and are here for the rules
    /// of steps.
    pub(crate) service_waits: bool,
    /// Whether its timers may wait for longer than they were set, though it may be polled for other reasons.
    pub(crate) timers_may_wait: bool,
    /// How late single timers are, all together, while others are in time.
    pub(crate) timers_late: Duration,
}

/// What a server shows and has not saved.
#[derive(Copy, Clone, Default)]
pub(super) struct Unsaved {
    /// The number of its saves so far: one more, and everything is saved.
    pub(super) saves: u64,
    /// The term.
    pub(super) term: Option<u64>,
    /// The vote: the term, and the candidate.
    pub(super) vote: Option<(u64, usize)>,
    /// The end of the log with entries that a leader has sent, and the term in which it took them.
    pub(super) taken: Option<(u64, u64)>,
    /// The first of the entries that it has appended as a leader.
    pub(super) own: Option<u64>,
}

/// What a server showed when it was stopped.
#[derive(Copy, Clone)]
pub(super) struct Shown {
    pub(super) term: u64,
    pub(super) voted_for: Option<usize>,
    pub(super) last_index: u64,
}

/// How long a server has been awake, as far as that can be seen from when it does something.
#[derive(Copy, Clone, Default)]
pub(super) struct Awake {
    /// When it last did something.
    last: Duration,
    /// The time without what may have been pauses.
    pub(super) total: Duration,
}

impl Awake {
    /// A server that has heard from its leader does something more often than this. A longer time counts as
    /// this much, because it may be a pause.
    const LONGEST_REST: Duration = Duration::from_millis(150);

    /// The server does something.
    #[inline]
    pub(super) fn note(&mut self, at: Duration) {
        self.total = self.by(at);
        self.last = at;
    }

    /// How long it has been awake by this time, if it is awake.
    #[inline]
    pub(super) fn by(&self, at: Duration) -> Duration {
        self.total + (at - self.last).min(Awake::LONGEST_REST)
    }

    /// Whether the server did something at this time.
    #[inline]
    pub(super) fn is_active(&self, at: Duration) -> bool {
        self.last == at
    }
}

/// How long a span of a server's own clock may last, in the time that the server is awake: clocks run a fifth faster or
/// slower at most, and a pause counts as time awake for a moment.
pub(super) fn longest(span: Duration) -> Duration {
    const WAKING_UP: Duration = Duration::from_millis(200);
    span * 5 / 4 + WAKING_UP
}

/// An event that should restart a server's election timer.
#[derive(Copy, Clone)]
pub(super) enum TimerRestart {
    /// It granted its vote to this server.
    Vote(usize),
    /// It installed a leader's snapshot up to this index.
    Snapshot(u64),
}

/// An entry that a leader believes to be replicated on a server.
#[derive(Copy, Clone)]
pub(super) struct Acknowledged {
    pub(super) index: u64,
    pub(super) term: u64,
    pub(super) leader_term: u64,
}

/// An entry that a server reported as committed. By Log Matching, its term identifies it.
#[derive(Copy, Clone)]
pub(super) struct Committed {
    pub(super) term: u64,
    /// The term of the first server that knew of the commit.
    pub(super) known_in: u64,
    /// That server.
    pub(super) server: usize,
}

/// An entry, without its command's bytes.
#[derive(Copy, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) term: u64,
    /// A digest of the command.
    pub(super) command: u64,
}

/// An entry as it was first seen in any log.
#[derive(Copy, Clone)]
pub(super) struct KnownEntry {
    pub(super) entry: Entry,
    /// The term of the entry before it, where that was in the same log.
    pub(super) term_before: Option<u64>,
    /// The server in whose log it was seen first.
    pub(super) server: usize,
}

/// All entries that were seen in any log, one for each index and term.
#[derive(Default)]
pub(super) struct KnownEntries {
    /// By index: the first entry that appeared there.
    first: Vec<Option<KnownEntry>>,
    /// Entries of other terms at the same indexes, by index and term.
    others: BTreeMap<(u64, u64), KnownEntry>,
}

impl KnownEntries {
    /// The entry that is known at this index in the term of `new`. If there is none, `new` becomes that entry.
    pub(super) fn get_or_insert(&mut self, index: u64, new: KnownEntry) -> &mut KnownEntry {
        let term = new.entry.term;
        let first = slot(&mut self.first, index);
        if first.as_ref().is_none_or(|first| first.entry.term == term) {
            first.get_or_insert(new)
        } else {
            self.others.entry((index, term)).or_insert(new)
        }
    }
}

/// The place of an index in a vector that grows as needed.
pub(super) fn slot<T>(slots: &mut Vec<Option<T>>, index: u64) -> &mut Option<T> {
    let place = index as usize;
    if slots.len() <= place {
        slots.resize_with(place + 1, || None);
    }
    &mut slots[place]
}

/// A copy of a server's log, brought up to date at each check.
#[derive(Default)]
pub(super) struct LogCopy {
    pub(super) first_index: u64,
    pub(super) last_index: u64,
    /// The term of the last entry that the snapshot covers, where the Raft shows it.
    pub(super) snapshot_term: Option<u64>,
    /// Entries by index. Those outside the two indexes above are out of date.
    entries: Vec<Entry>,
}

impl LogCopy {
    /// The entry at an index; `None` where there is no entry, or a snapshot instead.
    pub(super) fn entry(&self, index: u64) -> Option<&Entry> {
        let is_there = (self.first_index..=self.last_index).contains(&index);
        if is_there { self.entries.get(index as usize) } else { None }
    }

    /// The term of an entry; `None` where there is no entry. Of what a snapshot covers, the term of the
    /// last entry may be known.
    pub(super) fn term_at(&self, index: u64) -> Option<u64> {
        if index.checked_add(1) == Some(self.first_index) {
            return self.snapshot_term;
        }
        self.entry(index).map(|entry| entry.term)
    }

    /// Whether it has the entry of that index and term. What a snapshot covers counts as there, unless
    /// its term is known to be another.
    pub(super) fn has(&self, index: u64, term: u64) -> bool {
        match self.term_at(index) {
            Some(other) => other == term,
            None => index < self.first_index,
        }
    }

    /// All entries behind an index; none if the first of them is not in the log, or covered by a snapshot.
    pub(super) fn entries_after(&self, index: u64) -> &[Entry] {
        let is_there = index.checked_add(1).is_some_and(|from| self.entry(from).is_some());
        let range = index as usize + 1..=self.last_index as usize;
        if is_there { self.entries.get(range).unwrap_or_default() } else { &[] }
    }

    /// The entries that a change wrote, with their indexes.
    pub(super) fn written(&self, written: Written) -> impl Iterator<Item = (u64, Entry)> {
        (written.from..=written.to).map(|index| (index, self.entries[index as usize]))
    }

    /// The term of an entry that was once at an index, before a snapshot covered it.
    pub(super) fn forgotten_term(&self, index: u64) -> Option<u64> {
        self.entries.get(index as usize).map(|entry| entry.term)
    }

    /// Brings the copy up to date with a server that was `before` and is `now`.
    pub(super) fn update(
        &mut self,
        raft: &dyn Raft,
        before: Option<&Probe>,
        now: &Probe,
    ) -> LogChange {
        let old_last_index = before.map_or(0, |before| before.last_index);
        let has_new_entries = self.last_index != now.last_index;
        let mut change = LogChange { has_new_entries, ..LogChange::NOTHING };
        self.first_index = now.first_index;
        self.last_index = now.last_index;
        self.snapshot_term = raft.snapshot_term();
        let lowest = match before {
            None => Some(now.first_index),
            Some(_) => now.lowest_written.map(|lowest| lowest.max(now.first_index)),
        };
        if let Some(from) = lowest {
            self.write_from(from, raft, old_last_index, &mut change);
        }
        let first_missing = now.first_index.max(now.last_index + 1);
        if change.replaced.is_none() && first_missing <= old_last_index {
            let term = self.forgotten_term(first_missing).unwrap_or(0);
            change.replaced = Some((first_missing, term));
        }
        change
    }

    /// Copies the entries of a log from an index on.
    fn write_from(&mut self, from: u64, raft: &dyn Raft, old_last: u64, change: &mut LogChange) {
        let term_before = match from.checked_sub(1) {
            None | Some(0) => Some(0),
            Some(previous) if previous < self.first_index => self.term_at(previous),
            Some(previous) => raft.entry(previous).map(|entry| entry.term),
        };
        let mut to = from.saturating_sub(1);
        for index in from..=self.last_index {
            let Some(probe) = raft.entry(index) else { break };
            let entry = Entry { term: probe.term, command: labrpc::hash_bytes(&probe.command) };
            let old = self.write(index, entry);
            let is_other = old.term != entry.term;
            change.has_new_entries |= is_other;
            if is_other && index <= old_last {
                change.replaced.get_or_insert((index, old.term));
            }
            if is_other || index > old_last {
                change.first_new.get_or_insert(index);
            }
            to = index;
        }
        change.written = Some(Written { from, to, term_before });
    }

    /// Writes an entry, and returns the one that was there.
    fn write(&mut self, index: u64, entry: Entry) -> Entry {
        let place = index as usize;
        if self.entries.len() <= place {
            self.entries.resize(place + 1, Entry::default());
        }
        std::mem::replace(&mut self.entries[place], entry)
    }
}

impl History {
    /// An empty history of this many servers, none of which is running.
    /// `election_timeout` is what the Raft declares, if it offers part 2E.
    pub(super) fn new(servers: usize, election_timeout: Option<Duration>) -> History {
        History {
            servers: (0..servers).map(|_| ServerHistory::default()).collect(),
            leaders: BTreeMap::new(),
            entries: KnownEntries::default(),
            committed: Vec::new(),
            applied: Vec::new(),
            snapshots: BTreeMap::new(),
            contacts: Contacts::new(servers, election_timeout),
            timers_waited: None,
        }
    }

    /// A server was started, and its service from this snapshot; without one it is empty. What the
    /// server had only in memory is gone.
    pub(super) fn started(&mut self, server: usize, snapshot: &Bytes) {
        let applied = if snapshot.is_empty() { Some(0) } else { self.index_of(snapshot) };
        let history = &mut self.servers[server];
        history.is_running = true;
        history.unsaved = None;
        history.last = None;
        history.timer_restart = None;
        history.applied = applied;
        history.own_snapshot = 0;
        self.contacts.started(server);
    }

    /// The last index of the newest snapshot that a service has made.
    fn index_of(&self, snapshot: &Bytes) -> Option<u64> {
        self.indexes_of(snapshot).next_back()
    }

    /// The index up to which a snapshot goes, if services have made it for one index only.
    pub(super) fn only_index_of(&self, snapshot: &Bytes) -> Option<u64> {
        let mut known = self.indexes_of(snapshot);
        let index = known.next()?;
        known.next().is_none().then_some(index)
    }

    /// The last indexes of the snapshots with these contents that services have made, the lowest first.
    fn indexes_of(&self, snapshot: &Bytes) -> impl DoubleEndedIterator<Item = u64> {
        let known = self.snapshots.iter().filter(|(_, all)| all.contains(snapshot));
        known.map(|(&index, _)| index)
    }

    /// A service made this snapshot of everything up to `index`, or was given it.
    pub(super) fn add_snapshot(&mut self, index: u64, snapshot: &Bytes) {
        let known = self.snapshots.entry(index).or_default();
        if !known.contains(snapshot) {
            known.push(snapshot.clone());
        }
    }
}
