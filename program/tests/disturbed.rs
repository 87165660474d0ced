//! Only what a run does itself is a failure of that run: not what the machine or somebody else does to
//! its worker, and not what earlier runs have left behind in it.
//!
//! This program is two things: the lab for Rafts that do to their own process what others might, and
//! the test, which runs itself as that lab.

#![allow(clippy::disallowed_methods, reason = "this is what the Rafts here do wrong")]

mod common;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lab::records::{self, RunRecord};
use labraft::{Env, Implementation, Raft, Verdict};
use libtest_mimic::{Arguments, Failed, Trial};
use rustix::process::{Signal, getpid, kill_process};

use common::{scratch, show};

/// The environment variable with the directory in which these Rafts leave marks for each other.
const MARKS: &str = "LAB_TEST_MARKS";

/// The reference Raft, whose server 1 does something after some time.
fn reference_with(env: Env, after: Duration, act: impl FnOnce() + 'static) -> Rc<dyn Raft> {
    let (me, rt) = (env.me, env.rt.clone());
    let raft = (raft::REFERENCE.make)(env);
    if me == 1 {
        rt.clone().spawn_detached("disturbance", async move {
            rt.sleep(after).await;
            act();
        });
    }
    raft
}

/// Leaves the mark with this number; false if it is there already, or if there are to be no marks.
fn leave_mark(number: u64) -> bool {
    let directory = std::env::var_os(MARKS).map(PathBuf::from);
    directory.is_some_and(|directory| File::create_new(directory.join(number.to_string())).is_ok())
}

/// Sends a signal to this process the first time that a run gets here, in whatever process.
fn disturbed_once(env: Env, signal: Signal) -> Rc<dyn Raft> {
    reference_with(env, Duration::from_millis(700), move || {
        if leave_mark(0) {
            kill_process(getpid(), signal).unwrap();
        }
    })
}

/// Is killed each time, but never twice at the same place.
fn always_killed(env: Env) -> Rc<dyn Raft> {
    let attempt = (0..100).find(|&number| env.me == 1 && leave_mark(number));
    let Some(attempt) = attempt else { return (raft::REFERENCE.make)(env) };
    reference_with(env, Duration::from_millis(300 + 10 * attempt), || {
        kill_process(getpid(), Signal::KILL).unwrap();
    })
}

/// Needs 60 MiB in each run, and never returns them.
fn leaking(env: Env) -> Rc<dyn Raft> {
    reference_with(env, Duration::from_millis(700), || std::mem::forget(vec![1u8; 60 << 20]))
}

/// Starts a thread when its own thread has ended, and fails if such a thread is in its process.
fn with_a_late_thread(env: Env) -> Rc<dyn Raft> {
    static THREADS: AtomicU64 = AtomicU64::new(0);
    struct Late;
    impl Drop for Late {
        fn drop(&mut self) {
            std::thread::spawn(|| {
                loop {
                    std::thread::park();
                }
            });
            THREADS.fetch_add(1, Ordering::Relaxed);
        }
    }
    thread_local!(static LATE: Late = const { Late });
    LATE.with(|_| ());
    assert_eq!(THREADS.load(Ordering::Relaxed), 0, "a thread of an earlier run is still there");
    (raft::REFERENCE.make)(env)
}

/// Replaces the panic hook in some runs, and panics in the others.
fn with_a_hook(env: Env) -> Rc<dyn Raft> {
    let does_panic = env.rt.dice().below(2) == 0;
    reference_with(env, Duration::from_millis(700), move || {
        assert!(!does_panic, "a panic in a task");
        std::panic::set_hook(Box::new(|_| std::process::exit(7)));
    })
}

const ALL: [Implementation; 9] = [
    Implementation::new("killed", |env| disturbed_once(env, Signal::KILL)),
    Implementation::new("terminated", |env| disturbed_once(env, Signal::TERM)),
    Implementation::new("out-of-cpu-time", |env| disturbed_once(env, Signal::XCPU)),
    Implementation::new("stopped", |env| disturbed_once(env, Signal::STOP)),
    Implementation::new("aborted", |env| disturbed_once(env, Signal::ABORT)),
    Implementation::new("always-killed", always_killed),
    Implementation::new("leaking", leaking),
    Implementation::new("late-thread", with_a_late_thread),
    Implementation::new("hook", with_a_hook),
];

/// An empty directory for one of these Rafts.
fn directory(name: &str) -> PathBuf {
    let directory = scratch(&format!("disturbed-{name}"));
    _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(directory.join("marks")).unwrap();
    directory
}

/// A sweep of eight seeds in one worker, by this program as the lab.
fn sweep(name: &str, out: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["run", "InitialElection2A", "--seeds", "8", "--jobs", "1", "--memory", "256"])
        .args(["--wall-limit", "1", "--implementation", name, "--out"])
        .arg(out)
        .env(MARKS, out.join("marks"))
        .stdin(Stdio::null());
    command
}

