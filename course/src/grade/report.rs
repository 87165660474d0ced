//! The contents of the reports on a submission: for the student, for the teacher, for programs.
//!
//! Until the course publishes its hidden seeds, a student sees how many of them passed, and which
//! properties or expectations failed under the others. There is no time in a report except where a
//! format asks for one, so that grading a submission again gives the same reports.

use std::fmt::Write;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde_json::{Value, json};

use super::points::{PartGrade, Points, RaftOf, SubmissionGrade, TestGrade};
use super::runs::SeedResult;
use super::seeds::SeedKind;

/// At most this many failed seeds of each kind are shown for a test.
const SEEDS_SHOWN: usize = 5;
const WRITING_TO_A_STRING: &str = "writing to a string cannot fail";

/// The reader of a report, who decides what it says about hidden seeds.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// Sees the properties and expectations that failed, with counts.
    Student,
    /// Sees everything.
    Teacher,
}

/// The line that the command prints about a submission.
pub(super) fn line(grade: &SubmissionGrade, seconds: f64) -> String {
    let parts: Vec<String> = grade
        .parts()
        .iter()
        .map(|part| format!("{} {}/{}", part.part, part.points(), part.most()))
        .collect();
    let name = &grade.name;
    let status = grade.status();
    let points = grade.points();
    let most = grade.most();
    format!("{name}: {points} of {most} points, {status}, in {seconds:.0} s ({})", parts.join(", "))
}

/// The report in Markdown: `report.md` and `teacher.md`.
pub(super) fn page(grade: &SubmissionGrade, course: &str, reader: Reader) -> String {
    let name = inline(&grade.name);
    let mut text = format!("# {name}: {} of {} points\n\n", grade.points(), grade.most());
    writeln!(text, "{}. Submission {}.\n", inline(course), &grade.digest)
        .expect(WRITING_TO_A_STRING);
    for note in notes(grade, reader) {
        writeln!(text, "{}:\n\n{}", note.title, block(note.lines)).expect(WRITING_TO_A_STRING);
    }
    text += &points_table(grade);
    for test in &grade.tests {
        let lines = failures(test, reader);
        if !lines.is_empty() {
            writeln!(text, "\n## {}\n\n{}", test.test.name, block(&lines).trim_end())
                .expect(WRITING_TO_A_STRING);
        }
    }
    text
}

/// The points of each part and test, as a Markdown table.
fn points_table(grade: &SubmissionGrade) -> String {
    let mut table =
        "| test | points | of | public seeds | hidden seeds |\n|---|--:|--:|--:|--:|\n".to_string();
    for part in grade.parts() {
        let name = part.part;
        writeln!(table, "| **{name}** | **{}** | **{}** | | |", part.points(), part.most())
            .expect(WRITING_TO_A_STRING);
        for test in part.tests {
            let TestGrade { points, most, .. } = test;
            let name = test.test.name;
            let public = passed_of_all(test, SeedKind::Public);
            let hidden = passed_of_all(test, SeedKind::Hidden);
            writeln!(table, "| {name} | {points} | {most} | {public} | {hidden} |")
                .expect(WRITING_TO_A_STRING);
        }
    }
    table
}

/// A remark on the whole submission.
struct Note<'a> {
    title: &'static str,
    lines: &'a [String],
}

fn notes(grade: &SubmissionGrade, reader: Reader) -> Vec<Note<'_>> {
    let mut notes = vec![
        Note { title: "Not graded", lines: &grade.refused },
        Note { title: "Not used", lines: &grade.ignored },
        Note { title: "Output of the compiler", lines: &grade.compiler },
    ];
    if reader == Reader::Teacher {
        notes.push(Note {
            title: "Please look at these places, where servers could share state or reach out of \
                    the simulation",
            lines: &grade.suspicious,
        });
        notes.push(Note {
            title: "Please look at these runs, in which a server or a client knew more than it was told",
            lines: &grade.unexplained,
        });
        notes.push(Note {
            title: "Sandbox layers around the runs",
            lines: std::slice::from_ref(&grade.isolation),
        });
    }
    notes.retain(|note| !note.lines.is_empty());
    notes
}

/// How many of the seeds of this kind passed, such as `19/20`; empty if there are none.
fn passed_of_all(test: &TestGrade, kind: SeedKind) -> String {
    let all = test.of_kind(kind).count();
    if all == 0 {
        return String::new();
    }
    format!("{}/{all}", all - test.failed(kind).count())
}

