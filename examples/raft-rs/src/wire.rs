//! raft-rs's messages as arguments of calls.
//!
//! Each kind of message is a method of its own, so the log of a run, its page and its counters show
//! what kind it was.

use std::fmt;

use bytes::Bytes;
use labrpc::Method;
use protobuf::Message as _;
use raft::CAMPAIGN_TRANSFER;
use raft::eraftpb::{Message, MessageType};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::reads::round_of;

/// The kinds of messages that servers send to one another, with their methods' names.
pub const METHODS: [(MessageType, &str); 10] = [
    (MessageType::MsgAppend, "Raft.Append"),
    (MessageType::MsgAppendResponse, "Raft.AppendResponse"),
    (MessageType::MsgHeartbeat, "Raft.Heartbeat"),
    (MessageType::MsgHeartbeatResponse, "Raft.HeartbeatResponse"),
    (MessageType::MsgRequestPreVote, "Raft.PreVote"),
    (MessageType::MsgRequestPreVoteResponse, "Raft.PreVoteResponse"),
    (MessageType::MsgRequestVote, "Raft.Vote"),
    (MessageType::MsgRequestVoteResponse, "Raft.VoteResponse"),
    (MessageType::MsgSnapshot, "Raft.Snapshot"),
    (MessageType::MsgTimeoutNow, "Raft.TimeoutNow"),
];

/// The method that carries a message. `Reply` is `()` if messages are one-way.
pub fn method_of<Reply>(message: &Message) -> Method<Wire, Reply> {
    let known = METHODS.iter().find(|(kind, _)| *kind == message.get_msg_type());
    let (_, name) = known.unwrap_or_else(|| panic!("a message that is never sent: {message:?}"));
    Method::new(name)
}

/// Whether a candidate asks for a vote because its leader has told it to stand for election.
pub fn is_transfer(message: &Message) -> bool {
    message.get_msg_type() == MessageType::MsgRequestVote && message.context == CAMPAIGN_TRANSFER
}

/// A message, encoded as raft-rs does.
#[derive(Clone)]
pub struct Wire(pub Message);

impl Serialize for Wire {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = self.0.write_to_bytes().expect("a message of raft-rs can be encoded");
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for Wire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Wire, D::Error> {
        let bytes = Bytes::deserialize(deserializer)?;
        Message::parse_from_bytes(&bytes).map(Wire).map_err(D::Error::custom)
    }
}

/// What the log of a run shows: only the fields that say something.
impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = &self.0;
        let kind = format!("{:?}", message.get_msg_type());
        let mut fields = f.debug_struct(kind.trim_start_matches("Msg"));
        fields.field("term", &message.term);
        let numbers = [
            ("index", message.index),
            ("log_term", message.log_term),
            ("entries", message.entries.len() as u64),
            ("commit", message.commit),
            ("snapshot", message.get_snapshot().get_metadata().index),
            ("reject_hint", message.reject_hint),
            ("round", round_of(&message.context).unwrap_or(0)),
        ];
        for (name, number) in numbers.into_iter().filter(|&(_, number)| number > 0) {
            fields.field(name, &number);
        }
        let marks = [("reject", message.reject), ("transfer", is_transfer(message))];
        for (name, mark) in marks.into_iter().filter(|&(_, mark)| mark) {
            fields.field(name, &mark);
        }
        fields.finish()
    }
}