fn found(out: &Path) -> Result<Vec<RunRecord>, Failed> {
    let mut records = records::read(&records::path(out))?.all;
    records.sort_by_key(|record| record.seed);
    Ok(records)
}

/// Checks that all eight runs have passed.
fn check_passed(output: &Output, out: &Path) -> Result<(), Failed> {
    let records = found(out)?;
    let passed = records.iter().filter(|record| record.verdict == Verdict::Passed).count();
    match (output.status.code(), records.len(), passed) {
        (Some(0), 8, 8) => Ok(()),
        _ => Err(format!("{}\n{}", show(output), told(&records)).into()),
    }
}

/// The results in a few words, for the message of a test that fails.
fn told(records: &[RunRecord]) -> String {
    let reason = |record: &RunRecord| record.failure.as_ref().map(|it| it.reason.clone());
    let line =
        |record: &RunRecord| format!("{} {:?} {:?}\n", record.seed, record.verdict, reason(record));
    records.iter().map(line).collect()
}

/// What somebody else did to a worker is not blamed on the run, which is made again.
fn is_made_again(name: &str, what: &str) -> Result<(), Failed> {
    let out = directory(name);
    let output = sweep(name, &out).output()?;
    check_passed(&output, &out)?;
    // Disturbed or not, the results are the same.
    let records = found(&out)?;
    let undisturbed = directory(&format!("{name}-not"));
    check_passed(&sweep(name, &undisturbed).env_remove(MARKS).output()?, &undisturbed)?;
    let same = |(a, b): (&RunRecord, &RunRecord)| RunRecord { cpu_ms: b.cpu_ms, ..a.clone() } == *b;
    let is_same = records.iter().zip(&found(&undisturbed)?).all(same);
    let text = show(&output);
    if !is_same || !text.contains("a run was made again") || !text.contains(what) {
        return Err(format!("{text}\n{}", told(&records)).into());
    }
    match std::fs::read_dir(out.join("traces")).map(Iterator::count) {
        Ok(1..) => Err("traces of a run that has passed are left".into()),
        _ => Ok(()),
    }
}

/// A run whose workers are always ended by something else has no result, and the sweep says so.
fn has_no_result() -> Result<(), Failed> {
    let out = directory("always-killed");
    let output = sweep("always-killed", &out).output()?;
    let text = show(&output);
    let is_told = ["seed 0, has no result", "signal 9 (killed)", "--resume"];
    let records = found(&out)?;
    let is_told = is_told.iter().all(|what| text.contains(what));
    if output.status.code() != Some(3) || !is_told || !records.is_empty() {
        return Err(format!("{text}\n{}", told(&records)).into());
    }
    check_passed(&sweep("always-killed", &out).arg("--resume").env_remove(MARKS).output()?, &out)
}

/// What earlier runs left behind in a worker does not reach later runs.
fn reaches_no_other_run(name: &str) -> Result<(), Failed> {
    let out = directory(name);
    check_passed(&sweep(name, &out).output()?, &out)
}

fn a_hook_reaches_no_other_run() -> Result<(), Failed> {
    let out = directory("hook");
    let output = sweep("hook", &out).output()?;
    let records = found(&out)?;
    let is_right = |record: &RunRecord| match &record.failure {
        None => record.verdict == Verdict::Passed,
        Some(failure) => failure.reason.contains("a panic in a task"),
    };
    // A panic after the first hook was installed, or there would be nothing to see.
    let first = records.iter().position(|record| record.failure.is_none());
    let last = records.iter().rposition(|record| record.failure.is_some());
    if records.len() != 8 || !records.iter().all(is_right) || first >= last {
        return Err(format!("{}\n{}", show(&output), told(&records)).into());
    }
    Ok(())
}

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    if ["run", "worker"].contains(&command.as_str()) {
        return tests::lab_main(&ALL);
    }
    let trials = vec![
        Trial::test("killed", || is_made_again("killed", "signal 9 (killed)")),
        Trial::test("terminated", || is_made_again("terminated", "signal 15 (terminated)")),
        Trial::test("out of CPU time", || is_made_again("out-of-cpu-time", "limit of CPU time")),
        Trial::test("stopped", || is_made_again("stopped", "it was stopped")),
        Trial::test("aborted", || is_made_again("aborted", "signal 6 (abort)")),
        Trial::test("always killed", has_no_result),
        Trial::test("memory that leaks", || reaches_no_other_run("leaking")),
        Trial::test("a thread that begins late", || reaches_no_other_run("late-thread")),
        Trial::test("a panic hook", a_hook_reaches_no_other_run),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
