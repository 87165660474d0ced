//! The audit: it finds servers that share memory, however they share it, and nothing in the reference.

mod common;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use labraft::{
    ApplyMsg, ApplySender, Env, FindingKind, Implementation, Raft, RaftState, Run, RunReport,
    Started, apply_channel,
};
use labrpc::{RunSpec, Runtime};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber, dispatcher};

use common::{scratch, show, test_named};

/// The log of all servers together.
type Log = BTreeMap<u64, Bytes>;

/// Reads or changes the log, wherever it is shared.
type WithLog = fn(&mut dyn FnMut(&mut Log));

/// A Raft whose servers elect a leader with messages, as the reference does, but share the log.
struct SharedLog {
    elections: Rc<dyn Raft>,
    with_log: WithLog,
}

fn shared(env: Env, with_log: WithLog) -> Rc<dyn Raft> {
    let (unused, _) = apply_channel();
    let Env { me, peers, persister, apply, server, rt } = env;
    if me == 0 && rt.now() == Duration::ZERO {
        with_log(&mut Log::clear);
    }
    rt.spawn_detached("apply", apply_all(rt.clone(), apply, with_log));
    let env = Env { me, peers, persister, apply: unused, server, rt };
    Rc::new(SharedLog { elections: (raft::REFERENCE.make)(env), with_log })
}

/// Longer than a heartbeat and its answers take.
const HEARD: Duration = Duration::from_millis(200);

/// Hands up the shared log, but each command only when the leader could have learned from answers that a majority has
/// it. So the checks that see only the outside find nothing.
async fn apply_all(rt: Runtime, mut apply: ApplySender, with_log: WithLog) {
    let mut next = 1;
    loop {
        let mut command = None;
        with_log(&mut |log| command = log.get(&next).cloned());
        match command {
            Some(command) => {
                rt.sleep(HEARD).await;
                apply.send(ApplyMsg::Command { index: next, command }).await;
                next += 1;
            }
            None => rt.sleep(Duration::from_millis(5)).await,
        }
    }
}

impl Raft for SharedLog {
    fn start(&self, command: Bytes) -> Option<Started> {
        let RaftState { term, is_leader } = self.state();
        let mut index = 0;
        (self.with_log)(&mut |log| {
            index = log.len() as u64 + 1;
            if is_leader {
                log.insert(index, command.clone());
            }
        });
        is_leader.then_some(Started { index, term })
    }

    fn state(&self) -> RaftState {
        self.elections.state()
    }

    fn snapshot(&self, _index: u64, _snapshot: Bytes) {}

    fn kill(&self) {}
}

fn locked(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

fn in_static(look: &mut dyn FnMut(&mut Log)) {
    static LOG: Mutex<Log> = Mutex::new(Log::new());
    look(&mut locked(&LOG));
}

fn in_thread_local(look: &mut dyn FnMut(&mut Log)) {
    thread_local! {
        static LOG: RefCell<Log> = RefCell::default();
    }
    LOG.with_borrow_mut(look);
}

/// A subscriber of log lines that keeps a log of another kind.
struct Mine(Mutex<Log>);

impl Subscriber for Mine {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn in_subscriber(look: &mut dyn FnMut(&mut Log)) {
    // It is there already after the first call.
    _ = tracing::subscriber::set_global_default(Mine(Mutex::default()));
    dispatcher::get_default(|dispatch| {
        let mine: &Mine = dispatch.downcast_ref().expect("this test has set it");
        look(&mut locked(&mine.0));
    });
}

/// A Raft whose server 0 leads without asking anybody.
struct Crowned {
    me: usize,
    reference: Rc<dyn Raft>,
}

impl Raft for Crowned {
    fn start(&self, command: Bytes) -> Option<Started> {
        self.reference.start(command)
    }

    fn state(&self) -> RaftState {
        match self.me {
            0 => RaftState { term: 1, is_leader: true },
            _ => RaftState { is_leader: false, ..self.reference.state() },
        }
    }

    fn snapshot(&self, index: u64, snapshot: Bytes) {
        self.reference.snapshot(index, snapshot);
    }

    fn kill(&self) {
        self.reference.kill();
    }
}

fn crowned(env: Env) -> Rc<dyn Raft> {
    Rc::new(Crowned { me: env.me, reference: (raft::REFERENCE.make)(env) })
}

fn audited(test: &str, implementation: Implementation, seed: u64) -> RunReport {
    Run::new(test_named(test), implementation, RunSpec::seed(seed)).audit(true).run()
}

#[track_caller]
fn assert_found(test: &str, make: fn(Env) -> Rc<dyn Raft>, expected: FindingKind) {
    let report = audited(test, Implementation::new("shared", make), 1);
    let kinds: Vec<FindingKind> = report.findings.iter().map(|finding| finding.kind).collect();
    assert!(kinds.contains(&expected), "{:?}, {:?}", report.findings, report.result);
}

#[test]
fn a_log_in_a_static_is_found() {
    let make: fn(Env) -> Rc<dyn Raft> = |env| shared(env, in_static);
    let plain =
        Run::new(test_named("BasicAgree2B"), Implementation::new("shared", make), RunSpec::seed(1));
    let plain = plain.run();
    assert_eq!((plain.result, plain.findings), (Ok(()), Vec::new()), "the tests do not notice");
    assert_found("BasicAgree2B", make, FindingKind::Command);
    assert_found("Basic3A", make, FindingKind::Command);
}

#[test]
fn a_log_in_a_thread_local_is_found() {
    let make: fn(Env) -> Rc<dyn Raft> = |env| shared(env, in_thread_local);
    assert_found("BasicAgree2B", make, FindingKind::Command);
    assert_found("Basic3A", make, FindingKind::Command);
}

#[test]
fn a_log_in_a_global_subscriber_is_found() {
    let make: fn(Env) -> Rc<dyn Raft> = |env| shared(env, in_subscriber);
    assert_found("BasicAgree2B", make, FindingKind::Command);
    assert_found("Basic3A", make, FindingKind::Command);
}

#[test]
fn a_leader_that_nobody_elected_is_found() {
    assert_found("InitialElection2A", crowned, FindingKind::Leader);
}

/// `lab run --audit` says so if it finds nothing.
#[test]
fn the_command_line_says_that_an_audit_has_found_nothing() {
    let out = scratch("audit");
    let mut lab = common::lab();
    lab.args(["run", "BasicAgree2B", "Basic3A", "--seeds", "2", "--audit", "--out"]).arg(&out);
    let output = lab.output().unwrap();
    let text = show(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("audit: servers and clients know only what they were told"), "{text}");
}

/// The audit changes nothing, and explains all that the reference does.
#[test]
fn the_reference_knows_only_what_it_was_told() {
    for test in tests::SUITE {
        let plain = Run::new(test, raft::REFERENCE, RunSpec::seed(0)).run();
        let report = audited(test.name, raft::REFERENCE, 0);
        assert_eq!(report.findings, [], "{}", test.name);
        assert_eq!(report.fingerprint, plain.fingerprint, "{}", test.name);
    }
}
