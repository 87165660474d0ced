//! Events on their way from a worker to its parent.
//!
//! In recordings an event is one flat object, which has to be read as a whole before it is known what it is. A run can
//! have 150,000 events, so here each is an array of its time, its node and what happened there.

use labrpc::{Event, Lost, Name, Node, Timed};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// [`Event`], with its variant's name in front of the fields.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Event")]
enum EventOnWire {
    Sent {
        call: u64,
        to: Node,
        method: Name,
        bytes: usize,
        content: String,
    },
    Delivered {
        call: u64,
        from: Node,
        method: Name,
    },
    Lost {
        call: u64,
        to: Node,
        method: Name,
        why: Lost,
    },
    Replied {
        call: u64,
        to: Node,
        method: Name,
        bytes: usize,
        content: String,
        #[serde(with = "labrpc::nanoseconds")]
        held: std::time::Duration,
    },
    Answered {
        call: u64,
        from: Node,
        method: Name,
    },
    Woke {
        task: Name,
    },
    Crashed {
        tasks: usize,
    },
    Note {
        text: String,
    },
    Custom {
        kind: Name,
        text: String,
        #[serde(default, skip_serializing_if = "Value::is_null")]
        data: Value,
    },
}

/// An event that is sent.
struct Sent<'a>(&'a Timed);

/// What happened, of an event that is sent.
struct SentEvent<'a>(&'a Event);

/// An event that was received.
#[derive(Deserialize)]
struct Received(
    #[serde(with = "labrpc::nanoseconds")] std::time::Duration,
    Node,
    #[serde(with = "EventOnWire")] Event,
);

impl Serialize for Sent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Timed { at, node, event } = self.0;
        let mut tuple = serializer.serialize_tuple(3)?;
        tuple.serialize_element(&u64::try_from(at.as_nanos()).unwrap_or(u64::MAX))?;
        tuple.serialize_element(node)?;
        tuple.serialize_element(&SentEvent(event))?;
        tuple.end()
    }
}

impl Serialize for SentEvent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        EventOnWire::serialize(self.0, serializer)
    }
}

/// Writes the events of an answer.
pub(super) fn serialize<S: Serializer>(events: &[Timed], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(events.iter().map(Sent))
}

/// Reads the events of an answer.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Timed>, D::Error> {
    let received = Vec::<Received>::deserialize(deserializer)?;
    Ok(received.into_iter().map(|Received(at, node, event)| Timed { at, node, event }).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::failure_record::FailureRecord;
    use crate::records::{Build, RunRecord};
    use crate::workers::Answer;
    use labraft::{CauseKind, Verdict};

    #[test]
    fn events_arrive_as_they_were_sent() {
        let other = Node::server(1);
        let method: Name = "Raft.AppendEntries".into();
        let content = "Args { text: \"a\nb\" }".to_string();
        let held = Duration::from_nanos(u64::MAX);
        let events = [
            Event::Sent {
                call: 1,
                to: other,
                method: method.clone(),
                bytes: 2,
                content: content.clone(),
            },
            Event::Delivered { call: 1, from: other, method: method.clone() },
            Event::Lost { call: 1, to: other, method: method.clone(), why: Lost::Closed },
            Event::Replied { call: 1, to: other, method: method.clone(), bytes: 3, content, held },
            Event::Answered { call: 1, from: other, method },
            Event::Woke { task: "timer".into() },
            Event::Crashed { tasks: 4 },
            Event::Note { text: "note".into() },
            Event::custom("test", "step"),
            Event::Custom { kind: "test".into(), text: "".into(), data: json!({ "a": [1, null] }) },
        ];
        let timed = |(i, event)| Timed { at: Duration::from_nanos(i), node: Node::TESTER, event };
        let events: Vec<Timed> = (0..).zip(events).map(timed).collect();
        let failure = FailureRecord::new("x", CauseKind::expectation("x"));
        let build = Build::default();
        let record = RunRecord::ended(("Test", 1), "mine", Verdict::Failed, failure, &build);
        let answer = Answer { events: events.clone(), ..Answer::new(record, "nonce") };
        let line = serde_json::to_string(&answer).unwrap();
        assert!(!line.contains('\n'), "an answer is one line");
        assert_eq!(serde_json::from_str::<Answer>(&line).unwrap().events, events);
    }
}
