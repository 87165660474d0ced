//! Every test of the suite as a named test of `cargo test`, each with a few seeds.
//!
//! `cargo test --test ported Backup2B` runs one of them. Use `cargo lab run` for more seeds. Where
//! only `cargo test` can be run, as in `scripts/cargo-mutants`, `PORTED_SEEDS=30` asks for more.

use labraft::run_test;
use labrpc::RunSpec;
use libtest_mimic::{Arguments, Failed, Trial};

/// The default number of seeds for each test: enough to see that it runs and passes. Sweeps of many
/// seeds find rare failures.
const SEEDS: u64 = 3;

fn main() {
    let seeds = std::env::var("PORTED_SEEDS").map_or(SEEDS, |seeds| {
        seeds.parse().unwrap_or_else(|_| panic!("PORTED_SEEDS must be a number, not {seeds:?}"))
    });
    let offered = tests::SUITE.iter().filter(|test| raft::REFERENCE.offers.include(test.part));
    let trials = offered.map(|test| {
        Trial::test(format!("{}::{}", test.part, test.name), move || {
            for seed in 0..seeds {
                let run = run_test(test, raft::REFERENCE, RunSpec::seed(seed), false);
                if let Err(failure) = &run.result {
                    let replay = format!("cargo lab replay {} --seed {seed}", test.name);
                    let details = failure.details().join("\n");
                    return Err(Failed::from(format!("{failure}\nreplay: {replay}\n{details}")));
                }
            }
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}
