//! Every ported test as a named test of `cargo test`, each on a few seeds.
//!
//! `cargo test --test ported Backup2B` runs one. More seeds are for `cargo lab run`.

use labraft::run_test;
use labrpc::RunSpec;
use libtest_mimic::{Arguments, Failed, Trial};

/// Enough to see that a test runs and passes; finding rare failures is what sweeps are for.
const SEEDS: std::ops::Range<u64> = 0..3;

fn main() {
    let trials = tests::SUITE.iter().map(|test| {
        Trial::test(format!("{}::{}", test.part, test.name), move || {
            for seed in SEEDS {
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
