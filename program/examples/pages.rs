//! Writes the pages of four runs into a directory, for `scripts/test-page` to open: a run that
//! fails, a run of the key/value service with operations marked as not linearizable, a run in which
//! shards move from group to group, and a long run.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use lab::failure_record::FailureRecord;
use lab::records::{Build, RunRecord};
use lab::view;
use lab::workers::Answer;
use labraft::{
    CauseKind, EntryProbe, Env, HarnessEvent, Implementation, Probe, Property, Raft, RaftState,
    Run, Started, select,
};
use labrpc::{Node, RunSpec, Timed};

/// The reference, but server 1 claims to lead as soon as two entries are committed.
struct Boaster {
    me: usize,
    raft: Rc<dyn Raft>,
}

impl Raft for Boaster {
    fn start(&self, command: Bytes) -> Option<Started> {
        self.raft.start(command)
    }

    fn state(&self) -> RaftState {
        let state = self.raft.state();
        let boasts = self.me == 1 && self.probe().is_some_and(|probe| probe.commit_index >= 2);
        RaftState { is_leader: state.is_leader || boasts, ..state }
    }

    fn snapshot(&self, index: u64, snapshot: Bytes) {
        self.raft.snapshot(index, snapshot);
    }

    fn kill(&self) {
        self.raft.kill();
    }

    fn probe(&self) -> Option<Probe> {
        self.raft.probe()
    }

    fn entry(&self, index: u64) -> Option<EntryProbe> {
        self.raft.entry(index)
    }
}

const BOASTER: Implementation = Implementation::new("boaster", |env: Env| {
    let me = env.me;
    Rc::new(Boaster { me, raft: (raft::REFERENCE.make)(env) })
});

fn main() {
    let directory = std::env::args().nth(1).expect("usage: pages DIRECTORY");
    let directory = Path::new(&directory);
    std::fs::create_dir_all(directory).expect("the directory cannot be created");
    let failed = answer("Backup2B", 0, BOASTER);
    assert!(failed.record.failure.is_some(), "the run fails");
    let kv = with_unordered(answer("OnePartition3A", 0, raft::REFERENCE));
    let long = answer("SnapshotRecoverManyClients3B", 0, raft::REFERENCE);
    assert!(long.events.len() > 150_000, "the long run has {} events", long.events.len());
    let shards = answer("JoinLeave4B", 0, raft::REFERENCE);
    for (name, answer) in [("failed", failed), ("kv", kv), ("long", long), ("shards", shards)] {
        let replay =
            format!("cargo lab replay {} --seed {}", answer.record.test, answer.record.seed);
        let page = view::page(&answer, &replay, &[]);
        println!("{name}: {} events, {} bytes", answer.events.len(), page.len());
        std::fs::write(directory.join(format!("{name}.html")), page)
            .expect("the page cannot be written");
    }
}

/// A run made in this process, in the form in which a worker returns it.
fn answer(name: &str, seed: u64, implementation: Implementation) -> Answer {
    let test = select(tests::SUITE, name).expect("the suite has it")[0];
    let report = Run::new(test, implementation, RunSpec::seed(seed)).record(true).run();
    let record = RunRecord::new(&report, implementation.name, Duration::ZERO, &Build::default());
    Answer::of(report, record, "")
}

/// Marks the first two operations of a key as not linearizable.
fn with_unordered(mut answer: Answer) -> Answer {
    let calls: Vec<(usize, String)> = answer
        .events
        .iter()
        .filter_map(|event| match HarnessEvent::of(event)? {
            HarnessEvent::Called { call, key, .. } => Some((call, key)),
            _ => None,
        })
        .collect();
    let key = calls.first().expect("there are operations").1.clone();
    let chosen = calls.iter().filter(|(_, of)| *of == key).take(2).map(|&(call, _)| call).collect();
    let at = answer.events.last().expect("there are events").at;
    let event = HarnessEvent::Unordered { calls: chosen }.event();
    answer.events.push(Timed { at, node: Node::TESTER, event });
    let reason = format!("history is not linearizable: key {key:?} (made up for this example)");
    let kind = CauseKind::Property { property: Property::Linearizability };
    let failure = FailureRecord { at: Some(at.as_secs_f64()), ..FailureRecord::new(reason, kind) };
    let RunRecord { test, seed, .. } = answer.record;
    let pair = (test.as_str(), seed);
    let build = Build::default();
    answer.record = RunRecord::ended(pair, "reference", labraft::Verdict::Failed, failure, &build);
    answer
}
