//! What events are about: the one list of kinds that recordings, filters and views use.
//!
//! To add a kind: a value and a row here. The page gets a button for it from this list, and marks such
//! events with a dot; `markOf` in `lab/src/view/page/messages.js` can give them a mark of their own. The
//! compiler asks for its colour in the log (`lab/src/view/columns.rs`). Most new events of the harness
//! need no new kind: see [`HarnessEvent`](crate::HarnessEvent).

use std::fmt;
use std::str::FromStr;

use labrpc::Event;
use serde::{Deserialize, Serialize};

/// What an event is about. Messages are told apart by the names of their methods.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A message of an election.
    Vote,
    /// A message that replicates entries, or a heartbeat.
    Append,
    /// A message with a snapshot.
    Snapshot,
    /// A message between a client and the key/value service.
    Kv,
    /// Any other message.
    Rpc,
    /// A command or snapshot that a service was given.
    Apply,
    /// A link that was cut or opened, or a message that was lost.
    Net,
    /// A save.
    Persist,
    /// A Raft whose state has changed.
    State,
    /// A step of the test.
    Test,
    /// A line of the implementation's own log.
    Note,
    /// A timer that fired.
    Timer,
}

/// One row for each kind, in the order of the enum: its name on the command line and in recordings. The
/// five kinds of messages come first, which the page relies on, and timers last.
const TABLE: [(EventKind, &str); 12] = [
    (EventKind::Vote, "vote"),
    (EventKind::Append, "append"),
    (EventKind::Snapshot, "snapshot"),
    (EventKind::Kv, "kv"),
    (EventKind::Rpc, "rpc"),
    (EventKind::Apply, "apply"),
    (EventKind::Net, "net"),
    (EventKind::Persist, "persist"),
    (EventKind::State, "state"),
    (EventKind::Test, "test"),
    (EventKind::Note, "note"),
    (EventKind::Timer, "timer"),
];

impl EventKind {
    /// All kinds, in the order of the table.
    pub fn all() -> impl Iterator<Item = EventKind> {
        TABLE.iter().map(|(kind, _)| *kind)
    }

    /// The name on the command line and in recordings.
    pub const fn name(self) -> &'static str {
        TABLE[self as usize].1
    }

    /// The kind of an event.
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
            // What upper crates record without being one of these kinds is a step of the test.
            Event::Custom { kind, .. } => kind.parse().unwrap_or(EventKind::Test),
        }
    }

    /// The kind of a message, by its method's name. It need not be the reference's name: other
    /// implementations use other words.
    pub fn of_method(method: &str) -> EventKind {
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
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EventKind {
    type Err = String;

    fn from_str(text: &str) -> Result<EventKind, String> {
        if let Some((kind, _)) = TABLE.iter().find(|(_, name)| *name == text) {
            return Ok(*kind);
        }
        let names = TABLE.map(|(_, name)| name).join(", ");
        Err(format!("no kind of event is called {text:?}; the kinds are {names}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_of_the_table_stands_at_the_place_of_its_kind_and_has_its_serde_name() {
        for (place, (kind, name)) in TABLE.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
            assert_eq!(serde_json::to_value(kind).unwrap(), name);
        }
        assert_eq!(EventKind::Timer as usize + 1, TABLE.len());
    }

    #[test]
    fn messages_are_told_apart_by_their_methods() {
        assert_eq!(EventKind::of_method("Raft.RequestVote"), EventKind::Vote);
        assert_eq!(EventKind::of_method("Raft.AppendEntries"), EventKind::Append);
        assert_eq!(EventKind::of_method("Raft.InstallSnapshot"), EventKind::Snapshot);
        assert_eq!(EventKind::of_method("KVServer.PutAppend"), EventKind::Kv);
        assert_eq!(EventKind::of_method("Raft.TimeoutNow"), EventKind::Rpc);
    }
}
