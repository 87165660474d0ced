// SOLUTION FILE
//! What a leader does so that its group follows the controller: it asks for configurations, fetches
//! shards, and tells when they have arrived.
//!
//! All of it can be done again from the beginning by another leader, because what has been achieved is in the
//! group's state. A server that only believes that it leads does no harm: what it puts into its log is not
//! committed.

use std::rc::Rc;
use std::time::Duration;

use labrpc::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::debug;

use crate::message::{Command, PULL, ParcelId, Pulled, RELEASE};
use crate::server::ShardServer;
use crate::shard::Parcel;

/// How often a leader asks the controller for the next configuration, as the course suggests.
const CONFIG_INTERVAL: Duration = Duration::from_millis(100);
/// How often a leader looks for parcels that nobody looks after.
const PARCEL_INTERVAL: Duration = Duration::from_millis(50);

impl ShardServer {
    /// Has the group go from configuration to configuration while this server leads.
    pub(crate) async fn follow_controller(self: Rc<Self>, mut clerk: shardctrler::Clerk) {
        let mut begun = None;
        loop {
            let term = self.replica.leads();
            if term.is_some() && term != begun {
                begun = term;
                // Whether it is committed is seen by what it commits.
                _ = self.replica.execute(&Command::Begin).await;
            }
            let next = if term.is_some() { self.state().next_config() } else { None };
            if let Some(num) = next {
                let config = clerk.query(Some(num)).await;
                if config.num == num && self.propose(&Command::Configure(config)).await {
                    self.begin_transfers();
                    continue;
                }
            }
            self.rt.timeout(CONFIG_INTERVAL, self.inserted.notified()).await;
        }
    }

    /// Puts a command through the log. Returns whether it was applied.
    async fn propose(&self, command: &Command) -> bool {
        self.replica.execute(command).await.is_ok()
    }

    /// Sees to it that somebody looks after every parcel while this server leads.
    pub(crate) async fn look_after_parcels(self: Rc<Self>) {
        loop {
            self.rt.sleep(PARCEL_INTERVAL).await;
            self.begin_transfers();
        }
    }

    /// Begins to look after each parcel that nobody looks after. They are independent of each other: a group
    /// that does not answer holds up only its own.
    fn begin_transfers(self: &Rc<Self>) {
        if self.replica.leads().is_none() {
            return;
        }
        let state = self.state();
        let awaited = state.awaited().map(|(id, awaited)| (id, &awaited.servers));
        for (id, servers) in awaited.chain(state.arrived().iter().map(|(&id, names)| (id, names))) {
            if self.under_way.borrow_mut().insert(id) {
                let server = self.clone();
                let servers = servers.clone();
                self.rt.spawn_detached("parcel", async move {
                    server.transfer(id, &servers).await;
                    server.under_way.borrow_mut().remove(&id);
                });
            }
        }
    }

    /// Does for a parcel what is to be done next, and what follows from it, as far as it goes. `servers` are
    /// those of the old owner.
    async fn transfer(&self, id: ParcelId, servers: &[String]) {
        if self.state().awaits(id) {
            let Some(parcel) = self.fetch(id, servers).await else { return };
            debug!("parcel {id} has been fetched");
            if !self.propose(&Command::Insert(id, parcel)).await {
                return;
            }
            self.inserted.notify();
        }
        let has_arrived = self.state().arrived().contains_key(&id);
        if has_arrived && self.ask(servers, RELEASE, id, |reply| reply.ok()).await.is_some() {
            self.propose(&Command::Settle(id)).await;
        }
    }

    /// Asks the old owner for a parcel.
    async fn fetch(&self, id: ParcelId, servers: &[String]) -> Option<Parcel> {
        let parcel = |pulled| match pulled {
            Pulled::Parcel(parcel) => Some(parcel),
            Pulled::NotYet | Pulled::Deleted => None,
        };
        self.ask(servers, PULL, id, parcel).await
    }

    /// Asks one server after the other, once each, until `accept` takes a reply.
    async fn ask<Reply: Serialize + DeserializeOwned, T>(
        &self,
        servers: &[String],
        method: Method<ParcelId, Reply>,
        id: ParcelId,
        accept: impl Fn(Reply) -> Option<T>,
    ) -> Option<T> {
        for name in servers {
            let Some(end) = self.ends.end(name) else { continue };
            let reply = end.call(method, &id).await;
            if let Some(accepted) = reply.and_then(&accept) {
                return Some(accepted);
            }
        }
        None
    }
}
