// SOLUTION FILE
//! One server of any replicated service: puts commands through its Raft, applies what comes out to a
//! state, and answers who waits. A Raft that offers it also says when the state may be read as it is.

use std::cell::{Ref, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::oneshot;
use labraft::{
    ApplyMsg, ApplyReceiver, HandedUp, NewServer, PendingRead, Persister, Raft, RaftState,
};
use labrpc::Runtime;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::debug;

/// How often a waiting handler checks whether its term is over: a Raft does not report that.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// How many checks a handler makes before it gives up. A leader that has lost its majority does not
/// notice that, so the clerk has to try another server.
pub(crate) const MAX_CHECKS: u32 = 5;

/// What the commands in a log act on: the only thing that is replicated.
///
/// Two states that began empty and applied the same commands at the same indexes are equal, whether by
/// way of snapshots or not.
pub trait StateMachine: Serialize + DeserializeOwned + 'static {
    /// A command in the log. A handler that waits for one compares bytes to see whether it is its own, so two
    /// commands with the same bytes must have the same effect.
    type Command: Serialize + DeserializeOwned;
    /// What the one who proposed a command is answered.
    type Answer;

    /// Applies the command at `index` of the log, which is above all before. Indexes may be left out: those are
    /// the Raft's own entries.
    fn apply(&mut self, index: u64, command: Self::Command) -> Self::Answer;
}

/// A state, and how much of the log is in it: what a snapshot holds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Applied<S> {
    /// The index of the last entry that was applied, or passed over because it was the Raft's own; 0 before
    /// the first.
    pub(crate) index: u64,
    pub(crate) state: S,
}

impl<S: StateMachine> Applied<S> {
    /// Applies the command at `index`.
    ///
    /// # Panics
    /// If the index is not above all before: then the Raft has repeated an entry.
    pub(crate) fn apply(&mut self, index: u64, command: S::Command) -> S::Answer {
        let applied = self.index;
        assert!(index > applied, "the Raft handed up index {index} after index {applied}");
        self.index = index;
        self.state.apply(index, command)
    }

    /// Encodes it as a snapshot.
    pub(crate) fn snapshot(&self) -> Bytes {
        labrpc::encode(self).expect("a state can be encoded").into()
    }

    /// Decodes a snapshot.
    ///
    /// # Panics
    /// If the bytes are not one of this service: then the Raft has not returned what it was given.
    fn restore(snapshot: &[u8]) -> Applied<S> {
        labrpc::decode(snapshot)
            .unwrap_or_else(|error| panic!("the snapshot is not one of this service: {error}"))
    }
}

/// Why a server has no answer to a command.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoAnswer {
    /// This server does not lead: the command was not proposed here.
    NotLeader,
    /// It was proposed, but this server cannot tell whether it will be committed.
    Unsure,
}

/// A state with the Raft that replicates it. The task that applies keeps it alive until its server crashes.
pub struct Replica<S: StateMachine> {
    raft: Rc<dyn Raft>,
    persister: Persister,
    rt: Runtime,
    /// The size of the saved Raft state, in bytes, at which to take a snapshot; `None` to take none.
    max_raft_state: Option<usize>,
    machine: RefCell<Applied<S>>,
    /// The handlers that wait, by the index that they wait for.
    waiting: RefCell<BTreeMap<u64, Waiter<S::Answer>>>,
    /// The readers that wait until so much is applied.
    readers: RefCell<BTreeMap<u64, Vec<oneshot::Sender<()>>>>,
}

/// A handler that waits for its command.
struct Waiter<Answer> {
    /// Its command, encoded. Another one at the same index means that its own was displaced; the term would
    /// tell as well, but a Raft hands up none with a command.
    command: Bytes,
    /// Takes the answer. Dropping it tells the handler that something else was applied in its
    /// place.
    answer: oneshot::Sender<Answer>,
}

impl<S: StateMachine> Replica<S> {
    /// Begins with the snapshot that the server's persister holds, or with `empty` if there is none, and
    /// applies what the Raft hands up. `max_raft_state` is the course's `maxraftstate`, in bytes; `None`
    /// where the course has -1.
    pub fn start(new: NewServer, max_raft_state: Option<usize>, empty: S) -> Rc<Replica<S>> {
        let NewServer { raft, applied, persister, server } = new;
        let rt = server.runtime().clone();
        let snapshot = persister.read_snapshot();
        let machine = match snapshot.is_empty() {
            true => Applied { index: 0, state: empty },
            false => Applied::restore(&snapshot),
        };
        let replica = Rc::new(Replica {
            raft,
            persister,
            rt: rt.clone(),
            max_raft_state,
            machine: RefCell::new(machine),
            waiting: RefCell::default(),
            readers: RefCell::default(),
        });
        rt.spawn_detached("service applier", replica.clone().apply_all(applied));
        replica
    }

