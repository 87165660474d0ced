//! A Raft that hangs or dies in a what-if leaves the page of `lab open` alive, which says so.
//!
//! This program is two things: the lab for Rafts that misbehave after a restart, and the test, which runs
//! itself as that lab.

#![allow(clippy::empty_loop, reason = "this is what the Rafts here do wrong")]

mod common;
#[path = "common/page.rs"]
mod page;

use std::process::{Command, ExitCode};
use std::rc::Rc;
use std::time::Duration;

use labraft::{Env, Implementation, Raft};
use libtest_mimic::{Arguments, Failed, Trial};
use page::Open;
use serde_json::json;

/// The environment variable that makes this program the lab.
const AS_LAB: &str = "LAB_TEST_AS_LAB";

/// The reference Raft, but it calls `misbehave` 50 ms after it was started from a saved state.
fn reference_with(env: Env, misbehave: fn()) -> Rc<dyn Raft> {
    let is_restarted = !env.persister.read_state().is_empty();
    let rt = env.rt.clone();
    let raft = (raft::REFERENCE.make)(env);
    if is_restarted {
        rt.clone().spawn_detached("misbehave", async move {
            rt.sleep(Duration::from_millis(50)).await;
            misbehave();
        });
    }
    raft
}

fn hangs(env: Env) -> Rc<dyn Raft> {
    reference_with(env, || loop {})
}

fn aborts(env: Env) -> Rc<dyn Raft> {
    reference_with(env, || std::process::abort())
}

fn panics(env: Env) -> Rc<dyn Raft> {
    reference_with(env, || panic!("never restart me"))
}

const ALL: [Implementation; 3] = [
    Implementation::new("hangs", hangs),
    Implementation::new("aborts", aborts),
    Implementation::new("panics", panics),
];

fn stays_alive(implementation: &str, verdict: &str, why: &str) -> Result<(), Failed> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env(AS_LAB, "1");
    let args = ["--servers", "3", "--implementation", implementation, "--wall-limit", "1"];
    let open = Open::start(command, implementation, &args);
    let (bad, data) = open.touch(0, json!({ "acts": ["1.2s restart 0"] }));
    assert_eq!(bad["verdict"], verdict, "{bad}");
    assert!(bad["reason"].as_str().unwrap().contains(why), "{bad}");
    let count = data["columns"]["what"].as_array().unwrap().len();
    let left_out = data["known"][0].as_u64().unwrap() as usize;
    assert!(left_out + count > 50, "its last events are there");
    // The first run and others are there as before.
    let (good, _) = open.touch(0, json!({ "acts": ["1.2s crash 0"] }));
    assert_eq!((&good["verdict"], &good["parent"]), (&json!("passed"), &json!(0)));
    let (again, _) = open.run(1);
    assert_eq!(again["verdict"], verdict);
    Ok(())
}

fn main() -> ExitCode {
    let is_worker = std::env::args().nth(1).is_some_and(|first| first == "worker");
    if is_worker || std::env::var_os(AS_LAB).is_some() {
        return tests::lab_main(&ALL);
    }
    let trial = |name: &'static str, verdict: &'static str, why: &'static str| {
        Trial::test(name, move || stays_alive(name, verdict, why))
    };
    let trials = vec![
        trial("hangs", "hung", "did not return within 1 s"),
        trial("aborts", "crashed", "ended the process"),
        trial("panics", "failed", "never restart me"),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
