//! The state of every server at a given time of a recorded run.

use std::collections::BTreeMap;
use std::time::Duration;

use labrpc::Timed;

use labraft::{HarnessEvent, ServerNames, ServerState};

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
    use labrpc::Node;

    use super::*;

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
