//! The options for showing a recorded run.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::time::Duration;

use crate::view::{self, Columns, Filter};
use crate::workers::{Answer, Keep};
use clap::{ArgGroup, Args, ValueEnum};
use labraft::{EventKind, HarnessEvent};
use labrpc::RunSpec;
use regex::Regex;

use crate::outcome::CommandError;
use crate::views::Views;

/// The help of `--only`, which lists all kinds.
fn help_of_only() -> String {
    let kinds: Vec<&str> = EventKind::all().map(EventKind::name).collect();
    format!("Only events of these kinds: {} [default: all but timer]", kinds.join(", "))
}

/// The width of lines when there is no terminal to measure.
const USUAL_WIDTH: usize = 120;

/// Options that select which events of a run to show, and how.
#[derive(Args, Clone)]
#[command(group(ArgGroup::new("events").multiple(true)))]
pub(crate) struct Show {
    /// Print the events, one per line, with one column per server.
    #[arg(long, group = "events")]
    log: bool,
    #[arg(long, value_name = "KINDS", value_delimiter = ',', requires = "events", help = help_of_only())]
    only: Vec<EventKind>,
    /// Only events of these servers, and the test's steps. In lab 4 also by name (101/2), or all of a group (101).
    #[arg(long, value_name = "SERVERS", value_delimiter = ',', requires = "events")]
    servers: Vec<String>,
    /// Only events from this virtual time on, such as 3.2s or 3200ms.
    #[arg(long, value_name = "TIME", value_parser = parse_time, requires = "events")]
    from: Option<Duration>,
    /// Only events up to this virtual time.
    #[arg(long, value_name = "TIME", value_parser = parse_time, requires = "events")]
    to: Option<Duration>,
    /// Only events near a virtual time, or near the failure.
    #[arg(long, value_name = "failure|TIME", value_parser = parse_around, requires = "events",
          conflicts_with_all = ["from", "to"])]
    around: Option<Around>,
    /// How far from that time events still count as near.
    #[arg(long, value_name = "TIME", value_parser = parse_time, default_value = "250ms")]
    window: Duration,
    /// Only lines that match a regular expression.
    #[arg(long, value_name = "REGEX", requires = "events")]
    grep: Option<Regex>,
    /// Cut lines off after this many characters; 0 for never [default: the terminal's width, or 120].
    #[arg(long, value_name = "N", requires = "log")]
    width: Option<usize>,
    /// When to colour lines.
    #[arg(long, value_enum, default_value_t = When::Auto)]
    color: When,
    #[command(flatten)]
    views: Views,
}

#[derive(Copy, Clone, PartialEq, Eq, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

#[derive(Copy, Clone)]
enum Around {
    Failure,
    Time(Duration),
}

fn parse_around(text: &str) -> Result<Around, String> {
    match text {
        "failure" => Ok(Around::Failure),
        _ => parse_time(text).map(Around::Time),
    }
}

/// Parses a virtual time, such as `3.2s`, `3200ms` or `3.2` (seconds).
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s').unwrap_or(text), 1.0),
    };
    let seconds = number.parse::<f64>().ok().map(|number| number * unit);
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("{text:?} is not a time; give one such as 3.2s or 3200ms"))
}

impl Show {
    /// What the worker has to record of the run for these options.
    pub(crate) fn keep(&self) -> Keep {
        if self.log || self.views.any() { Keep::Events } else { Keep::Result }
    }

    /// Prints the log if it was requested.
    pub(crate) fn show(&self, answer: &Answer) -> Result<(), CommandError> {
        if self.log {
            self.print(answer)?;
        }
        Ok(())
    }

    /// Writes the requested files, and prints their paths.
    pub(crate) fn write(
        &self,
        spec: &RunSpec,
        answer: &Answer,
        replay: &str,
        story: &[String],
    ) -> Result<(), CommandError> {
        self.views.write(spec, answer, replay, story, || self.filter(answer))
    }

    fn print(&self, answer: &Answer) -> Result<(), CommandError> {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        let width = self.width.unwrap_or_else(usual_width);
        let colours = match self.color {
            When::Always => true,
            When::Never => false,
            When::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none(),
        };
        let how = Columns { filter: self.filter(answer)?, width, colours };
        let mut out = BufWriter::new(stdout.lock());
        let shown = view::columns(answer, &how, &mut out)?;
        out.flush()?;
        drop(out);
        if shown < answer.events.len() {
            eprintln!("{shown} of {} events shown; see --only", answer.events.len());
        }
        Ok(())
    }

    fn filter(&self, answer: &Answer) -> Result<Filter, CommandError> {
        let mut filter = Filter { grep: self.grep.clone(), ..Filter::default() };
        if !self.only.is_empty() {
            filter.kinds = self.only.iter().copied().collect();
        }
        if !self.servers.is_empty() {
            filter.servers = Some(self.servers_in(answer)?);
        }
        filter.from = self.from.unwrap_or(filter.from);
        filter.to = self.to.unwrap_or(filter.to);
        let middle = match self.around {
            None => return Ok(filter),
            Some(Around::Time(time)) => time,
            Some(Around::Failure) => failed_at(answer).ok_or_else(|| {
                CommandError::Usage(
                    "--around failure: the run passed, or the time of its failure is unknown"
                        .into(),
                )
            })?,
        };
        filter.from = middle.saturating_sub(self.window);
        filter.to = middle.saturating_add(self.window);
        Ok(filter)
    }

    /// The numbers of the servers that were asked for.
    fn servers_in(&self, answer: &Answer) -> Result<BTreeSet<usize>, CommandError> {
        let names = HarnessEvent::names_in(&answer.events);
        let count = answer.events.iter().map(HarnessEvent::servers_in).max().unwrap_or(0);
        let mut servers = BTreeSet::new();
        for text in &self.servers {
            let named =
                names.numbers(text).filter(|named| named.end <= count).ok_or_else(|| {
                    let all = match names.clusters() {
                        [] => format!("0 to {}", count.saturating_sub(1)),
                        clusters => {
                            clusters.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
                        }
                    };
                    CommandError::Usage(format!(
                        "--servers: the run has no server {text:?}; its servers are {all}"
                    ))
                })?;
            servers.extend(named);
        }
        Ok(servers)
    }
}

/// The default width of lines: the terminal's, if there is one.
pub(crate) fn usual_width() -> usize {
    let is_terminal = io::stdout().is_terminal();
    let size = if is_terminal { terminal_size::terminal_size() } else { None };
    size.map_or(USUAL_WIDTH, |(width, _)| usize::from(width.0))
}

/// The virtual time at which the run failed, if it did.
pub(crate) fn failed_at(answer: &Answer) -> Option<Duration> {
    let at = answer.record.failure.as_ref()?.at?;
    Duration::try_from_secs_f64(at).ok()
}
