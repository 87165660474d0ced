//! The same seed is the same run: however often, wherever, beside whatever else.

use std::ops::Range;
use std::path::PathBuf;
use std::process::Command;

use labraft::records::Record;
use labraft::{Test, run_test, select, sweep};
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

/// Seed and fingerprint of each run, in the order of the seeds.
fn sweep_fingerprints(test: &'static Test, seeds: Range<u64>, jobs: usize) -> Vec<(u64, u64)> {
    let mut all = Vec::new();
    sweep(test, seeds, raft::REFERENCE, jobs, |report| {
        all.push((report.spec.seed, report.fingerprint));
    });
    all.sort_unstable();
    all
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

#[test]
fn alone_and_as_the_last_of_a_hundred_with_one_job_or_two() {
    let test = select(tests::SUITE, "ReElection2A").unwrap()[0];
    let with_one_job = sweep_fingerprints(test, 0..100, 1);
    assert_eq!(with_one_job, sweep_fingerprints(test, 0..100, 2));
    assert_eq!(with_one_job[99], (99, fingerprint(test, 99, false)));
    for test in sample() {
        assert_eq!(sweep_fingerprints(test, 5..8, 1), sweep_fingerprints(test, 5..8, 2));
    }
}

/// Runs `lab` in a process of its own and returns what it kept, ordered.
fn records_of_a_process(name: &str, jobs: &str) -> Vec<Record> {
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    _ = std::fs::remove_dir_all(&out);
    let status = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["run", "2A", "2D", "--seeds", "4..6", "--jobs", jobs, "--out"])
        .arg(&out)
        .output()
        .unwrap()
        .status;
    assert!(status.success());
    let lines = std::fs::read_to_string(out.join("results.jsonl")).unwrap();
    let mut records: Vec<Record> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    records.sort_by(|a, b| (&a.test, a.seed).cmp(&(&b.test, b.seed)));
    assert_eq!(records.len(), 20, "ten tests, two seeds");
    records
}

#[test]
fn in_two_processes_and_in_this_one() {
    let first = records_of_a_process("first", "1");
    assert_eq!(first, records_of_a_process("second", "2"));
    for record in first {
        let test = select(tests::SUITE, &record.test).unwrap()[0];
        let here = fingerprint(test, record.seed, false);
        assert_eq!(record.fingerprint, format!("{here:016x}"), "{}", record.test);
    }
}
