//! What a person reads, and what other programs read.
//!
//! | module | what it is |
//! |---|---|
//! | this one | one run: results in the course's words, failures with the reason first, events |
//! | `summary` | many runs: counts, rates, groups of failures |
//! | `formats` | the same as JSON, as JUnit, for GitHub |

mod formats;
mod summary;

use labrpc::{Event, Timed};

pub use formats::{github_annotations, github_summary, json_lines, junit};
pub use summary::{Group, Summary, TestSummary, rate_interval};

use crate::records::RunRecord;
use crate::workers::Answer;
use labraft::Passed;
use labraft::Verdict;
use labraft::{Part, Test};

/// One run as the course prints it, seed behind: a title, then figures or the failure.
pub fn course_words(test: &Test, answer: &Answer, replay: &str) -> String {
    let Answer { record, chaos, begun, passed, warnings, .. } = answer;
    let mut text = String::new();
    let part = test.part;
    let title = |title: &str| match part.is_kv() {
        false => format!("Test ({part}): {title} ...\n"),
        true => format!("Test: {title} ({part}) ...\n"),
    };
    if let Some(chaos) = chaos {
        text += &format!("faults: {chaos}\n");
    }
    for each in passed {
        text += &title(&each.title);
        for warning in warnings {
            text += &format!("  warning: {warning}\n");
        }
        text += &format!("  ... Passed --{}   seed {}\n", figures(part, each), record.seed);
    }
    if record.verdict != Verdict::Passed {
        text += &title(begun.as_deref().unwrap_or(test.title));
        text += &failed(record, replay);
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
pub fn failed(record: &RunRecord, replay: &str) -> String {
    let Some(failure) = &record.failure else { return String::new() };
    let verdict = record.verdict.name().to_uppercase();
    let at = failure.at.map(|at| format!("at {at:.6} s, ")).unwrap_or_default();
    let server = failure.server.map(|i| format!("server {i}, ")).unwrap_or_default();
    let (test, seed, reason) = (&record.test, record.seed, &failure.reason);
    let mut text = format!(
        "  {verdict}: {reason}\n    {at}{server}{test}, seed {seed}\n    replay: {replay}\n"
    );
    for line in &failure.details {
        text += &format!("    {line}\n");
    }
    text
}

/// How wide the names of these tests are in a table.
pub fn name_width<'a>(names: impl IntoIterator<Item = &'a str>) -> usize {
    names.into_iter().map(str::len).max().unwrap_or(0)
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
        Event::Note { text: line } => format!("| {line}"),
        Event::Custom { kind, text, .. } => format!("{kind}: {text}"),
    };
    format!("{:12.6}  {:<9}  {what}", timed.at.as_secs_f64(), timed.node.to_string())
}
