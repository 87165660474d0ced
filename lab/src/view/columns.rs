//! A log with one line per event, the virtual time on the left, and one column per server.
//!
//! A column shows the state of its server: `L4` leads in term 4, `C5` stands for election in term
//! 5, `f4` follows in term 4, `--` is not running, `?` is not known yet. The text of an event
//! starts in its server's column and covers the columns to the right. Events of other nodes, such
//! as the steps of the test, start in the first column.
//!
//! If the run has several clusters, a line has the name of its server, then the columns of the server's own
//! cluster, then the text.

use std::io::{self, Write};
use std::ops::Range;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use labrpc::{Event, Node, Timed};

use super::filter::Filter;
use super::words::{Words, seconds};
use crate::plain;
use crate::workers::Answer;
use labraft::{EventKind, HarnessEvent, Role};

/// The width of a server's column, in characters.
const COLUMN: usize = 6;
/// The width of the column with the server's name, if servers have names.
const NAME: usize = 8;

/// Options for printing the events of a run.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// Selects the events to print.
    pub filter: Filter,
    /// The maximum width of a line in characters; longer lines are cut off. 0 means no limit.
    pub width: usize,
    /// Whether to colour lines by the kind of event.
    pub colours: bool,
}

/// Prints the events of a run and its failure, and returns how many events were shown.
///
/// # Errors
/// If writing to `out` fails.
pub fn columns(answer: &Answer, how: &Columns, out: &mut impl Write) -> io::Result<usize> {
    let events = &answer.events;
    let mut printer = Printer { how, words: Words::new(events), lanes: lanes(events), shown: 0 };
    printer.head(out)?;
    let mut failure = answer.record.failure.as_ref().and_then(|failure| {
        let at = Duration::try_from_secs_f64(failure.at?).ok()?;
        // A failure is found after all events with the same time. Its time in the record is
        // rounded.
        Some((events.partition_point(|timed| timed.at <= at + Duration::from_nanos(500)), failure))
    });
    for (place, timed) in events.iter().enumerate() {
        if let Some((_, failure)) = failure.take_if(|(end, _)| *end == place) {
            printer.failure(&failure.reason, out)?;
        }
        printer.event(timed, out)?;
    }
    if let Some((_, failure)) = failure {
        printer.failure(&failure.reason, out)?;
    }
    Ok(printer.shown)
}

/// Prints the events at these places in the run, of whatever kind. Each line begins with `sign`.
///
/// # Errors
/// If writing to `out` fails.
pub fn lines(
    answer: &Answer,
    places: Range<usize>,
    width: usize,
    sign: &str,
    out: &mut impl Write,
) -> io::Result<()> {
    let events = &answer.events;
    let filter = Filter { kinds: EventKind::all().collect(), ..Filter::default() };
    let how = Columns { filter, width, colours: false };
    let words = Words::new(events);
    let mut printer = Printer { how: &how, words, lanes: lanes(events), shown: 0 };
    for (place, timed) in events.iter().enumerate().take(places.end) {
        // Earlier events are formatted too, because the descriptions of later ones depend on them.
        let mut line = Vec::new();
        printer.event(timed, &mut line)?;
        if places.contains(&place) && !line.is_empty() {
            out.write_all(sign.as_bytes())?;
            out.write_all(&line)?;
        }
    }
    Ok(())
}

/// Whether each server is running: none of them at the start of the run.
fn lanes(events: &[Timed]) -> Vec<bool> {
    vec![false; events.iter().map(HarnessEvent::servers_in).max().unwrap_or(0)]
}

struct Printer<'a> {
    how: &'a Columns,
    words: Words,
    lanes: Vec<bool>,
    shown: usize,
}

