//! What a person reads: results in the course's words, failures with the reason first, events.

use std::fmt::Write;

use labrpc::{Event, Timed};

use crate::failure::Failure;
use crate::lab::Passed;
use crate::runner::RunReport;
use crate::suite::Test;

/// One run as the course prints it, seed behind: a title, then figures or the failure.
pub fn course_words(report: &RunReport, replay: &str) -> String {
    let mut text = String::new();
    let title = |title: &str| format!("Test ({}): {title} ...\n", report.test.part);
    for passed in &report.passed {
        text += &title(&passed.title);
        for warning in &report.warnings {
            text += &format!("  warning: {warning}\n");
        }
        text += &format!("  ... Passed --{}   seed {}\n", figures(passed), report.spec.seed);
    }
    if let Err(failure) = &report.result {
        if report.passed.is_empty() {
            text += &title(report.test.title);
        }
        text += &failed(report.test, report.spec.seed, failure, replay);
    }
    text
}

/// Virtual seconds, servers, RPCs, bytes, commands.
fn figures(passed: &Passed) -> String {
    format!(
        "{:6.1} {:2} {:6} {:9} {:5}",
        passed.took.as_secs_f64(),
        passed.servers,
        passed.rpcs,
        passed.bytes,
        passed.commands
    )
}

/// A failure: the reason, where and when, how to see it again, then what stands behind it.
pub fn failed(test: &Test, seed: u64, failure: &Failure, replay: &str) -> String {
    let server = failure.server.map(|i| format!("server {i}, ")).unwrap_or_default();
    let mut text = format!(
        "  FAILED: {failure}\n    at {:.6} s, {server}{}, seed {seed}\n    replay: {replay}\n",
        failure.at.as_secs_f64(),
        test.name,
    );
    for line in failure.reason.details() {
        text += &format!("    {line}\n");
    }
    text
}

/// What a sweep says of one test: how many seeds passed and failed, and which failed.
pub fn sweep_line(test: &Test, passed: usize, failing: &[u64]) -> String {
    let mut text = format!("{:<28} {passed:6} passed {:6} failed", test.name, failing.len());
    if !failing.is_empty() {
        let shown: Vec<String> = failing.iter().take(10).map(ToString::to_string).collect();
        write!(text, "   seeds {}", shown.join(", ")).expect("writing to a string cannot fail");
        if failing.len() > shown.len() {
            text += ", ...";
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
