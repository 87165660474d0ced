// SOLUTION FILE
//! The replicated state of a group: which shards it serves, awaits and hands over.

use std::collections::BTreeMap;

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

    fn apply(&mut self, _: u64, command: Command) -> Reply {
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
}

#[cfg(test)]
mod tests {
    use kvraft::message::OperationId;

    use super::*;
    use crate::message::Action;

    /// The state of a group, to which commands are applied one after the other.
    struct Group(Store);

    impl Group {
        fn new(gid: u64) -> Group {
            Group(Store::new(gid))
        }

        fn apply(&mut self, command: Command) -> Reply {
            self.0.apply(1, command)
        }

        fn append(&mut self, number: u64, value: &str) -> Reply {
            // "0" is in shard 8.
            let action = Action::Append { key: "0".into(), value: value.into() };
            self.apply(Command::Operate(Operation { id: id(number), action }))
        }

        fn get(&mut self) -> Reply {
            let action = Action::Get { key: "0".into() };
            self.apply(Command::Operate(Operation { id: id(1000), action }))
        }

        fn configure(&mut self, num: u64, shards: [u64; N_SHARDS]) {
            let groups = [1, 2].map(|gid| (gid, vec![format!("{gid}/0")])).into();
            self.apply(Command::Configure(Config { num, shards, groups })).unwrap();
        }

        /// What another group gets from this one in a configuration.
        fn parcel(&self, num: u64, to: u64) -> Parcel {
            match self.0.pull(ParcelId { num, from: self.0.gid, to }) {
                Pulled::Parcel(parcel) => parcel,
                other => panic!("{other:?}"),
            }
        }
    }

    fn id(number: u64) -> OperationId {
        OperationId { clerk: 7, number }
    }

    fn value(text: &str) -> Reply {
        Ok(Answer::Value(text.into()))
    }

    const ONE: [u64; N_SHARDS] = [1; N_SHARDS];
    const TWO: [u64; N_SHARDS] = [2; N_SHARDS];

    /// Group 1 has everything and has written "a"; in configuration 2 group 2 gets it.
    fn handed_over() -> [Group; 2] {
        let mut groups = [Group::new(1), Group::new(2)];
        groups.iter_mut().for_each(|group| group.configure(1, ONE));
        assert_eq!(groups[0].append(1, "a"), Ok(Answer::Done));
        groups.iter_mut().for_each(|group| group.configure(2, TWO));
        groups
    }

    const HANDED: ParcelId = ParcelId { num: 2, from: 1, to: 2 };

    #[test]
    fn a_shard_is_served_by_the_old_owner_then_by_nobody_then_by_the_new_one() {
        let [mut one, mut two] = handed_over();
        assert_eq!(one.append(2, "b"), Err(Refusal::WrongGroup));
        assert_eq!(two.append(2, "b"), Err(Refusal::WrongGroup));
        let parcel = one.parcel(2, 2);
        two.apply(Command::Insert(HANDED, parcel)).unwrap();
        // The write that group 1 has executed is known, the one that it refused is not.
        assert_eq!(two.append(1, "a"), Ok(Answer::Done));
        assert_eq!(two.append(2, "b"), Ok(Answer::Done));
        assert_eq!(two.get(), value("ab"));
    }

    #[test]
    fn a_parcel_that_comes_again_undoes_nothing() {
        let [one, mut two] = handed_over();
        let parcel = one.parcel(2, 2);
        two.apply(Command::Insert(HANDED, parcel.clone())).unwrap();
        two.append(2, "b").unwrap();
        two.apply(Command::Insert(HANDED, parcel)).unwrap();
        assert_eq!(two.get(), value("ab"));
    }

    #[test]
    fn a_group_goes_on_only_when_it_has_everything_and_leaves_nothing_out() {
        let [one, mut two] = handed_over();
        assert_eq!(two.0.next_config(), None);
        two.configure(3, ONE);
        assert_eq!(two.0.config().num, 2, "it awaits a parcel");
        let parcel = one.parcel(2, 2);
        two.apply(Command::Insert(HANDED, parcel)).unwrap();
        two.configure(4, ONE);
        assert_eq!(two.0.config().num, 2, "3 is next");
        two.configure(3, ONE);
        assert_eq!(two.parcel(3, 1).len(), N_SHARDS);
    }

    #[test]
    fn a_parcel_is_kept_until_it_has_arrived_and_a_late_word_deletes_no_other() {
        let [mut one, mut two] = handed_over();
        let parcel = one.parcel(2, 2);
        two.apply(Command::Insert(HANDED, parcel)).unwrap();
        assert!(two.0.arrived().contains_key(&HANDED));
        one.apply(Command::Delete(HANDED)).unwrap();
        assert_eq!(one.0.pull(HANDED), Pulled::Deleted);
        two.apply(Command::Settle(HANDED)).unwrap();
        assert!(two.0.arrived().is_empty());
        // It comes back, and leaves again.
        two.configure(3, ONE);
        one.configure(3, ONE);
        let back = ParcelId { num: 3, from: 2, to: 1 };
        one.apply(Command::Insert(back, two.parcel(3, 1))).unwrap();
        one.configure(4, TWO);
        one.apply(Command::Delete(HANDED)).unwrap();
        assert_eq!(one.parcel(4, 2).len(), N_SHARDS);
    }

    #[test]
    fn a_server_that_has_not_come_so_far_says_so() {
        let [one, _] = handed_over();
        assert_eq!(one.0.pull(ParcelId { num: 3, ..HANDED }), Pulled::NotYet);
    }
}
