//! The harness's events as structured data, stored in [`Event::Custom`] next to the text that
//! people read.

use labrpc::{Event, Timed};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event_kind::EventKind;
use crate::role::Role;

/// The maximum length of a recorded command or value, in characters.
const SHOWN_CHARACTERS: usize = 48;

/// Something that the harness did or observed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum HarnessEvent {
    /// A cluster was created. None of its servers is running yet, and all links are cut.
    Cluster {
        /// The number of servers that there are now, in all clusters.
        servers: usize,
        /// The number of the cluster's first server; its others follow.
        #[serde(default, skip_serializing_if = "is_zero")]
        first: usize,
        /// The cluster's name; empty if it is the only one.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        name: String,
    },
    /// A server was started.
    Started {
        /// The server's number.
        server: usize,
    },
    /// A server was stopped.
    Stopped {
        /// The server's number.
        server: usize,
    },
    /// Links between servers were opened or cut. Each link has one direction.
    Links {
        /// For each link that changed, the sender, the receiver, and whether the link is now open.
        changed: Vec<(usize, usize, bool)>,
    },
    /// The state of the server that recorded the event has changed.
    State(ServerState),
    /// The server that recorded the event applied a command.
    Applied {
        /// The command's index in the log.
        index: u64,
        /// The command as text.
        command: String,
    },
    /// The service of the server that recorded the event restored its state from a snapshot that
    /// its Raft passed to it.
    Restored {
        /// The last index that the snapshot covers.
        index: u64,
    },
    /// The server that recorded the event saved its state and snapshot.
    Saved {
        /// The size of the Raft state in bytes.
        state: usize,
        /// The size of the snapshot in bytes.
        snapshot: usize,
    },
    /// A client started a key/value operation.
    Called {
        /// The operation's number in the run.
        call: usize,
        /// The client's number.
        client: usize,
        /// The key that it reads or writes.
        key: String,
        /// The operation as text.
        operation: String,
    },
    /// A client's operation returned.
    Answered {
        /// The number of the operation, as in [`HarnessEvent::Called`].
        call: usize,
        /// The operation as text, with its result.
        operation: String,
    },
    /// The history is not linearizable: some operations fit no order.
    Unordered {
        /// The numbers of those operations.
        calls: Vec<usize>,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// An entry that was written to a log: its index, its term, and its command as text.
pub type WrittenEntry = (u64, u64, String);

/// The state of a server's Raft. If the implementation has no [`probe`](crate::Raft::probe), only
/// the term is known, and whether the server is the leader; the other fields have their default
/// values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerState {
    /// The current term.
    pub term: u64,
    /// The server's role in that term.
    pub role: Role,
    /// The candidate that the server voted for in the current term.
    pub voted_for: Option<usize>,
    /// The first index that the log still contains.
    pub first_index: u64,
    /// The last index of the log.
    pub last_index: u64,
    /// The highest index known to be committed.
    pub commit_index: u64,
    /// The highest index passed to the service.
    pub last_applied: u64,
    /// The leader's `nextIndex` and `matchIndex` for each server; empty for other roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub followers: Vec<(u64, u64)>,
    /// The entries written since the server's previous [`HarnessEvent::State`]. They replace
    /// earlier entries at the same indexes. Entries after `last_index` were removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub written: Vec<WrittenEntry>,
}

impl ServerState {
    /// Describes the state in one line, without the entries.
    pub fn text(&self) -> String {
        let ServerState { term, role, first_index, last_index, commit_index, last_applied, .. } =
            self;
        let vote = self.voted_for.map(|server| format!(", vote {server}")).unwrap_or_default();
        format!(
            "{role} of term {term}{vote}, log {first_index}..{last_index}, committed {commit_index}, \
             applied {last_applied}"
        )
    }
}

/// Cuts a long text off after [`SHOWN_CHARACTERS`] and appends `...`.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into(),
    }
}

impl HarnessEvent {
    /// The kind under which the event is recorded.
    pub const fn kind(&self) -> EventKind {
        match self {
            HarnessEvent::Links { .. } => EventKind::Net,
            HarnessEvent::State(_) => EventKind::State,
            HarnessEvent::Applied { .. } | HarnessEvent::Restored { .. } => EventKind::Apply,
            HarnessEvent::Saved { .. } => EventKind::Persist,
            HarnessEvent::Cluster { .. }
            | HarnessEvent::Started { .. }
            | HarnessEvent::Stopped { .. }
            | HarnessEvent::Called { .. }
            | HarnessEvent::Answered { .. }
            | HarnessEvent::Unordered { .. } => EventKind::Test,
        }
    }

