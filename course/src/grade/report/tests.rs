//! What reports say, to whom, and how much of it.

use lab::failure_record::FailureRecord;
use lab::records::{Build, RunRecord};
use std::collections::BTreeSet;

use labraft::{CauseKind, Crash, Limit, Property, Test, Verdict};

use super::super::config::Course;
use super::super::runs::{NO_PROBE, SeedResult};
use super::super::seeds::Seed;
use super::*;
use ::tests::SUITE;

fn record(test: &Test, seed: u64, verdict: Verdict, failure: &FailureRecord) -> RunRecord {
    let failure = FailureRecord { at: Some(1.5), ..failure.clone() };
    let record =
        RunRecord::ended((test.name, seed), "reference", verdict, failure, &Build::default());
    let failure = record.failure.clone().filter(|_| verdict != Verdict::Passed);
    RunRecord { failure, cpu_ms: seed as f64, ..record }
}

fn failure(reason: &str) -> FailureRecord {
    FailureRecord::new(reason, CauseKind::expectation(reason))
}

const HIDDEN: u64 = 987_654_321_987;

/// A grade of the first test: under the public seed 0 it passed, and under a hidden one it did
/// not.
fn grade(verdict: Verdict, failure: &FailureRecord, zero_on_safety: bool) -> SubmissionGrade {
    let text = format!("secret = \"key\"\nparts = [\"2A\"]\nzero_on_safety = {zero_on_safety}\n");
    let course: Course = toml::from_str(&text).unwrap();
    let test = &SUITE[0];
    let result = |value, kind, verdict| SeedResult {
        seed: Seed { value, kind },
        record: Some(record(test, value, verdict, failure)),
    };
    let results = vec![
        result(0, SeedKind::Public, Verdict::Passed),
        result(HIDDEN, SeedKind::Hidden, verdict),
    ];
    SubmissionGrade {
        name: "=alice, \"B\"".into(),
        digest: "d".into(),
        refused: Vec::new(),
        broken: None,
        ignored: vec!["\"raft/a\": ```\n# It passed".into()],
        compiler: Vec::new(),
        suspicious: vec!["raft/src/lib.rs:1:1: `static`".into()],
        unexplained: vec!["server 2 hands up 17".into()],
        isolation: "isolation: limits".into(),
        tests: vec![TestGrade::of(&course, test, 6, results)],
    }
}

#[test]
fn students_see_no_hidden_seed_before_it_is_published() {
    let failure = failure("expected one leader, got none");
    let grade = grade(Verdict::Failed, &failure, true);
    assert_eq!(grade.points(), Points(300));
    let all = |reader| {
        let json = gradescope(&grade, reader).to_string();
        let classroom = classroom(&grade, reader).to_string();
        [page(&grade, "Raft", reader), json, junit(&grade, reader), classroom]
    };
    for text in all(Reader::Student) {
        assert!(text.contains("most often: an expectation of the test was not met"), "{text}");
        assert!(!text.contains(&HIDDEN.to_string()) && !text.contains("1.500000"), "{text}");
        assert!(!text.contains("static") && !text.contains("hands up"), "{text}");
    }
    for text in all(Reader::Teacher) {
        assert!(text.contains("1 x expected one leader, got none"), "{text}");
        assert!(text.contains(&format!("--seed {HIDDEN}")), "{text}");
    }
}

/// What students see of a run under a hidden seed is one of few fixed texts, whatever the code
/// under test does. Their number is what docs/course/grading.md reckons with.
#[test]
fn nothing_that_a_submission_says_in_a_hidden_run_reaches_students() {
    let texts = |word: &str| {
        let mut kinds = vec![
            CauseKind::expectation(word),
            CauseKind::Panic { at: Some(word.into()) },
            CauseKind::Panic { at: None },
            CauseKind::Forbidden { offence: word.into() },
            CauseKind::UnknownMethod { method: word.into() },
            CauseKind::Stuck,
            CauseKind::Stopped,
            CauseKind::Undecided,
            CauseKind::Hang,
            CauseKind::expectation(NO_PROBE),
        ];
        kinds.extend(Property::all().map(|property| CauseKind::Property { property }));
        kinds.extend(
            [Limit::TestTime, Limit::VirtualTime, Limit::Events, Limit::Polls]
                .map(|limit| CauseKind::Limit { limit }),
        );
        let code = word.len() as i32;
        kinds.extend(
            [Crash::Exit(code), Crash::Signal(code), Crash::Output, Crash::Garbled]
                .map(|crash| CauseKind::Crash { crash }),
        );
        let verdicts = [Verdict::Failed, Verdict::Unknown, Verdict::Crashed, Verdict::Hung];
        let mut texts = Vec::new();
        for (kind, verdict) in kinds.iter().flat_map(|kind| verdicts.map(|v| (kind, v))) {
            let said = FailureRecord {
                details: vec![word.into()],
                server: Some(word.len()),
                ..FailureRecord::new(word, kind.clone())
            };
            let grade = grade(verdict, &said, false);
            let student = Reader::Student;
            texts.push(page(&grade, "Raft", student));
            texts.push(gradescope(&grade, student).to_string());
            texts.push(junit(&grade, student));
            texts.push(classroom(&grade, student).to_string());
        }
        texts
    };
    let one = texts("seed 12");
    assert_eq!(one, texts("the dice say 7"));
    let different: BTreeSet<&String> = one.iter().step_by(4).collect();
    // And a run that was not made; and no failure at all.
    assert!(different.len() + 2 <= 49, "{} texts", different.len());
}