/// Explains, line by line, why a test does not have all of its points.
fn failures(test: &TestGrade, reader: Reader) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(test.missing.clone());
    if let Some(property) = &test.zeroed_by {
        lines.push(format!(
            "no points, because a safety property was violated: {}",
            property.title()
        ));
    }
    for kind in SeedKind::ALL {
        let failed: Vec<&SeedResult> = test.failed(kind).collect();
        if failed.is_empty() {
            continue;
        }
        let seeds = if failed.len() == 1 { "seed" } else { "seeds" };
        lines.push(format!("{} {} {seeds} did not pass:", failed.len(), kind.name()));
        for (reason, count) in test.reasons(kind) {
            lines.push(format!("  {count:5} x {reason}"));
        }
        if kind == SeedKind::Hidden && reader == Reader::Student {
            continue;
        }
        for result in failed.into_iter().take(SEEDS_SHOWN) {
            lines.extend(failed_seed(test.test.name, result));
        }
    }
    if !lines.is_empty() && test.on == Some(RaftOf::Lab) {
        lines.insert(0, "on the lab's own Raft, which gave the better result:".into());
    }
    lines
}

/// Describes, line by line, the run with a seed that did not pass.
fn failed_seed(test: &str, result: &SeedResult) -> Vec<String> {
    let seed = result.seed.value;
    let Some(record) = &result.record else { return vec![format!("  seed {seed} was not run")] };
    let verdict = record.verdict.name().to_uppercase();
    let reason = record.failure.as_ref().map_or("", |failure| failure.reason.as_str());
    let at = record.failure.as_ref().and_then(|failure| failure.at);
    let at = at.map(|at| format!(" at {at:.6} s")).unwrap_or_default();
    vec![
        format!("  {verdict}{at}: {reason}"),
        format!("    replay: cargo lab replay {test} --seed {seed}"),
    ]
}

/// Text from a submission, made harmless within a line of Markdown.
fn inline(text: &str) -> String {
    text.chars().map(|c| if c.is_alphanumeric() || " .,-_".contains(c) { c } else { ' ' }).collect()
}

/// Text from a submission as a block of Markdown, which the text cannot end.
fn block(lines: &[String]) -> String {
    let lines = lines.iter().flat_map(|line| line.split('\n'));
    lines.map(|line| format!("    {}\n", printable(line).trim_end())).collect()
}

/// The text without control characters, which could control a terminal and are not allowed in XML.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

/// Gradescope's `results.json`.
pub(super) fn gradescope(grade: &SubmissionGrade, reader: Reader, seconds: f64) -> Value {
    let mut output = String::new();
    for note in notes(grade, Reader::Student) {
        output += &format!("{}:\n{}\n", note.title, printable(&note.lines.join("\n")));
    }
    let mut tests = Vec::new();
    for part in grade.parts() {
        for (i, test) in (1..).zip(part.tests) {
            tests.push(json!({
                "number": format!("{}.{i}", part.part),
                "name": test.test.name,
                "score": test.points.value(),
                "max_score": test.most.value(),
                "status": if test.is_full() { "passed" } else { "failed" },
                "output": gradescope_output(test, reader),
                "output_format": "text",
                "visibility": "visible",
            }));
        }
    }
    json!({
        "execution_time": seconds.round(),
        "output": output,
        "output_format": "text",
        "stdout_visibility": "hidden",
        "extra_data": { "submission": grade.digest },
        "tests": tests,
    })
}

/// The result that Gradescope finds if grading is cut short.
pub(super) fn unfinished() -> Value {
    json!({
        "score": 0,
        "output": "Grading started but did not finish. Please ask the course staff.",
        "stdout_visibility": "hidden",
    })
}

fn gradescope_output(test: &TestGrade, reader: Reader) -> String {
    let mut lines = vec![test.test.title.to_string()];
    for kind in SeedKind::ALL {
        let passed = passed_of_all(test, kind);
        if !passed.is_empty() {
            lines.push(format!("{passed} {} seeds passed", kind.name()));
        }
    }
    lines.extend(failures(test, reader));
    printable(&lines.join("\n"))
}

