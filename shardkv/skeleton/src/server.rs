//! One server of a group. Begin here.

use std::rc::Rc;
use std::time::Duration;

use labraft::{
    ApplyMsg, ApplyReceiver, NamedEnds, NewServer, Part, Persister, Raft, ShardProbe, not_yet,
};
use labrpc::{Runtime, Service};
use shardctrler::Config;
use tracing::debug;

use crate::message::{GET, GetArgs, GetReply, PUT_APPEND, PutAppendArgs, PutAppendReply, Refusal};
use crate::setup::GroupSetup;

/// How often a leader asks the controller whether there is a new configuration.
const INTERVAL: Duration = Duration::from_millis(100);

/// A server of the sharded key/value service. Its handlers and tasks keep it alive until it crashes.
pub struct ShardServer {
    /// The number of its group.
    gid: u64,
    /// Puts commands into the log: `start`.
    raft: Rc<dyn Raft>,
    /// The server's disk: how large Raft's saved state is, and the snapshot to begin with.
    persister: Persister,
    /// How many bytes the saved Raft state may have before a snapshot is due; `None`: no snapshots.
    max_raft_state: Option<usize>,
    rt: Runtime,
    /// Ends to the servers of other groups: `ends.end(name)`.
    ends: NamedEnds,
    // 4B: the configuration that the group is in; its shards, with their keys and with the last write of
    // each clerk; which shards it waits for, and which it keeps for others; the handler that waits for each
    // index. In a `RefCell`, or in what you have built for lab 3.
}

impl ShardServer {
    /// Starts a server beside a Raft that was just started.
    pub fn start(new: NewServer, setup: GroupSetup) -> Rc<ShardServer> {
        let rt = new.server.runtime().clone();
        let controllers = shardctrler::Clerk::new(setup.controllers, rt.clone());
        // 4B: begin with the persister's snapshot, if there is one.
        let this = Rc::new(ShardServer {
            gid: setup.gid,
            raft: new.raft,
            persister: new.persister,
            max_raft_state: setup.max_raft_state,
            rt: rt.clone(),
            ends: setup.ends,
        });
        let for_get = this.clone();
        let for_put = this.clone();
        new.server.add_service(
            Service::new()
                .method(GET, move |args| for_get.clone().get(args))
                .method(PUT_APPEND, move |args| for_put.clone().put_append(args)),
            // 4B: what other groups ask for.
        );
        rt.spawn_detached("applying", this.clone().apply(new.applied));
        rt.spawn_detached("configurations", this.clone().watch_controllers(controllers));
        // 4B: shards that the group waits for.
        this
    }

    /// What this server shows of its group's state, for the lab's checks after every event. The tests do
    /// not need it, but a grader may require it, with `config` and `digest`.
    pub fn probe(&self) -> Option<ShardProbe> {
        None
    }

    /// The configuration that the group is in, as far as this server has applied the log; also for checks.
    pub fn config(&self) -> Option<Config> {
        None
    }

    /// A number that stands for everything in a shard that is served, so that equal shards have equal
    /// numbers: `labrpc::hash_bytes` of the encoded shard. Also for checks.
    pub fn digest(&self, _shard: usize) -> Option<u64> {
        None
    }

    /// Answers a clerk's Get.
    async fn get(self: Rc<ShardServer>, args: GetArgs) -> GetReply {
        // 4B: put it through the log, and answer when it comes out. Whether the group serves the key is
        // decided there.
        not_yet(Part::Shard4B, "Get");
        debug!("{args:?}; a leader: {}", self.raft.state().is_leader);
        Err(Refusal::NotLeader)
    }

    /// Answers a clerk's Put or Append.
    async fn put_append(self: Rc<ShardServer>, args: PutAppendArgs) -> PutAppendReply {
        // 4B: put it through the log, and answer when it comes out.
        not_yet(Part::Shard4B, "Put and Append");
        debug!("{args:?}; a leader: {}", self.raft.state().is_leader);
        Err(Refusal::NotLeader)
    }

    /// Asks the controller for the next configuration, again and again.
    async fn watch_controllers(self: Rc<ShardServer>, mut controllers: shardctrler::Clerk) {
        loop {
            self.rt.sleep(INTERVAL).await;
            if self.raft.state().is_leader {
                // 4B: the configuration after the one that the group is in, once it has all shards of that
                // one. It goes through the log, too.
                not_yet(Part::Shard4B, "going from one configuration to the next");
                let latest = controllers.query(None).await;
                let gained = latest.shards.iter().filter(|&&owner| owner == self.gid).count();
                debug!("configuration {} gives {gained} shards to this group", latest.num);
                // 4B: whoever had them before can be reached by name.
                let names = latest.groups.values().flatten();
                let known = names.filter_map(|name| self.ends.end(name)).count();
                debug!("{known} servers have a name");
            }
        }
    }

    /// Applies what Raft has committed, until the server crashes.
    async fn apply(self: Rc<ShardServer>, mut applied: ApplyReceiver) {
        while let Some(next) = applied.receive().await {
            not_yet(Part::Shard4B, "applying");
            match next {
                ApplyMsg::Command { index, command: bytes } => {
                    debug!("{} bytes at index {index}", bytes.len());
                }
                ApplyMsg::Snapshot { index, .. } => debug!("a snapshot up to index {index}"),
            }
            let saved = self.persister.state_size_bytes();
            if self.max_raft_state.is_some_and(|most| saved >= most) {
                // 4B: give Raft a snapshot of everything that decides what the next command does.
                not_yet(Part::Shard4B, "making snapshots");
            }
        }
    }
}
