//! `lab run --check-determinism` finds what differs from run to run, and nothing else.
//!
//! This program is the lab for Rafts that do what no simulation can repeat, or seem to; and it is the
//! test that runs itself as that lab.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "they are the subject")]

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::io::Read;
use std::process::{Command, ExitCode, Output};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use labraft::{Env, Implementation, Raft};
use libtest_mimic::{Arguments, Failed, Trial};

/// The reference Raft, after some draws whose number `odd` decides: so its time-outs depend on it.
fn reference_after(env: Env, odd: u64) -> Rc<dyn Raft> {
    let dice = env.rt.dice();
    (0..odd % 16).for_each(|_| _ = dice.below(2));
    (raft::REFERENCE.make)(env)
}

/// What differs from run to run, and is to be caught.
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

/// What the guard makes repeatable.
const INNOCENT: [Implementation; 3] = [
    Implementation::new("hash-map", |env| {
        let map: HashMap<u64, ()> = (0..16).map(|key| (key, ())).collect();
        reference_after(env, map.into_keys().next().unwrap())
    }),
    Implementation::new("clock", |env| {
        let began = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let odd = began.as_nanos() as u64 / 1000 + Instant::now().elapsed().as_nanos() as u64;
        reference_after(env, odd)
    }),
    Implementation::new("rand", |env| reference_after(env, rand::random())),
];

fn check(name: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["run", "ReElection2A", "Persist12C", "--seeds", "4", "--check-determinism"])
        .args(["--implementation", name, "--out"])
        .arg(std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("self_check-{name}")))
        .output()
        .unwrap()
}

fn is_caught(name: &str) -> Result<(), Failed> {
    let output = check(name);
    let text = String::from_utf8_lossy(&output.stdout);
    let is_located = text.contains("first difference: event")
        && text.contains("one run:")
        && text.contains("server")
        && text.contains("usual suspects");
    if output.status.code() != Some(1) || !text.contains("NOT DETERMINISTIC") || !is_located {
        return Err(format!("{:?}\n{text}", output.status).into());
    }
    Ok(())
}

fn is_cleared(name: &str) -> Result<(), Failed> {
    let output = check(name);
    if output.status.code() != Some(0) {
        let text = String::from_utf8_lossy(&output.stdout);
        return Err(format!("{:?}\n{text}", output.status).into());
    }
    Ok(())
}

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    if ["run", "replay", "worker"].contains(&command.as_str()) {
        return tests::lab_main(&[&SUSPECTS[..], &INNOCENT[..]].concat());
    }
    let mut trials = Vec::new();
    for Implementation { name, .. } in SUSPECTS {
        trials.push(Trial::test(format!("{name} is caught and located"), || is_caught(name)));
    }
    // Elsewhere there is no guard.
    for Implementation { name, .. } in INNOCENT.into_iter().filter(|_| cfg!(target_os = "linux")) {
        trials.push(Trial::test(format!("{name} is deterministic"), || is_cleared(name)));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
