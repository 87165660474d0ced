//! The reference with what goes beyond the course: the tests that are for it, those of lab 2 and the
//! scenarios, on a few seeds each; and that a Raft without it is not asked for it.

use labraft::{Implementation, Part, Property, Reason, Run, Test, run_test};
use labrpc::RunSpec;

use crate::common::lab;

/// The tests of optional parts, and others whose elections it takes part in.
fn tests() -> impl Iterator<Item = &'static Test> {
    tests::SUITE.iter().filter(|test| test.part < Part::Kv3A || test.name.starts_with("Chaos"))
}

#[test]
fn the_extended_reference_passes() {
    for test in tests() {
        for seed in 0..3 {
            for raft in [raft::EXTENDED, raft::LEASES] {
                let report = run_test(test, raft, RunSpec::seed(seed), false);
                let details = report.result.as_ref().err().map(labraft::Failure::details);
                assert_eq!(report.result, Ok(()), "{}, {seed}: {details:#?}", test.name);
            }
        }
    }
}

/// Reads that a leader confirms although another leads, among so many seeds of a test in which leaders are cut off.
/// Server 0's clock runs at `rate` thousandths of the true rate, and may be the leader's.
fn stale_reads(raft: Implementation, rate: u32) -> usize {
    let test = tests::SUITE.iter().find(|test| test.name == "LostMajority2G").unwrap();
    let is_stale = |seed: &u64| {
        let acts = vec![format!("0s rate 0 {rate}").parse().unwrap()];
        let spec = RunSpec { acts, ..RunSpec::seed(*seed) };
        let failure = Run::new(test, raft, spec).run().result.err();
        failure.is_some_and(|failure| match &failure.reason {
            Reason::Violation(violation) => violation.property == Property::ReadIndex,
            _ => false,
        })
    };
    (0..100).filter(is_stale).count()
}

#[test]
fn leases_are_safe_for_as_long_as_clocks_keep_within_the_bound() {
    assert_eq!(stale_reads(raft::LEASES, 700), 0, "by less than a half");
    assert!(stale_reads(raft::LEASES, 500) > 0, "half as fast as the others");
    assert_eq!(stale_reads(raft::EXTENDED, 500), 0, "a round of messages needs no clock");
}

#[test]
fn the_tests_of_an_optional_part_fail_without_it() {
    for test in tests::SUITE.iter().filter(|test| test.part.is_optional()) {
        let undeclared = Implementation { offers: <_>::default(), ..raft::EXTENDED };
        let declared = Implementation { offers: raft::EXTENDED.offers, ..raft::REFERENCE };
        for raft in [undeclared, declared] {
            let report = run_test(test, raft, RunSpec::seed(0), false);
            assert!(report.result.is_err(), "{} passes", test.name);
        }
    }
}

/// Runs `lab`. Returns its exit code, and what it prints.
fn run_lab(arguments: &[&str]) -> (Option<i32>, String) {
    let out = crate::common::scratch("extended");
    let output = lab().args(arguments).arg("--out").arg(out).output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(printed).unwrap())
}

#[test]
fn what_is_not_offered_is_listed_and_not_run() {
    let (code, printed) = run_lab(&["run", "2", "--seeds", "1"]);
    assert_eq!(code, Some(0), "{printed}");
    assert!(
        printed
            .contains("not offered by reference: 7 tests of part 2E, 7 tests of part 2F, 8 tests"),
        "{printed}"
    );
    assert!(!printed.contains("Test (2E)"), "{printed}");
}

#[test]
fn who_asks_only_for_what_is_not_offered_is_told_who_offers_it() {
    for arguments in [
        &["run", "2E"][..],
        &["run", "2A", "DeafServer2E"],
        &["replay", "DeafServer2E", "--seed", "0"],
        &["search", "DeafServer2E"],
    ] {
        let (code, printed) = run_lab(arguments);
        assert_eq!(code, Some(2), "{printed}");
        let hint = "which reference does not offer; give --implementation extended or leases";
        assert!(printed.contains(hint), "{printed}");
    }
    let (code, printed) = run_lab(&["run", "DeafServer2E", "--implementation", "extended"]);
    assert_eq!(code, Some(0), "{printed}");
}
