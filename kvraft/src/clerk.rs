//! A client's way to the service.

use std::fmt;
use std::time::Duration;

use labrpc::{ClientEnd, Runtime};
use rand::Rng;

use crate::message::{Action, GET, Operation, OperationId, PUT_APPEND, Refusal};

/// How long a clerk waits after nobody among all servers took its operation: elections take longer.
const ROUND_PAUSE: Duration = Duration::from_millis(20);

/// Asks the service on behalf of one client, one operation at a time.
///
/// Each operation waits for as long as it takes, and is linearizable; each write takes effect exactly
/// once.
pub struct Clerk {
    servers: Vec<ClientEnd>,
    rt: Runtime,
    /// Whom to ask first: whoever answered last.
    leader: usize,
    session: u64,
    /// The number of the last operation.
    number: u64,
}

impl Clerk {
    /// A clerk with an end to each server, in any order: the course's `MakeClerk`.
    pub fn new(servers: Vec<ClientEnd>, rt: Runtime) -> Clerk {
        let session = rt.dice().next_u64();
        Clerk { servers, rt, leader: 0, session, number: 0 }
    }

    /// The value of a key; empty when the key is absent.
    pub async fn get(&mut self, key: &str) -> String {
        self.execute(key, Action::Get).await
    }

    /// Sets the value of a key.
    pub async fn put(&mut self, key: &str, value: &str) {
        self.execute(key, Action::Put(value.into())).await;
    }

    /// Appends to the value of a key; an absent key gets this value.
    pub async fn append(&mut self, key: &str, value: &str) {
        self.execute(key, Action::Append(value.into())).await;
    }

    /// Tries one server after the other until the operation is done.
    async fn execute(&mut self, key: &str, action: Action) -> String {
        let method = if action == Action::Get { GET } else { PUT_APPEND };
        let mut operation = Operation { id: self.next_id(), key: key.into(), action };
        let mut is_first_try = true;
        let mut refusals = 0;
        loop {
            match self.servers[self.leader].call(method, &operation).await {
                Some(Ok(value)) => return value,
                Some(Err(Refusal::SessionExpired)) => {
                    assert!(
                        is_first_try,
                        "the session of {operation:?} expired between two tries: it cannot be known \
                         whether it took effect"
                    );
                    self.session = self.rt.dice().next_u64();
                    self.number = 0;
                    operation.id = self.next_id();
                    continue;
                }
                // It was never proposed there.
                Some(Err(Refusal::NotLeader)) => {}
                Some(Err(Refusal::Unsure)) | None => is_first_try = false,
            }
            self.leader = (self.leader + 1) % self.servers.len();
            refusals += 1;
            if refusals % self.servers.len() == 0 {
                self.rt.sleep(ROUND_PAUSE).await;
            }
        }
    }

    fn next_id(&mut self) -> OperationId {
        self.number += 1;
        OperationId { session: self.session, number: self.number }
    }
}

impl fmt::Debug for Clerk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clerk(session {:016x}, {} operations)", self.session, self.number)
    }
}
