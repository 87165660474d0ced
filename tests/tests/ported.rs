//! Every ported test as a named test of `cargo test`, each on a few seeds.
//!
//! `cargo test --test ported Backup2B` runs one. More seeds are for `cargo lab run`, and for
//! scripts/cargo-mutants, which can only ask for them as `PORTED_SEEDS=30`.

use labraft::run_test;
use labrpc::RunSpec;
use libtest_mimic::{Arguments, Failed, Trial};

/// Enough to see that a test runs and passes; finding rare failures is what sweeps are for.
const SEEDS: u64 = 3;

fn main() {
    let seeds = std::env::var("PORTED_SEEDS").map_or(SEEDS, |seeds| {
        seeds.parse().unwrap_or_else(|_| panic!("PORTED_SEEDS is a number, not {seeds:?}"))
    });
    let trials = tests::SUITE.iter().map(|test| {
        Trial::test(format!("{}::{}", test.part, test.name), move || {
            for seed in 0..seeds {
                let run = run_test(test, raft::REFERENCE, RunSpec::seed(seed), false);
                if let Err(failure) = &run.result {
                    let replay = format!("cargo lab replay {} --seed {seed}", test.name);
                    let details = failure.reason.details().join("\n");
                    return Err(Failed::from(format!("{failure}\nreplay: {replay}\n{details}")));
                }
            }
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}
