//! The same seed is the same run: however often, wherever, beside whatever else.

use std::path::PathBuf;
use std::process::Command;

use lab::records::{self, Record};
use labraft::{Test, run_test, select};
use labrpc::RunSpec;

/// One test of each part, with every fault that the course's network has among them.
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
    SAMPLE.into_iter().map(|name| select(tests::SUITE, name).unwrap()[0])
}

fn fingerprint(test: &'static Test, seed: u64, record: bool) -> u64 {
    run_test(test, raft::REFERENCE, RunSpec::seed(seed), record).fingerprint
}

#[test]
fn twice_in_one_process_and_recorded_or_not() {
    for test in sample() {
        for seed in [0, 17] {
            let first = fingerprint(test, seed, false);
            assert_eq!(first, fingerprint(test, seed, false), "{} seed {seed}", test.name);
            assert_eq!(first, fingerprint(test, seed, true), "{} seed {seed}", test.name);
        }
        let [one, other] = [0, 17].map(|seed| fingerprint(test, seed, false));
        assert_ne!(one, other, "{}: two seeds are two runs", test.name);
    }
}

#[test]
fn a_record_is_the_same_record_each_time() {
    let test = select(tests::SUITE, "Rejoin2B").unwrap()[0];
    let record = || run_test(test, raft::REFERENCE, RunSpec::seed(3), true).record;
    let first = record();
    assert!(first.len() > 500, "{} events", first.len());
    assert_eq!(first, record());
}

/// What `lab` found in processes of its own, ordered: all but how long it took.
fn records_of(name: &str, arguments: &[&str]) -> Vec<Record> {
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let output =
        Command::new(env!("CARGO_BIN_EXE_lab")).args(arguments).arg("--out").arg(&out).output();
    assert!(output.unwrap().status.success());
    let mut records = records::read(&records::path(&out)).unwrap().all;
    records.iter_mut().for_each(|record| record.cpu_ms = 0.0);
    records.sort_by(|a, b| (&a.test, a.seed).cmp(&(&b.test, b.seed)));
    records
}

#[test]
fn alone_and_as_the_last_of_a_hundred_with_one_worker_or_two() {
    let sweep =
        |name, jobs| records_of(name, &["run", "ReElection2A", "--seeds", "100", "--jobs", jobs]);
    let with_one = sweep("hundred-1", "1");
    assert_eq!(with_one.len(), 100);
    assert_eq!(with_one, sweep("hundred-2", "2"));
    assert_eq!(records_of("alone", &["run", "ReElection2A", "--seed", "99"]), with_one[99..]);
}

#[test]
fn in_other_processes_and_in_this_one() {
    let names: Vec<&str> = sample().map(|test| test.name).collect();
    let sweep = |name, jobs| {
        records_of(name, &[&["run", "--seeds", "4..6", "--jobs", jobs], &names[..]].concat())
    };
    let first = sweep("first", "1");
    assert_eq!(first.len(), 2 * SAMPLE.len());
    assert_eq!(first, sweep("second", "2"));
    for record in first {
        let test = select(tests::SUITE, &record.test).unwrap()[0];
        let here = fingerprint(test, record.seed, false);
        assert_eq!(record.fingerprint, format!("{here:016x}"), "{}", record.test);
    }
}