    /// The state, as far as this server has applied the log. It must not be held over an await.
    pub fn state(&self) -> Ref<'_, S> {
        Ref::map(self.machine.borrow(), |machine| &machine.state)
    }

    /// The index of the last entry that this server has applied; 0 before the first.
    pub fn applied(&self) -> u64 {
        self.machine.borrow().index
    }

    /// The Raft's term, if this server believes that it leads.
    pub fn leads(&self) -> Option<u64> {
        let RaftState { term, is_leader } = self.raft.state();
        is_leader.then_some(term)
    }

    /// Puts a command through the log, and returns the answer when it has been applied here.
    ///
    /// # Errors
    /// If this server does not lead, or cannot tell in time whether the command will be committed.
    pub async fn execute(&self, command: &S::Command) -> Result<S::Answer, NoAnswer> {
        let command: Bytes = labrpc::encode(command).expect("a command can be encoded").into();
        let started = self.raft.start(command.clone()).ok_or(NoAnswer::NotLeader)?;
        let (answer, mut answered) = oneshot::channel();
        // A handler that already waits for this index proposed its command in an earlier term.
        // Replacing it drops its channel, which tells it that its command was displaced.
        let waiter = Waiter { command: command.clone(), answer };
        self.waiting.borrow_mut().insert(started.index, waiter);
        for _ in 0..MAX_CHECKS {
            if let Some(answer) = self.rt.timeout(CHECK_INTERVAL, &mut answered).await {
                return answer.map_err(|_| NoAnswer::Unsure);
            }
            if self.raft.state().term != started.term {
                break;
            }
        }
        self.forget(started.index, &command);
        Err(NoAnswer::Unsure)
    }

    /// Waits until the state may be read as it is, without a command in the log: until the Raft has confirmed
    /// that it leads, and everything that was committed before the call is applied here. Then the caller must read
    /// at once. `None` if the Raft does not offer that, or does not lead.
    async fn ready_to_read(&self) -> Option<Result<(), NoAnswer>> {
        let pending = self.raft.read()?;
        let ready = self.rt.timeout(CHECK_INTERVAL * MAX_CHECKS, self.caught_up_with(pending));
        Some(match ready.await {
            Some(true) => Ok(()),
            Some(false) => Err(NoAnswer::NotLeader),
            None => Err(NoAnswer::Unsure),
        })
    }

    /// Waits for a read to be confirmed, and for the state to be as new as that. Returns whether it was.
    async fn caught_up_with(&self, pending: PendingRead) -> bool {
        let Some(index) = pending.await else { return false };
        if self.applied() < index {
            let (reader, told) = oneshot::channel();
            self.readers.borrow_mut().entry(index).or_default().push(reader);
            return told.await.is_ok();
        }
        true
    }

    /// Answers a command that changes nothing: from the state as it is, if the Raft makes sure that it is up to date,
    /// and otherwise through the log.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub async fn read(
        &self,
        command: &S::Command,
        answer: impl FnOnce(&S) -> S::Answer,
    ) -> Result<S::Answer, NoAnswer> {
        match self.ready_to_read().await {
            Some(ready) => ready.map(|()| answer(&self.state())),
            None => self.execute(command).await,
        }
    }

    /// The number of handlers that wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// Removes a waiter, unless another has taken its place.
    fn forget(&self, index: u64, command: &Bytes) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.get(&index).is_some_and(|waiter| waiter.command == command) {
            waiting.remove(&index);
        }
    }

    /// Applies what the Raft hands up, until the server crashes.
    async fn apply_all(self: Rc<Replica<S>>, mut applied: ApplyReceiver) {
        while let Some(entry) = applied.receive_entry().await {
            match entry {
                HandedUp::Message(ApplyMsg::Command { index, command }) => {
                    self.apply(index, &command);
                }
                HandedUp::Message(ApplyMsg::Snapshot { index, snapshot, .. }) => {
                    self.install(index, &snapshot);
                }
                HandedUp::Internal { index } => self.pass_over(index),
            }
            self.tell_readers();
        }
    }

    /// Goes on behind an entry of the Raft's own, which may have taken the place that a handler waits for.
    fn pass_over(&self, index: u64) {
        self.machine.borrow_mut().index = index;
        self.give_up_before(index + 1);
    }

    /// Tells the readers that wait for no more than what is applied now.
    fn tell_readers(&self) {
        let applied = self.applied();
        let mut readers = self.readers.borrow_mut();
        while let Some(first) = readers.first_entry().filter(|first| *first.key() <= applied) {
            for reader in first.remove() {
                // An error means that the reader has given up in the meantime.
                let _ = reader.send(());
            }
        }
    }

    /// Applies the command at `index`, answers the handler that waits for it, and makes a snapshot
    /// when the Raft's saved state has grown to the limit.
    fn apply(&self, index: u64, bytes: &Bytes) {
        let command: S::Command = labrpc::decode(bytes)
            .unwrap_or_else(|error| panic!("no server proposed what is at index {index}: {error}"));
        let answer = self.machine.borrow_mut().apply(index, command);
        if let Some(waiter) = self.waiting.borrow_mut().remove(&index)
            && waiter.command == bytes
        {
            // An error means that the handler has given up in the meantime.
            let _ = waiter.answer.send(answer);
        }
        if self.max_raft_state.is_some_and(|max| self.persister.state_size_bytes() >= max) {
            debug!("snapshot up to {index}");
            self.raft.snapshot(index, self.machine.borrow().snapshot());
        }
    }

    /// Replaces the state by that of a snapshot. For the indexes that it covers there are no
    /// answers any more, so the handlers that wait for them are told to give up.
    fn install(&self, index: u64, snapshot: &Bytes) {
        let restored = Applied::restore(snapshot);
        let covered = restored.index;
        let applied = self.applied();
        assert!(
            covered == index && index > applied,
            "the Raft handed up a snapshot for index {index} that covers all up to {covered}; \
             {applied} were applied before"
        );
        self.machine.replace(restored);
        self.give_up_before(index + 1);
    }

    /// Tells the handlers that wait for lower indexes that something else was applied there.
    fn give_up_before(&self, index: u64) {
        let mut waiting = self.waiting.borrow_mut();
        while waiting.first_key_value().is_some_and(|(&first, _)| first < index) {
            waiting.pop_first();
        }
    }
}

impl<S: StateMachine> fmt::Debug for Replica<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Replica({})", self.rt.node())
    }
}
