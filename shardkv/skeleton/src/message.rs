//! What clerks and servers send to one another.

use labrpc::Method;
use serde::{Deserialize, Serialize};

/// Asks for the value of a key.
pub const GET: Method<GetArgs, GetReply> = Method::new("ShardKV.Get");
/// Asks to replace the value of a key, or to append to it.
pub const PUT_APPEND: Method<PutAppendArgs, PutAppendReply> = Method::new("ShardKV.PutAppend");
// 4B: how a shard gets from one group to another. 4C: how the old owner hears that it has arrived.

/// The arguments of [`GET`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetArgs {
    /// The key to look up; an absent key has the empty value.
    pub key: String,
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
    // 4B: what tells this write from all others?
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
    /// Its group does not serve the key's shard: not yet, not any more, or never.
    WrongGroup,
}

/// Says what a command in the log does, in the lab's reports.
pub fn show(command: &[u8]) -> String {
    // 4B: decode the command, and say what it does.
    format!("{} bytes", command.len())
}
