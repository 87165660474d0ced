//! The kinds of events, shared by recordings, filters and views.
//!
//! To add a kind, add a line to `event_kinds!`, not at the end. The page then shows a button
//! for the kind and marks its events with a dot, unless `markOf` in `lab/src/view/page/messages.js`
//! returns another mark. The compiler reports where to choose the kind's colour in the log
//! (`lab/src/view/columns.rs`). Most new events of the harness fit an existing kind: see
//! [`HarnessEvent`](crate::HarnessEvent).

use std::fmt;
use std::str::FromStr;

use labrpc::Event;
use serde::{Deserialize, Serialize};

/// Declares the enum together with the table of its names.
macro_rules! event_kinds {
    ($($(#[$doc:meta])* $kind:ident: $name:literal,)+) => {
        /// What an event is about. For a message, the method's name determines the kind.
        #[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum EventKind {
            $($(#[$doc])* #[serde(rename = $name)] $kind,)+
        }

        /// Each kind with its name, in the order of the enum.
        const TABLE: &[(EventKind, &str)] = &[$((EventKind::$kind, $name)),+];
    };
}

// Each kind with its name on the command line, in recordings and in the page. The page relies on the five
// kinds of messages coming first, and on timers coming last.
event_kinds! {
    /// A message of an election, such as a request for a vote.
    Vote: "vote",
    /// A message that replicates entries, or a heartbeat.
    Append: "append",
    /// A message that transfers a snapshot, or the reply to one.
    Snapshot: "snapshot",
    /// A message between a client and the key/value service.
    Kv: "kv",
    /// Any other message.
    Rpc: "rpc",
    /// A command or snapshot that was passed to a service.
    Apply: "apply",
    /// A link that was cut or opened, or a message that was lost.
    Net: "net",
    /// A save to a server's persister.
    Persist: "persist",
    /// A change in the state of a server's Raft.
    State: "state",
    // BEGIN LAB 4
    /// A change in what a group of lab 4 does with its shards.
    Shard: "shard",
    // END LAB 4
    /// A step of the test, such as stopping a server, or an event of no other kind.
    Test: "test",
    /// A line that the implementation logged.
    Note: "note",
    /// A timer that fired.
    Timer: "timer",
}

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
        let names = TABLE.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", ");
        Err(format!("unknown kind of event {text:?}; the kinds are {names}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_written_as_its_name() {
        for kind in EventKind::all() {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert_eq!(EventKind::all().last(), Some(EventKind::Timer), "the page relies on it");
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
