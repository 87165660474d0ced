//! The Raft of a cluster of one server: a log on a disk. The server is a majority by itself, so it leads as soon as it
//! starts, and each entry of its term is committed once it is saved. As in any Raft, entries of earlier terms are
//! committed along with the first entry of its own (section 5.4.2).

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use labraft::{
    ApplyMsg, ApplySender, EntryProbe, Env, FollowerProbe, Implementation, Offer, PendingRead,
    Persister, Probe, Raft, RaftState, Role, Started,
};
use labrpc::sync::Notify;

/// For clusters of one server, which has nobody to agree with.
pub(crate) const SINGLE_SERVER: Implementation =
    Implementation::new("single-server", make).offering(Offer::ReadIndex);

struct SingleServer {
    persister: Persister,
    log: RefCell<Log>,
    /// Set when there is more to hand up.
    committed: Notify,
}

/// What is saved, and how much of it is committed and was handed up.
#[derive(Default)]
struct Log {
    term: u64,
    /// The index and the term of the last entry that the snapshot covers; 0 without one.
    covered: (u64, u64),
    /// The terms and commands of the entries after that.
    entries: Vec<(u64, Bytes)>,
    commit_index: u64,
    last_applied: u64,
    /// The lowest index that was written since the last probe.
    lowest_written: Option<u64>,
}

impl Log {
    /// The log of a server that starts from this state, in a new term.
    fn restored(saved: &[u8]) -> Log {
        if saved.is_empty() {
            return Log { term: 1, ..Log::default() };
        }
        let (term, covered, entries): (u64, (u64, u64), _) =
            labrpc::decode(saved).expect("the disk holds what was saved");
        Log {
            term: term + 1,
            covered,
            entries,
            commit_index: covered.0,
            last_applied: covered.0,
            ..Log::default()
        }
    }

    fn encode(&self) -> Vec<u8> {
        let saved = (self.term, self.covered, &self.entries);
        labrpc::encode(&saved).expect("a log can be encoded")
    }

    fn last_index(&self) -> u64 {
        self.covered.0 + self.entries.len() as u64
    }

    /// The term and the command at an index.
    fn entry(&self, index: u64) -> Option<&(u64, Bytes)> {
        let place = index.checked_sub(self.covered.0 + 1)?;
        self.entries.get(usize::try_from(place).ok()?)
    }

    /// The next committed entry that was not handed up yet. It counts as handed up from now on.
    fn next_to_apply(&mut self) -> Option<ApplyMsg> {
        if self.last_applied == self.commit_index {
            return None;
        }
        let index = self.last_applied + 1;
        let command = self.entry(index)?.1.clone();
        self.last_applied = index;
        Some(ApplyMsg::Command { index, command })
    }
}

fn make(env: Env) -> Rc<dyn Raft> {
    let Env { peers, persister, apply, rt, .. } = env;
    assert_eq!(peers.len(), 1, "this Raft has nobody to agree with");
    let log = RefCell::new(Log::restored(&persister.read_state()));
    let raft = Rc::new(SingleServer { persister, log, committed: Notify::new() });
    raft.save(raft.persister.read_snapshot());
    rt.spawn_detached("apply", raft.clone().hand_up(apply));
    raft
}

impl SingleServer {
    fn save(&self, snapshot: Bytes) {
        self.persister.save(self.log.borrow().encode(), snapshot);
    }

    /// Hands up one entry after the other, as they are committed.
    async fn hand_up(self: Rc<Self>, mut apply: ApplySender) {
        loop {
            let next = self.log.borrow_mut().next_to_apply();
            match next {
                Some(message) => _ = apply.send(message).await,
                None => self.committed.notified().await,
            }
        }
    }
}

impl Raft for SingleServer {
    fn start(&self, command: Bytes) -> Option<Started> {
        let started = {
            let mut log = self.log.borrow_mut();
            let term = log.term;
            log.entries.push((term, command));
            let index = log.last_index();
            log.commit_index = index;
            log.lowest_written.get_or_insert(index);
            Started { index, term }
        };
        self.save(self.persister.read_snapshot());
        self.committed.notify();
        Some(started)
    }

    fn state(&self) -> RaftState {
        RaftState { term: self.log.borrow().term, is_leader: true }
    }

    fn read(&self) -> Option<PendingRead> {
        let log = self.log.borrow();
        // After a restart, it does not know yet how much of its log is committed.
        let is_up_to_date = log.commit_index == log.last_index();
        is_up_to_date.then(|| PendingRead::confirmed(log.commit_index))
    }

    fn snapshot(&self, index: u64, snapshot: Bytes) {
        {
            let mut log = self.log.borrow_mut();
            let Some(&(term, _)) = log.entry(index) else { return };
            let many = index - log.covered.0;
            log.entries.drain(..many as usize);
            log.covered = (index, term);
        }
        self.save(snapshot);
    }

    fn kill(&self) {}

    fn probe(&self) -> Option<Probe> {
        let mut log = self.log.borrow_mut();
        let last_index = log.last_index();
        Some(Probe {
            term: log.term,
            role: Role::Leader,
            voted_for: Some(0),
            first_index: log.covered.0 + 1,
            last_index,
            commit_index: log.commit_index,
            last_applied: log.last_applied,
            lowest_written: log.lowest_written.take(),
            followers: vec![FollowerProbe { next_index: last_index + 1, match_index: last_index }],
        })
    }

    fn entry(&self, index: u64) -> Option<EntryProbe> {
        let log = self.log.borrow();
        let (term, command) = log.entry(index)?;
        Some(EntryProbe { term: *term, command: command.clone() })
    }

    fn snapshot_term(&self) -> Option<u64> {
        let (index, term) = self.log.borrow().covered;
        (index > 0).then_some(term)
    }
}
