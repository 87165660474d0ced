//! What is said of a submission: to its student, to the teacher, to programs.
//!
//! Of hidden seeds a student sees how many passed, and the property or the expectation that the others
//! broke, until the course publishes them. Nothing here holds a time but where it is called one, so that
//! two gradings of one submission are the same.

use std::fmt::Write;

use labraft::Part;
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde_json::{Value, json};

use super::Graded;
use super::points::{Points, RaftOf, TestGrade};
use super::runs::SeedResult;

/// How many failed seeds of a test are shown.
const SEEDS_SHOWN: usize = 5;

/// Whom a report is for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// Of hidden seeds, the property and the count only.
    Student,
    /// Everything.
    Teacher,
}

/// A page in Markdown.
pub(super) fn page(graded: &Graded, course: &str, reader: Reader) -> String {
    let (points, most) = (graded.points(), graded.most());
    let mut text = format!("# {}: {points} of {most} points\n\n", inline(&graded.name));
    writeln!(text, "{}. Submission {}.\n", inline(course), &graded.digest).expect(IT_IS_A_STRING);
    for (title, lines) in notes(graded, reader) {
        writeln!(text, "{title}:\n\n{}", block(&lines)).expect(IT_IS_A_STRING);
    }
    text += "| test | points | of | public seeds | hidden seeds |\n|---|--:|--:|--:|--:|\n";
    for (part, tests) in graded.parts() {
        let sum = |points: fn(&TestGrade) -> Points| -> Points {
            tests.iter().copied().map(points).sum()
        };
        let (points, most) = (sum(|test| test.points), sum(|test| test.most));
        writeln!(text, "| **{part}** | **{points}** | **{most}** | | |").expect(IT_IS_A_STRING);
        for test in tests {
            let TestGrade { points, most, .. } = test;
            let (public, hidden) = (counts(test, false), counts(test, true));
            let name = test.test.name;
            writeln!(text, "| {name} | {points} | {most} | {public} | {hidden} |")
                .expect(IT_IS_A_STRING);
        }
    }
    for test in &graded.tests {
        let words = words(test, reader);
        if !words.is_empty() {
            let name = test.test.name;
            writeln!(text, "\n## {name}\n\n{}", block(&words).trim_end()).expect(IT_IS_A_STRING);
        }
    }
    text
}

const IT_IS_A_STRING: &str = "a string can be written to";

/// What there is to say of the whole submission.
fn notes(graded: &Graded, reader: Reader) -> Vec<(&'static str, Vec<String>)> {
    let mut notes = Vec::new();
    let mut add = |title, lines: &[String]| {
        if !lines.is_empty() {
            notes.push((title, lines.to_vec()));
        }
    };
    add("It was not graded", &graded.refused);
    add("Left out of the submission", &graded.left_out);
    add("The compiler says", &graded.compiler);
    if reader == Reader::Teacher {
        add(
            "To be looked at by a person, for servers may share it, or it reaches out of the run",
            &graded.to_look_at,
        );
        add(
            "What stood between the submission and the machine",
            std::slice::from_ref(&graded.walls),
        );
    }
    notes
}

/// Such as `19/20`; nothing where there are no such seeds.
fn counts(test: &TestGrade, is_hidden: bool) -> String {
    match test.of_kind(Some(is_hidden)).count() {
        0 => String::new(),
        all => format!("{}/{all}", test.passed(Some(is_hidden))),
    }
}

/// What there is to say of a test that has not all points, a line each.
fn words(test: &TestGrade, reader: Reader) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(test.missing.clone());
    if let Some(property) = &test.zeroed_by {
        lines.push(format!("no points: a safety property was broken: {property}"));
    }
    let failed = |is_hidden| -> Vec<&SeedResult> {
        test.of_kind(Some(is_hidden)).filter(|outcome| !outcome.has_passed()).collect()
    };
    for is_hidden in [false, true] {
        let failed = failed(is_hidden);
        if failed.is_empty() {
            continue;
        }
        let kind = if is_hidden { "hidden" } else { "public" };
        lines.push(format!("{} {kind} seeds did not pass:", failed.len()));
        for (reason, count) in test.reasons(is_hidden) {
            lines.push(format!("  {count:5} x {reason}"));
        }
        if is_hidden && reader == Reader::Student {
            continue;
        }
        for outcome in failed.into_iter().take(SEEDS_SHOWN) {
            lines.extend(told(test.test.name, outcome));
        }
    }
    if !lines.is_empty() && test.on == Some(RaftOf::Lab) {
        lines.insert(0, "on the lab's own Raft, which gave the better result:".into());
    }
    lines
}

/// One seed that did not pass.
fn told(test: &str, outcome: &SeedResult) -> Vec<String> {
    let seed = outcome.seed.value;
    let Some(record) = &outcome.record else { return vec![format!("  seed {seed} was not run")] };
    let verdict = record.verdict.name().to_uppercase();
    let reason = record.problem.as_ref().map_or("", |problem| problem.reason.as_str());
    let at = record.problem.as_ref().and_then(|problem| problem.at);
    let at = at.map(|at| format!(" at {at:.6} s")).unwrap_or_default();
    vec![
        format!("  {verdict}{at}: {reason}"),
        format!("    replay: cargo lab replay {test} --seed {seed}"),
    ]
}

