//! `lab run --check-determinism` reports implementations that differ from run to run, and no
//! others.
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
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::io::Read;
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
    Implementation::new("kernel", |env| {
        let mut byte = [0];
        std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut byte).unwrap();
        reference_after(env, byte[0].into())
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

/// This program as the lab, checking one of the Rafts for determinism.
fn run_check(name: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["run", "ReElection2A", "Persist12C", "--seeds", "4", "--check-determinism"])
        .args(["--implementation", name, "--out"])
        .arg(scratch(&format!("self_check-{name}")))
        .output()
        .unwrap()
}

/// Checks that a Raft is reported, with the first event that differs.
fn check_reported(name: &str) -> Result<(), Failed> {
    let output = run_check(name);
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
fn check_cleared(name: &str) -> Result<(), Failed> {
    let output = run_check(name);
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
    for Implementation { name, .. } in SUSPECTS {
        trials.push(Trial::test(format!("{name} is reported with its first difference"), || {
            check_reported(name)
        }));
    }
    trials.push(Trial::test("a failure that does not repeat is said to be one", check_fails_once));
    // The guard exists on Linux only.
    if cfg!(target_os = "linux") {
        for Implementation { name, .. } in INNOCENT {
            trials.push(Trial::test(format!("{name} is deterministic"), || check_cleared(name)));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