/// The report as JUnit XML, with a suite for each part and a case for each test.
pub(super) fn junit(grade: &SubmissionGrade, reader: Reader) -> String {
    let mut report = quick_junit::Report::new(grade.name.clone());
    for part in grade.parts() {
        let mut suite = TestSuite::new(part.part.name());
        for test in part.tests {
            let status = if test.is_full() {
                TestCaseStatus::success()
            } else {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(format!("{} of {} points", test.points, test.most));
                status.set_description(printable(&failures(test, reader).join("\n")));
                status
            };
            let mut case = TestCase::new(test.test.name, status);
            case.set_classname(part.part.name());
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    report.to_string().unwrap_or_else(|error| format!("<!-- {error} -->\n"))
}

/// `class.csv`, with one line for each submission.
pub(super) fn class(all: &[SubmissionGrade]) -> String {
    let Some(first) = all.first() else { return String::new() };
    let mut head = vec!["submission".to_string(), "status".into(), "points".into(), "of".into()];
    head.extend(first.parts().iter().map(|part| part.part.name().to_string()));
    head.extend(first.tests.iter().map(|test| test.test.name.to_string()));
    head.push("digest".into());
    let mut text = row(&head);
    for grade in all {
        let mut points = vec![grade.points(), grade.most()];
        points.extend(grade.parts().iter().map(PartGrade::points));
        points.extend(grade.tests.iter().map(|test| test.points));
        let mut cells = vec![cell(&grade.name), grade.status().into()];
        cells.extend(points.iter().map(Points::to_string));
        cells.push(grade.digest.clone());
        text += &row(&cells);
    }
    text
}

/// Escapes a name so that a spreadsheet takes it neither for a formula nor for several cells.
fn cell(name: &str) -> String {
    let name = printable(name).replace('"', "\"\"");
    let quote = if name.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
    if name.contains([',', '"', '\n']) || !quote.is_empty() {
        format!("\"{quote}{name}\"")
    } else {
        name
    }
}

fn row(cells: &[String]) -> String {
    cells.join(",") + "\n"
}

/// The JSON that GitHub Classroom's reporter reads, before it is encoded in base64.
pub(super) fn classroom(grade: &SubmissionGrade, reader: Reader) -> Value {
    let mut tests = Vec::new();
    for test in &grade.tests {
        tests.push(json!({
            "name": test.test.name,
            "status": if test.is_full() { "pass" } else { "fail" },
            "score": test.points.value(),
            "message": printable(&failures(test, reader).join("\n")),
            "test_code": "",
            "filename": "",
            "line_no": 0,
            "duration": 0,
        }));
    }
    let is_full = grade.points() == grade.most();
    json!({
        "version": 1,
        "status": if is_full { "pass" } else { "fail" },
        "max_score": grade.most().value(),
        "tests": tests,
    })
}

#[cfg(test)]
mod tests {
    use lab::records::{Build, FailureRecord, RunRecord};
    use labraft::{CauseKind, Property, Test, Verdict};

    use super::super::config::Course;
    use super::super::runs::SeedResult;
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
        let text =
            format!("secret = \"key\"\nparts = [\"2A\"]\nzero_on_safety = {zero_on_safety}\n");
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
            let json = gradescope(&grade, reader, 1.0).to_string();
            let classroom = classroom(&grade, reader).to_string();
            [page(&grade, "Raft", reader), json, junit(&grade, reader), classroom]
        };
        for text in all(Reader::Student) {
            assert!(text.contains("1 x expected one leader, got none"), "{text}");
            assert!(!text.contains(&HIDDEN.to_string()) && !text.contains("1.500000"), "{text}");
            assert!(!text.contains("static") && !text.contains("hands up"), "{text}");
        }
        for text in all(Reader::Teacher) {
            assert!(text.contains(&format!("--seed {HIDDEN}")), "{text}");
        }
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
        assert!(
            text.contains("knew more than it was told:\n\n    server 2 hands up 17\n"),
            "{text}"
        );
        assert!(!text.contains("\n#  100") && !text.contains("\n# It") && !text.contains('\u{1b}'));
        let xml = junit(&grade, Reader::Student);
        assert!(!xml.contains("\u{1b}") && xml.matches("</testcase>").count() == 1, "{xml}");
        let table = class(std::slice::from_ref(&grade));
        assert!(table.contains("\n\"'=alice, \"\"B\"\"\",graded,3,6,3,3,d\n"), "{table}");
    }
}
