//! What a person reads: results in the course's words, failures with the reason first, events.

use labrpc::{Event, Timed};

use crate::failure::Failure;
use crate::lab::Passed;
use crate::runner::RunReport;
use crate::suite::{Part, Test};

/// One run as the course prints it, seed behind: a title, then figures or the failure.
pub fn course_words(report: &RunReport, replay: &str) -> String {
    let mut text = String::new();
    let part = report.test.part;
    let title = |title: &str| match part.is_kv() {
        false => format!("Test ({part}): {title} ...\n"),
        true => format!("Test: {title} ({part}) ...\n"),
    };
    for passed in &report.passed {
        text += &title(&passed.title);
        for warning in &report.warnings {
            text += &format!("  warning: {warning}\n");
        }
        text += &format!("  ... Passed --{}   seed {}\n", figures(part, passed), report.spec.seed);
    }
    if let Err(failure) = &report.result {
        if report.passed.is_empty() {
            text += &title(report.test.title);
        }
        text += &failed(report.test, report.spec.seed, failure, replay);
    }
    text
}

/// Virtual seconds, servers, RPCs; then bytes and commands, or operations.
fn figures(part: Part, passed: &Passed) -> String {
    let Passed { servers, rpcs, bytes, commands, .. } = passed;
    let seconds = passed.took.as_secs_f64();
    if part.is_kv() {
        format!("{seconds:6.1} {servers:2} {rpcs:6} {commands:5}")
    } else {
        format!("{seconds:6.1} {servers:2} {rpcs:6} {bytes:9} {commands:5}")
    }
}

/// A failure: the reason, where and when, how to see it again, then what stands behind it.
pub fn failed(test: &Test, seed: u64, failure: &Failure, replay: &str) -> String {
    let verdict = failure.verdict().name().to_uppercase();
    let server = failure.server.map(|i| format!("server {i}, ")).unwrap_or_default();
    let mut text = format!(
        "  {verdict}: {failure}\n    at {:.6} s, {server}{}, seed {seed}\n    replay: {replay}\n",
        failure.at.as_secs_f64(),
        test.name,
    );
    for line in failure.reason.details() {
        text += &format!("    {line}\n");
    }
    text
}

/// How wide the names of these tests are in a table.
pub fn name_width(tests: &[&Test]) -> usize {
    tests.iter().map(|test| test.name.len()).max().unwrap_or(0)
}

/// What a sweep says of one test, its name in so many columns: how many seeds passed, failed and are
/// unknown, and which did not pass.
pub fn sweep_line(
    test: &Test,
    width: usize,
    passed: usize,
    failed: &[u64],
    unknown: &[u64],
) -> String {
    let (name, failing) = (test.name, failed.len());
    let mut text = format!("{name:<width$} {passed:6} passed {failing:6} failed");
    if !unknown.is_empty() {
        text += &format!(" {:6} unknown", unknown.len());
    }
    for (what, seeds) in [("seeds", failed), ("unknown: seeds", unknown)] {
        if !seeds.is_empty() {
            let shown: Vec<String> = seeds.iter().take(10).map(ToString::to_string).collect();
            let more = if seeds.len() > shown.len() { ", ..." } else { "" };
            text += &format!("   {what} {}{more}", shown.join(", "));
        }
    }
    text
}

/// One line of a record: virtual time, where, what.
pub fn event_line(timed: &Timed) -> String {
    let what = match &timed.event {
        Event::Sent { call, to, method, bytes, content } => {
            format!("#{call} {method} -> {to}, {bytes} bytes: {content}")
        }
        Event::Delivered { call, from, method } => format!("#{call} {method} from {from} arrives"),
        Event::Lost { call, to, method, why } => {
            format!("#{call} {method} -> {to} gets no answer: {why}")
        }
        Event::Replied { call, to, content, bytes, held, .. } => {
            let held = match held.as_millis() {
                0 => String::new(),
                milliseconds => format!(", held back {milliseconds} ms"),
            };
            format!("#{call} reply -> {to}, {bytes} bytes{held}: {content}")
        }
        Event::Answered { call, from, .. } => format!("#{call} reply from {from} arrives"),
        Event::Woke { task } => format!("timer of {task:?}"),
        Event::Crashed { tasks } => format!("ends, with {tasks} tasks"),
        Event::Note(line) => format!("| {line}"),
        Event::Custom { kind, text } => format!("{kind}: {text}"),
    };
    format!("{:12.6}  {:<9}  {what}", timed.at.as_secs_f64(), timed.node.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use labrpc::Limits;

    use super::*;
    use crate::failure::Reason;

    static TEST: Test = Test {
        name: "Basic3A",
        part: Part::Kv3A,
        title: "one client",
        points: 1,
        cost: 1,
        limits: Limits::default,
        run: |_| Box::pin(async { Ok(()) }),
    };

    #[test]
    fn what_is_not_known_is_said_apart_from_what_failed() {
        let line = |failed: &[u64], unknown: &[u64]| sweep_line(&TEST, 9, 5, failed, unknown);
        assert_eq!(line(&[], &[]), "Basic3A        5 passed      0 failed");
        assert_eq!(line(&[1, 2], &[]), "Basic3A        5 passed      2 failed   seeds 1, 2");
        let both =
            "Basic3A        5 passed      1 failed      1 unknown   seeds 1   unknown: seeds 7";
        assert_eq!(line(&[1], &[7]), both);

        let reason = Reason::Undecided { key: "k".into(), operations: 9, steps: 10 };
        let failure = Failure { reason, at: Duration::from_secs(1), server: None };
        let text = failed(&TEST, 7, &failure, "lab replay");
        assert!(text.starts_with("  UNKNOWN: it is not known whether"), "{text}");
    }
}
