//! The clerk: a client's way to the service.

use std::time::Duration;

use labraft::{Part, not_yet};
use labrpc::{ClientEnd, Runtime};

use crate::message::{GET, GetArgs, PUT_APPEND, PutAppendArgs};

/// How long this clerk waits before it asks the same server again.
const PAUSE: Duration = Duration::from_millis(100);

/// Calls the service on behalf of one client, one operation at a time.
pub struct Clerk {
    /// An end to each server, in any order.
    ends: Vec<ClientEnd>,
    rt: Runtime,
    // 3A: the server that answered last; the clerk's own number, and that of its last operation.
}

impl Clerk {
    /// A clerk with an end to each server, in any order.
    pub fn new(servers: Vec<ClientEnd>, rt: Runtime) -> Clerk {
        Clerk { ends: servers, rt }
    }

    /// The value of a key; an absent key has the empty value.
    pub async fn get(&mut self, key: &str) -> String {
        let args = GetArgs { key: key.into() };
        loop {
            if let Some(Ok(value)) = self.ends[0].call(GET, &args).await {
                return value;
            }
            // 3A: ask another server.
            not_yet(Part::Kv3A, "asking another server for a value");
            self.rt.sleep(PAUSE).await;
        }
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
        while self.ends[0].call(PUT_APPEND, &args).await != Some(Ok(())) {
            // 3A: ask another server. The write must take effect exactly once.
            not_yet(Part::Kv3A, "asking another server for a write");
            self.rt.sleep(PAUSE).await;
        }
    }
}
