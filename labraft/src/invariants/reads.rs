//! A read sees everything that was committed before it (part 2G; Ongaro's thesis, section 6.4), and ends with the
//! leadership of the server that has taken it.
//!
//! What was committed before a read is known here exactly: the greatest commit index that any server has had until
//! then. So a read is judged by itself, when it is confirmed, and no history of operations is searched.

use std::rc::{Rc, Weak};
use std::time::Duration;

use super::change::Change;
use super::history::Awake;
use crate::property::{Holds, Property, violated};
use crate::raft::{Probe, Role};

/// How long a server that has lost its leadership may leave a read without an answer, in the time that it is awake.
const PATIENCE: Duration = Duration::from_secs(1);

/// Which rules hold for reads.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReadsJudged {
    /// Clocks are worse than the Raft's leases assume, so reads may see an old state.
    EndOnly,
    /// Reads see what is committed, and they end.
    Wholly,
}

/// A read that has begun. For as long as somebody waits for it, it is kept.
pub(crate) struct ReadMark {
    server: usize,
    /// The server's term when it began.
    term: u64,
    /// The greatest commit index that there was then, and the server that had it first.
    committed: u64,
    known_to: usize,
    began: Duration,
}

/// What is remembered for the rules about reads.
pub(super) struct Reads {
    judged: ReadsJudged,
    /// The greatest commit index that any server has had, and the first that had it.
    committed: u64,
    known_to: usize,
    /// When a server was last looked at.
    now: Duration,
    /// The reads of each server for which somebody may still wait.
    pending: Vec<Vec<Weak<ReadMark>>>,
    /// Since when, in the time that it is awake, a server does not lead the term of its oldest read.
    lost_since: Vec<Option<Duration>>,
}

impl Reads {
    pub(super) fn new(servers: usize, judged: ReadsJudged) -> Reads {
        Reads {
            judged,
            committed: 0,
            known_to: 0,
            now: Duration::ZERO,
            pending: vec![Vec::new(); servers],
            lost_since: vec![None; servers],
        }
    }

    /// A server is asked for a read in this term.
    pub(super) fn begin(&mut self, server: usize, term: u64) -> Rc<ReadMark> {
        let &mut Reads { committed, known_to, now, .. } = self;
        let mark = Rc::new(ReadMark { server, term, committed, known_to, began: now });
        self.pending[server].push(Rc::downgrade(&mark));
        mark
    }

    /// A server is started: it has no reads.
    pub(super) fn started(&mut self, server: usize) {
        self.pending[server].clear();
        self.lost_since[server] = None;
    }

    /// A read is confirmed: the service may answer from the state that it has when it has applied everything up to
    /// this index.
    pub(super) fn check_confirmed(&self, read: &ReadMark, index: u64) -> Holds {
        if self.judged == ReadsJudged::EndOnly || index >= read.committed {
            return Ok(());
        }
        let &ReadMark { server, committed, known_to, .. } = read;
        violated(
            Property::ReadIndex,
            vec![server, known_to],
            format!(
                "server {server} may answer a read from its state at index {index}, though server {known_to} had \
                 committed index {committed} when the read came, in term {} at {:.6} s",
                read.term,
                read.began.as_secs_f64()
            ),
        )
    }

    /// Notes how far a server has committed.
    pub(super) fn note_commit(&mut self, change: &Change<'_>) {
        if change.now.commit_index > self.committed {
            self.committed = change.now.commit_index;
            self.known_to = change.server;
        }
    }

