//! The same seed gives the same run: repeated, recorded, in another process, or beside other runs.

use lab::records::{self, RunRecord};
use labraft::{Test, run_test};
use labrpc::RunSpec;

use crate::common::{lab, scratch, test_named};

/// One test of each part, two of 2C. Between them they have every fault of the course's network.
const SAMPLE: [&str; 7] = [
    "ManyElections2A",
    "Backup2B",
    "Figure8Unreliable2C",
    "UnreliableChurn2C",
    "SnapshotInstallUnCrash2D",
    "PersistPartitionUnreliable3A",
    "SnapshotUnreliableRecoverConcurrentPartitionLinearizable3B",
];

fn sample() -> impl Iterator<Item = &'static Test> {
    SAMPLE.into_iter().map(test_named)
}

fn fingerprint(test: &'static Test, seed: u64, record: bool) -> u64 {
    run_test(test, raft::REFERENCE, RunSpec::seed(seed), record).fingerprint
}

#[test]
fn a_run_is_the_same_when_it_is_repeated_or_recorded() {
    for test in sample() {
        for seed in [0, 17] {
            let first = fingerprint(test, seed, false);
            assert_eq!(first, fingerprint(test, seed, false), "{} seed {seed}", test.name);
            assert_eq!(first, fingerprint(test, seed, true), "{} seed {seed}", test.name);
        }
        let [one, other] = [0, 17].map(|seed| fingerprint(test, seed, false));
        assert_ne!(one, other, "{}: two seeds give two different runs", test.name);
    }
}

#[test]
fn the_recorded_events_are_the_same_each_time() {
    let test = test_named("Rejoin2B");
    let record = || run_test(test, raft::REFERENCE, RunSpec::seed(3), true).events;
    let first = record();
    assert!(first.len() > 500, "{} events", first.len());
    assert_eq!(first, record());
}

/// The results of a sweep that `lab` makes in processes of its own, in order and without CPU times.
fn sweep(name: &str, arguments: &[&str]) -> Vec<RunRecord> {
    let out = scratch(name);
    let output = lab().args(arguments).arg("--out").arg(&out).output().unwrap();
    assert!(output.status.success(), "{}", crate::common::show(&output));
    let mut records = records::read(&records::path(&out)).unwrap().all;
    records.iter_mut().for_each(|record| record.cpu_ms = 0.0);
    records.sort_by(|a, b| (&a.test, a.seed).cmp(&(&b.test, b.seed)));
    records
}

#[test]
fn a_run_is_the_same_alone_and_as_the_last_of_a_hundred_with_one_worker_or_two() {
    const HUNDRED: [&str; 5] = ["run", "ReElection2A", "--seeds", "100", "--jobs"];
    let with_one = sweep("hundred-1", &[&HUNDRED[..], &["1"]].concat());
    assert_eq!(with_one.len(), 100);
    assert_eq!(with_one, sweep("hundred-2", &[&HUNDRED[..], &["2"]].concat()));
    assert_eq!(sweep("alone", &["run", "ReElection2A", "--seed", "99"]), with_one[99..]);
}

#[test]
fn a_run_is_the_same_in_other_processes_and_in_this_one() {
    let arguments = [&["run", "--seeds", "4..6"], &SAMPLE[..], &["--jobs"]].concat();
    let first = sweep("first", &[&arguments[..], &["1"]].concat());
    assert_eq!(first.len(), 2 * SAMPLE.len());
    assert_eq!(first, sweep("second", &[&arguments[..], &["2"]].concat()));
    for record in first {
        let here = fingerprint(test_named(&record.test), record.seed, false);
        assert_eq!(record.fingerprint, format!("{here:016x}"), "{}", record.test);
    }
}
