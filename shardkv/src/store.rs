// SOLUTION FILE
//! The replicated state of a group: which shards it serves, awaits and hands over.

use std::collections::BTreeMap;

use bytes::Bytes;
use kvraft::StateMachine;
use serde::{Deserialize, Serialize};
use shardctrler::{Config, N_SHARDS};

use crate::message::{Answer, Command, Operation, ParcelId, Pulled, Refusal, Reply};
use crate::shard::{Parcel, Shard, key_to_shard};

/// The state of a group after its log up to some index.
///
/// - A shard is served if and only if it is in `shards`. Then the configuration gives it to this group.
/// - A shard that the configuration gives to this group is in `shards`, or it is awaited.
/// - A parcel of configuration n is made up when the group goes to n, and never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// The number of this group.
    gid: u64,
    /// The index of the last entry that was applied; 0 before the first.
    applied: u64,
    config: Config,
    /// The shards that are served.
    shards: BTreeMap<usize, Shard>,
    /// What this group is to get in the present configuration and has not got yet, by the group that has it.
    awaited: BTreeMap<u64, Awaited>,
    /// What this group has to hand over, until it has arrived.
    parcels: BTreeMap<ParcelId, Parcel>,
    /// What has arrived, with the names of the servers that still have to be told.
    arrived: BTreeMap<ParcelId, Vec<String>>,
}

/// Shards that another group is to hand over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    /// The names of the group's servers.
    pub servers: Vec<String>,
    /// The shards.
    pub shards: Vec<usize>,
}

impl Store {
    /// The state of a group that has not heard of any configuration.
    pub fn new(gid: u64) -> Store {
        Store {
            gid,
            applied: 0,
            config: Config::default(),
            shards: BTreeMap::new(),
            awaited: BTreeMap::new(),
            parcels: BTreeMap::new(),
            arrived: BTreeMap::new(),
        }
    }

    /// The present configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether the group serves the shard of this key.
    pub fn serves(&self, key: &str) -> bool {
        self.shards.contains_key(&key_to_shard(key))
    }

    /// The shards that are served.
    pub fn shards(&self) -> &BTreeMap<usize, Shard> {
        &self.shards
    }

    /// What has to be handed over.
    pub fn parcels(&self) -> &BTreeMap<ParcelId, Parcel> {
        &self.parcels
    }

    /// The shards that are awaited, each time with the parcel that they are to come in.
    pub fn awaited(&self) -> impl Iterator<Item = (ParcelId, &Awaited)> {
        self.awaited.iter().map(|(&from, awaited)| (self.incoming(from), awaited))
    }

    /// Whether a parcel is awaited now.
    pub fn awaits(&self, id: ParcelId) -> bool {
        id == self.incoming(id.from) && self.awaited.contains_key(&id.from)
    }

    /// The parcels that have arrived, with the names of the servers that have to be told.
    pub fn arrived(&self) -> &BTreeMap<ParcelId, Vec<String>> {
        &self.arrived
    }

    /// The number of the configuration to which the group can go; `None` while it awaits shards.
    pub fn next_config(&self) -> Option<u64> {
        self.awaited.is_empty().then_some(self.config.num + 1)
    }

    /// What a server that asks for a parcel is given.
    pub fn pull(&self, id: ParcelId) -> Pulled {
        match self.parcels.get(&id) {
            _ if self.config.num < id.num => Pulled::NotYet,
            Some(parcel) => Pulled::Parcel(parcel.clone()),
            None => Pulled::Deleted,
        }
    }

    /// The parcel of the present configuration that this group gets from another.
    fn incoming(&self, from: u64) -> ParcelId {
        ParcelId { num: self.config.num, from, to: self.gid }
    }

    fn operate(&mut self, Operation { id, action }: Operation) -> Reply {
        let shard = self.shards.get_mut(&key_to_shard(action.key()));
        Ok(shard.ok_or(Refusal::WrongGroup)?.execute(id, action))
    }

    /// Goes to the next configuration. A copy of a configuration that the group has gone to has no effect.
    fn configure(&mut self, config: Config) {
        if self.next_config() != Some(config.num) {
            return;
        }
        let before = std::mem::replace(&mut self.config, config);
        for shard in 0..N_SHARDS {
            let old = before.shards[shard];
            let new = self.config.shards[shard];
            if old == self.gid && new != self.gid {
                self.hand_over(shard, new);
            } else if old != self.gid && new == self.gid {
                self.gain(shard, old, &before);
            }
        }
    }

    /// Stops serving a shard, and puts it into the parcel for its new owner.
    fn hand_over(&mut self, shard: usize, to: u64) {
        let data = self.shards.remove(&shard).expect("a group has all shards before it goes on");
        // Group 0 is none: nobody will ever ask for it.
        if to != 0 {
            let id = ParcelId { num: self.config.num, from: self.gid, to };
            self.parcels.entry(id).or_default().insert(shard, data);
        }
    }

    /// Begins to await a shard from its old owner. If it has none, it is empty.
    fn gain(&mut self, shard: usize, from: u64, before: &Config) {
        if from == 0 {
            self.shards.insert(shard, Shard::default());
            return;
        }
        let servers = || before.groups.get(&from).cloned().unwrap_or_default();
        let awaited = self.awaited.entry(from);
        let awaited = awaited.or_insert_with(|| Awaited { servers: servers(), shards: Vec::new() });
        awaited.shards.push(shard);
    }

    /// Puts in a parcel, if it is awaited: it may have been put in before, and then written to.
    fn insert(&mut self, id: ParcelId, parcel: Parcel) {
        if !self.awaits(id) {
            return;
        }
        if let Some(Awaited { servers, .. }) = self.awaited.remove(&id.from) {
            self.shards.extend(parcel);
            self.arrived.insert(id, servers);
        }
    }
}

impl StateMachine for Store {
    type Command = Command;
    type Answer = Reply;

    fn apply(&mut self, index: u64, command: Command) -> Reply {
        let applied = self.applied;
        assert!(index > applied, "the Raft handed up index {index} after index {applied}");
        self.applied = index;
        match command {
            Command::Operate(operation) => return self.operate(operation),
            Command::Configure(config) => self.configure(config),
            Command::Insert(id, parcel) => self.insert(id, parcel),
            Command::Delete(id) => _ = self.parcels.remove(&id),
            Command::Settle(id) => _ = self.arrived.remove(&id),
            Command::Begin => {}
        }
        Ok(Answer::Done)
    }

    fn applied(&self) -> u64 {
        self.applied
    }

    fn snapshot(&self) -> Bytes {
        labrpc::encode(self).expect("a store can be encoded").into()
    }

    fn restore(snapshot: &[u8]) -> Store {
        labrpc::decode(snapshot)
            .unwrap_or_else(|error| panic!("the snapshot is not one of this service: {error}"))
    }
}
