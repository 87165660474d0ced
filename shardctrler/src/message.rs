// SOLUTION FILE
//! What clerks and controllers send to one another, and the commands in the log.

use std::collections::BTreeMap;
use std::fmt;

use kvraft::NoAnswer;
use kvraft::message::OperationId;
use labrpc::Method;
use serde::{Deserialize, Serialize};

use crate::config::Config;

/// Adds groups.
pub const JOIN: Method<Operation, Reply> = Method::new("ShardCtrler.Join");
/// Removes groups.
pub const LEAVE: Method<Operation, Reply> = Method::new("ShardCtrler.Leave");
/// Gives one shard to a group.
pub const MOVE: Method<Operation, Reply> = Method::new("ShardCtrler.Move");
/// Asks for a configuration.
pub const QUERY: Method<Operation, Reply> = Method::new("ShardCtrler.Query");

/// One operation of one clerk: the arguments of all procedures, and the command in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Tells it from all other operations.
    pub id: OperationId,
    /// What to do.
    pub action: Action,
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Adds groups, and divides the shards again.
    Join {
        /// The new groups: the number of each, which is not 0, and the names of its servers.
        groups: BTreeMap<u64, Vec<String>>,
    },
    /// Removes groups, and divides their shards among the others.
    Leave {
        /// The numbers of the groups.
        gids: Vec<u64>,
    },
    /// Gives one shard to a group. The next Join or Leave divides the shards again.
    Move {
        /// The shard, below [`N_SHARDS`](crate::N_SHARDS).
        shard: usize,
        /// The number of the group.
        gid: u64,
    },
    /// Asks for a configuration.
    Query {
        /// Its number. `None`, or a number that there is not yet, stands for the latest.
        num: Option<u64>,
    },
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Join { groups } => write!(f, "Join({:?})", groups.keys().collect::<Vec<_>>()),
            Action::Leave { gids } => write!(f, "Leave({gids:?})"),
            Action::Move { shard, gid } => write!(f, "Move({shard}, {gid})"),
            Action::Query { num: Some(num) } => write!(f, "Query({num})"),
            Action::Query { num: None } => f.write_str("Query(latest)"),
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
pub type Reply = Result<Answer, NoAnswer>;

/// The result of an operation that has been executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The change has been made, in this try or an earlier one.
    Changed,
    /// The configuration that was asked for.
    Config(Config),
}
