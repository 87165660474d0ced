//! One step of a server: what a rule is given.

use std::fmt;
use std::time::Duration;

use super::super::change::LogChange;
use super::super::history::{History, LogCopy};
use super::super::transfer::Transfers;
use crate::message::RaftMessage;
use crate::property::{Holds, Property, violated};
use crate::raft::{Probe, Role};

/// The most servers that a judged cluster may have: sets of servers are kept as bits.
pub(crate) const MOST_SERVERS: usize = 64;

/// What a server did between two moments at which it was looked at, nearly always one poll of one task.
pub(crate) struct Step<'a> {
    pub(crate) server: usize,
    /// The number of servers in the cluster.
    pub(crate) servers: usize,
    /// Its state before; the same as `now` in the first step after a start.
    pub(crate) before: &'a Probe,
    pub(crate) now: &'a Probe,
    /// Whether this is the first step after a start.
    pub(crate) is_first: bool,
    /// Virtual time.
    pub(crate) at: Duration,
    /// How long the server has been awake, as far as can be seen: a server that does nothing for long may be
    /// paused, and does not notice that time passes.
    pub(crate) awake: Duration,
    /// Whether the server does something at this time. If not, it was only asked something by the tester, and may
    /// be paused.
    pub(crate) is_active: bool,
    /// Whether the server's timers may wait for longer than they were set.
    pub(crate) timers_may_wait: bool,
    /// How late single timers are, all together, while others are in time.
    pub(crate) timers_late: Duration,
    /// Whether the server's clock is to be relied on, so that it can be judged by time.
    pub(crate) keeps_time: bool,
    /// To whom it was handing over leadership after the step and before it, if it offers part 2F.
    pub(crate) transferees: [Option<usize>; 2],
    /// Its log now.
    pub(crate) log: &'a LogCopy,
    /// What has changed in its log; `None` if nothing of the server has changed, except for `last_applied`.
    pub(crate) log_change: Option<LogChange>,
    /// Whether it has saved.
    pub(crate) has_saved: bool,
    /// Whether its service waits for the next message.
    pub(crate) service_waits: bool,
}

impl<'a> Step<'a> {
    /// A step in which a server has neither changed nor saved anything.
    #[inline]
    pub(crate) fn idle(
        history: &'a History,
        transfers: Option<&Transfers>,
        server: usize,
        now: &'a Probe,
        at: Duration,
    ) -> Step<'a> {
        let known = &history.servers[server];
        Step {
            server,
            servers: history.servers.len(),
            before: now,
            now,
            is_first: false,
            at,
            keeps_time: known.keeps_time(at),
            log: &known.log,
            log_change: None,
            has_saved: false,
            service_waits: known.traffic.service_waits,
            awake: known.awake.total,
            is_active: known.awake.is_active(at),
            timers_may_wait: known.traffic.timers_may_wait,
            timers_late: known.traffic.timers_late,
            transferees: transfers.map_or([None; 2], |known| known.of(server)),
        }
    }
}

impl Step<'_> {
    pub(super) fn is_majority(&self, servers: usize) -> bool {
        2 * servers > self.servers
    }

    /// Whether it leads this term now.
    pub(super) fn leads(&self, term: u64) -> bool {
        self.now.role == Role::Leader && self.now.term == term
    }

    /// Whether entries were added, replaced or removed.
    pub(super) fn has_changed_log(&self) -> bool {
        self.log_change.is_some_and(|change| change.has_new_entries || change.replaced.is_some())
    }

    /// Whether it led, before the step, the term that it leads now.
    pub(super) fn still_leads(&self) -> bool {
        self.leads(self.now.term) && was(self.before, Role::Leader, self.now.term)
    }

    /// Whether it is a candidate of this term now.
    pub(super) fn stands(&self, term: u64) -> bool {
        was(self.now, Role::Candidate, term)
    }

    /// Whether its log now has an entry of this term at an index. `None` where a snapshot hides it.
    pub(super) fn has(&self, index: u64, term: u64) -> Option<bool> {
        if index == 0 {
            return Some(true);
        }
        match self.log.term_at(index) {
            Some(other) => Some(other == term),
            None if index < self.now.first_index => None,
            None => Some(false),
        }
    }

    /// The index and the term of the last entry of its log, for comparing logs: the term first (5.4.1).
    pub(super) fn last_entry(&self) -> (u64, u64) {
        let last_index = self.now.last_index;
        (self.log.term_at(last_index).unwrap_or(0), last_index)
    }

    /// A violation of this rule: what is wrong, what message it is about and whom it was sent to, and the
    /// state before and after.
    #[cold]
    pub(super) fn breaks(
        &self,
        rule: Property,
        sent: Option<(&RaftMessage, usize)>,
        what: impl fmt::Display,
    ) -> Holds {
        let mut servers = vec![self.server];
        let message = sent.map_or(String::new(), |(message, to)| {
            servers.push(to);
            format!("; the message to server {to}: {message}")
        });
        let (before, now) = (Inside(self.before), Inside(self.now));
        let inside = if self.before == self.now {
            format!("; it is {now}")
        } else {
            format!("; it was {before}, and is {now}")
        };
        violated(rule, servers, format!("server {} {what}{message}{inside}", self.server))
    }
}

/// A server's state in a few words.
struct Inside<'a>(&'a Probe);

impl fmt::Display for Inside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Probe { term, role, voted_for, first_index, last_index, commit_index, .. } = self.0;
        write!(f, "{} of term {term}", role.name())?;
        match voted_for {
            Some(candidate) => write!(f, " with its vote for server {candidate}")?,
            None => write!(f, " without a vote")?,
        }
        if first_index > last_index {
            write!(f, ", an empty log after {last_index}")?;
        } else {
            write!(f, ", entries {first_index} to {last_index}")?;
        }
        write!(f, ", commit index {commit_index}")
    }
}

fn was(probe: &Probe, role: Role, term: u64) -> bool {
    probe.role == role && probe.term == term
}
