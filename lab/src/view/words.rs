//! Short descriptions of events.

use std::collections::BTreeMap;
use std::time::Duration;

use labrpc::{Event, Timed};

use labraft::{HarnessEvent, ServerState};

/// Describes the events of a run, one after the other.
///
/// It remembers earlier events, so an arriving message can be shown with its contents, and a state
/// as what has changed in it.
pub(super) struct Words {
    /// Whether each applied command is an event of its own.
    tells_applied: bool,
    /// The descriptions of requests and replies, by the number of the call.
    requests: BTreeMap<u64, String>,
    replies: BTreeMap<u64, String>,
    states: BTreeMap<usize, ServerState>,
}

impl Words {
    pub(super) fn new(events: &[Timed]) -> Words {
        let is_applied =
            |timed| matches!(HarnessEvent::of(timed), Some(HarnessEvent::Applied { .. }));
        Words {
            tells_applied: events.iter().any(is_applied),
            requests: BTreeMap::new(),
            replies: BTreeMap::new(),
            states: BTreeMap::new(),
        }
    }

    /// The last state that a running server has reported.
    pub(super) fn state(&self, server: usize) -> Option<&ServerState> {
        self.states.get(&server)
    }

    /// Describes the next event; `None` if it has nothing new to show.
    pub(super) fn tell(&mut self, timed: &Timed) -> Option<String> {
        Some(match &timed.event {
            Event::Sent { call, to, method, content, .. } => {
                let words = format!("{} {}", plain(method), bare(content));
                let told = format!("-> {}: {words}", party(*to));
                self.requests.insert(*call, words);
                told
            }
            Event::Delivered { call, from, method } => {
                // Kept, because a copy of the request may arrive later.
                let words = self.requests.get(call).cloned();
                format!("<- {}: {}", party(*from), words.unwrap_or_else(|| plain(method).into()))
            }
            Event::Replied { call, to, method, content, held, .. } => {
                let words = format!("{} answers {}", plain(method), bare(content));
                let held = match held.as_millis() {
                    0 => String::new(),
                    milliseconds => format!(" (held back {milliseconds} ms)"),
                };
                let told = format!("-> {}: {words}{held}", party(*to));
                self.replies.insert(*call, words);
                told
            }
            Event::Answered { call, from, method } => {
                let words = self.replies.remove(call).unwrap_or_else(|| plain(method).into());
                format!("<- {}: {words}", party(*from))
            }
            Event::Lost { call, to, method, why } => {
                let leg = if self.replies.contains_key(call) { "reply" } else { "request" };
                format!("no answer from {}: {} ({leg}): {why}", party(*to), plain(method))
            }
            Event::Woke { task } => format!("timer of {task:?}"),
            Event::Crashed { tasks } => format!("stops (tasks ended: {tasks})"),
            Event::Note { text } => format!("| {text}"),
            Event::Custom { text, .. } => match (HarnessEvent::of(timed), timed.node.as_server()) {
                (Some(HarnessEvent::State(state)), Some(i)) => return self.changed(i, state),
                (Some(HarnessEvent::Started { server } | HarnessEvent::Stopped { server }), _) => {
                    self.states.remove(&server);
                    text.clone()
                }
                _ => text.clone(),
            },
        })
    }

    /// Describes what has changed in a server's state; `None` if nothing has that is shown.
    fn changed(&mut self, i: usize, state: ServerState) -> Option<String> {
        let seen = self.states.insert(i, state.clone());
        let is_first = seen.is_none();
        let before = seen.unwrap_or_default();
        let mut parts = Vec::new();
        if is_first || (before.role, before.term) != (state.role, state.term) {
            parts.push(format!("{} of term {}", state.role, state.term));
        }
        if let Some(vote) = state.voted_for
            && (before.voted_for, before.term) != (state.voted_for, state.term)
        {
            parts.push(format!("vote for {vote}"));
        }
        let written: Vec<String> = state
            .written
            .iter()
            .map(|(i, term, command)| format!("{i}:t{term} {command}"))
            .collect();
        if !written.is_empty() {
            parts.push(format!("log [{}]", written.join(", ")));
        } else if state.last_index < before.last_index {
            parts.push(format!("log ends at {}", state.last_index));
        }
        if state.first_index > before.first_index.max(1) {
            parts.push(format!("log from {}", state.first_index));
        }
        let grown = [
            ("committed", before.commit_index, state.commit_index),
            ("applied", before.last_applied, state.last_applied),
        ];
        for (what, from, to) in grown {
            if from != to && !(what == "applied" && self.tells_applied) {
                parts.push(format!("{what} {from}->{to}"));
            }
        }
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

/// A method without its service: `RequestVote` for `Raft.RequestVote`.
fn plain(method: &str) -> &str {
    method.rsplit('.').next().unwrap_or(method)
}

/// Shortens a message's `Debug` text: without the type's name and the outermost braces, and with
/// fields as `name=value`.
fn bare(content: &str) -> String {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let fields = content.split_once(" { ").filter(|(name, _)| name.chars().all(is_name));
    let Some(fields) = fields.and_then(|(_, fields)| fields.strip_suffix(" }")) else {
        return content.into();
    };
    let (mut depth, mut is_quoted) = (0, false);
    let mut text = String::new();
    let mut characters = fields.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\\' => {
                text.push(c);
                text.extend(characters.next());
                continue;
            }
            '"' => is_quoted = !is_quoted,
            '{' | '[' | '(' if !is_quoted => depth += 1,
            '}' | ']' | ')' if !is_quoted => depth -= 1,
            ':' | ',' if depth == 0 && !is_quoted && characters.peek() == Some(&' ') => {
                characters.next();
                text.push(if c == ':' { '=' } else { ' ' });
                continue;
            }
            _ => {}
        }
        text.push(c);
    }
    text
}

/// A server's number, or the full name of any other node.
fn party(node: labrpc::Node) -> String {
    node.as_server().map_or_else(|| node.to_string(), |i| i.to_string())
}

/// A virtual time in seconds, to the microsecond, padded to 11 characters.
pub(super) fn seconds(at: Duration) -> String {
    format!("{:11.6}", at.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_shown_without_their_wrapping() {
        assert_eq!(bare("Args { term: 1, entries: [] }"), "term=1 entries=[]");
        let nested = r#"Args { entries: [E { a: 1, b: 2 }], text: "x: {, \"y" }"#;
        assert_eq!(bare(nested), r#"entries=[E { a: 1, b: 2 }] text="x: {, \"y""#);
        assert_eq!(bare("Err(Refused { why: 1 })"), "Err(Refused { why: 1 })");
        assert_eq!(bare("17"), "17");
    }
}
