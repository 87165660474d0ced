//! Short descriptions of events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use labrpc::{Event, Name, Node, Timed};

use labraft::{HarnessEvent, ServerNames, ServerState};

/// Describes the events of a run, one after the other.
///
/// It remembers earlier events, so an arriving message can be shown with its contents, and a state
/// as what has changed in it.
pub(super) struct Words {
    names: ServerNames,
    /// Whether each applied command is an event of its own.
    tells_applied: bool,
    /// The methods whose messages are of several types, for requests and for replies. Only there does
    /// a type's name tell what the method's name does not.
    of_several_types: [BTreeSet<Name>; 2],
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
            names: HarnessEvent::names_in(events),
            tells_applied: events.iter().any(is_applied),
            of_several_types: [Leg::Request, Leg::Reply].map(|leg| of_several_types(events, leg)),
            requests: BTreeMap::new(),
            replies: BTreeMap::new(),
            states: BTreeMap::new(),
        }
    }

    /// The names of the servers.
    pub(super) fn names(&self) -> &ServerNames {
        &self.names
    }

    /// The last state that a running server has reported.
    pub(super) fn state(&self, server: usize) -> Option<&ServerState> {
        self.states.get(&server)
    }

    /// Describes the next event; `None` if it has nothing new to show.
    pub(super) fn tell(&mut self, timed: &Timed) -> Option<String> {
        Some(match &timed.event {
            Event::Sent { call, to, method, content, .. } => {
                let message = self.message(Leg::Request, method, content);
                let words = format!("{} {message}", numbered(method, *call));
                let told = format!("-> {}: {words}", self.party(*to));
                self.requests.insert(*call, words);
                told
            }
            Event::Delivered { call, from, method } => {
                // Kept, because a copy of the request may arrive later.
                let words = self.requests.get(call).cloned();
                let words = words.unwrap_or_else(|| numbered(method, *call));
                format!("<- {}: {words}", self.party(*from))
            }
            Event::Replied { call, to, method, content, held, .. } => {
                let message = self.message(Leg::Reply, method, content);
                let words = format!("{} answers {message}", numbered(method, *call));
                let held = match held.as_millis() {
                    0 => String::new(),
                    milliseconds => format!(" (held back {milliseconds} ms)"),
                };
                let told = format!("-> {}: {words}{held}", self.party(*to));
                self.replies.insert(*call, words);
                told
            }
            Event::Answered { call, from, method } => {
                let words = self.replies.remove(call);
                let words = words.unwrap_or_else(|| numbered(method, *call));
                format!("<- {}: {words}", self.party(*from))
            }
            Event::Lost { call, to, method, why } => {
                let leg = if self.replies.contains_key(call) { "reply" } else { "request" };
                let method = numbered(method, *call);
                format!("no answer from {}: {method} ({leg}): {why}", self.party(*to))
            }
            Event::Woke { task } => format!("timer fires: {task}"),
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

    /// The name of a node at the other end of a message; if it is a server that has only a number, just the number.
    fn party(&self, node: Node) -> String {
        self.names.node_after("", node)
    }

    /// Shortens a message's `Debug` text: without the outermost braces, and with fields as
    /// `name=value`. The type's name stays if other messages of the method have another.
    fn message(&self, leg: Leg, method: &Name, content: &str) -> String {
        let Some((name, fields)) = name_and_fields(content) else { return content.into() };
        let fields = bare(fields);
        match self.of_several_types[leg as usize].contains(method) {
            true => format!("{name} {fields}"),
            false => fields,
        }
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
            parts.push(format!("vote for {}", self.names.name("", vote)));
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

/// A method with the number of the call, which says what an answer is the answer to.
fn numbered(method: &str, call: u64) -> String {
    format!("{} #{call}", plain(method))
}

/// The direction of a message.
#[derive(Copy, Clone)]
enum Leg {
    Request,
    Reply,
}

/// The methods whose messages in this direction are of several types.
fn of_several_types(events: &[Timed], leg: Leg) -> BTreeSet<Name> {
    let mut types: BTreeMap<&Name, &str> = BTreeMap::new();
    let mut several = BTreeSet::new();
    for timed in events {
        let Some((method, content)) = sent(&timed.event, leg) else { continue };
        // A variant without named fields is shown whole in any case.
        let Some((name, _)) = name_and_fields(content) else { continue };
        if *types.entry(method).or_insert(name) != name {
            several.insert(method.clone());
        }
    }
    several
}

/// The method and the content of a message that is sent in this direction.
fn sent(event: &Event, leg: Leg) -> Option<(&Name, &str)> {
    match (leg, event) {
        (Leg::Request, Event::Sent { method, content, .. })
        | (Leg::Reply, Event::Replied { method, content, .. }) => Some((method, content)),
        _ => None,
    }
}

/// The type's name and the fields in the `Debug` text of a struct or a variant with named fields.
fn name_and_fields(content: &str) -> Option<(&str, &str)> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let (name, fields) = content.split_once(" { ")?;
    Some((name, fields.strip_suffix(" }")?)).filter(|_| name.chars().all(is_name))
}

/// Shows fields as `name=value`.
fn bare(fields: &str) -> String {
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

/// A virtual time in seconds, to the microsecond, padded to 11 characters.
pub(super) fn seconds(at: Duration) -> String {
    format!("{:11.6}", at.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(content: &str) -> Event {
        let (method, content) = ("Raft.Step".into(), content.into());
        Event::Sent { call: 1, to: Node::server(2), method, bytes: 1, content }
    }

    /// How the first of these messages is shown, all being of one method.
    fn told(contents: &[&str]) -> String {
        let timed = |content: &&str| Timed {
            at: Duration::ZERO,
            node: Node::server(0),
            event: sent(content),
        };
        let events: Vec<Timed> = contents.iter().map(timed).collect();
        Words::new(&events).tell(&events[0]).unwrap()
    }

    #[test]
    fn messages_are_shown_without_their_wrapping() {
        for (content, shown) in [
            ("Args { term: 1, entries: [] }", "term=1 entries=[]"),
            (
                r#"Args { entries: [E { a: 1, b: 2 }], text: "x: {, \"y" }"#,
                r#"entries=[E { a: 1, b: 2 }] text="x: {, \"y""#,
            ),
            ("Err(Refused { why: 1 })", "Err(Refused { why: 1 })"),
            ("17", "17"),
        ] {
            assert_eq!(told(&[content]), format!("-> 2: Step #1 {shown}"));
        }
    }

    #[test]
    fn the_type_is_shown_where_a_method_has_messages_of_several() {
        let append = "Append { term: 1 }";
        assert_eq!(told(&[append, append]), "-> 2: Step #1 term=1");
        assert_eq!(told(&[append, "Vote { term: 1 }"]), "-> 2: Step #1 Append term=1");
    }
}
