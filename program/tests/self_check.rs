//! `lab run` reports implementations that differ from run to run, and no others: with
//! `--check-determinism`, where every run is compared, and in any sweep, where one run of each test
//! is.
//!
//! This program is two things: the lab for Rafts that are not deterministic, or only seem not to
//! be, and the test, which runs itself as that lab.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is what the Rafts here use"
)]

mod common;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::process::{Command, ExitCode, Output};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use labraft::{Env, Implementation, Raft};
use libtest_mimic::{Arguments, Failed, Trial};

use common::{scratch, show};

/// The reference Raft, whose election time-outs depend on `number`, because some draws come first.
fn reference_after(env: Env, number: u64) -> Rc<dyn Raft> {
    let dice = env.rt.dice();
    for _ in 0..number % 16 {
        dice.below(2);
    }
    (raft::REFERENCE.make)(env)
}

/// Rafts that differ from run to run, and must be reported.
const SUSPECTS: [Implementation; 3] = [
    Implementation::new("address-as-key", |env| {
        let boxes: Vec<Box<u64>> = (0..16).map(Box::new).collect();
        let addresses = boxes.iter().map(|each| (&raw const **each as usize, **each));
        let map: HashMap<_, _, BuildHasherDefault<DefaultHasher>> = addresses.collect();
        let first = map.into_values().next().unwrap();
        reference_after(env, first)
    }),
    Implementation::new("static-counter", |env| {
        static STARTS: AtomicU64 = AtomicU64::new(0);
        reference_after(env, STARTS.fetch_add(1, Ordering::Relaxed))
    }),
    Implementation::new("thread-id", |env| {
        let mut hasher = DefaultHasher::new();
        std::thread::current().id().hash(&mut hasher);
        reference_after(env, hasher.finish())
    }),
];

/// Fails in the first run that is made after its file was removed, and never again.
const FAILS_ONCE: Implementation = Implementation::new("fails-once", |env| {
    let file = scratch("self_check-fails-once.failed");
    assert!(file.exists() || std::fs::write(&file, "").is_err(), "fails once");
    (raft::REFERENCE.make)(env)
});

/// Checks that a failure that does not repeat ends neither a sweep nor `shrink` and `explain` with an
/// error.
fn check_fails_once() -> Result<(), Failed> {
    let lab = |arguments: &[&str]| {
        Command::new(std::env::current_exe().unwrap())
            .args(arguments)
            .args(["--implementation", "fails-once", "--out"])
            .arg(scratch("self_check-fails-once"))
            .output()
            .unwrap()
    };
    _ = std::fs::remove_file(scratch("self_check-fails-once.failed"));
    let sweep = lab(&["run", "InitialElection2A", "--seeds", "1", "--jobs", "1"]);
    let more = lab(&["run", "InitialElection2A", "--seeds", "2", "--resume"]);
    for output in [
        sweep,
        more,
        lab(&["shrink", "InitialElection2A", "--seed", "0"]),
        lab(&["explain", "InitialElection2A", "--seed", "0"]),
    ] {
        let text = show(&output);
        if output.status.code() != Some(1) || text.contains("error:") {
            return Err(text.into());
        }
    }
    let shrunk = show(&lab(&["shrink", "InitialElection2A", "--seed", "0"]));
    let is_said = shrunk.contains("it now passes. The run does not repeat");
    if is_said && shrunk.contains("--check-determinism") { Ok(()) } else { Err(shrunk.into()) }
}

/// Rafts that look suspicious, but that the guard makes deterministic.
const INNOCENT: [Implementation; 3] = [
    Implementation::new("hash-map", |env| {
        let map: HashMap<u64, ()> = (0..16).map(|key| (key, ())).collect();
        reference_after(env, map.into_keys().next().unwrap())
    }),
    Implementation::new("clock", |env| {
        let began = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let number = began.as_nanos() as u64 / 1000 + Instant::now().elapsed().as_nanos() as u64;
        reference_after(env, number)
    }),
    Implementation::new("rand", |env| reference_after(env, rand::random())),
];

/// How a sweep looks for differences.
#[derive(Copy, Clone)]
enum Check {
    /// All runs are compared with those of a second process.
    Everything,
    /// One run of each test is made twice.
    OneOfEach,
}

/// This program as the lab, running a sweep of one of the Rafts.
fn run_check(name: &str, check: Check) -> Output {
    let (option, how) = match check {
        Check::Everything => (Some("--check-determinism"), "all"),
        Check::OneOfEach => (None, "one"),
    };
    Command::new(std::env::current_exe().unwrap())
        .args(["run", "ReElection2A", "Persist12C", "--seeds", "4", "--jobs", "1"])
        .args(option)
        .args(["--implementation", name, "--out"])
        .arg(scratch(&format!("self_check-{name}-{how}")))
        .output()
        .unwrap()
}

/// Checks that a Raft is reported, with the first event that differs.
fn check_reported(name: &str, check: Check) -> Result<(), Failed> {
    let output = run_check(name, check);
    let text = String::from_utf8_lossy(&output.stdout);
    let is_located = text.contains("first difference: event")
        && text.contains("one run:")
        && text.contains("server")
        && text.contains("usual suspects");
    if output.status.code() != Some(1) || !text.contains("NOT DETERMINISTIC") || !is_located {
        return Err(show(&output).into());
    }
    Ok(())
}

/// Checks that a Raft passes.
fn check_cleared(name: &str, check: Check) -> Result<(), Failed> {
    let output = run_check(name, check);
    if output.status.code() != Some(0) {
        return Err(show(&output).into());
    }
    Ok(())
}

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    if ["run", "replay", "shrink", "explain", "worker"].contains(&command.as_str()) {
        return tests::lab_main(&[&SUSPECTS[..], &INNOCENT[..], &[FAILS_ONCE]].concat());
    }
    let mut trials = Vec::new();
    trials.push(Trial::test("a failure that does not repeat is said to be one", check_fails_once));
    for (check, when) in
        [(Check::Everything, "when all is compared"), (Check::OneOfEach, "in a sweep")]
    {
        for Implementation { name, .. } in SUSPECTS {
            let title = format!("{name} is reported with its first difference {when}");
            trials.push(Trial::test(title, move || check_reported(name, check)));
        }
        // The guard exists on Linux only.
        if cfg!(target_os = "linux") {
            for Implementation { name, .. } in INNOCENT {
                let title = format!("{name} is deterministic {when}");
                trials.push(Trial::test(title, move || check_cleared(name, check)));
            }
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
