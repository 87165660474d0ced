//! Summaries for other programs: JSON, JUnit XML, and GitHub's annotations and step summary.
//!
//! In all of them, `replay` gives the command that repeats a run.

use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde_json::json;

use super::summary::{Summary, TestSummary, rate_interval};
use crate::plain;
use crate::records::RunRecord;
use labraft::Verdict;
use labraft::{Part, Test};

/// One JSON object for each test, on a line of its own.
pub fn json_lines(
    summary: &Summary,
    suite: &[Test],
    replay: impl Fn(&RunRecord) -> String,
) -> String {
    let lines = summary.tests(suite).into_iter().map(|(part, test)| {
        let (low, high) = rate_interval(test.failures(), test.runs());
        let failing = test.not_passed.values().map(|record| {
            let failure = record.failure.as_ref();
            json!({
                "seed": record.seed,
                "verdict": record.verdict,
                "reason": failure.map(|failure| &failure.reason),
                "replay": replay(record),
            })
        });
        let object = json!({
            "test": test.name,
            "part": part.name(),
            "seeds": test.runs(),
            "passed": test.count(Verdict::Passed),
            "failed": test.count(Verdict::Failed),
            "unknown": test.count(Verdict::Unknown),
            "missed": test.count(Verdict::Missed),
            "crashed": test.count(Verdict::Crashed),
            "hung": test.count(Verdict::Hung),
            "failure_rate": test.failures() as f64 / test.runs().max(1) as f64,
            "failure_rate_95": [low, high],
            "slowest_ms": test.slowest.0,
            "slowest_seed": test.slowest.1,
            "cpu_ms": test.cpu_ms,
            "virtual_seconds": test.virtual_seconds,
            "waypoints": test.coverage.json(),
            "first_failing": failing.collect::<Vec<_>>(),
        });
        object.to_string() + "\n"
    });
    lines.collect()
}

/// A JUnit XML report as Jenkins reads it, with a suite for each part and a case for each test.
pub fn junit(summary: &Summary, suite: &[Test], replay: impl Fn(&RunRecord) -> String) -> String {
    let mut report = quick_junit::Report::new("lab");
    let mut suites: Vec<(Part, TestSuite)> = Vec::new();
    for (part, test) in summary.tests(suite) {
        if suites.last().is_none_or(|(last, _)| *last != part) {
            suites.push((part, TestSuite::new(part.name())));
        }
        let Some((_, suite)) = suites.last_mut() else { continue };
        suite.add_test_case(test_case(part, test, &replay));
    }
    for (_, mut suite) in suites {
        let times = suite.test_cases.iter().filter_map(|case| case.time);
        let time = times.fold(Duration::ZERO, Duration::saturating_add);
        suite.set_time(time);
        report.add_test_suite(suite);
    }
    report.to_string().unwrap_or_else(|error| format!("<!-- {error} -->\n"))
}

fn test_case(part: Part, test: &TestSummary, replay: &impl Fn(&RunRecord) -> String) -> TestCase {
    let first = test.not_passed.values().next();
    let status = match first {
        None => TestCaseStatus::success(),
        Some(first) => {
            let kind = match test.failures() {
                0 => NonSuccessKind::Error,
                _ => NonSuccessKind::Failure,
            };
            let mut status = TestCaseStatus::non_success(kind);
            status.set_message(format!("{}; {}", counts(test), test.seeds()));
            if let Some(failure) = &first.failure {
                status.set_type(plain::line(&failure.cause.kind.to_string()));
            }
            status.set_description(super::failed(first, &replay(first)));
            status
        }
    };
    let mut case = TestCase::new(&test.name, status);
    case.set_classname(part.name());
    // A damaged file of results may hold a time that is none.
    if let Ok(time) = Duration::try_from_secs_f64(test.cpu_ms / 1000.0) {
        case.set_time(time);
    }
    case
}

/// How many seeds did not pass, such as `3 of 1000 seeds did not pass`.
fn counts(test: &TestSummary) -> String {
    let not_passed = test.failures() + test.count(Verdict::Unknown);
    format!("{not_passed} of {} seeds did not pass", test.runs())
}

/// Workflow commands that GitHub shows as annotations, one for each test that did not pass.
pub fn github_annotations(
    summary: &Summary,
    suite: &[Test],
    replay: impl Fn(&RunRecord) -> String,
) -> String {
    let mut text = String::new();
    for (_, test) in summary.tests(suite) {
        let Some(first) = test.not_passed.values().next() else { continue };
        let kind = if test.failures() > 0 { "error" } else { "warning" };
        let reason = first.failure.as_ref().map_or("", |failure| failure.reason.as_str());
        let reason = plain::lines(reason);
        let message = format!("{}: {reason}; {}", counts(test), replay(first));
        // GitHub requires these characters to be escaped in the text of a workflow command.
        let message = message.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
        text += &format!("::{kind} title={}::{message}\n", test.name);
    }
    text
}

/// A Markdown page for GitHub's step summary: a table of the tests, then the most frequent
/// failures.
pub fn github_summary(
    summary: &Summary,
    suite: &[Test],
    replay: impl Fn(&RunRecord) -> String,
) -> String {
    let (runs, failures) = summary.totals();
    let noun = if runs == 1 { "run" } else { "runs" };
    let mut text = format!("### {runs} {noun}, {failures} failed\n\n");
    text += "| test | seeds | failed | first failing seeds |\n|---|--:|--:|---|\n";
    for (_, test) in summary.tests(suite) {
        let (runs, failures, seeds) = (test.runs(), test.failures(), test.seeds());
        text += &format!("| {} | {runs} | {failures} | {seeds} |\n", test.name);
    }
    let reasons = summary.reasons(5, replay);
    if !reasons.is_empty() {
        text += &format!("\n```\n{reasons}```\n");
    }
    text
}
