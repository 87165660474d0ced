//! Whatever the code under test does, it spoils only one run of a sweep and is reported correctly.
//!
//! This program is two things: the lab for Rafts that misbehave with about one seed in four, and
//! the test, which runs itself as that lab.

#![allow(
    clippy::disallowed_methods,
    clippy::empty_loop,
    reason = "this is what the Rafts here do wrong"
)]

mod common;

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::rc::Rc;
use std::sync::Mutex;

use lab::records::{self, RunRecord};
use labraft::{Env, Implementation, Raft, Verdict};
use libtest_mimic::{Arguments, Failed, Trial};
use rustix::process::{Signal, getpid, kill_process};

use common::{HookedReference, scratch, show};

/// The reference Raft, but with some seeds server 1 calls `misbehave` 0.7 s after its start.
fn reference_with(env: Env, misbehave: fn()) -> Rc<dyn Raft> {
    let is_chosen = env.me == 1 && env.rt.dice().below(4) == 0;
    let rt = env.rt.clone();
    let raft = (raft::REFERENCE.make)(env);
    if is_chosen {
        rt.clone().spawn_detached("misbehave", async move {
            rt.sleep(std::time::Duration::from_millis(700)).await;
            misbehave();
        });
    }
    raft
}

/// The reference Raft, but it panics when it is killed and when it is dropped.
fn panic_in_kill(env: Env) -> Rc<dyn Raft> {
    HookedReference::new(env, |_| panic!("a panic in kill"), || panic!("a panic in a drop"))
}

/// Aborts the process by a panic during a panic.
fn panic_while_panicking() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("and another");
        }
    }
    let _bomb = Bomb;
    panic!("one panic");
}

/// Waits forever for a lock that it holds itself.
fn lock_twice() {
    let lock = Mutex::new(0);
    let one = lock.lock();
    let two = lock.lock();
    drop((one, two));
}

fn exhaust_memory() {
    let mut hoard = Vec::new();
    loop {
        hoard.push(vec![1u8; 1 << 20]);
    }
}

fn print_forever() {
    loop {
        println!("{}", "x".repeat(1000));
    }
}

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    if std::hint::black_box(depth) == u64::MAX { 0 } else { recurse(depth + 1) + 1 }
}

