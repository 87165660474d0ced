//! Which events are shown.

use std::collections::BTreeSet;
use std::time::Duration;

use labraft::EventKind;
use labrpc::{Event, Timed};
use regex::Regex;

/// Which events are shown.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Of these kinds. Of a message that is lost, it is enough that its method's kind is among them.
    pub kinds: BTreeSet<EventKind>,
    /// At these servers, and at no client; none means everywhere. The tester's steps are always shown.
    pub servers: Option<BTreeSet<usize>>,
    /// Not before.
    pub from: Duration,
    /// Not after.
    pub to: Duration,
    /// Those whose line matches.
    pub grep: Option<Regex>,
}

impl Default for Filter {
    /// Everything but timers.
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
    /// Whether an event is shown, as far as its line does not decide.
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

    /// Whether a line is shown, as far as it decides.
    pub(super) fn matches(&self, line: &str) -> bool {
        self.grep.as_ref().is_none_or(|grep| grep.is_match(line))
    }
}