impl Printer<'_> {
    fn head(&self, out: &mut impl Write) -> io::Result<()> {
        let clusters = self.words.names().clusters();
        let widest = clusters.iter().map(|cluster| cluster.servers.len()).max();
        let (first, before, columns) = match widest {
            None => (String::new(), 'S', self.lanes.len()),
            Some(widest) => (format!("{:<NAME$}", "server"), '/', widest),
        };
        let columns = (0..columns).map(|i| format!("{:<COLUMN$}", format!("{before}{i}")));
        let line = first + &columns.collect::<String>();
        writeln!(out, "{:>11}  {}", "time", line.trim_end())
    }

    fn event(&mut self, timed: &Timed, out: &mut impl Write) -> io::Result<()> {
        match HarnessEvent::of(timed) {
            Some(HarnessEvent::Started { server }) => self.lanes[server] = true,
            Some(HarnessEvent::Stopped { server }) => self.lanes[server] = false,
            _ => {}
        }
        let Some(words) = self.words.tell(timed) else { return Ok(()) };
        if !self.how.filter.shows(timed) {
            return Ok(());
        }
        let line = match timed.node.as_server() {
            Some(i) => format!("{}  {}{words}", seconds(timed.at), self.lanes_of(i)),
            None if timed.node == Node::TESTER => {
                format!("{}  == {words}", seconds(timed.at))
            }
            None => format!("{}  {}: {words}", seconds(timed.at), timed.node),
        };
        if self.how.filter.matches(&line) {
            self.shown += 1;
            self.print(&line, style(&timed.event), out)?;
        }
        Ok(())
    }

    fn failure(&mut self, reason: &str, out: &mut impl Write) -> io::Result<()> {
        let style = AnsiColor::BrightRed.on_default().bold();
        self.print(&format!("{:>11}  ## {reason}", "FAILURE"), style, out)
    }

    /// What stands before an event of a server.
    fn lanes_of(&self, server: usize) -> String {
        let names = self.words.names();
        let Some(cluster) = names.cluster_of(server) else {
            return (0..=server).map(|i| self.lane(i)).collect();
        };
        let lanes: String = cluster.servers.clone().map(|i| self.lane(i)).collect();
        format!("{:<NAME$}{lanes}", names.name("S", server))
    }

    /// A server's column in the line of another event: its role and term.
    fn lane(&self, i: usize) -> String {
        let text = match (self.lanes[i], self.words.state(i)) {
            (false, _) => "--".into(),
            (true, None) => "?".into(),
            (true, Some(state)) => {
                let role = match state.role {
                    Role::Leader => 'L',
                    Role::Candidate => 'C',
                    Role::Follower => 'f',
                };
                format!("{role}{}", state.term)
            }
        };
        format!("{text:<COLUMN$}")
    }

    fn print(&self, line: &str, style: Style, out: &mut impl Write) -> io::Result<()> {
        let line = &*plain::line(line);
        let line = match self.how.width {
            0 => line,
            width => match line.char_indices().nth(width.saturating_sub(1)) {
                Some((end, _)) if line.chars().count() > width => &format!("{}~", &line[..end]),
                _ => line,
            },
        };
        match self.how.colours {
            true => writeln!(out, "{style}{}{style:#}", line.trim_end()),
            false => writeln!(out, "{}", line.trim_end()),
        }
    }
}

/// The colour of an event's line; arrivals are dimmed.
fn style(event: &Event) -> Style {
    let arrives = matches!(event, Event::Delivered { .. } | Event::Answered { .. });
    let colour = match EventKind::of(event) {
        EventKind::Vote => AnsiColor::Magenta,
        EventKind::Append => AnsiColor::Blue,
        EventKind::Snapshot => AnsiColor::Cyan,
        EventKind::Apply => AnsiColor::Green,
        EventKind::Net => AnsiColor::Red,
        EventKind::State => AnsiColor::Yellow,
        // BEGIN LAB 4
        EventKind::Shard => AnsiColor::BrightGreen,
        // END LAB 4
        EventKind::Test => return Style::new().bold(),
        EventKind::Persist | EventKind::Timer => return Style::new().dimmed(),
        EventKind::Kv | EventKind::Rpc | EventKind::Note => return Style::new(),
    };
    if arrives { colour.on_default().dimmed() } else { colour.on_default() }
}
