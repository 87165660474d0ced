//! What clerks and servers send to one another.

use labrpc::Method;
use serde::{Deserialize, Serialize};

/// Asks for the value of a key.
pub const GET: Method<GetArgs, GetReply> = Method::new("KVServer.Get");
/// Asks to replace the value of a key, or to append to it.
pub const PUT_APPEND: Method<PutAppendArgs, PutAppendReply> = Method::new("KVServer.PutAppend");

/// The arguments of [`GET`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetArgs {
    /// The key to look up; an absent key has the empty value.
    pub key: String,
    // 3A: what tells this operation from all others?
}

/// The arguments of [`PUT_APPEND`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutAppendArgs {
    /// The key to write.
    pub key: String,
    /// The new value, or what is appended to the present one.
    pub value: String,
    /// Whether `value` is appended to the present value rather than put in its place.
    pub is_append: bool,
    // 3A: what tells this operation from all others?
}

/// Describes a command in the log, for the lab's reports. The lab calls it by this name.
pub fn show(command: &[u8]) -> String {
    // 3A: decode the command, and say what it does.
    format!("{} bytes", command.len())
}

/// The key's value, or why the server does not give one.
pub type GetReply = Result<String, Refusal>;
/// `Ok` once the write has taken effect, or why it has not.
pub type PutAppendReply = Result<(), Refusal>;

/// Why a server does not execute an operation.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The server is not the leader.
    NotLeader,
}
