//! `cargo bench`: what the simulated world costs, and what the labs cost on it.
//!
//! The first group counts items such as messages, timers and polls. The second runs the tests of a
//! part with the reference Raft.

mod loads;

use std::sync::atomic::{AtomicU64, Ordering};

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use labraft::{Test, run_test, select};
use labrpc::RunSpec;

fn main() {
    divan::main();
}

/// The number of seeds that a benchmark cycles through.
const SEEDS: u64 = 20;

/// Measures a load that returns its number of items.
fn count(bencher: Bencher<'_, '_>, load: impl Fn() -> u64 + Sync) {
    bencher.counter(ItemsCount::new(load())).bench(load);
}

#[divan::bench(args = [1, 16, 128])]
fn request_response(bencher: Bencher<'_, '_>, in_flight: usize) {
    count(bencher, || loads::request_response(5, in_flight, 12_800 / in_flight as u64));
}

#[divan::bench]
fn heartbeats(bencher: Bencher<'_, '_>) {
    count(bencher, || loads::heartbeats(5, 5_000));
}

#[divan::bench]
fn timers(bencher: Bencher<'_, '_>) {
    count(bencher, || loads::timers(1000, 100));
}

#[divan::bench]
fn yields(bencher: Bencher<'_, '_>) {
    count(bencher, || loads::yields(20, 10_000));
}

#[divan::bench]
fn spawn_and_crash(bencher: Bencher<'_, '_>) {
    count(bencher, || loads::spawn_and_crash(100, 500));
}

/// Runs each of the tests once with this seed.
fn run_each(tests: &[&'static Test], seed: u64) {
    for test in tests {
        black_box(run_test(test, raft::REFERENCE, RunSpec::seed(seed), false));
    }
}

/// One seed of all tests of a part, or of lab 2 or 3.
#[divan::bench(args = ["2A", "2B", "2C", "2D", "2", "3A", "3B", "3"])]
fn one_seed(bencher: Bencher<'_, '_>, part: &str) {
    let tests = select(tests::SUITE, part).expect("these are parts");
    // Some seeds cost more than others, so every benchmark takes the same ones.
    let runs = AtomicU64::new(0);
    bencher.bench(|| run_each(&tests, runs.fetch_add(1, Ordering::Relaxed) % SEEDS));
}
