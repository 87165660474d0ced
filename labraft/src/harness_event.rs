//! The harness's events as structured data, stored in [`Event::Custom`] next to the text that
//! people read.

use labrpc::{Data, Event, Timed};
use serde::{Deserialize, Serialize};

use crate::event_kind::EventKind;
use crate::role::Role;
use crate::server_names::ServerNames;

// BEGIN LAB 4
use crate::shard_state::GroupChange;
// END LAB 4

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
        /// The first part of the names of its servers; empty if they have only numbers. See
        /// [`ServerNames`].
        #[serde(default, skip_serializing_if = "String::is_empty")]
        short: String,
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
    // BEGIN LAB 4
    /// A group of lab 4 went to another configuration, or began or ceased to do something with a shard. It is
    /// recorded by the first of its servers that has applied this.
    Shards(GroupChange),
    // END LAB 4
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
    /// What somebody did from outside had no effect.
    Ignored {
        /// Why, in a sentence.
        why: String,
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
    pub fn text(&self, names: &ServerNames) -> String {
        let ServerState { term, role, first_index, last_index, commit_index, last_applied, .. } =
            self;
        let vote = self.voted_for.map(|server| format!(", vote {}", names.name("", server)));
        let vote = vote.unwrap_or_default();
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
            // BEGIN LAB 4
            HarnessEvent::Shards(_) => EventKind::Shard,
            // END LAB 4
            HarnessEvent::Applied { .. } | HarnessEvent::Restored { .. } => EventKind::Apply,
            HarnessEvent::Saved { .. } => EventKind::Persist,
            HarnessEvent::Cluster { .. }
            | HarnessEvent::Started { .. }
            | HarnessEvent::Stopped { .. }
            | HarnessEvent::Called { .. }
            | HarnessEvent::Answered { .. }
            | HarnessEvent::Ignored { .. }
            | HarnessEvent::Unordered { .. } => EventKind::Test,
        }
    }

    /// Converts it to an event for the recording, with the default text. Servers have numbers.
    pub fn event(&self) -> Event {
        self.event_among(&ServerNames::default())
    }

    /// Converts it to an event for the recording, with a text in which servers have these names.
    pub fn event_among(&self, names: &ServerNames) -> Event {
        self.event_with(self.text(names))
    }

    /// Converts it to an event for the recording, with the given text.
    pub fn event_with(&self, text: String) -> Event {
        Event::Custom { kind: self.kind().name().into(), text, data: Data::of(self) }
    }

    /// Reads a harness event back from a recorded event; `None` for any other event.
    pub fn of(timed: &Timed) -> Option<HarnessEvent> {
        timed.event.data()?.read()
    }

    /// The names of the servers in a recorded run.
    pub fn names_in(events: &[Timed]) -> ServerNames {
        let mut names = ServerNames::default();
        events.iter().for_each(|timed| HarnessEvent::learn_names(timed, &mut names));
        names
    }

    /// Adds the names that a recorded event tells, if it is about a cluster.
    pub fn learn_names(timed: &Timed, names: &mut ServerNames) {
        // Reading an event is slow, and few are about a cluster.
        let is_cluster = matches!(&timed.event, Event::Custom { kind, data, .. }
            if **kind == *EventKind::Test.name() && data.text().contains("cluster"));
        if is_cluster
            && let Some(HarnessEvent::Cluster { servers, first, short, .. }) =
                HarnessEvent::of(timed)
        {
            names.add(&short, first..servers);
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

    fn text(&self, names: &ServerNames) -> String {
        let server_name = |server: &usize| names.name("server ", *server);
        match self {
            HarnessEvent::Cluster { servers, name, .. } if name.is_empty() => {
                format!("{servers} servers")
            }
            HarnessEvent::Cluster { servers, first, name, short } => {
                let mut names = ServerNames::default();
                names.add(short, *first..*servers);
                let last = servers.saturating_sub(1);
                let first = *first;
                let others = (last > first).then(|| format!(" to {}", names.name("", last)));
                format!("{name}: {}{}", names.name("server ", first), others.unwrap_or_default())
            }
            HarnessEvent::Started { server } => format!("start {}", server_name(server)),
            HarnessEvent::Stopped { server } => format!("crash {}", server_name(server)),
            HarnessEvent::Links { changed } => links_text(changed, names),
            // A run has so many states that a text is made only for those that are shown, from their data.
            HarnessEvent::State(_) => String::new(),
            // BEGIN LAB 4
            HarnessEvent::Shards(change) => change.to_string(),
            // END LAB 4
            HarnessEvent::Applied { index, command } => {
                format!("applied {command} at index {index}")
            }
            HarnessEvent::Restored { index } => format!("applied a snapshot up to index {index}"),
            HarnessEvent::Saved { state, snapshot } => {
                format!("saved {state} bytes of state, {snapshot} of snapshot")
            }
            // Both are events of the client's node, whose name is shown with them.
            HarnessEvent::Called { operation, .. } | HarnessEvent::Answered { operation, .. } => {
                operation.clone()
            }
            HarnessEvent::Ignored { why } => why.clone(),
            HarnessEvent::Unordered { calls } => {
                format!("not linearizable: {} operations fit no order", calls.len())
            }
        }
    }
}

/// Describes changed links, as in `cut 0-1, 0-2; open 1->2`. `0-1` stands for both directions.
fn links_text(changed: &[(usize, usize, bool)], names: &ServerNames) -> String {
    let mut parts = Vec::new();
    for (what, is_open) in [("cut", false), ("open", true)] {
        let of_kind = changed.iter().filter(|(_, _, open)| *open == is_open);
        let links: Vec<(usize, usize)> = of_kind.map(|(from, to, _)| (*from, *to)).collect();
        if !links.is_empty() {
            parts.push(format!("{what} {}", link_names(&links, names).join(", ")));
        }
    }
    parts.join("; ")
}

fn link_names(links: &[(usize, usize)], names: &ServerNames) -> Vec<String> {
    let mut told = Vec::new();
    for &(from, to) in links {
        let is_both_ways = links.contains(&(to, from));
        let between = |sign: &str| format!("{}{sign}{}", names.name("", from), names.name("", to));
        if !is_both_ways {
            told.push(between("->"));
        } else if from < to {
            told.push(between("-"));
        }
    }
    told
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
        let links = HarnessEvent::Links { changed };
        let mut names = ServerNames::default();
        assert_eq!(links.text(&names), "cut 0-1, 2->0; open 1->2");
        names.add("101", 0..3);
        assert_eq!(links.text(&names), "cut 101/0-101/1, 101/2->101/0; open 101/1->101/2");
    }

    #[test]
    fn the_servers_of_a_named_cluster_are_called_by_their_names() {
        let cluster = HarnessEvent::Cluster {
            servers: 6,
            first: 3,
            name: "group 101".into(),
            short: "101".into(),
        };
        let started = HarnessEvent::Started { server: 4 };
        let timed = |event: Event| Timed { at: Duration::ZERO, node: Node::TESTER, event };
        let before = [timed(Event::custom("test", "words")), timed(started.event())];
        let names = HarnessEvent::names_in(&before);
        assert_eq!(cluster.text(&names), "group 101: 101/0 to 101/2");
        assert_eq!(started.text(&names), "start server 4");
        let names = HarnessEvent::names_in(&[timed(cluster.event()), timed(started.event())]);
        assert_eq!(started.text(&names), "start 101/1");
    }
}
