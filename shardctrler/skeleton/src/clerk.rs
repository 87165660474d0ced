//! The clerk: a client's way to the controller.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use labrpc::{ClientEnd, Method, Runtime};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::message::{JOIN, JoinArgs, LEAVE, LeaveArgs, MOVE, MoveArgs, QUERY, QueryArgs, Refusal};

/// How long this clerk waits after it has asked each server once.
const PAUSE: Duration = Duration::from_millis(100);

/// Asks the controller on behalf of one client, one operation at a time. Each takes as long as it
/// takes.
pub struct Clerk {
    /// An end to each server, in any order.
    ends: Vec<ClientEnd>,
    rt: Runtime,
    // 4A: the clerk's own number, and that of its last change. A change may arrive several times, and must
    // be made once.
}

impl Clerk {
    /// A clerk with an end to each controller, in any order.
    pub fn new(servers: Vec<ClientEnd>, rt: Runtime) -> Clerk {
        Clerk { ends: servers, rt }
    }

    /// The configuration of a number; the latest one for `None`, and for a number that there is not yet.
    pub async fn query(&mut self, num: Option<u64>) -> Config {
        self.ask(QUERY, &QueryArgs { num }).await
    }

    /// Adds groups: for each number the names of its servers.
    pub async fn join(&mut self, groups: BTreeMap<u64, Vec<String>>) {
        self.ask(JOIN, &JoinArgs { servers: groups }).await;
    }

    /// Removes groups.
    pub async fn leave(&mut self, gids: Vec<u64>) {
        self.ask(LEAVE, &LeaveArgs { gids }).await;
    }

    /// Gives a shard to a group.
    pub async fn move_shard(&mut self, shard: usize, gid: u64) {
        self.ask(MOVE, &MoveArgs { shard, gid }).await;
    }

    /// Asks one server after the other, until one has done it.
    async fn ask<Args, Answer>(
        &self,
        method: Method<Args, Result<Answer, Refusal>>,
        args: &Args,
    ) -> Answer
    where
        Args: Serialize + Debug + 'static,
        Answer: DeserializeOwned,
    {
        loop {
            for end in &self.ends {
                if let Some(Ok(answer)) = end.call(method, args).await {
                    return answer;
                }
            }
            self.rt.sleep(PAUSE).await;
        }
    }
}
