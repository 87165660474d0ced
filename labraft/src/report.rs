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

/// What a sweep says of one test: how many seeds passed, failed and are unknown, and which did not
/// pass.
pub fn sweep_line(test: &Test, passed: usize, failed: &[u64], unknown: &[u64]) -> String {
    let (name, failing) = (test.name, failed.len());
    let mut text = format!("{name:<NAME_WIDTH$} {passed:6} passed {failing:6} failed");
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

/// The longest test name that keeps a table straight.
pub const NAME_WIDTH: usize = 62;

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
