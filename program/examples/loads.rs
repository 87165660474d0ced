//! Measures the CPU time of one load, for `scripts/bench-peers` to compare with the peers.
//!
//! usage: loads rpc NODES IN_FLIGHT CALLS | raftish NODES _ ROUNDS | sleep _ TASKS SLEEPS |
//! yield _ TASKS YIELDS | crash _ TASKS CRASHES | suite LAB _ SEEDS | log _ SERVERS COMMANDS

#[path = "../benches/loads/mod.rs"]
mod loads;

use std::process::ExitCode;
use std::time::Duration;

use labraft::{Lab, Part, Run, Steps, Test, run_test, select};
use labrpc::{Limits, RunSpec};
use rustix::time::{ClockId, clock_gettime};

/// The CPU time that this process has used so far.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The peak memory of this process in KiB, on systems where `/proc` has it.
fn peak_memory_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// All tests of lab 2 or 3 but those of optional parts, each with the seeds from 0 up to `seeds`. Returns the number
/// of seeds.
fn suite(lab: u64, seeds: u64) -> u64 {
    let mut tests = select(tests::SUITE, &lab.to_string()).expect("there are labs 2 and 3");
    tests.retain(|test| !test.part.is_optional());
    for seed in 0..seeds {
        for test in &tests {
            let run = run_test(test, raft::REFERENCE, RunSpec::seed(seed), false);
            assert!(run.result.is_ok(), "{} seed {seed} failed", test.name);
        }
    }
    seeds
}

/// A cluster agrees on `commands` commands, a hundred at a time, without snapshots. Returns the
/// number of commands.
fn log(servers: usize, commands: u64) -> u64 {
    fn steps(lab: Lab) -> Steps {
        Box::pin(async move {
            let (servers, commands) = *PARAMETERS.get().expect("set before the run");
            let cfg = lab.make_config(servers, false, false);
            let mut leader = cfg.check_one_leader().await?;
            let mut started = 0;
            while started < commands {
                for _ in 0..100 {
                    match cfg.start(leader, started) {
                        Some(_) => started += 1,
                        None => leader = cfg.check_one_leader().await?,
                    }
                }
                cfg.sleep(Duration::from_millis(1)).await;
            }
            cfg.one(commands, servers, true).await.map(|_| ())
        })
    }
    static PARAMETERS: std::sync::OnceLock<(usize, u64)> = std::sync::OnceLock::new();
    static TEST: Test = Test {
        name: "Log",
        part: Part::Raft2B,
        title: "a long log",
        points: 0,
        cost: 0,
        run: steps,
    };
    _ = PARAMETERS.set((servers, commands));
    // So many commands take more events than a test may.
    let run = Run::new(&TEST, raft::REFERENCE, RunSpec::seed(1)).limits(Limits::default()).run();
    assert!(run.result.is_ok(), "{:?}", run.result);
    commands
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u64> = arguments.iter().skip(1).filter_map(|text| text.parse().ok()).collect();
    let (Some(load), &[first, second, third]) = (arguments.first(), &numbers[..]) else {
        eprintln!("usage: loads LOAD NUMBER NUMBER NUMBER; the file's first lines name the loads");
        return ExitCode::from(2);
    };
    let began = cpu();
    let count = match load.as_str() {
        "rpc" => loads::request_response(first as usize, second as usize, third),
        "raftish" => loads::heartbeats(first as usize, third),
        "sleep" => loads::timers((first * second) as usize, third),
        "yield" => loads::yields((first * second) as usize, third),
        "crash" => loads::spawn_and_crash(second as usize, third),
        "suite" => suite(first, third),
        "log" => log(second as usize, third),
        _ => {
            eprintln!("there is no load {load:?}; the file's first lines name the loads");
            return ExitCode::from(2);
        }
    };
    let nanoseconds = (cpu() - began).as_nanos() as f64 / count as f64;
    println!(
        "{load} {first} {second} {third}: {nanoseconds:.1} ns of CPU each, peak memory {} KiB",
        peak_memory_kib().unwrap_or(0)
    );
    ExitCode::SUCCESS
}
