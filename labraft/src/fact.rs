//! What the harness records of a run for programs, beside the words for people: the data of
//! [`Event::Custom`].

use labrpc::{Event, Timed};
use serde::{Deserialize, Serialize};

use crate::raft::{Probe, Raft, RaftState, Role};

/// Of a command or a value, at most so many characters are kept.
const SHOWN_CHARACTERS: usize = 48;

/// Something that the harness knows of a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// There is a cluster of so many servers, none of which runs yet.
    Cluster {
        /// How many.
        servers: usize,
    },
    /// A server was started.
    Started {
        /// Which.
        server: usize,
    },
    /// A server was stopped.
    Stopped {
        /// Which.
        server: usize,
    },
    /// Ways between servers were opened or cut, each in one direction: from, to, and whether it is open
    /// now. All are cut at first.
    Links {
        /// The ways that have changed.
        changed: Vec<(usize, usize, bool)>,
    },
    /// What the server at which it is recorded is at now. Recorded whenever something of it has changed.
    State(State),
    /// A command was applied at the server at which it is recorded.
    Applied {
        /// Its index.
        index: u64,
        /// The command.
        command: String,
    },
    /// The service of that server went on from a snapshot that its Raft handed up.
    Restored {
        /// The last index that it covers.
        index: u64,
    },
    /// A server saved, in bytes.
    Saved {
        /// The size of Raft's state.
        state: usize,
        /// The size of the snapshot.
        snapshot: usize,
    },
    /// A client called a key/value operation.
    Called {
        /// The operation's number.
        call: usize,
        /// The client's number.
        client: usize,
        /// The key.
        key: String,
        /// The operation in words.
        operation: String,
    },
    /// The operation of that number was answered.
    Answered {
        /// The operation's number.
        call: usize,
        /// The operation in words, with its answer.
        operation: String,
    },
    /// The operations that fit no order, by their numbers.
    Unordered {
        /// Their numbers.
        calls: Vec<usize>,
    },
}

/// The inside of a server's Raft. Of one that does not answer [`Raft::probe`] there are only the term and
/// whether it leads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The current term.
    pub term: u64,
    /// `follower`, `candidate` or `leader`.
    pub role: String,
    /// Whom it voted for in this term.
    pub voted_for: Option<usize>,
    /// The first index that the log still holds.
    pub first_index: u64,
    /// The last index of the log.
    pub last_index: u64,
    /// The highest index known to be committed.
    pub commit_index: u64,
    /// The highest index handed to the service.
    pub last_applied: u64,
    /// For a leader, nextIndex and matchIndex of each server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub followers: Vec<(u64, u64)>,
    /// The entries that were written since the last such fact: index, term, command. What stood there
    /// or behind `last_index` is gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub written: Vec<(u64, u64, String)>,
}

/// What was recorded last of a server that runs.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    probe: Option<Probe>,
    outside: Option<RaftState>,
}

impl Recorded {
    /// The server has run, and answered `probe` if it does so: its state, when that has changed.
    pub(crate) fn change(
        &mut self,
        raft: &dyn Raft,
        probe: Option<&Probe>,
        show: ShowCommand,
    ) -> Option<State> {
        let Some(probe) = probe else {
            let now = raft.state();
            let last = self.outside.replace(now);
            return (last != Some(now)).then(|| State::from_outside(now.term, now.is_leader));
        };
        if self.probe.as_ref() == Some(probe) {
            return None;
        }
        let last = self.probe.replace(probe.clone());
        Some(State::new(raft, probe, last.as_ref(), show))
    }
}

/// How the commands of a test are shown.
pub type ShowCommand = fn(&[u8]) -> String;

impl State {
    /// The state of a Raft that answered `probe`, and before that, since it was started, `last`.
    fn new(raft: &dyn Raft, probe: &Probe, last: Option<&Probe>, show: ShowCommand) -> State {
        let first = probe.first_index;
        let from = match last {
            None => first,
            Some(_) => probe.lowest_written.map_or(u64::MAX, |lowest| lowest.max(first)),
        };
        let written = (from..=probe.last_index).map_while(|index| {
            let entry = raft.entry(index)?;
            Some((index, entry.term, shortened(&show(&entry.command))))
        });
        State {
            term: probe.term,
            role: role_name(probe.role).into(),
            voted_for: probe.voted_for,
            first_index: first,
            last_index: probe.last_index,
            commit_index: probe.commit_index,
            last_applied: probe.last_applied,
            followers: probe.followers.iter().map(|f| (f.next_index, f.match_index)).collect(),
            written: written.collect(),
        }
    }

