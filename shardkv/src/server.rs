// SOLUTION FILE
//! One server of a group: a replica of the store, and its handlers.

use std::cell::{Ref, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;

use kvraft::Replica;
use labraft::{NamedEnds, NewServer, ShardProbe};
use labrpc::sync::Notify;
use labrpc::{Runtime, Service};
use shardctrler::Config;

use crate::message::{
    Answer, Command, GET, Operation, PULL, PUT_APPEND, ParcelId, Pulled, RELEASE, Refusal, Reply,
};
use crate::setup::GroupSetup;
use crate::store::Store;

/// A server of the sharded key/value service. Its tasks and handlers keep it alive until its server
/// crashes.
pub struct ShardServer {
    pub(crate) replica: Rc<Replica<Store>>,
    pub(crate) rt: Runtime,
    pub(crate) ends: NamedEnds,
    /// The parcels that a task of this server is looking after.
    pub(crate) under_way: RefCell<BTreeSet<ParcelId>>,
    /// Something has arrived, so the next configuration may be due.
    pub(crate) inserted: Notify,
}

impl ShardServer {
    /// Starts a server on a Raft that was just started, from the snapshot that the persister holds.
    pub fn start(new: NewServer, setup: GroupSetup) -> Rc<ShardServer> {
        let GroupSetup { gid, controllers, ends, max_raft_state } = setup;
        let server = new.server.clone();
        let rt = server.runtime().clone();
        let kv = Rc::new(ShardServer {
            replica: Replica::start(new, max_raft_state, Store::new(gid)),
            rt: rt.clone(),
            ends,
            under_way: RefCell::default(),
            inserted: Notify::new(),
        });
        let getter = kv.clone();
        let putter = kv.clone();
        let giver = kv.clone();
        let deleter = kv.clone();
        server.add_service(
            Service::new()
                .method(GET, move |operation| getter.clone().operate(operation))
                .method(PUT_APPEND, move |operation| putter.clone().operate(operation))
                .method(PULL, move |id| std::future::ready(giver.state().pull(id)))
                .method(RELEASE, move |id| deleter.clone().release(id)),
        );
        let clerk = shardctrler::Clerk::new(controllers, rt.clone());
        rt.spawn_detached("configurations", kv.clone().follow_controller(clerk));
        rt.spawn_detached("parcels", kv.clone().look_after_parcels());
        kv
    }

    /// The group's state, as far as this server has applied the log.
    pub fn state(&self) -> Ref<'_, Store> {
        self.replica.state()
    }

    /// What this server shows of itself, for checks after every event. Optional; it must be quick.
    pub fn probe(&self) -> Option<ShardProbe> {
        let state = self.state();
        let parcels = state.parcels().iter();
        Some(ShardProbe {
            applied: self.replica.applied(),
            config: state.config().num,
            served: state.shards().keys().copied().collect(),
            kept: parcels.flat_map(|(id, of)| of.keys().map(|&shard| (id.num, shard))).collect(),
        })
    }

    /// The present configuration, for checks. Optional, as [`probe`](Self::probe) is.
    pub fn config(&self) -> Option<Config> {
        Some(self.state().config().clone())
    }

    /// A digest of all that belongs to a shard which is served, for checks. Optional, as
    /// [`probe`](Self::probe) is.
    pub fn digest(&self, shard: usize) -> Option<u64> {
        let state = self.state();
        let encoded = labrpc::encode(state.shards().get(&shard)?).expect("a shard can be encoded");
        Some(labrpc::hash_bytes(&encoded))
    }

    /// Puts an operation through the log, and answers when it has been applied here.
    async fn operate(self: Rc<ShardServer>, operation: Operation) -> Reply {
        self.replica.leads().ok_or(Refusal::NotLeader)?;
        // It is decided when it is applied; but what is wrong now need not go into the log.
        if !self.state().serves(operation.action.key()) {
            return Err(Refusal::WrongGroup);
        }
        self.replica.execute(&Command::Operate(operation)).await?
    }

    /// Deletes a parcel, because it has arrived.
    async fn release(self: Rc<ShardServer>, id: ParcelId) -> Reply {
        // Another server may have told this group before.
        if self.state().pull(id) == Pulled::Deleted {
            return Ok(Answer::Done);
        }
        self.replica.execute(&Command::Delete(id)).await?
    }
}

impl fmt::Debug for ShardServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShardServer({:?})", self.replica)
    }
}
