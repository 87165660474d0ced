// SOLUTION FILE
//! The client's side of the service.

use std::fmt;
use std::time::Duration;

use labrpc::{ClientEnd, Method, Runtime};
use rand::Rng;

use crate::message::{
    Action, Answer, GET, OPEN, Operation, OperationId, PUT_APPEND, Refusal, Reply,
};

/// How long a clerk pauses after it has tried every server in vain. An election takes longer, so
/// the pause costs little.
const ROUND_PAUSE: Duration = Duration::from_millis(20);

/// Asks the service on behalf of one client, one operation at a time.
///
/// Each operation waits for as long as it takes, and is linearizable; each write takes effect
/// exactly once.
pub struct Clerk {
    servers: Vec<ClientEnd>,
    rt: Runtime,
    /// The place among `servers` of the one to ask first: it answered last.
    leader: usize,
    /// Tells this clerk's operations from those of other clerks: a random number.
    id: u64,
    /// The open session; `None` before the first operation, and after a session has expired.
    session: Option<u64>,
    /// The number of the last operation.
    number: u64,
}

impl Clerk {
    /// A clerk with an end to each server, in any order: the course's `MakeClerk`.
    pub fn new(servers: Vec<ClientEnd>, rt: Runtime) -> Clerk {
        let id = rt.dice().next_u64();
        Clerk { servers, rt, leader: 0, id, session: None, number: 0 }
    }

    /// The value of a key; empty when the key is absent.
    pub async fn get(&mut self, key: &str) -> String {
        match self.execute(GET, Action::Get { key: key.into() }).await {
            Answer::Value(value) => value,
            other => panic!("unexpected answer to a Get: {other:?}"),
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

    async fn execute(&mut self, method: Method<Operation, Reply>, action: Action) -> Answer {
        let mut operation = self.operation(action);
        loop {
            operation.session = match self.session {
                Some(session) => session,
                None => self.open().await,
            };
            match self.until_done(method, &operation).await {
                Ok(answer) => return answer,
                Err(Expired { is_first_try }) => {
                    assert!(
                        is_first_try,
                        "the session of {operation:?} expired between two tries: whether it took \
                         effect cannot be known"
                    );
                    self.session = None;
                }
            }
        }
    }

    /// Opens a session. If that takes several tries, some of them may open sessions that stay
    /// unused.
    async fn open(&mut self) -> u64 {
        let operation = self.operation(Action::Open);
        match self.until_done(OPEN, &operation).await {
            Ok(Answer::Opened(session)) => *self.session.insert(session),
            other => panic!("unexpected answer when opening a session: {other:?}"),
        }
    }

    /// A new operation, with the next number.
    fn operation(&mut self, action: Action) -> Operation {
        self.number += 1;
        let id = OperationId { clerk: self.id, number: self.number };
        Operation { id, session: 0, action }
    }

    /// Tries one server after the other, until one has executed the operation or refused it for
    /// good.
    async fn until_done(
        &mut self,
        method: Method<Operation, Reply>,
        operation: &Operation,
    ) -> Result<Answer, Expired> {
        let mut is_first_try = true;
        let mut refusals = 0;
        loop {
            match self.servers[self.leader].call(method, operation).await {
                Some(Ok(answer)) => return Ok(answer),
                Some(Err(Refusal::SessionExpired)) => return Err(Expired { is_first_try }),
                // This try has not put it into a log.
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
}

/// A write was refused, because its session has been dropped.
#[derive(Debug)]
struct Expired {
    /// Whether no earlier try can have taken effect.
    is_first_try: bool,
}

impl fmt::Debug for Clerk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clerk({:016x}, {} operations)", self.id, self.number)
    }
}
