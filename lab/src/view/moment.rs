//! The state of every server, and of every group's shards, at a given time of a recorded run.

use std::collections::BTreeMap;
use std::time::Duration;

use labrpc::{Node, Timed};

use super::words::seconds;
use labraft::{EventKind, GroupChange, HarnessEvent, ServerNames, ServerState, shard_row};

/// How many entries are shown at the end of a log.
const ENTRIES_SHOWN: usize = 6;

/// A server that has been started, with the last state that it reported.
#[derive(Clone, Debug, Default)]
struct Server {
    is_running: bool,
    state: ServerState,
    /// Term and command of each entry, by index.
    log: BTreeMap<u64, (u64, String)>,
}

/// Describes every server at a virtual time, one line each: its state and the end of its log.
pub fn servers_at(events: &[Timed], at: Duration) -> Vec<String> {
    let mut servers: BTreeMap<usize, Server> = BTreeMap::new();
    for timed in events.iter().take_while(|timed| timed.at <= at) {
        match (HarnessEvent::of(timed), timed.node.as_server()) {
            (Some(HarnessEvent::Started { server }), _) => {
                servers.insert(server, Server { is_running: true, ..Server::default() });
            }
            (Some(HarnessEvent::Stopped { server }), _) => {
                servers.entry(server).or_default().is_running = false;
            }
            (Some(HarnessEvent::State(state)), Some(i)) => {
                servers.entry(i).or_default().update(state)
            }
            _ => {}
        }
    }
    let names = HarnessEvent::names_in(events);
    let line = |(i, server): (&usize, &Server)| {
        format!("{}: {}", names.name("S", *i), server.words(&names))
    };
    servers.iter().map(line).collect()
}

/// Describes what every group of lab 4 does with its shards at a virtual time, one line each.
pub fn shards_at(events: &[Timed], at: Duration) -> Vec<String> {
    let mut groups: BTreeMap<u64, String> = BTreeMap::new();
    for (_, _, change) in shard_changes(events, at) {
        let GroupChange { group, config, now, .. } = change;
        groups.insert(group, format!("group {group}: config {config} {}", shard_row(&now)));
    }
    groups.into_values().collect()
}

/// The last `most` changes in what groups do with their shards, up to a virtual time, one line each.
pub fn last_shard_changes(events: &[Timed], at: Duration, most: usize) -> Vec<String> {
    let names = HarnessEvent::names_in(events);
    let told = shard_changes(events, at)
        .map(|(at, node, change)| format!("{}  {:<6}  {change}", seconds(at), names.node(node)));
    let mut told: Vec<String> = told.collect();
    told.drain(..told.len().saturating_sub(most));
    told
}

/// The changes in what groups do with their shards, up to a virtual time.
fn shard_changes(
    events: &[Timed],
    at: Duration,
) -> impl Iterator<Item = (Duration, Node, GroupChange)> {
    let until = events.iter().take_while(move |timed| timed.at <= at);
    // Reading an event is slow, and few are of this kind.
    let changes = until.filter(|timed| EventKind::of(&timed.event) == EventKind::Shard);
    changes.filter_map(|timed| match HarnessEvent::of(timed) {
        Some(HarnessEvent::Shards(change)) => Some((timed.at, timed.node, change)),
        _ => None,
    })
}

impl Server {
    fn update(&mut self, mut state: ServerState) {
        let written = std::mem::take(&mut state.written);
        if let Some((first, ..)) = written.first() {
            self.log.split_off(first);
        }
        self.log.extend(written.into_iter().map(|(index, term, command)| (index, (term, command))));
        self.log.retain(|index, _| (state.first_index..=state.last_index).contains(index));
        self.state = state;
    }

    fn words(&self, names: &ServerNames) -> String {
        if !self.is_running {
            return "not running".into();
        }
        let entries: Vec<String> = self
            .log
            .iter()
            .map(|(index, (term, command))| format!("{index}:t{term} {command}"))
            .collect();
        let hidden = entries.len().saturating_sub(ENTRIES_SHOWN);
        let before = if hidden > 0 { "... " } else { "" };
        format!("{}; log [{before}{}]", self.state.text(names), entries[hidden..].join(", "))
    }
}

#[cfg(test)]
mod tests {
    use labraft::ShardState;

    use super::*;

    #[test]
    fn the_state_of_shards_is_what_their_group_told_last() {
        let change = |config, now| {
            HarnessEvent::Shards(GroupChange {
                group: 101,
                config,
                before: vec![ShardState::Absent; 2],
                now,
            })
        };
        let cluster = HarnessEvent::Cluster {
            servers: 3,
            first: 0,
            name: "group 101".into(),
            short: "101".into(),
        };
        let facts = [
            (Node::TESTER, cluster),
            (Node::server(1), change(1, vec![ShardState::Waiting; 2])),
            (Node::server(2), change(2, vec![ShardState::Serving, ShardState::Absent])),
        ];
        let timed = |(second, (node, fact)): (u64, (Node, HarnessEvent))| Timed {
            at: Duration::from_secs(second),
            node,
            event: fact.event(),
        };
        let events: Vec<Timed> = (0..).zip(facts).map(timed).collect();
        assert_eq!(shards_at(&events, Duration::from_secs(1)), ["group 101: config 1 [ww]"]);
        assert_eq!(shards_at(&events, Duration::MAX), ["group 101: config 2 [0.]"]);
        let last = last_shard_changes(&events, Duration::MAX, 1);
        assert_eq!(last, ["   2.000000  101/2   config 2 [0.] shard 0: absent -> serving"]);
        assert_eq!(last_shard_changes(&events, Duration::ZERO, 9), [""; 0]);
    }

    #[test]
    fn a_log_is_what_was_written_last() {
        let state = |last_index, written: &[(u64, u64, &str)]| {
            let written = written.iter().map(|(i, t, c)| (*i, *t, c.to_string())).collect();
            HarnessEvent::State(ServerState {
                first_index: 1,
                last_index,
                written,
                ..ServerState::default()
            })
        };
        let facts = [
            HarnessEvent::Started { server: 0 },
            state(3, &[(1, 1, "a"), (2, 1, "b"), (3, 1, "c")]),
            state(2, &[(2, 2, "d")]),
            HarnessEvent::Stopped { server: 0 },
        ];
        let events: Vec<Timed> = (0..)
            .zip(facts)
            .map(|(second, fact)| Timed {
                at: Duration::from_secs(second),
                node: Node::server(0),
                event: fact.event(),
            })
            .collect();
        let line = servers_at(&events, Duration::from_secs(2)).concat();
        assert!(line.ends_with("log [1:t1 a, 2:t2 d]"), "{line}");
        assert_eq!(servers_at(&events, Duration::MAX), ["S0: not running"]);
    }
}
