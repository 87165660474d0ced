//! A part of a run as a log for ShiViz, with vector clocks.
//!
//! ShiViz draws an arrow wherever a clock's value for another host has risen. So only the events in
//! the log count: a host's clock starts at 1 with its first event in the log, and names only hosts
//! that have events there.

use std::collections::BTreeMap;
use std::fmt::Write;

use labraft::{HarnessEvent, ServerNames};
use labrpc::{Event, Node};

use crate::view::filter::Filter;
use crate::view::words::Words;
use crate::workers::Answer;

/// The pattern by which ShiViz parses the log: the event, then on the next line the host and its
/// clock.
const FORM: &str = r"(?<event>.*)\n(?<host>\S*) (?<clock>{.*})";

type Clock = BTreeMap<String, u64>;

/// Writes the last `most` events that the filter lets through.
pub fn shiviz(answer: &Answer, filter: &Filter, most: usize) -> String {
    let mut words = Words::new(&answer.events);
    let shown = answer.events.iter().filter_map(|timed| {
        let line = words.tell(timed)?;
        let is_shown = filter.shows(timed) && filter.matches(&line);
        is_shown.then(|| (timed, line.replace(['\n', '\r'], " ")))
    });
    let mut shown: Vec<_> = shown.collect();
    let names = HarnessEvent::names_in(&answer.events);
    shown.drain(..shown.len().saturating_sub(most));

    // The second line would hold a delimiter between several runs. It is empty for a single one.
    let mut text = format!("{FORM}\n\n");
    let mut clocks: BTreeMap<Node, Clock> = BTreeMap::new();
    let mut sent: BTreeMap<(u64, bool), Clock> = BTreeMap::new();
    for (timed, line) in shown {
        let clock = clocks.entry(timed.node).or_default();
        let came = match timed.event {
            Event::Delivered { call, .. } => sent.get(&(call, false)),
            Event::Answered { call, .. } => sent.get(&(call, true)),
            _ => None,
        };
        for (other, known) in came.into_iter().flatten() {
            let own = clock.entry(other.clone()).or_default();
            *own = (*own).max(*known);
        }
        let host = host(&names, timed.node);
        *clock.entry(host.clone()).or_default() += 1;
        match timed.event {
            Event::Sent { call, .. } => _ = sent.insert((call, false), clock.clone()),
            Event::Replied { call, .. } => _ = sent.insert((call, true), clock.clone()),
            _ => {}
        }
        let clock = serde_json::to_string(clock).expect("a clock can be written as JSON");
        let at = timed.at.as_secs_f64();
        _ = writeln!(text, "{at:.6} {line}\n{host} {clock}");
    }
    text
}

/// A node's name without spaces, as ShiViz requires.
fn host(names: &ServerNames, node: Node) -> String {
    names.node(node).replace(' ', "")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::view::samples;

    /// Parses a log into the host and clock of each event.
    fn events(text: &str) -> Vec<(String, BTreeMap<String, u64>)> {
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], [FORM, ""]);
        let pairs = lines[2..].chunks(2).map(|pair| {
            let (host, clock) = pair[1].split_once(' ').expect("a host and a clock");
            let clock: Value = serde_json::from_str(clock).expect("the clock is JSON");
            let clock = clock.as_object().unwrap().iter();
            let clock = clock.map(|(host, value)| (host.clone(), value.as_u64().unwrap()));
            (host.to_string(), clock.collect())
        });
        pairs.collect()
    }

    fn check(text: &str) -> Vec<(String, BTreeMap<String, u64>)> {
        let events = events(text);
        let mut own: BTreeMap<String, u64> = BTreeMap::new();
        for (host, clock) in &events {
            let count = own.entry(host.clone()).or_default();
            *count += 1;
            assert_eq!(clock[host], *count, "a host's own value starts at 1 and rises by 1");
            assert!(!clock.values().any(|value| *value == 0));
        }
        for (other, value) in events.iter().flat_map(|(_, clock)| clock) {
            assert!(own.get(other).is_some_and(|count| value <= count), "{other} {value}");
        }
        events
    }

    #[test]
    fn clocks_begin_with_1_rise_by_1_and_name_only_hosts_with_events() {
        let answer = samples::answer();
        let all = check(&shiviz(&answer, &Filter::default(), 1000));
        assert!(all.len() > 8);
        // This includes logs that begin between a request and its arrival.
        for most in 1..all.len() {
            assert_eq!(check(&shiviz(&answer, &Filter::default(), most)).len(), most);
        }
        let only = Filter { servers: Some([1].into()), ..Filter::default() };
        assert!(!check(&shiviz(&answer, &only, 1000)).is_empty());
    }

    #[test]
    fn the_receiver_of_a_message_learns_its_senders_clock() {
        let all = check(&shiviz(&samples::answer(), &Filter::default(), 1000));
        assert!(all.iter().any(|(host, clock)| host == "server1" && clock.contains_key("server0")));
        assert!(all.iter().any(|(host, clock)| host == "server0" && clock.contains_key("server1")));
        let tester = all.iter().filter(|(host, _)| host == "tester");
        assert!(
            tester.into_iter().all(|(_, clock)| clock.len() == 1),
            "the tester receives no messages"
        );
    }
}