    /// What can be said of a Raft that does not answer.
    fn from_outside(term: u64, is_leader: bool) -> State {
        let role = role_name(if is_leader { Role::Leader } else { Role::Follower }).into();
        State { term, role, ..State::default() }
    }

    /// In words, without the entries.
    pub fn text(&self) -> String {
        let State { term, role, first_index, last_index, commit_index, last_applied, .. } = self;
        let vote = self.voted_for.map(|server| format!(", vote {server}")).unwrap_or_default();
        format!(
            "{role} of term {term}{vote}, log {first_index}..{last_index}, committed {commit_index}, \
             applied {last_applied}"
        )
    }
}

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
    }
}

/// A text that is not too long.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into(),
    }
}

impl Fact {
    /// What kind of event it is recorded as.
    const fn kind(&self) -> &'static str {
        match self {
            Fact::Links { .. } => "net",
            Fact::State(_) => "state",
            Fact::Applied { .. } | Fact::Restored { .. } => "apply",
            Fact::Saved { .. } => "persist",
            _ => "test",
        }
    }

    /// The event that records it, in these words.
    pub fn event_with(&self, text: String) -> Event {
        let data = serde_json::to_string(self).expect("facts can be written as JSON");
        Event::Custom { kind: self.kind().into(), text, data }
    }

    /// The event that records it.
    pub fn event(&self) -> Event {
        self.event_with(match self {
            Fact::Cluster { servers } => format!("{servers} servers"),
            Fact::Started { server } => format!("start server {server}"),
            Fact::Stopped { server } => format!("crash server {server}"),
            Fact::Links { changed } => links_text(changed),
            Fact::State(state) => state.text(),
            Fact::Applied { index, command } => format!("applied {command} at index {index}"),
            Fact::Restored { index } => format!("applied a snapshot up to index {index}"),
            Fact::Saved { state, snapshot } => {
                format!("saved {state} bytes of state, {snapshot} of snapshot")
            }
            Fact::Called { client, operation, .. } => format!("client {client}: {operation}"),
            Fact::Answered { operation, .. } => operation.clone(),
            Fact::Unordered { calls } => format!("{} operations fit no order", calls.len()),
        })
    }

    /// What an event records, if it does so for programs.
    pub fn of(timed: &Timed) -> Option<Fact> {
        match &timed.event {
            Event::Custom { data, .. } if !data.is_empty() => serde_json::from_str(data).ok(),
            _ => None,
        }
    }
}

/// `cut 0-1, 0-2; open 1->2`: both directions of a way together.
fn links_text(changed: &[(usize, usize, bool)]) -> String {
    let words = |is_open: bool| -> Vec<String> {
        let of_kind: Vec<(usize, usize)> =
            changed.iter().filter(|link| link.2 == is_open).map(|&(i, j, _)| (i, j)).collect();
        let is_both = |&(i, j): &(usize, usize)| of_kind.contains(&(j, i));
        let shown = of_kind.iter().filter(|&&(i, j)| i < j || !is_both(&(i, j)));
        shown
            .map(|&(i, j)| format!("{i}{}{j}", if is_both(&(i, j)) { "-" } else { "->" }))
            .collect()
    };
    let parts = [("cut", words(false)), ("open", words(true))];
    let parts = parts.iter().filter(|(_, words)| !words.is_empty());
    let parts: Vec<String> =
        parts.map(|(what, words)| format!("{what} {}", words.join(", "))).collect();
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use labrpc::Node;

    use super::*;

    #[test]
    fn a_fact_is_found_again_in_its_event() {
        let fact = Fact::State(State { term: 3, role: "leader".into(), ..State::default() });
        let event = fact.event();
        let timed = Timed { at: Duration::ZERO, node: Node::server(1), event };
        assert_eq!(Fact::of(&timed), Some(fact));
        let plain = Timed { event: Event::custom("test", "words"), ..timed };
        assert_eq!(Fact::of(&plain), None);
    }

    #[test]
    fn both_directions_of_a_way_are_said_once() {
        let changed = vec![(0, 1, false), (1, 0, false), (2, 0, false), (1, 2, true)];
        let Event::Custom { text, .. } = Fact::Links { changed }.event() else { unreachable!() };
        assert_eq!(text, "cut 0-1, 2->0; open 1->2");
    }
}
