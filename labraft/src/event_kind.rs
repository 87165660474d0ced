//! The kinds of events, shared by recordings, filters and views.
//!
//! To add a kind, add a variant to [`EventKind`] and a row to `TABLE`. The page then shows a button
//! for the kind and marks its events with a dot, unless `markOf` in `lab/src/view/page/messages.js`
//! returns another mark. The compiler reports where to choose the kind's colour in the log
//! (`lab/src/view/columns.rs`). Most new events of the harness fit an existing kind: see
//! [`HarnessEvent`](crate::HarnessEvent).

use std::fmt;
use std::str::FromStr;

use labrpc::Event;
use serde::{Deserialize, Serialize};

/// What an event is about. For a message, the method's name determines the kind.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A message of an election, such as a request for a vote.
    Vote,
    /// A message that replicates entries, or a heartbeat.
    Append,
    /// A message that transfers a snapshot, or the reply to one.
    Snapshot,
    /// A message between a client and the key/value service.
    Kv,
    /// Any other message.
    Rpc,
    /// A command or snapshot that was passed to a service.
    Apply,
    /// A link that was cut or opened, or a message that was lost.
    Net,
    /// A save to a server's persister.
    Persist,
    /// A change in the state of a server's Raft.
    State,
    /// A step of the test, such as stopping a server, or an event of no other kind.
    Test,
    /// A line that the implementation logged.
    Note,
    /// A timer that fired.
    Timer,
}

/// Each kind with its name on the command line and in recordings, in the order of the enum. The
/// page relies on the five kinds of messages coming first. Timers come last.
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

    /// The kind's name on the command line and in recordings, such as `vote`.
    pub const fn name(self) -> &'static str {
        TABLE[self as usize].1
    }

    /// The kind of an event. A custom event of an unknown kind counts as [`EventKind::Test`].
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
            // Some recorded kinds, such as `chaos`, are not in the table.
            Event::Custom { kind, .. } => kind.parse().unwrap_or(EventKind::Test),
        }
    }

    /// Guesses the kind of a message from its method's name. It looks for words such as `vote` in
    /// any case, because implementations may choose other names than the reference.
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
        Err(format!("unknown kind of event {text:?}; the kinds are {names}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum_and_uses_the_serde_names() {
        for (place, (kind, name)) in TABLE.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
            assert_eq!(serde_json::to_value(kind).unwrap(), name);
        }
        assert_eq!(EventKind::Timer as usize + 1, TABLE.len());
    }

    #[test]
    fn the_kind_of_a_message_follows_from_its_method() {
        assert_eq!(EventKind::of_method("Raft.RequestVote"), EventKind::Vote);
        assert_eq!(EventKind::of_method("Raft.AppendEntries"), EventKind::Append);
        assert_eq!(EventKind::of_method("Raft.InstallSnapshot"), EventKind::Snapshot);
        assert_eq!(EventKind::of_method("KVServer.PutAppend"), EventKind::Kv);
        assert_eq!(EventKind::of_method("Raft.TimeoutNow"), EventKind::Rpc);
    }
}
