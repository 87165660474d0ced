//! What servers do: that they save before they answer, and do not stand for election too soon.

use std::time::Duration;

use super::Invariants;
use crate::property::{Checked, Property, violated};
use crate::raft::{Probe, Role};

/// No election time-out is as short: a leader may be heard of each 100 ms, and the course's own
/// skeleton waits for 50 ms at least.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(30);
/// What happens within so little time may have been decided before.
const AT_ONCE: Duration = Duration::from_millis(1);

/// What was to start a server's election timer anew.
#[derive(Copy, Clone)]
pub(super) enum Heard {
    /// It gave its vote to this server.
    Vote(usize),
    /// It took a leader's snapshot up to this index.
    Snapshot(u64),
}

impl Invariants {
    /// When server `i` has changed and answered in one go, it has saved as well. `log_has_changed` says
    /// whether entries are not what they were.
    pub(super) fn check_saved(
        &self,
        i: usize,
        last: &Probe,
        probe: &Probe,
        log_has_changed: bool,
    ) -> Checked {
        let [before, after] = self.servers[i].traffic;
        if after.answers == before.answers || after.saves != before.saves {
            return Ok(());
        }
        let Probe { term, .. } = *probe;
        let what = if term != last.term {
            format!("adopted term {term}")
        } else if let Some(candidate) = probe.voted_for.filter(|_| last.voted_for.is_none()) {
            format!("gave its vote of term {term} to server {candidate}")
        } else if log_has_changed && probe.role == Role::Follower {
            format!("took entries up to {} in term {term}", probe.last_index)
        } else {
            return Ok(());
        };
        violated(
            Property::SavedFirst,
            format!("server {i} {what} and answered another server, and saved nothing"),
        )
    }

    /// A server that gave its vote, or took its leader's snapshot, waits for a whole time-out before it
    /// stands for election itself.
    pub(super) fn check_election_timer(
        &mut self,
        i: usize,
        last: &Probe,
        probe: &Probe,
        now: Duration,
    ) -> Checked {
        let is_new = (last.role, last.term) != (probe.role, probe.term);
        if probe.role == Role::Candidate && is_new {
            let Some((at, heard)) = self.servers[i].heard.take() else { return Ok(()) };
            let since = now - at;
            if since <= AT_ONCE || since >= SHORTEST_TIMEOUT {
                return Ok(());
            }
            let (term, since) = (probe.term, since.as_secs_f64() * 1000.0);
            let what = match heard {
                Heard::Vote(candidate) => format!("it gave its vote to server {candidate}"),
                Heard::Snapshot(index) => format!("it took its leader's snapshot up to {index}"),
            };
            return violated(
                Property::ElectionTimer,
                format!(
                    "server {i} stands for election in term {term} {since:.1} ms after {what}: that was \
                     to start a whole time-out"
                ),
            );
        }
        let vote = (probe.term, probe.voted_for);
        let covered = probe.first_index - 1;
        if let (true, Some(candidate)) = (vote != (last.term, last.voted_for), probe.voted_for) {
            self.servers[i].heard = (candidate != i).then_some((now, Heard::Vote(candidate)));
        } else if covered >= last.first_index && self.services.is_installed(i, covered) {
            self.servers[i].heard = Some((now, Heard::Snapshot(covered)));
        }
        Ok(())
    }
}
