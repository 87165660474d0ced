//! Reports on one run or many, for people and for other programs.
//!
//! | module | what it is |
//! |---|---|
//! | this one | one run: its result as the course prints it, its failure, its events |
//! | `summary` | many runs: counts, failure rates, failures grouped by cause |
//! | `formats` | summaries as JSON, as JUnit XML, and for GitHub |

mod coverage;
mod formats;
mod summary;

use labrpc::{Event, Node, Timed};

pub use coverage::Coverage;
pub use formats::{github_annotations, github_summary, json_lines, junit};
pub use summary::{Group, Summary, TestSummary, rate_interval};

use crate::plain;
use crate::records::RunRecord;
use crate::workers::Answer;
use labraft::HarnessEvent;
use labraft::Passed;
use labraft::ServerNames;
use labraft::Verdict;
use labraft::Without;
use labraft::{Part, Test};

/// A run as the course prints it: a title, then the figures and the seed, or the failure.
///
/// `replay` is the command that repeats the run.
pub fn course_words(test: &Test, answer: &Answer, replay: &str) -> String {
    let Answer { record, chaos, begun, passed, warnings, .. } = answer;
    let mut text = String::new();
    let part = test.part;
    let title = |title: &str| match part.is_service() {
        false => format!("Test ({part}): {title} ...\n"),
        true => format!("Test: {title} ({part}) ...\n"),
    };
    if let Some(chaos) = chaos {
        text += &format!("faults: {}\n", plain::line(chaos));
    }
    for each in passed {
        text += &title(&plain::line(&each.title));
        for warning in warnings {
            text += &format!("  warning: {}\n", plain::block(warning, "  "));
        }
        text += &format!("  ... Passed --{}   seed {}\n", figures(part, each), record.seed);
    }
    text += &left_out(record.without);
    if record.verdict != Verdict::Passed {
        let begun = begun.as_deref().unwrap_or(test.title);
        // A run that fails for a slip has passed all of its parts.
        if passed.iter().all(|each| each.title != begun) {
            text += &title(&plain::line(begun));
        }
        text += &failed(record, replay);
    }
    for finding in &record.findings {
        text += &format!("  audit: {finding}\n");
    }
    text
}

/// The course's figures: virtual seconds, servers and RPCs, then bytes and commands, or operations
/// in labs 3 and 4.
fn figures(part: Part, passed: &Passed) -> String {
    let Passed { servers, rpcs, bytes, commands, .. } = passed;
    let seconds = passed.took.as_secs_f64();
    if part.is_service() {
        format!("{seconds:6.1} {servers:2} {rpcs:6} {commands:5}")
    } else {
        format!("{seconds:6.1} {servers:2} {rpcs:6} {bytes:9} {commands:5}")
    }
}

/// The indentation of what is said about a failure.
const DETAIL: &str = "    ";

/// Describes a failure: the reason, when and where it was found, the command that replays it, and
/// the details. Empty for a run without a failure.
pub fn failed(record: &RunRecord, replay: &str) -> String {
    let Some(failure) = &record.failure else { return String::new() };
    let verdict = record.verdict.name().to_uppercase();
    let at = failure.at.map(|at| format!("at {at:.6} s, ")).unwrap_or_default();
    let server = failure.place().map(|place| format!("{place}, ")).unwrap_or_default();
    let (test, replay) = (plain::line(&record.test), plain::line(replay));
    let (seed, reason) = (record.seed, plain::block(&failure.reason, DETAIL));
    let mut text = format!(
        "  {verdict}: {reason}\n    {at}{server}{test}, seed {seed}\n    replay: {replay}\n"
    );
    for line in &failure.details {
        text += &format!("{DETAIL}{}\n", plain::block(line, DETAIL));
    }
    text
}

/// Says by what runs were not judged; empty if they were judged by everything.
fn left_out(without: Without) -> String {
    if without.is_empty() { String::new() } else { format!("checks left out: {without}\n") }
}

/// The width of the longest of these test names, for a table's first column.
pub fn name_width<'a>(names: impl IntoIterator<Item = &'a str>) -> usize {
    names.into_iter().map(str::len).max().unwrap_or(0)
}

/// An event on one line: virtual time in seconds, the node, and what happened there.
pub fn event_line(timed: &Timed, names: &ServerNames) -> String {
    let name = |node: &Node| names.node(*node);
    let what = match &timed.event {
        Event::Sent { call, to, method, bytes, content } => {
            format!("#{call} {method} -> {}, {bytes} bytes: {content}", name(to))
        }
        Event::Delivered { call, from, method } => {
            format!("#{call} {method} from {} arrives", name(from))
        }
        Event::Lost { call, to, method, why } => {
            format!("#{call} {method} -> {} gets no reply: {why}", name(to))
        }
        Event::Replied { call, to, content, bytes, held, .. } => {
            let held = match held.as_millis() {
                0 => String::new(),
                milliseconds => format!(", held back {milliseconds} ms"),
            };
            format!("#{call} reply -> {}, {bytes} bytes{held}: {content}", name(to))
        }
        Event::Answered { call, from, .. } => {
            format!("#{call} reply from {} arrives", name(from))
        }
        Event::Woke { task } => format!("timer fires: {task}"),
        Event::Crashed { tasks } => format!("stops (tasks ended: {tasks})"),
        Event::Note { text: line } => format!("| {line}"),
        Event::Custom { kind, text, .. } => match HarnessEvent::of(timed) {
            Some(HarnessEvent::State(state)) => format!("{kind}: {}", state.text(names)),
            _ => format!("{kind}: {text}"),
        },
    };
    let what = plain::line(&what);
    format!("{:12.6}  {:<9}  {what}", timed.at.as_secs_f64(), name(&timed.node))
}
