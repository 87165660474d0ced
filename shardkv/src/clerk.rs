// SOLUTION FILE
//! The client's side of the service.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use kvraft::message::OperationId;
use labraft::NamedEnds;
use labrpc::{ClientEnd, Method, Runtime};
use rand::Rng;
use shardctrler::Config;

use crate::message::{Action, Answer, GET, Operation, PUT_APPEND, Refusal, Reply};
use crate::shard::key_to_shard;

/// How long a clerk pauses before it asks the controller who has a shard, as in the course.
const QUERY_PAUSE: Duration = Duration::from_millis(100);

/// Asks the service on behalf of one client, one operation at a time.
///
/// Each operation waits for as long as it takes, and is linearizable; each write takes effect
/// exactly once.
pub struct Clerk {
    controller: shardctrler::Clerk,
    ends: NamedEnds,
    rt: Runtime,
    /// The last configuration that the controller has told.
    config: Config,
    /// For each group the place of the server to ask first: it answered last.
    leaders: BTreeMap<u64, usize>,
    /// Tells this clerk's operations from those of other clerks: a random number.
    id: u64,
    /// The number of the last operation.
    number: u64,
}

impl Clerk {
    /// A clerk with an end to each controller, and with ends to the groups' servers by their names: the
    /// course's `MakeClerk`.
    pub fn new(controllers: Vec<ClientEnd>, ends: NamedEnds, rt: Runtime) -> Clerk {
        let id = rt.dice().next_u64();
        Clerk {
            controller: shardctrler::Clerk::new(controllers, rt.clone()),
            ends,
            rt,
            config: Config::default(),
            leaders: BTreeMap::new(),
            id,
            number: 0,
        }
    }

    /// The value of a key; empty when the key is absent.
    pub async fn get(&mut self, key: &str) -> String {
        match self.execute(GET, Action::Get { key: key.into() }).await {
            Answer::Value(value) => value,
            Answer::Done => panic!("unexpected answer to a Get"),
        }
    }

    /// Sets the value of a key.
    pub async fn put(&mut self, key: &str, value: &str) {
        self.execute(PUT_APPEND, Action::Put { key: key.into(), value: value.into() }).await;
    }

    /// Appends to the value of a key; an absent key gets this value.
    pub async fn append(&mut self, key: &str, value: &str) {
        self.execute(PUT_APPEND, Action::Append { key: key.into(), value: value.into() }).await;
    }

    /// Tries one group after the other, as the controller says who has the shard, until one has executed the
    /// operation. Its number stays the same.
    async fn execute(&mut self, method: Method<Operation, Reply>, action: Action) -> Answer {
        self.number += 1;
        let shard = key_to_shard(action.key());
        let id = OperationId { clerk: self.id, number: self.number };
        let operation = Operation { id, action };
        loop {
            let gid = self.config.shards[shard];
            if let Some(answer) = self.ask_group(gid, method, &operation).await {
                return answer;
            }
            self.rt.sleep(QUERY_PAUSE).await;
            self.config = self.controller.query(None).await;
        }
    }

    /// Asks the servers of a group, once each, until one has executed the operation. `None` if none did, or
    /// if the group does not have the shard.
    async fn ask_group(
        &mut self,
        gid: u64,
        method: Method<Operation, Reply>,
        operation: &Operation,
    ) -> Option<Answer> {
        let servers = self.config.groups.get(&gid)?;
        let first = self.leaders.get(&gid).copied().unwrap_or(0);
        for place in (first..first + servers.len()).map(|place| place % servers.len()) {
            let Some(end) = self.ends.end(&servers[place]) else { continue };
            match end.call(method, operation).await {
                Some(Ok(answer)) => {
                    self.leaders.insert(gid, place);
                    return Some(answer);
                }
                Some(Err(Refusal::WrongGroup)) => return None,
                Some(Err(Refusal::NotLeader | Refusal::Unsure)) | None => {}
            }
        }
        None
    }
}

impl fmt::Debug for Clerk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clerk({:016x}, {} operations)", self.id, self.number)
    }
}
