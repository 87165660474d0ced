// SOLUTION FILE
//! The client's side of the controller.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use kvraft::message::OperationId;
use labrpc::{ClientEnd, Method, Runtime};
use rand::Rng;

use crate::config::Config;
use crate::message::{Action, Answer, JOIN, LEAVE, MOVE, Operation, QUERY, Reply};

/// How long a clerk pauses after it has tried every server in vain, as in the course.
const ROUND_PAUSE: Duration = Duration::from_millis(100);

/// Asks the controller on behalf of one client, one operation at a time.
///
/// Each operation waits for as long as it takes, and each change is made exactly once.
pub struct Clerk {
    servers: Vec<ClientEnd>,
    rt: Runtime,
    /// The place among `servers` of the one to ask first: it answered last.
    leader: usize,
    /// Tells this clerk's operations from those of other clerks: a random number.
    id: u64,
    /// The number of the last operation.
    number: u64,
}

impl Clerk {
    /// A clerk with an end to each controller, in any order: the course's `MakeClerk`.
    pub fn new(servers: Vec<ClientEnd>, rt: Runtime) -> Clerk {
        let id = rt.dice().next_u64();
        Clerk { servers, rt, leader: 0, id, number: 0 }
    }

    /// The configuration of this number. `None`, or a number that there is not yet, stands for the latest.
    pub async fn query(&mut self, num: Option<u64>) -> Config {
        match self.execute(QUERY, Action::Query { num }).await {
            Answer::Config(config) => config,
            Answer::Changed => panic!("unexpected answer to a Query"),
        }
    }

    /// Adds groups: the number of each, and the names of its servers.
    pub async fn join(&mut self, groups: BTreeMap<u64, Vec<String>>) {
        self.execute(JOIN, Action::Join { groups }).await;
    }

    /// Removes groups.
    pub async fn leave(&mut self, gids: Vec<u64>) {
        self.execute(LEAVE, Action::Leave { gids }).await;
    }

    /// Gives one shard to a group, until the next Join or Leave.
    pub async fn move_shard(&mut self, shard: usize, gid: u64) {
        self.execute(MOVE, Action::Move { shard, gid }).await;
    }

    /// Tries one server after the other, until one has executed the operation.
    async fn execute(&mut self, method: Method<Operation, Reply>, action: Action) -> Answer {
        self.number += 1;
        let id = OperationId { clerk: self.id, number: self.number };
        let operation = Operation { id, action };
        let mut tries = 0;
        loop {
            if let Some(Ok(answer)) = self.servers[self.leader].call(method, &operation).await {
                return answer;
            }
            self.leader = (self.leader + 1) % self.servers.len();
            tries += 1;
            if tries % self.servers.len() == 0 {
                self.rt.sleep(ROUND_PAUSE).await;
            }
        }
    }
}

impl fmt::Debug for Clerk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clerk({:016x}, {} operations)", self.id, self.number)
    }
}