/// A Raft that misbehaves, and what the lab must report about it.
struct Hostile {
    implementation: Implementation,
    /// The verdict of the runs in which it misbehaves.
    verdict: Verdict,
    /// A part of the reason that the report gives.
    reason: &'static str,
    /// The task that the reason or the details must name.
    task: &'static str,
    /// Whether it misbehaves with some of the seeds or with all.
    frequency: Frequency,
    /// The seeds to run. A Raft that misbehaves with some seeds does so with at least one of these,
    /// but not with all.
    seeds: std::ops::Range<u64>,
    /// The limit of real time for each run, in seconds. It is much longer than a normal run,
    /// even on a busy machine.
    wall_limit: &'static str,
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Frequency {
    SomeSeeds,
    AllSeeds,
}

const fn hostile(
    name: &'static str,
    make: fn(Env) -> Rc<dyn Raft>,
    verdict: Verdict,
    reason: &'static str,
) -> Hostile {
    Hostile {
        implementation: Implementation::new(name, make),
        verdict,
        reason,
        task: "misbehave",
        frequency: Frequency::SomeSeeds,
        seeds: 0..8,
        wall_limit: "60",
    }
}

/// A Raft that never returns. Its runs take as long as the limit, so there are only a few.
const fn hanging(name: &'static str, make: fn(Env) -> Rc<dyn Raft>) -> Hostile {
    Hostile {
        seeds: 4..6,
        wall_limit: "5",
        ..hostile(name, make, Verdict::Hung, "did not return within")
    }
}

/// What a submission prints to look better than it is.
const FORGED: &str =
    "\u{1b}[2K\r\n  ... Passed --   0.5  3     16      1090     3   seed 0\u{9b}1m";

fn forge() {
    println!("{FORGED}");
    panic!("{FORGED}");
}

/// A Raft that prints lines that look like the lab's. It does so with every seed.
const FORGER: Hostile = hostile(
    "forger",
    |env| {
        let rt = env.rt.clone();
        rt.clone().spawn_detached("forge", async move {
            rt.sleep(std::time::Duration::from_millis(1)).await;
            forge();
        });
        (raft::REFERENCE.make)(env)
    },
    Verdict::Failed,
    "Passed",
);

/// Checks that nothing printed by any command looks like the lab's word.
fn check_forger() -> Result<(), Failed> {
    let one_run = ["InitialElection2A", "--seed", "0"];
    for (command, more) in
        [("run", &[][..]), ("run", &["--seeds", "3"]), ("replay", &[]), ("replay", &["--log"])]
    {
        let test = if more.len() == 2 { &one_run[..1] } else { &one_run[..] };
        let output = lab(&FORGER, &[&[command], test, more].concat()).output()?;
        let text = show(&output);
        let is_control = |c: char| c.is_control() && c != '\n';
        let is_forged = text.lines().any(|line| line.starts_with("  ... Passed"));
        if output.status.code() != Some(1) || !text.contains("Passed") {
            return Err(format!("the forger is not reported: {text}").into());
        }
        if text.contains(is_control) || is_forged {
            return Err(format!("{command}: {text:?}").into());
        }
    }
    Ok(())
}

const ALL: [Hostile; 11] = [
    hostile(
        "panic",
        |env| reference_with(env, || panic!("a panic in a task")),
        Verdict::Failed,
        "a panic in a task",
    ),
    Hostile {
        task: "",
        frequency: Frequency::AllSeeds,
        ..hostile("panic-in-kill", panic_in_kill, Verdict::Failed, "a panic in")
    },
    hostile(
        "abort",
        |env| reference_with(env, || std::process::abort()),
        Verdict::Crashed,
        "signal 6 (abort)",
    ),
    hostile(
        "kill",
        |env| reference_with(env, || kill_process(getpid(), Signal::KILL).unwrap()),
        Verdict::Crashed,
        "signal 9 (killed)",
    ),
    hostile(
        "recursion",
        |env| reference_with(env, || _ = recurse(0)),
        Verdict::Crashed,
        "stack overflow",
    ),
    hanging("loop", |env| reference_with(env, || loop {})),
    hanging("lock-twice", |env| reference_with(env, lock_twice)),
    hostile(
        "memory",
        |env| reference_with(env, exhaust_memory),
        Verdict::Crashed,
        "needs more than 256 MiB",
    ),
    hostile(
        "flood",
        |env| reference_with(env, print_forever),
        Verdict::Crashed,
        "printed more than 64 MiB",
    ),
    hostile(
        "exit",
        |env| reference_with(env, || std::process::exit(0)),
        Verdict::Crashed,
        "ended its process with exit code 0",
    ),
    hostile(
        "panic-while-panicking",
        |env| reference_with(env, panic_while_panicking),
        Verdict::Crashed,
        "signal 6 (abort)",
    ),
];

fn directory(hostile: &Hostile) -> PathBuf {
    scratch(&format!("hostile-{}", hostile.implementation.name))
}

/// This program as the lab, with the hostile Raft.
fn lab(hostile: &Hostile, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(arguments)
        .args(["--implementation", hostile.implementation.name, "--memory", "256", "--out"])
        .arg(directory(hostile))
        .args(["--wall-limit", hostile.wall_limit])
        .stdin(Stdio::null());
    command
}

/// Checks that each run in which it misbehaves is reported as what it is, that each other run
/// passes, and that a replay gives the same report.
fn check_sweep(hostile: &Hostile) -> Result<(), Failed> {
    let seeds = format!("{}..{}", hostile.seeds.start, hostile.seeds.end);
    let output = lab(hostile, &["run", "InitialElection2A", "--seeds", &seeds]).output().unwrap();
    if output.status.code() != Some(1) {
        return Err(show(&output).into());
    }
    let records = records::read(&records::path(&directory(hostile)))?.all;
    let (bad, good): (Vec<&RunRecord>, Vec<&RunRecord>) =
        records.iter().partition(|record| record.verdict != Verdict::Passed);
    let is_always_bad = hostile.frequency == Frequency::AllSeeds;
    let is_complete = records.len() as u64 == hostile.seeds.end - hostile.seeds.start;
    if bad.is_empty() || good.is_empty() != is_always_bad || !is_complete {
        return Err(format!("{} bad, {} good", bad.len(), good.len()).into());
    }
    for record in bad {
        check_report(hostile, record)?;
        check_replay(hostile, record.seed)?;
    }
    Ok(())
}

/// Checks the verdict, the reason and the task that the record of such a run names.
fn check_report(hostile: &Hostile, record: &RunRecord) -> Result<(), Failed> {
    let failure = record.failure.as_ref().ok_or("the record gives no reason")?;
    let text = format!("{}{}", failure.reason, failure.details.join("\n"));
    if record.verdict != hostile.verdict
        || !failure.reason.contains(hostile.reason)
        || !text.contains(hostile.task)
    {
        return Err(format!("{record:#?}").into());
    }
    Ok(())
}

/// Checks that a run gives the same reason when it is replayed on its own.
fn check_replay(hostile: &Hostile, seed: u64) -> Result<(), Failed> {
    let seed = seed.to_string();
    let replayed = lab(hostile, &["replay", "InitialElection2A", "--seed", &seed]).output()?;
    if replayed.status.code() != Some(1) || !show(&replayed).contains(hostile.reason) {
        return Err(show(&replayed).into());
    }
    Ok(())
}

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    if ["run", "replay", "worker"].contains(&command.as_str()) {
        let mut all = ALL.map(|hostile| hostile.implementation).to_vec();
        all.push(FORGER.implementation);
        return tests::lab_main(&all);
    }
    let mut trials = Vec::new();
    for hostile in &ALL {
        let name = format!("{} costs one run", hostile.implementation.name);
        trials.push(Trial::test(name, || check_sweep(hostile)));
    }
    trials.push(Trial::test("what is printed cannot pass for the lab's word", check_forger));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
