//! Which events are shown.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use labrpc::{Event, Timed};
use regex::Regex;

/// What an event is about. The messages of a Raft are told apart by the names of its methods.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    missing_docs,
    reason = "the words of the command line; docs/reading-a-run.md tells of each"
)]
pub enum EventKind {
    Vote,
    Append,
    Snapshot,
    Kv,
    Rpc,
    Apply,
    Net,
    Persist,
    State,
    Test,
    Note,
    Timer,
}

impl EventKind {
    /// All of them.
    pub const ALL: [EventKind; 12] = [
        EventKind::Vote,
        EventKind::Append,
        EventKind::Snapshot,
        EventKind::Kv,
        EventKind::Rpc,
        EventKind::Apply,
        EventKind::Net,
        EventKind::Persist,
        EventKind::State,
        EventKind::Test,
        EventKind::Note,
        EventKind::Timer,
    ];

    /// As on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            EventKind::Vote => "vote",
            EventKind::Append => "append",
            EventKind::Snapshot => "snapshot",
            EventKind::Kv => "kv",
            EventKind::Rpc => "rpc",
            EventKind::Apply => "apply",
            EventKind::Net => "net",
            EventKind::Persist => "persist",
            EventKind::State => "state",
            EventKind::Test => "test",
            EventKind::Note => "note",
            EventKind::Timer => "timer",
        }
    }

    /// Of a method, by its name.
    fn of_method(method: &str) -> EventKind {
        let method = method.to_ascii_lowercase();
        if method.contains("vote") {
            EventKind::Vote
        } else if method.contains("append") && !method.contains("kv") {
            EventKind::Append
        } else if method.contains("snapshot") {
            EventKind::Snapshot
        } else if method.contains("kv") {
            EventKind::Kv
        } else {
            EventKind::Rpc
        }
    }

    /// Of an event.
    pub fn of(event: &Event) -> EventKind {
        match event {
            Event::Sent { method, .. }
            | Event::Delivered { method, .. }
            | Event::Replied { method, .. }
            | Event::Answered { method, .. } => EventKind::of_method(method),
            Event::Lost { .. } => EventKind::Net,
            Event::Woke { .. } => EventKind::Timer,
            Event::Crashed { .. } => EventKind::Test,
            Event::Note { .. } => EventKind::Note,
            Event::Custom { kind, .. } => match kind.as_ref() {
                "apply" => EventKind::Apply,
                "net" => EventKind::Net,
                "persist" => EventKind::Persist,
                "state" => EventKind::State,
                _ => EventKind::Test,
            },
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EventKind {
    type Err = String;

    fn from_str(text: &str) -> Result<EventKind, String> {
        EventKind::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let names = EventKind::ALL.map(EventKind::name).join(", ");
            format!("no kind of event is called {text:?}; there are {names}")
        })
    }
}

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
        let all = EventKind::ALL.into_iter();
        Filter {
            kinds: all.filter(|kind| *kind != EventKind::Timer).collect(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_methods_of_raft_and_of_the_service_are_told_apart() {
        let of = |method: &str| EventKind::of_method(method);
        assert_eq!(of("Raft.RequestVote"), EventKind::Vote);
        assert_eq!(of("Raft.AppendEntries"), EventKind::Append);
        assert_eq!(of("Raft.InstallSnapshot"), EventKind::Snapshot);
        assert_eq!(of("KVServer.PutAppend"), EventKind::Kv);
        assert_eq!(of("Paxos.Prepare"), EventKind::Rpc);
    }

    #[test]
    fn kinds_are_read_as_they_are_written() {
        for kind in EventKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!("votes".parse::<EventKind>().unwrap_err().contains("vote, append"));
    }
}
