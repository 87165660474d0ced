// SOLUTION FILE
//! What clerks and servers say to one another, and what stands in the log.

use std::fmt;

use labrpc::Method;
use serde::{Deserialize, Serialize};

/// Opens a session.
pub const OPEN: Method<Operation, Reply> = Method::new("KVServer.Open");
/// Asks for a value.
pub const GET: Method<Operation, Reply> = Method::new("KVServer.Get");
/// Asks for a write.
pub const PUT_APPEND: Method<Operation, Reply> = Method::new("KVServer.PutAppend");

/// One operation of one clerk: the arguments of all procedures, and the command in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Tells it from all others.
    pub id: OperationId,
    /// The session that it is made in: what opening it was answered with. 0 for opening one.
    pub session: u64,
    /// What to do.
    pub action: Action,
}

/// Tells an operation from all others; the same in each try.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationId {
    /// The clerk: a random number.
    pub clerk: u64,
    /// The operation's number among the clerk's, from 1 on.
    pub number: u64,
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Opens a session.
    Open,
    /// Reads the value of a key.
    Get {
        /// The key.
        key: String,
    },
    /// Replaces the value of a key.
    Put {
        /// The key.
        key: String,
        /// The new value.
        value: String,
    },
    /// Adds to the end of a key's value; of an absent key, it is the value.
    Append {
        /// The key.
        key: String,
        /// What to add.
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

/// How a command in the log is shown to people.
pub fn show(command: &[u8]) -> String {
    match labrpc::decode::<Operation>(command) {
        Ok(operation) => operation.action.to_string(),
        Err(_) => format!("{} bytes that are no operation", command.len()),
    }
}

/// The answer of all procedures.
pub type Reply = Result<Answer, Refusal>;

/// What an operation gives that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// A new session has this number.
    Opened(u64),
    /// The key has this value; an absent one has the empty value.
    Value(String),
    /// The write has taken effect, now or in an earlier try.
    Written,
}

/// Why an operation has no answer.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// This server does not lead: the operation was not proposed here.
    NotLeader,
    /// It was proposed, but this server cannot tell whether it will be committed.
    Unsure,
    /// It was committed, but without effect, for the session has been dropped. Whether an earlier
    /// try of it took effect is not known any more.
    SessionExpired,
}
