//! The clerk: a client's way to the group that has a shard.

use std::fmt::Debug;
use std::time::Duration;

use labraft::NamedEnds;
use labrpc::{ClientEnd, Method, Runtime};
use serde::Serialize;
use serde::de::DeserializeOwned;
use shardctrler::Config;

use crate::message::{GET, GetArgs, PUT_APPEND, PutAppendArgs, Refusal};
use crate::shard::key_to_shard;

/// How long this clerk waits before it asks the controller who has a shard.
const PAUSE: Duration = Duration::from_millis(100);

/// Calls the service on behalf of one client, one operation at a time. Each takes as long as it
/// takes.
pub struct Clerk {
    /// Tells who has which shard.
    controllers: shardctrler::Clerk,
    /// Ends to the servers of the groups, by their names.
    servers: NamedEnds,
    rt: Runtime,
    /// What the controller said last.
    config: Config,
    // 4B: the clerk's own number, and that of its last write. The write keeps its number when another group
    // is asked.
}

impl Clerk {
    /// A clerk with an end to each controller, and with ends to the servers of groups by their names.
    pub fn new(controllers: Vec<ClientEnd>, ends: NamedEnds, rt: Runtime) -> Clerk {
        let controllers = shardctrler::Clerk::new(controllers, rt.clone());
        Clerk { controllers, servers: ends, rt, config: Config::default() }
    }

    /// The value of a key; an absent key has the empty value.
    pub async fn get(&mut self, key: &str) -> String {
        self.ask_owner(key, GET, &GetArgs { key: key.into() }).await
    }

    /// Makes `value` the value of a key.
    pub async fn put(&mut self, key: &str, value: &str) {
        self.put_append(key, value, false).await;
    }

    /// Appends `value` to the value of a key; an absent key has the empty value.
    pub async fn append(&mut self, key: &str, value: &str) {
        self.put_append(key, value, true).await;
    }

    async fn put_append(&mut self, key: &str, value: &str, is_append: bool) {
        let args = PutAppendArgs { key: key.into(), value: value.into(), is_append };
        self.ask_owner(key, PUT_APPEND, &args).await;
    }

    /// Asks the servers of the group that has the key's shard, and the controller who has it, until it is
    /// done.
    async fn ask_owner<Args, Answer>(
        &mut self,
        key: &str,
        method: Method<Args, Result<Answer, Refusal>>,
        args: &Args,
    ) -> Answer
    where
        Args: Serialize + Debug + 'static,
        Answer: DeserializeOwned,
    {
        loop {
            let owner = self.config.shards[key_to_shard(key)];
            // Group 0 has no servers.
            let names = self.config.groups.get(&owner).into_iter().flatten();
            for end in names.filter_map(|name| self.servers.end(name)) {
                match end.call(method, args).await {
                    Some(Ok(answer)) => return answer,
                    Some(Err(Refusal::WrongGroup)) => break,
                    Some(Err(Refusal::NotLeader)) | None => {}
                }
            }
            self.rt.sleep(PAUSE).await;
            self.config = self.controllers.query(None).await;
        }
    }
}
