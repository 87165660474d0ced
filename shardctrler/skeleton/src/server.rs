//! A controller: one of the servers that replicate the configurations.

use std::rc::Rc;

use labraft::{ApplyMsg, ApplyReceiver, NewServer, Part, Raft, not_yet};
use labrpc::Service;
use tracing::debug;

use crate::config::Config;
use crate::message::{
    ChangeReply, JOIN, JoinArgs, LEAVE, LeaveArgs, MOVE, MoveArgs, QUERY, QueryArgs, QueryReply,
    Refusal,
};

/// A server of the shard controller. Its handlers and tasks keep it alive until it crashes.
pub struct Controller {
    /// Puts commands into the log: `start`.
    raft: Rc<dyn Raft>,
    // 4A: all configurations that there have been; the last change of each clerk; the handler that waits
    // for each index. In a `RefCell`, or in what you have built for lab 3.
}

impl Controller {
    /// Starts a server beside a Raft that was just started. It makes no snapshots.
    pub fn start(new: NewServer) -> Rc<Controller> {
        let controller = Rc::new(Controller { raft: new.raft });
        let [for_join, for_leave, for_move, for_query] = [(); 4].map(|()| controller.clone());
        new.server.add_service(
            Service::new()
                .method(JOIN, move |args| for_join.clone().join(args))
                .method(LEAVE, move |args| for_leave.clone().leave(args))
                .method(MOVE, move |args| for_move.clone().move_shard(args))
                .method(QUERY, move |args| for_query.clone().query(args)),
        );
        new.server.runtime().spawn_detached("applying", controller.clone().apply(new.applied));
        controller
    }

    /// The configuration of a number, if this server has made it: from configuration 0 on, which is always
    /// there. The lab compares all of them after every event; a grader may require it.
    pub fn config(&self, _num: u64) -> Option<Config> {
        // 4A: look it up.
        None
    }

    async fn join(self: Rc<Controller>, args: JoinArgs) -> ChangeReply {
        debug!("{args:?}");
        self.change().await
    }

    async fn leave(self: Rc<Controller>, args: LeaveArgs) -> ChangeReply {
        debug!("{args:?}");
        self.change().await
    }

    async fn move_shard(self: Rc<Controller>, args: MoveArgs) -> ChangeReply {
        debug!("{args:?}");
        self.change().await
    }

    /// Makes a change.
    async fn change(&self) -> ChangeReply {
        // 4A: put it through the log, and answer when it comes out.
        not_yet(Part::Shard4A, "Join, Leave and Move");
        debug!("a leader: {}", self.raft.state().is_leader);
        Err(Refusal::NotLeader)
    }

    /// Answers a Query.
    async fn query(self: Rc<Controller>, args: QueryArgs) -> QueryReply {
        // 4A: put it through the log as well, and answer when it comes out.
        not_yet(Part::Shard4A, "Query");
        debug!("{args:?}");
        Err(Refusal::NotLeader)
    }

    /// Applies what Raft has committed, until the server crashes.
    async fn apply(self: Rc<Controller>, mut applied: ApplyReceiver) {
        while let Some(next) = applied.receive().await {
            // 4A: the next configuration, unless the change has been made before.
            not_yet(Part::Shard4A, "applying");
            if let ApplyMsg::Command { index, command: bytes } = next {
                debug!("{} bytes at index {index}", bytes.len());
            }
        }
    }
}
