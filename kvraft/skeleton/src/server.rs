//! One server of the service. Begin here.

use std::rc::Rc;

use labraft::{ApplyMsg, ApplyReceiver, NewServer, Part, Persister, Raft, not_yet};
use labrpc::Service;
use tracing::debug;

use crate::message::{GET, GetArgs, GetReply, PUT_APPEND, PutAppendArgs, PutAppendReply, Refusal};

/// A server of the key/value service. Its handlers and tasks keep it alive until it crashes.
pub struct KvServer {
    /// Puts commands into the log: `start`.
    raft: Rc<dyn Raft>,
    /// The server's disk: how large Raft's saved state is, and the snapshot to begin with.
    persister: Persister,
    /// How many bytes the saved Raft state may have before a snapshot is due; `None`: no snapshots.
    max_raft_state: Option<usize>,
    // 3A: the data; the last write of each clerk; the handler that waits for each index. In a
    // `RefCell`.
}

impl KvServer {
    /// Starts a server beside a Raft that was just started.
    pub fn start(new: NewServer, max_raft_state: Option<usize>) -> Rc<KvServer> {
        // 3B: begin with the persister's snapshot, if there is one.
        let kv = Rc::new(KvServer { raft: new.raft, persister: new.persister, max_raft_state });
        let for_get = kv.clone();
        let for_put = kv.clone();
        new.server.add_service(
            Service::new()
                .method(GET, move |args| for_get.clone().get(args))
                .method(PUT_APPEND, move |args| for_put.clone().put_append(args)),
        );
        new.server.runtime().spawn_detached("applying", kv.clone().apply(new.applied));
        kv
    }

    /// Answers a clerk's Get.
    async fn get(self: Rc<KvServer>, args: GetArgs) -> GetReply {
        // 3A: put it through the log, and answer when it comes out.
        not_yet(Part::Kv3A, "Get");
        debug!("{args:?}; a leader: {}", self.raft.state().is_leader);
        Err(Refusal::NotLeader)
    }

    /// Answers a clerk's Put or Append.
    async fn put_append(self: Rc<KvServer>, args: PutAppendArgs) -> PutAppendReply {
        // 3A: put it through the log, and answer when it comes out.
        not_yet(Part::Kv3A, "Put and Append");
        debug!("{args:?}; a leader: {}", self.raft.state().is_leader);
        Err(Refusal::NotLeader)
    }

    /// Applies what Raft has committed, until the server crashes.
    async fn apply(self: Rc<KvServer>, mut applied: ApplyReceiver) {
        while let Some(next) = applied.receive().await {
            not_yet(Part::Kv3A, "applying");
            match next {
                ApplyMsg::Command { index, command: bytes } => {
                    debug!("{} bytes at index {index}", bytes.len());
                }
                // 3B: it replaces everything up to this index.
                ApplyMsg::Snapshot { index, .. } => debug!("a snapshot up to index {index}"),
            }
            let saved = self.persister.state_size_bytes();
            if self.max_raft_state.is_some_and(|most| saved >= most) {
                // 3B: give Raft a snapshot of everything that was applied so far.
                not_yet(Part::Kv3B, "making snapshots");
            }
        }
    }
}
