//! The filter that selects which events are shown.

use std::collections::BTreeSet;
use std::time::Duration;

use labraft::EventKind;
use labrpc::{Event, Timed};
use regex::Regex;

/// Selects the events that are shown: those that meet all of these conditions.
#[derive(Clone, Debug)]
pub struct Filter {
    /// The kinds of events to show. A lost message is also shown if its method's kind is among
    /// them.
    pub kinds: BTreeSet<EventKind>,
    /// The servers whose events to show, together with the tester's; `None` shows every node.
    pub servers: Option<BTreeSet<usize>>,
    /// The earliest virtual time to show.
    pub from: Duration,
    /// The latest virtual time to show.
    pub to: Duration,
    /// A pattern that the event's line must match, if given.
    pub grep: Option<Regex>,
}

impl Default for Filter {
    /// Shows everything except timers.
    fn default() -> Filter {
        Filter {
            kinds: EventKind::all().filter(|kind| *kind != EventKind::Timer).collect(),
            servers: None,
            from: Duration::ZERO,
            to: Duration::MAX,
            grep: None,
        }
    }
}

impl Filter {
    /// Whether all conditions except `grep` let an event through.
    pub(super) fn shows(&self, timed: &Timed) -> bool {
        let is_of_kind = self.kinds.contains(&EventKind::of(&timed.event))
            || matches!(&timed.event, Event::Lost { method, .. }
                if self.kinds.contains(&EventKind::of_method(method)));
        let is_there = match (&self.servers, timed.node.as_server()) {
            (None, _) => true,
            (Some(servers), Some(i)) => servers.contains(&i),
            (Some(_), None) => timed.node == labrpc::Node::TESTER,
        };
        is_of_kind && is_there && (self.from..=self.to).contains(&timed.at)
    }

    /// Whether `grep` lets a line through.
    pub(super) fn matches(&self, line: &str) -> bool {
        self.grep.as_ref().is_none_or(|grep| grep.is_match(line))
    }
}