/// Text of a submission's own within a line of Markdown.
fn inline(text: &str) -> String {
    text.chars().map(|c| if c.is_alphanumeric() || " .,-_".contains(c) { c } else { ' ' }).collect()
}

/// Text of a submission's own as a block of Markdown, which it cannot end.
fn block(lines: &[String]) -> String {
    let lines = lines.iter().flat_map(|line| line.split('\n'));
    lines.map(|line| format!("    {}\n", printable(line).trim_end())).collect()
}

/// Without what steers a terminal or has no place in XML.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

/// Gradescope's `results.json`.
pub(super) fn gradescope(graded: &Graded, reader: Reader, seconds: f64) -> Value {
    let mut output = String::new();
    for (title, lines) in notes(graded, Reader::Student) {
        output += &format!("{title}:\n{}\n", printable(&lines.join("\n")));
    }
    let tests: Vec<Value> = graded
        .parts()
        .into_iter()
        .flat_map(|(part, tests)| (1..).zip(tests).map(move |(i, test)| (part, i, test)))
        .map(|(part, i, test)| {
            let is_full = test.points == test.most && test.missing.is_none();
            json!({
                "number": format!("{part}.{i}"),
                "name": test.test.name,
                "score": test.points.value(),
                "max_score": test.most.value(),
                "status": if is_full { "passed" } else { "failed" },
                "output": gradescope_words(test, reader),
                "output_format": "text",
                "visibility": "visible",
            })
        })
        .collect();
    json!({
        "execution_time": seconds.round(),
        "output": output,
        "output_format": "text",
        "stdout_visibility": "hidden",
        "extra_data": { "submission": graded.digest },
        "tests": tests,
    })
}

/// What Gradescope reads when grading has not come to its end.
pub(super) fn unfinished() -> Value {
    json!({
        "score": 0,
        "output": "grading has begun, and has not come to its end: ask the course's staff",
        "stdout_visibility": "hidden",
    })
}

fn gradescope_words(test: &TestGrade, reader: Reader) -> String {
    let mut lines = vec![test.test.title.to_string()];
    for (is_hidden, kind) in [(false, "public"), (true, "hidden")] {
        let counts = counts(test, is_hidden);
        if !counts.is_empty() {
            lines.push(format!("{counts} {kind} seeds passed"));
        }
    }
    lines.extend(words(test, reader));
    printable(&lines.join("\n"))
}

