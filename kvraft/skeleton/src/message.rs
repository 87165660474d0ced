//! What clerks and servers say to one another.

use labrpc::Method;
use serde::{Deserialize, Serialize};

/// Asks for a value.
pub const GET: Method<GetArgs, GetReply> = Method::new("KVServer.Get");
/// Asks for a write.
pub const PUT_APPEND: Method<PutAppendArgs, PutAppendReply> = Method::new("KVServer.PutAppend");

/// Asks for the value of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetArgs {
    /// The key.
    pub key: String,
    // 3A: what tells this operation from all others?
}

/// Sets the value of a key, or adds to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutAppendArgs {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
    /// Whether the value is added to the one that the key has.
    pub is_append: bool,
    // 3A: what tells this operation from all others?
}

/// How a command in the log is shown to people, when the lab shows a run. It keeps its name.
pub fn show(command: &[u8]) -> String {
    // 3A: what it does, if it can be read.
    format!("{} bytes", command.len())
}

/// The key's value, or why there is none.
pub type GetReply = Result<String, Refusal>;
/// Whether it is done, or why not.
pub type PutAppendReply = Result<(), Refusal>;

/// Why a server does not do what it is asked.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// It does not lead.
    NotLeader,
}
