//! The key/value service on a simple primary/backup scheme with the interface of a Raft: server 0
//! always leads, and the others copy its log. Without terms, elections and snapshots it passes only
//! tests in which server 0 comes back after each crash.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use labraft::{
    ApplyMsg, ApplySender, Env, Implementation, Persister, Pieces, Raft, RaftState, Started,
    run_test,
};
use labrpc::sync::Notify;
use labrpc::{ClientEnd, Method, RunSpec, Runtime, Service};
use serde::{Deserialize, Serialize};

use crate::common::test_named;

const COPY: Method<Copy, u64> = Method::new("Primary.Copy");
/// The interval at which the primary sends to a backup that has everything.
const HEARTBEAT: Duration = Duration::from_millis(50);

/// Entries of the primary's log from the position `from` on, and the number of committed entries.
#[derive(Debug, Serialize, Deserialize)]
struct Copy {
    from: u64,
    entries: Vec<Bytes>,
    committed: u64,
}

struct Primary {
    me: usize,
    log: RefCell<Vec<Bytes>>,
    saved: RefCell<Pieces>,
    persister: Persister,
    /// The number of entries that each server has, as far as the primary knows.
    has: RefCell<Vec<u64>>,
    committed: Cell<u64>,
    has_committed: Notify,
    /// Wakes the task that sends to a server, one for each.
    has_entries: Vec<Notify>,
    rt: Runtime,
}

fn make(env: Env) -> Rc<dyn Raft> {
    let Env { me, peers, persister, apply, server, rt } = env;
    let state = persister.read_state();
    let mut log = Vec::new();
    let mut rest = &state[..];
    while !rest.is_empty() {
        log.push(labrpc::decode_first(&mut rest).expect("the saved log can be read"));
    }
    let n = peers.len();
    let this = Rc::new(Primary {
        me,
        has: RefCell::new((0..n).map(|i| if i == me { log.len() as u64 } else { 0 }).collect()),
        log: RefCell::new(log),
        saved: RefCell::new(state.into()),
        persister,
        committed: Cell::new(0),
        has_committed: Notify::new(),
        has_entries: (0..n).map(|_| Notify::new()).collect(),
        rt: rt.clone(),
    });
    let copy = this.clone();
    server
        .add_service(Service::new().method(COPY, move |args| std::future::ready(copy.copy(args))));
    rt.spawn_detached("apply", this.clone().apply(apply));
    if me == 0 {
        for (i, end) in peers.into_iter().enumerate().skip(1) {
            rt.spawn_detached("send", this.clone().send(i, end));
        }
    }
    this
}

impl Primary {
    fn store(&self, entry: Bytes) {
        let piece = labrpc::encode(&entry).expect("bytes can be encoded");
        let saved = self.saved.borrow().push(piece);
        self.persister.save(saved.clone(), Bytes::new());
        self.saved.replace(saved);
        self.log.borrow_mut().push(entry);
    }

    fn len(&self) -> u64 {
        self.log.borrow().len() as u64
    }

    fn commit(&self, committed: u64) {
        if committed > self.committed.get() {
            self.committed.set(committed);
            self.has_committed.notify();
        }
    }

    /// Handles a request of the primary. Its entries may already be here, but never conflict.
    /// Returns the number of entries that this server now has.
    fn copy(&self, args: Copy) -> u64 {
        if args.from <= self.len() {
            let known = (self.len() - args.from) as usize;
            args.entries.into_iter().skip(known).for_each(|entry| self.store(entry));
        }
        self.commit(args.committed.min(self.len()));
        self.len()
    }

    async fn send(self: Rc<Primary>, i: usize, end: ClientEnd) {
        loop {
            let from = self.has.borrow()[i];
            let entries = self.log.borrow()[from as usize..].to_vec();
            let committed = self.committed.get();
            if let Some(has) = end.call(COPY, &Copy { from, entries, committed }).await {
                self.has.borrow_mut()[i] = has;
                let mut counts = self.has.borrow().clone();
                counts.sort_unstable();
                self.commit(counts[(counts.len() - 1) / 2]);
            }
            if self.has.borrow()[i] == self.len() {
                self.rt.timeout(HEARTBEAT, self.has_entries[i].notified()).await;
            }
        }
    }

    async fn apply(self: Rc<Primary>, mut apply: ApplySender) {
        let mut index = 0;
        loop {
            while index < self.committed.get() {
                let command = self.log.borrow()[index as usize].clone();
                index += 1;
                apply.send(ApplyMsg::Command { index, command }).await;
            }
            self.has_committed.notified().await;
        }
    }
}

impl Raft for Primary {
    fn start(&self, command: Bytes) -> Option<Started> {
        if self.me != 0 {
            return None;
        }
        self.store(command);
        self.has.borrow_mut()[0] = self.len();
        self.has_entries.iter().for_each(Notify::notify);
        Some(Started { index: self.len(), term: 1 })
    }

    fn state(&self) -> RaftState {
        RaftState { term: 1, is_leader: self.me == 0 }
    }

    fn snapshot(&self, _: u64, _: Bytes) {}

    fn kill(&self) {}
}

#[test]
fn the_service_runs_on_anything_that_implements_the_interface_of_a_raft() {
    let primary = Implementation::new("primary", make);
    let names = [
        "Basic3A",
        "Speed3A",
        "Concurrent3A",
        "Unreliable3A",
        "UnreliableOneKey3A",
        "ManyPartitionsManyClients3A",
        "PersistConcurrentUnreliable3A",
        "PersistPartitionUnreliableLinearizable3A",
    ];
    for name in names {
        let test = test_named(name);
        for seed in 0..3 {
            let report = run_test(test, primary, RunSpec::seed(seed), false);
            assert_eq!(report.result, Ok(()), "{name}, seed {seed}");
        }
    }
}