/// The safety property that took all points is the third of the values that docs/course/grading.md reckons
/// with. Those of lab 4 are among them.
#[test]
fn few_properties_can_take_all_points() {
    let zeroing = Property::all().filter(|property| property.is_safety());
    let different: BTreeSet<&str> = zeroing.map(class_title).collect();
    assert!(different.contains(class_title(Property::OneOwner)));
    // And none.
    assert!(different.len() < 27, "{} titles", different.len());
}

#[test]
fn a_slip_takes_the_points_of_its_run_only() {
    for property in Property::all() {
        let broken = FailureRecord::new("", CauseKind::Property { property });
        let points = if property.is_safety() { 0 } else { 300 };
        assert_eq!(grade(Verdict::Failed, &broken, true).points(), Points(points), "{property}");
    }
    assert!(!Property::ElectionTimer.is_safety());
}

#[test]
fn the_length_of_a_report_does_not_depend_on_what_a_submission_says() {
    let course: Course = toml::from_str("secret = \"key\"").unwrap();
    let test = &SUITE[0];
    let results = (0..400).map(|value| {
        let kind = CauseKind::Panic { at: Some(format!("{value}{}", "x".repeat(1 << 16))) };
        let failure = FailureRecord::new("y".repeat(1 << 16), kind).bounded();
        let kind = if value < 200 { SeedKind::Public } else { SeedKind::Hidden };
        let record = Some(record(test, value, Verdict::Failed, &failure));
        SeedResult { seed: Seed { value, kind }, record }
    });
    let results: Vec<SeedResult> = results.collect();
    let mut grade = SubmissionGrade::new("flood", String::new());
    grade.tests.push(TestGrade::of(&course, test, 6, results));
    let text = page(&grade, "Raft", Reader::Teacher);
    assert!(text.len() < 100 << 10, "{} bytes", text.len());
    assert_eq!(text.matches("and 190 other reasons").count(), 2);
}

#[test]
fn the_teacher_sees_whether_a_raft_shows_its_inside() {
    let mut grade = grade(Verdict::Failed, &failure("no"), true);
    let title = "Whether its servers show their state";
    let shown = |grade: &SubmissionGrade| page(grade, "Raft", Reader::Teacher);
    assert!(!shown(&grade).contains(title), "no run has finished");
    for result in &mut grade.tests[0].results {
        result.record.as_mut().unwrap().fingerprint = "1".into();
    }
    assert!(shown(&grade).contains("answers `probe` in all 2 runs"));
    grade.tests[0].results[1].record.as_mut().unwrap().is_probe_missing = true;
    assert!(shown(&grade).contains("answers `probe` in 1 of 2 runs only"));
    assert!(!page(&grade, "Raft", Reader::Student).contains(title));
    grade.tests[0].on = Some(RaftOf::Lab);
    assert!(!shown(&grade).contains(title), "the lab's own Raft says nothing about it");
}

#[test]
fn a_submission_that_broke_the_grader_is_not_blamed() {
    let broken = SubmissionGrade {
        broken: Some("cannot write tree/a: disk full".into()),
        ..SubmissionGrade::new("alice", String::new())
    };
    assert_eq!(broken.status(), "not graded");
    let student = page(&broken, "Raft", Reader::Student);
    assert!(student.contains("not the submission's fault") && !student.contains("disk full"));
    assert!(page(&broken, "Raft", Reader::Teacher).contains("disk full"));
}

#[test]
fn a_safety_violation_takes_all_points_if_the_course_says_so() {
    let kind = CauseKind::Property { property: Property::ElectionSafety };
    let two_leaders = FailureRecord::new("term 3 has leaders [0, 1]", kind);
    let zeroed = grade(Verdict::Failed, &two_leaders, true);
    assert_eq!(zeroed.points(), Points(0));
    assert!(page(&zeroed, "Raft", Reader::Student).contains("was violated: Election Safety\n"));
    assert_eq!(grade(Verdict::Failed, &two_leaders, false).points(), Points(300));
    // A process that crashes may have printed anything, so its words do not prove a violation.
    assert_eq!(grade(Verdict::Crashed, &two_leaders, true).points(), Points(300));
}

#[test]
fn text_from_a_submission_cannot_change_the_structure_of_a_report() {
    let failure = failure("</testcase>\u{1b}[2J\n# 100 points");
    let grade = grade(Verdict::Failed, &failure, true);
    let text = page(&grade, "Raft", Reader::Teacher);
    let text = text + &printable("a\u{202e}b");
    assert!(!text.contains('\u{202e}'));
    assert!(!text.contains("\n#  100") && !text.contains("\n# It") && !text.contains('\u{1b}'));
    let xml = junit(&grade, Reader::Student);
    assert!(!xml.contains("\u{1b}") && xml.matches("</testcase>").count() == 1, "{xml}");
    let mut table = ClassTable::default();
    table.add(&grade);
    let table = table.text();
    assert!(table.contains("\n\"'=alice, \"\"B\"\"\",graded,3,6,3,3,d\n"), "{table}");
}
