//! What a clerk asks a controller for.

use std::collections::BTreeMap;

use labrpc::Method;
use serde::{Deserialize, Serialize};

use crate::config::Config;

/// Asks to add groups.
pub const JOIN: Method<JoinArgs, ChangeReply> = Method::new("ShardCtrler.Join");
/// Asks to remove groups.
pub const LEAVE: Method<LeaveArgs, ChangeReply> = Method::new("ShardCtrler.Leave");
/// Asks to give a shard to a group.
pub const MOVE: Method<MoveArgs, ChangeReply> = Method::new("ShardCtrler.Move");
/// Asks who has which shard.
pub const QUERY: Method<QueryArgs, QueryReply> = Method::new("ShardCtrler.Query");

/// The arguments of [`JOIN`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinArgs {
    /// The names of the servers of each new group, by the group's number, which is never 0.
    pub servers: BTreeMap<u64, Vec<String>>,
    // 4A: what tells this change from all others?
}

/// The arguments of [`LEAVE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaveArgs {
    /// The groups that leave.
    pub gids: Vec<u64>,
    // 4A: what tells this change from all others?
}

/// The arguments of [`MOVE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveArgs {
    /// The shard that moves.
    pub shard: usize,
    /// The group that is to have it.
    pub gid: u64,
    // 4A: what tells this change from all others?
}

/// The arguments of [`QUERY`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryArgs {
    /// The number of the configuration. `None`, or a number above the latest, asks for the latest.
    pub num: Option<u64>,
}

/// `Ok` once the change has been made, or why it has not.
pub type ChangeReply = Result<(), Refusal>;
/// The configuration, or why the server does not give one.
pub type QueryReply = Result<Config, Refusal>;

/// Why a controller does not execute an operation.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The server is not the leader.
    NotLeader,
}

/// Says what a command in the log does, in the lab's reports.
pub fn show(command: &[u8]) -> String {
    // 4A: decode the command, and say what it does.
    format!("{} bytes", command.len())
}
