//! Nothing that the code under test does stops a sweep, or is reported as something else.
//!
//! This program is the lab for Rafts that do the worst on one seed of four, and behave on the others;
//! and it is the test that runs itself as that lab.

#![allow(clippy::disallowed_methods, clippy::empty_loop, reason = "they are the subject")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};
use std::rc::Rc;
use std::sync::Mutex;

use bytes::Bytes;
use lab::records::{self, Record};
use labraft::{Env, Implementation, Raft, RaftState, Started, Verdict};
use libtest_mimic::{Arguments, Failed, Trial};

/// The reference Raft, but on some seeds server 1 does this, 0.7 s after its start.
fn reference_with(env: Env, deed: fn()) -> Rc<dyn Raft> {
    let is_chosen = env.me == 1 && env.rt.dice().below(4) == 0;
    let rt = env.rt.clone();
    let raft = (raft::REFERENCE.make)(env);
    if is_chosen {
        rt.clone().spawn_detached("the deed", async move {
            rt.sleep(std::time::Duration::from_millis(700)).await;
            deed();
        });
    }
    raft
}

/// Panics when it is dropped.
struct Trap(Rc<dyn Raft>);

impl Drop for Trap {
    fn drop(&mut self) {
        panic!("a panic in a drop");
    }
}

impl Raft for Trap {
    fn start(&self, command: Bytes) -> Option<Started> {
        self.0.start(command)
    }

    fn state(&self) -> RaftState {
        self.0.state()
    }

    fn snapshot(&self, index: u64, snapshot: Bytes) {
        self.0.snapshot(index, snapshot);
    }

    fn kill(&self) {
        panic!("a panic in kill");
    }
}

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    if std::hint::black_box(depth) == u64::MAX { 0 } else { recurse(depth + 1) + 1 }
}

/// What each does, how its runs are judged, and what their reports say.
struct Hostile {
    implementation: Implementation,
    verdict: Verdict,
    reason: &'static str,
    /// What the details say of where it was.
    place: &'static str,
    /// Some that are bad, and some that are not.
    seeds: std::ops::Range<u64>,
    /// Far more than a run takes that comes to its end, even on a busy machine.
    wall_limit: &'static str,
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
        place: "the deed",
        seeds: 0..8,
        wall_limit: "60",
    }
}

/// Of these it takes as long as the limit to know.
const fn hanging(name: &'static str, make: fn(Env) -> Rc<dyn Raft>) -> Hostile {
    Hostile {
        seeds: 2..4,
        wall_limit: "5",
        ..hostile(name, make, Verdict::Hung, "did not return within")
    }
}

const ALL: [Hostile; 10] = [
    hostile(
        "panic",
        |env| reference_with(env, || panic!("a panic in a task")),
        Verdict::Failed,
        "a panic in a task",
    ),
    Hostile {
        place: "",
        ..hostile(
            "panic-in-kill",
            |env| Rc::new(Trap((raft::REFERENCE.make)(env))),
            Verdict::Failed,
            "a panic in",
        )
    },
    hostile(
        "abort",
        |env| reference_with(env, || std::process::abort()),
        Verdict::Crashed,
        "signal 6 (abort)",
    ),
    hostile(
        "recursion",
        |env| reference_with(env, || _ = recurse(0)),
        Verdict::Crashed,
        "stack overflow",
    ),
    hanging("loop", |env| reference_with(env, || loop {})),
    hanging("lock-twice", |env| {
        reference_with(env, || {
            let lock = Mutex::new(0);
            let one = lock.lock();
            let two = lock.lock();
            drop((one, two));
        })
    }),
    hostile(
        "memory",
        |env| {
            reference_with(env, || {
                let mut hoard = Vec::new();
                loop {
                    hoard.push(vec![1u8; 1 << 20]);
                }
            })
        },
        Verdict::Crashed,
        "needs more than 256 MiB",
    ),
    hostile(
        "flood",
        |env| {
            reference_with(env, || {
                loop {
                    println!("{}", "x".repeat(1000));
                }
            })
        },
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
        |env| {
            reference_with(env, || {
                struct Bomb;
                impl Drop for Bomb {
                    fn drop(&mut self) {
                        panic!("and another");
                    }
                }
                let _bomb = Bomb;
                panic!("one panic");
            })
        },
        Verdict::Crashed,
        "signal 6 (abort)",
    ),
];

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hostile-{name}"))
}

fn lab(hostile: &Hostile, arguments: &[&str]) -> Command {
    let name = hostile.implementation.name;
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(arguments)
        .args(["--implementation", name, "--memory", "256", "--out"])
        .arg(directory(name))
        .args(["--wall-limit", hostile.wall_limit])
        .stdin(Stdio::null());
    command
}

fn texts(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{:?}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// Each bad run is reported as what it is, and each of the others as if nothing had been.
fn is_survived(hostile: &Hostile) -> Result<(), Failed> {
    let name = hostile.implementation.name;
    let seeds = format!("{}..{}", hostile.seeds.start, hostile.seeds.end);
    let output = lab(hostile, &["run", "InitialElection2A", "--seeds", &seeds]).output().unwrap();
    if output.status.code() != Some(1) {
        return Err(texts(&output).into());
    }
    let records = records::read(&records::path(&directory(name)))?.all;
    let (bad, good): (Vec<&Record>, Vec<&Record>) =
        records.iter().partition(|record| record.verdict != Verdict::Passed);
    let is_panic_in_kill = hostile.place.is_empty();
    let are_all_there = records.len() as u64 == hostile.seeds.end - hostile.seeds.start;
    if bad.is_empty() || good.is_empty() != is_panic_in_kill || !are_all_there {
        return Err(format!("{} bad, {} good", bad.len(), good.len()).into());
    }
    for record in bad {
        let problem = record.problem.as_ref().ok_or("no problem is named")?;
        let details = problem.details.join("\n");
        if record.verdict != hostile.verdict
            || !problem.reason.contains(hostile.reason)
            || !format!("{}{details}", problem.reason).contains(hostile.place)
        {
            return Err(format!("{record:#?}").into());
        }
        // The same, by itself.
        let seed = record.seed.to_string();
        let replayed = lab(hostile, &["replay", "InitialElection2A", "--seed", &seed]).output()?;
        if replayed.status.code() != Some(1) || !texts(&replayed).contains(hostile.reason) {
            return Err(texts(&replayed).into());
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    if ["run", "replay", "worker"].contains(&command.as_str()) {
        return tests::lab_main(&ALL.map(|hostile| hostile.implementation));
    }
    let trials = ALL.iter().map(|hostile| {
        Trial::test(format!("{} costs one run", hostile.implementation.name), || {
            is_survived(hostile)
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}
