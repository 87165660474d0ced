// SOLUTION FILE
//! What clerks and servers send to one another, and the commands in a group's log.

use std::fmt;

use kvraft::NoAnswer;
use kvraft::message::OperationId;
use labrpc::Method;
use serde::{Deserialize, Serialize};
use shardctrler::Config;

use crate::shard::Parcel;
pub use crate::shard::{Action, Answer};

/// Reads the value of a key.
pub const GET: Method<Operation, Reply> = Method::new("ShardKV.Get");
/// Replaces the value of a key, or appends to it.
pub const PUT_APPEND: Method<Operation, Reply> = Method::new("ShardKV.PutAppend");
/// Asks the old owner for a parcel.
pub const PULL: Method<ParcelId, Pulled> = Method::new("ShardKV.Pull");
/// Tells the old owner that a parcel has arrived.
pub const RELEASE: Method<ParcelId, Reply> = Method::new("ShardKV.Release");

/// One operation of one clerk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Tells it from all other operations.
    pub id: OperationId,
    /// What to do.
    pub action: Action,
}

/// Which parcel is meant: what one group hands to another in one configuration.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ParcelId {
    /// The number of the configuration.
    pub num: u64,
    /// The group that the shards were taken from.
    pub from: u64,
    /// The group that they are for.
    pub to: u64,
}

/// A command in a group's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Executes an operation of a clerk.
    Operate(Operation),
    /// Goes to this configuration.
    Configure(Config),
    /// Puts in a parcel that is awaited.
    Insert(ParcelId, Parcel),
    /// Deletes a parcel, which has arrived where it belongs.
    Delete(ParcelId),
    /// The old owner has deleted this parcel, so nobody has to be told of it any more.
    Settle(ParcelId),
    /// Nothing: the first entry of a leader's term, which commits those before it.
    Begin,
}

impl fmt::Display for ParcelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ParcelId { num, from, to } = self;
        write!(f, "{num}: {from} to {to}")
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Operate(operation) => match &operation.action {
                Action::Get { key } => write!(f, "Get({key:?})"),
                Action::Put { key, value } => write!(f, "Put({key:?}, {value:?})"),
                Action::Append { key, value } => write!(f, "Append({key:?}, {value:?})"),
            },
            Command::Configure(config) => write!(f, "Configure({})", config.num),
            Command::Insert(id, parcel) => {
                write!(f, "Insert({id}, shards {:?})", parcel.keys().collect::<Vec<_>>())
            }
            Command::Delete(id) => write!(f, "Delete({id})"),
            Command::Settle(id) => write!(f, "Settle({id})"),
            Command::Begin => f.write_str("Begin"),
        }
    }
}

/// Describes a command in the log, for reports.
pub fn show(command: &[u8]) -> String {
    match labrpc::decode::<Command>(command) {
        Ok(command) => command.to_string(),
        Err(_) => format!("{} bytes that are not a command", command.len()),
    }
}

/// The answer to an operation, or to the word that a parcel has arrived.
pub type Reply = Result<Answer, Refusal>;

/// Why a server has no result for a command.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// This server does not lead: the command was not proposed here.
    NotLeader,
    /// It was proposed, but this server cannot tell whether it will be committed.
    Unsure,
    /// The group does not serve the key's shard, or not yet. The operation has had no effect.
    WrongGroup,
}

impl From<NoAnswer> for Refusal {
    fn from(no_answer: NoAnswer) -> Refusal {
        match no_answer {
            NoAnswer::NotLeader => Refusal::NotLeader,
            NoAnswer::Unsure => Refusal::Unsure,
        }
    }
}

/// The answer to the question for a parcel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pulled {
    /// Here it is.
    Parcel(Parcel),
    /// This server has not come to that configuration yet.
    NotYet,
    /// It was deleted, because it has arrived.
    Deleted,
}
