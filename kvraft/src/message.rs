//! What clerks and servers say to one another, and what stands in the log.

use labrpc::Method;
use serde::{Deserialize, Serialize};

/// Asks for a value.
pub const GET: Method<Operation, Reply> = Method::new("KVServer.Get");
/// Asks for a write.
pub const PUT_APPEND: Method<Operation, Reply> = Method::new("KVServer.PutAppend");

/// One operation of one clerk: the arguments of both procedures, and the command in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Who asks for it, and its how many-th it is.
    pub id: OperationId,
    /// The key.
    pub key: String,
    /// What to do with it.
    pub action: Action,
}

/// Tells an operation from all others; the same in each try.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationId {
    /// The clerk's session: a random number.
    pub session: u64,
    /// The operation's number in the session, from 1 on.
    pub number: u64,
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Reads the value.
    Get,
    /// Replaces the value.
    Put(String),
    /// Adds to the end of the value; of an absent key, it is the value.
    Append(String),
}

/// The answer of both procedures: the value for a Get, nothing for a write.
pub type Reply = Result<String, Refusal>;

/// Why an operation has no answer.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// This server does not lead: the operation was not proposed here.
    NotLeader,
    /// It was proposed, but this server cannot tell whether it will be committed.
    Unsure,
    /// It was committed, but without effect, for the session has been dropped. Whether an earlier try
    /// of it took effect is not known any more.
    SessionExpired,
}
