//! The contents of the reports on a submission: for the student, for the teacher, for programs.
//!
//! Until the course publishes its hidden seeds, a student sees how many of them passed, and how most of
//! the others failed, in one of a fixed list of texts. Reports contain no times: grading a
//! submission again gives the same reports, and a time could reveal something about hidden runs.

use std::fmt::Write;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde_json::{Value, json};

use lab::submit::submission::is_printable;
use labraft::{Part, Test};

use super::points::{PartGrade, Points, RaftOf, SubmissionGrade, TestGrade, class_title};
use super::runs::SeedResult;
use super::seeds::SeedKind;

/// At most this many failed seeds of each kind are shown for a test.
const SEEDS_SHOWN: usize = 5;
/// The most reasons that are shown for a test. A submission can fail in as many ways as there are
/// runs.
const REASONS_SHOWN: usize = 10;
const WRITING_TO_A_STRING: &str = "writing to a string cannot fail";

/// The reader of a report, who decides what it says about hidden seeds.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// Sees everything about public seeds, and of hidden ones how many passed and how most others
    /// failed.
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
        writeln!(text, "{}:\n\n{}", note.title, block(&note.lines)).expect(WRITING_TO_A_STRING);
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
struct Note {
    title: &'static str,
    lines: Vec<String>,
}

fn notes(grade: &SubmissionGrade, reader: Reader) -> Vec<Note> {
    let mut notes = vec![
        Note { title: "The grader could not grade it", lines: broken(grade, reader) },
        Note { title: "Not graded", lines: grade.refused.clone() },
        Note { title: "Not used", lines: grade.ignored.clone() },
        Note { title: "Output of the compiler", lines: grade.compiler.clone() },
    ];
    if reader == Reader::Teacher {
        notes.push(Note {
            title: "Please look at these places, where servers could share state or reach out of \
                    the simulation",
            lines: grade.suspicious.clone(),
        });
        notes.push(Note { title: "Whether its servers show their state", lines: probes(grade) });
        notes.push(Note {
            title: "Please look at these runs, in which a server or a client knew more than it was told",
            lines: grade.unexplained.clone(),
        });
        notes.push(Note {
            title: "Sandbox layers around the runs",
            lines: vec![grade.isolation.clone()],
        });
    }
    notes.retain(|note| !note.lines.is_empty());
    notes
}

/// What went wrong in the grader. The student needs to know only that it did.
fn broken(grade: &SubmissionGrade, reader: Reader) -> Vec<String> {
    let Some(why) = &grade.broken else { return Vec::new() };
    let mut lines = vec!["This is not the submission's fault. Please ask the course staff.".into()];
    if reader == Reader::Teacher {
        lines.push(why.clone());
    }
    lines
}

/// How many runs of what the submission has of its own could be looked into.
fn probes(grade: &SubmissionGrade) -> Vec<String> {
    let (answered, all) = grade.probed_runs();
    let line = match answered {
        _ if all == 0 => return Vec::new(),
        _ if answered == all => format!("it answers `probe` in all {all} runs"),
        0 => format!("it does not answer `probe` in any of {all} runs"),
        _ => format!("it answers `probe` in {answered} of {all} runs only"),
    };
    vec![line]
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
            class_title(*property)
        ));
    }
    for kind in SeedKind::ALL {
        let failed: Vec<&SeedResult> = test.failed(kind).collect();
        if failed.is_empty() {
            continue;
        }
        if kind == SeedKind::Hidden && reader == Reader::Student {
            lines.extend(hidden_failures(test, failed.len()));
            continue;
        }
        let seeds = if failed.len() == 1 { "seed" } else { "seeds" };
        lines.push(format!("{} {} {seeds} did not pass:", failed.len(), kind.name()));
        let reasons = test.reasons(kind);
        for (reason, count) in reasons.iter().take(REASONS_SHOWN) {
            lines.push(format!("  {count:5} x {reason}"));
        }
        if let Some(more) = reasons.len().checked_sub(REASONS_SHOWN + 1) {
            lines.push(format!("  and {} other reasons", more + 1));
        }
        for result in failed.into_iter().take(SEEDS_SHOWN) {
            lines.extend(failed_seed(test.test, result));
        }
    }
    if !lines.is_empty() && test.on == Some(RaftOf::Lab) {
        lines.insert(0, "on the lab's own Raft, whose result counts:".into());
    }
    lines
}

/// What a student sees of the hidden seeds that did not pass.
fn hidden_failures(test: &TestGrade, failed: usize) -> Vec<String> {
    let class = test.hidden_class().unwrap_or("not run");
    let seeds = if failed == 1 { "seed" } else { "seeds" };
    vec![
        format!("{failed} hidden {seeds} did not pass; what happened most often: {class}"),
        format!("  look for a seed like that: cargo lab run {} --seeds 1000", test.test.name),
    ]
}

/// Describes, line by line, the run with a seed that did not pass.
fn failed_seed(test: &Test, result: &SeedResult) -> Vec<String> {
    let seed = result.seed.value;
    let Test { name, part, .. } = test;
    // What a search has found is found again with the fewest faults.
    let again = match part {
        Part::Search => format!("search: cargo lab search {name} --fail-fast"),
        _ => format!("replay: cargo lab replay {name} --seed {seed}"),
    };
    let Some(record) = &result.record else { return vec![format!("  seed {seed} was not run")] };
    let verdict = record.verdict.name().to_uppercase();
    let reason = record.failure.as_ref().map_or("", |failure| failure.reason.as_str());
    let at = record.failure.as_ref().and_then(|failure| failure.at);
    let at = at.map(|at| format!(" at {at:.6} s")).unwrap_or_default();
    vec![format!("  {verdict}{at}: {reason}"), format!("    {again}")]
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

/// The text without characters that could control a terminal or change the order of the others, some
/// of which are not allowed in XML.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c == '\n' || is_printable(c) { c } else { ' ' }).collect()
}

/// Gradescope's `results.json`.
pub(super) fn gradescope(grade: &SubmissionGrade, reader: Reader) -> Value {
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

/// `class.csv`, with a line for each submission. Only the lines are kept, since the runs of a class are
/// too many for the memory.
#[derive(Default)]
pub(super) struct ClassTable(String);

impl ClassTable {
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    pub(super) fn add(&mut self, grade: &SubmissionGrade) {
        if self.0.is_empty() {
            self.0 += &row(&head(grade));
        }
        let mut points = vec![grade.points(), grade.most()];
        points.extend(grade.parts().iter().map(PartGrade::points));
        points.extend(grade.tests.iter().map(|test| test.points));
        let mut cells = vec![cell(&grade.name), grade.status().into()];
        cells.extend(points.iter().map(Points::to_string));
        cells.push(grade.digest.clone());
        self.0 += &row(&cells);
    }
}

/// The names of the columns, which are the same for all submissions.
fn head(grade: &SubmissionGrade) -> Vec<String> {
    let mut head = vec!["submission".to_string(), "status".into(), "points".into(), "of".into()];
    head.extend(grade.parts().iter().map(|part| part.part.name().to_string()));
    head.extend(grade.tests.iter().map(|test| test.test.name.to_string()));
    head.push("digest".into());
    head
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
mod tests;
