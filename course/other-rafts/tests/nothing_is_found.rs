//! The lab finds nothing in the three Rafts: all tests of lab 2 and one of lab 3, and a scenario, on
//! a few seeds each. Use `cargo run --release -p other-rafts -- run` for more.

use labraft::{Implementation, Part, Test, run_test};
use labrpc::RunSpec;
use libtest_mimic::{Arguments, Failed, Trial};

const SEEDS: u64 = 2;
/// Tests besides those of lab 2.
const OTHERS: [&str; 3] = ["SnapshotUnreliableRecover3B", "Concurrent14B", "ChaosRaft"];

fn main() {
    let is_chosen = |test: &Test| {
        let is_of_raft = test.part < Part::Kv3A && !test.part.is_optional();
        is_of_raft || OTHERS.contains(&test.name)
    };
    let tests: Vec<&'static Test> = tests::SUITE.iter().filter(|test| is_chosen(test)).collect();
    let mut trials = Vec::new();
    for raft in other_rafts::ALL {
        trials.extend(tests.iter().map(|&test| {
            Trial::test(format!("{}::{}", raft.name, test.name), move || run(raft, test))
        }));
    }
    assert!(OTHERS.iter().all(|name| tests.iter().any(|test| test.name == *name)));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn run(raft: Implementation, test: &'static Test) -> Result<(), Failed> {
    for seed in 0..SEEDS {
        if let Err(failure) = run_test(test, raft, RunSpec::seed(seed), false).result {
            let details = failure.details().join("\n");
            return Err(Failed::from(format!("{failure}\nseed {seed}\n{details}")));
        }
    }
    Ok(())
}