    /// Converts it to an event for the recording, with the default text.
    pub fn event(&self) -> Event {
        self.event_with(self.text())
    }

    /// Converts it to an event for the recording, with the given text.
    pub fn event_with(&self, text: String) -> Event {
        let data = serde_json::to_value(self).expect("harness events can be written as JSON");
        Event::Custom { kind: self.kind().name().into(), text, data }
    }

    /// Reads a harness event back from a recorded event; `None` for any other event.
    pub fn of(timed: &Timed) -> Option<HarnessEvent> {
        match &timed.event {
            Event::Custom { data: Value::Null, .. } => None,
            Event::Custom { data, .. } => HarnessEvent::deserialize(data).ok(),
            _ => None,
        }
    }

    /// How many servers there must at least be, as far as a recorded event tells.
    pub fn servers_in(timed: &Timed) -> usize {
        let at = timed.node.as_server().map_or(0, |i| i + 1);
        at.max(match HarnessEvent::of(timed) {
            Some(HarnessEvent::Cluster { servers, .. }) => servers,
            Some(HarnessEvent::Started { server } | HarnessEvent::Stopped { server }) => {
                server.saturating_add(1)
            }
            _ => 0,
        })
    }

    fn text(&self) -> String {
        match self {
            HarnessEvent::Cluster { servers, name, .. } if name.is_empty() => {
                format!("{servers} servers")
            }
            HarnessEvent::Cluster { servers, first, name } => {
                let last = servers.saturating_sub(1);
                format!("{name}: servers {first} to {last}")
            }
            HarnessEvent::Started { server } => format!("start server {server}"),
            HarnessEvent::Stopped { server } => format!("crash server {server}"),
            HarnessEvent::Links { changed } => links_text(changed),
            HarnessEvent::State(state) => state.text(),
            HarnessEvent::Applied { index, command } => {
                format!("applied {command} at index {index}")
            }
            HarnessEvent::Restored { index } => format!("applied a snapshot up to index {index}"),
            HarnessEvent::Saved { state, snapshot } => {
                format!("saved {state} bytes of state, {snapshot} of snapshot")
            }
            HarnessEvent::Called { client, operation, .. } => {
                format!("client {client}: {operation}")
            }
            HarnessEvent::Answered { operation, .. } => operation.clone(),
            HarnessEvent::Unordered { calls } => {
                format!("not linearizable: {} operations fit no order", calls.len())
            }
        }
    }
}

/// Describes changed links, as in `cut 0-1, 0-2; open 1->2`. `0-1` stands for both directions.
fn links_text(changed: &[(usize, usize, bool)]) -> String {
    let mut parts = Vec::new();
    for (what, is_open) in [("cut", false), ("open", true)] {
        let of_kind = changed.iter().filter(|(_, _, open)| *open == is_open);
        let links: Vec<(usize, usize)> = of_kind.map(|(from, to, _)| (*from, *to)).collect();
        if !links.is_empty() {
            parts.push(format!("{what} {}", link_names(&links).join(", ")));
        }
    }
    parts.join("; ")
}

fn link_names(links: &[(usize, usize)]) -> Vec<String> {
    let mut names = Vec::new();
    for &(from, to) in links {
        let is_both_ways = links.contains(&(to, from));
        if !is_both_ways {
            names.push(format!("{from}->{to}"));
        } else if from < to {
            names.push(format!("{from}-{to}"));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use labrpc::Node;

    use super::*;

    #[test]
    fn a_harness_event_can_be_read_back_from_its_event() {
        let state = ServerState { term: 3, role: Role::Leader, ..ServerState::default() };
        let event = HarnessEvent::State(state);
        let timed = Timed { at: Duration::ZERO, node: Node::server(1), event: event.event() };
        assert_eq!(HarnessEvent::of(&timed), Some(event));
        let plain = Timed { event: Event::custom("test", "words"), ..timed };
        assert_eq!(HarnessEvent::of(&plain), None);
    }

    #[test]
    fn both_directions_of_a_link_are_named_once() {
        let changed = vec![(0, 1, false), (1, 0, false), (2, 0, false), (1, 2, true)];
        assert_eq!(HarnessEvent::Links { changed }.text(), "cut 0-1, 2->0; open 1->2");
    }
}
