// SOLUTION FILE
//! What clerks and servers send to one another, and the commands in the log.

use std::fmt;

use labrpc::Method;
use serde::{Deserialize, Serialize};

use crate::replica::NoAnswer;

/// Opens a session, for exactly-once writes.
pub const OPEN: Method<Operation, Reply> = Method::new("KVServer.Open");
/// Reads the value of a key.
pub const GET: Method<Operation, Reply> = Method::new("KVServer.Get");
/// Replaces the value of a key, or appends to it.
pub const PUT_APPEND: Method<Operation, Reply> = Method::new("KVServer.PutAppend");

/// One operation of one clerk: the arguments of all procedures, and the command in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Tells it from all other operations.
    pub id: OperationId,
    /// The number of the clerk's session ([`Answer::Opened`]); 0 in an operation that opens one.
    pub session: u64,
    /// What to do.
    pub action: Action,
}

/// Tells an operation from all others. It stays the same each time the operation is tried.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationId {
    /// The clerk's random number.
    pub clerk: u64,
    /// The operation's number, counted from 1 for each clerk.
    pub number: u64,
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Opens a session.
    Open,
    /// Reads the value of a key.
    Get {
        /// The key to read. An absent key has the empty value.
        key: String,
    },
    /// Replaces the value of a key.
    Put {
        /// The key to set, whether it is present or not.
        key: String,
        /// The new value.
        value: String,
    },
    /// Appends to the value of a key.
    Append {
        /// The key to append to. An absent key has the empty value.
        key: String,
        /// What is appended.
        value: String,
    },
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Open => f.write_str("Open"),
            Action::Get { key } => write!(f, "Get({key:?})"),
            Action::Put { key, value } => write!(f, "Put({key:?}, {value:?})"),
            Action::Append { key, value } => write!(f, "Append({key:?}, {value:?})"),
        }
    }
}

/// Describes a command in the log, for reports.
pub fn show(command: &[u8]) -> String {
    match labrpc::decode::<Operation>(command) {
        Ok(operation) => operation.action.to_string(),
        Err(_) => format!("{} bytes that are not an operation", command.len()),
    }
}

/// The answer of all procedures.
pub type Reply = Result<Answer, Refusal>;

/// The result of an operation that has been executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The number of the new session.
    Opened(u64),
    /// The value of the key; empty for an absent key.
    Value(String),
    /// The write has taken effect, in this try or an earlier one.
    Written,
}

/// Why a server has no result for an operation.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// This server does not lead: the operation was not proposed here.
    NotLeader,
    /// It was proposed, but this server cannot tell whether it will be committed.
    Unsure,
    /// It was committed without effect, because its session has been dropped. Whether an earlier
    /// try took effect can no longer be known.
    SessionExpired,
}

impl From<NoAnswer> for Refusal {
    fn from(no_answer: NoAnswer) -> Refusal {
        match no_answer {
            NoAnswer::NotLeader => Refusal::NotLeader,
            NoAnswer::Unsure => Refusal::Unsure,
        }
    }
}