    /// Checks a server that has done something, whether it has changed or not: if it no longer leads the term in
    /// which it has taken a read, whoever waits for that read is told.
    pub(super) fn check(
        &mut self,
        server: usize,
        now: &Probe,
        awake: Awake,
        at: Duration,
    ) -> Holds {
        self.now = at;
        let pending = &mut self.pending[server];
        if pending.is_empty() {
            return Ok(());
        }
        pending.retain(|read| read.strong_count() > 0);
        let leads = |term| now.role == Role::Leader && now.term == term;
        let lost = pending.iter().filter_map(Weak::upgrade).find(|read| !leads(read.term));
        let Some(lost) = lost else {
            self.lost_since[server] = None;
            return Ok(());
        };
        let since = *self.lost_since[server].get_or_insert(awake.total);
        let waits = awake.total.saturating_sub(since);
        if !awake.is_active(at) || waits <= PATIENCE {
            return Ok(());
        }
        // Once is enough.
        pending.clear();
        violated(
            Property::ReadDropped,
            vec![server],
            format!(
                "server {server} has taken a read in term {} at {:.6} s, and has left it without an answer, though \
                 it no longer leads that term for {} ms",
                lost.term,
                lost.began.as_secs_f64(),
                waits.as_millis()
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::ReadsJudged;
    use crate::invariants::Contract;
    use crate::invariants::stage::{CONTRACT, RaftFields, Stage, assert_broken};
    use crate::property::Property;
    use crate::raft::{FollowerProbe, Role};

    fn judging(reads: ReadsJudged) -> Stage {
        let mut stage = Stage::with_contract(Contract { reads: Some(reads), ..CONTRACT });
        for server in 0..3 {
            stage.holds(server, |raft| {
                raft.adopt_term(1);
                raft.write(1, (1, "a"));
            });
        }
        stage
    }

    fn lead(raft: &mut RaftFields) {
        raft.voted_for = Some(0);
        raft.role = Some(Role::Leader);
        raft.followers = vec![FollowerProbe { next_index: 2, match_index: 0 }; 3];
    }

    #[test]
    fn a_read_that_misses_what_another_server_had_committed_is_reported() {
        let mut stage = judging(ReadsJudged::Wholly);
        let before = stage.invariants.read_begins(0, 1).unwrap();
        stage.holds(2, |raft| raft.commit_index = 1);
        assert_eq!(stage.invariants.read_confirmed(&before, 0), Ok(()));
        let after = stage.invariants.read_begins(0, 1).unwrap();
        assert_eq!(stage.invariants.read_confirmed(&after, 1), Ok(()));
        let stale = stage.invariants.read_confirmed(&after, 0);
        assert_broken(stale, Property::ReadIndex, "though server 2 had committed index 1");
    }

    #[test]
    fn what_was_committed_stays_so_when_the_server_that_knew_it_has_crashed() {
        let mut stage = judging(ReadsJudged::Wholly);
        stage.holds(2, |raft| raft.commit_index = 1);
        assert_eq!(stage.restart(2, |raft| raft.commit_index = 0), Ok(()));
        let read = stage.invariants.read_begins(0, 1).unwrap();
        let stale = stage.invariants.read_confirmed(&read, 0);
        assert_broken(stale, Property::ReadIndex, "server 0 may answer a read");
    }

    #[test]
    fn where_clocks_are_worse_than_a_lease_assumes_a_read_may_miss_something() {
        let mut stage = judging(ReadsJudged::EndOnly);
        stage.holds(2, |raft| raft.commit_index = 1);
        let read = stage.invariants.read_begins(0, 1).unwrap();
        assert_eq!(stage.invariants.read_confirmed(&read, 0), Ok(()));
    }

    /// Server 0 does something every 100 ms, for two seconds.
    fn goes_on(stage: &mut Stage) -> crate::property::Holds {
        for _ in 0..20 {
            stage.now += Duration::from_millis(100);
            stage.change(0, |_| ())?;
        }
        Ok(())
    }

    #[test]
    fn a_read_that_outlasts_the_leadership_is_reported() {
        let mut stage = judging(ReadsJudged::Wholly);
        stage.holds(0, lead);
        let read = stage.invariants.read_begins(0, 1).unwrap();
        assert_eq!(goes_on(&mut stage), Ok(()), "it leads");
        stage.holds(0, |raft| raft.adopt_term(2));
        assert_broken(goes_on(&mut stage), Property::ReadDropped, "without an answer");
        drop(read);
    }

    #[test]
    fn a_read_that_nobody_waits_for_is_forgotten() {
        let mut stage = judging(ReadsJudged::Wholly);
        stage.holds(0, lead);
        drop(stage.invariants.read_begins(0, 1));
        stage.holds(0, |raft| raft.adopt_term(2));
        assert_eq!(goes_on(&mut stage), Ok(()));
    }
}
