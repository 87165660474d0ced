//! The reference with what goes beyond the course: the tests that are for it, those of lab 2 and the
//! scenarios, on a few seeds each; and that a Raft without it is not asked for it.

use labraft::{Part, Test, run_test};
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
            let report = run_test(test, raft::EXTENDED, RunSpec::seed(seed), false);
            let details = report.result.as_ref().err().map(labraft::Failure::details);
            assert_eq!(report.result, Ok(()), "{}, seed {seed}: {details:#?}", test.name);
        }
    }
}

#[test]
fn the_tests_of_an_optional_part_fail_without_it() {
    for test in tests::SUITE.iter().filter(|test| test.part.is_optional()) {
        let undeclared = labraft::Implementation { offers: <_>::default(), ..raft::EXTENDED };
        let declared = labraft::Implementation { offers: raft::EXTENDED.offers, ..raft::REFERENCE };
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
    assert!(printed.contains("not offered by reference: ReturningServer2E, "), "{printed}");
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
        let hint = "which reference does not offer; give --implementation extended";
        assert!(printed.contains(hint), "{printed}");
    }
    let (code, printed) = run_lab(&["run", "DeafServer2E", "--implementation", "extended"]);
    assert_eq!(code, Some(0), "{printed}");
}