/// JUnit's XML: a suite for each part, a case for each test.
pub(super) fn junit(graded: &Graded, reader: Reader) -> String {
    let mut report = quick_junit::Report::new(graded.name.clone());
    for (part, tests) in graded.parts() {
        let mut suite = TestSuite::new(part.name());
        for test in tests {
            let is_full = test.points == test.most && test.missing.is_none();
            let status = match is_full {
                true => TestCaseStatus::success(),
                false => {
                    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                    status.set_message(format!("{} of {} points", test.points, test.most));
                    status.set_description(printable(&words(test, reader).join("\n")));
                    status
                }
            };
            let mut case = TestCase::new(test.test.name, status);
            case.set_classname(part.name());
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    report.to_string().unwrap_or_else(|error| format!("<!-- {error} -->\n"))
}

/// The class, a line each, as spreadsheets read it.
pub(super) fn class(all: &[Graded]) -> String {
    let Some(first) = all.first() else { return String::new() };
    let parts = first.parts();
    let mut head = vec!["submission".to_string(), "status".into(), "points".into(), "of".into()];
    head.extend(parts.iter().map(|(part, _)| part.name().to_string()));
    head.extend(first.tests.iter().map(|test| test.test.name.to_string()));
    head.push("digest".into());
    let mut text = row(&head);
    for graded in all {
        let mut cells = vec![cell(&graded.name), graded.status().into()];
        cells.extend([graded.points(), graded.most()].map(|points| points.to_string()));
        cells.extend(
            graded
                .parts()
                .iter()
                .map(|(_, tests)| tests.iter().map(|test| test.points).sum::<Points>().to_string()),
        );
        cells.extend(graded.tests.iter().map(|test| test.points.to_string()));
        cells.push(graded.digest.clone());
        text += &row(&cells);
    }
    text
}

/// A name is no formula to a spreadsheet, and ends no cell.
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

/// What GitHub Classroom's reporter reads, before it is put into base64.
pub(super) fn classroom(graded: &Graded, reader: Reader) -> Value {
    let tests: Vec<Value> = graded
        .tests
        .iter()
        .map(|test| {
            let is_full = test.points == test.most && test.missing.is_none();
            json!({
                "name": test.test.name,
                "status": if is_full { "pass" } else { "fail" },
                "score": test.points.value(),
                "message": printable(&words(test, reader).join("\n")),
                "test_code": "",
                "filename": "",
                "line_no": 0,
                "duration": 0,
            })
        })
        .collect();
    let is_full = graded.points() == graded.most();
    json!({
        "version": 1,
        "status": if is_full { "pass" } else { "fail" },
        "max_score": graded.most().value(),
        "tests": tests,
    })
}

/// The parts of these tests, in order, with the tests of each.
pub(super) fn by_part(tests: &[TestGrade]) -> Vec<(Part, Vec<&TestGrade>)> {
    let mut parts: Vec<(Part, Vec<&TestGrade>)> = Vec::new();
    for test in tests {
        match parts.last_mut() {
            Some((part, tests)) if *part == test.test.part => tests.push(test),
            _ => parts.push((test.test.part, vec![test])),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use lab::records::Record;
    use labraft::{Test, Verdict};

    use super::super::config::Course;
    use super::super::runs::SeedResult;
    use super::super::seeds::Seed;
    use super::*;
    use ::tests::SUITE;

    /// A record, as a worker would have written it.
    fn record(test: &Test, seed: u64, verdict: Verdict, reason: &str) -> Record {
        let problem = match verdict {
            Verdict::Passed => json!({}),
            _ => json!({
                "reason": reason, "group": reason, "at": 1.5, "server": null, "details": [],
                "property": reason.split_once("): ").map(|(property, _)| format!("{property})")),
            }),
        };
        let mut value = json!({
            "test": test.name, "seed": seed, "implementation": "reference", "profile": "go",
            "verdict": verdict, "virtual_seconds": 1.0, "cpu_ms": seed as f64, "rpcs": 1, "bytes": 1,
            "commands": 1, "events": 1, "fingerprint": "",
            "build": {"program": "", "commit": "", "lock": "", "compiler": "", "profile": ""},
        });
        for (key, field) in problem.as_object().into_iter().flatten() {
            value[key] = field.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    const HIDDEN: u64 = 987_654_321_987;

    /// Of the first test: seed 0 is public, and the other is not.
    fn graded(verdict: Verdict, reason: &str, zero_on_safety: bool) -> Graded {
        let text =
            format!("secret = \"key\"\nparts = [\"2A\"]\nzero_on_safety = {zero_on_safety}\n");
        let course: Course = toml::from_str(&text).unwrap();
        let test = &SUITE[0];
        let of = |value, is_hidden, verdict| SeedResult {
            seed: Seed { value, is_hidden },
            record: Some(record(test, value, verdict, reason)),
        };
        let outcomes = vec![of(0, false, Verdict::Passed), of(HIDDEN, true, verdict)];
        Graded {
            name: "=alice, \"B\"".into(),
            digest: "d".into(),
            refused: Vec::new(),
            left_out: vec!["\"raft/a\": ```\n# It passed".into()],
            compiler: Vec::new(),
            to_look_at: vec!["raft/src/lib.rs:1:1: `static`".into()],
            walls: "isolation: limits".into(),
            tests: vec![TestGrade::of(&course, test, 6, outcomes)],
        }
    }

    #[test]
    fn students_see_no_hidden_seed_before_it_is_published() {
        let graded = graded(Verdict::Failed, "expected one leader, got none", true);
        assert_eq!(graded.points(), Points(300));
        let all = |reader| {
            let json = gradescope(&graded, reader, 1.0).to_string();
            let classroom = classroom(&graded, reader).to_string();
            [page(&graded, "Raft", reader), json, junit(&graded, reader), classroom]
        };
        for text in all(Reader::Student) {
            assert!(text.contains("1 x expected one leader, got none"), "{text}");
            assert!(!text.contains(&HIDDEN.to_string()) && !text.contains("1.500000"), "{text}");
            assert!(!text.contains("static"), "{text}");
        }
        for text in all(Reader::Teacher) {
            assert!(text.contains(&format!("--seed {HIDDEN}")), "{text}");
        }
    }

    #[test]
    fn a_safety_violation_takes_all_points_if_the_course_says_so() {
        let reason = "Election Safety (paper, figure 3): term 3 has leaders [0, 1]";
        let zeroed = graded(Verdict::Failed, reason, true);
        assert_eq!(zeroed.points(), Points(0));
        assert!(page(&zeroed, "Raft", Reader::Student).contains("was broken: Election Safety\n"));
        assert_eq!(graded(Verdict::Failed, reason, false).points(), Points(300));
        // A process that ended with such words has not broken it, as far as anybody knows.
        assert_eq!(graded(Verdict::Crashed, reason, true).points(), Points(300));
    }

    #[test]
    fn what_a_submission_says_does_not_become_part_of_a_report() {
        let graded = graded(Verdict::Failed, "</testcase>\u{1b}[2J\n# 100 points", true);
        let text = page(&graded, "Raft", Reader::Teacher);
        assert!(!text.contains("\n#  100") && !text.contains("\n# It") && !text.contains('\u{1b}'));
        let xml = junit(&graded, Reader::Student);
        assert!(!xml.contains("\u{1b}") && xml.matches("</testcase>").count() == 1, "{xml}");
        let table = class(std::slice::from_ref(&graded));
        assert!(table.contains("\n\"'=alice, \"\"B\"\"\",graded,3,6,3,3,d\n"), "{table}");
    }
}
