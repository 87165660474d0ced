// SOLUTION FILE
//! One server of the controller.

use std::rc::Rc;

use kvraft::Replica;
use labraft::NewServer;
use labrpc::Service;

use crate::config::Config;
use crate::history::History;
use crate::message::{Action, Answer, JOIN, LEAVE, MOVE, Operation, QUERY, Reply};

/// A server of the shard controller. Its tasks and handlers keep it alive until its server crashes.
#[derive(Debug)]
pub struct Controller {
    replica: Rc<Replica<History>>,
}

impl Controller {
    /// Starts a server on a Raft that was just started. It takes no snapshots, as in the course.
    pub fn start(new: NewServer) -> Rc<Controller> {
        let server = new.server.clone();
        let replica = Replica::start(new, None, History::default());
        let controller = Rc::new(Controller { replica });
        let service = [JOIN, LEAVE, MOVE, QUERY].into_iter().fold(Service::new(), |all, method| {
            let controller = controller.clone();
            all.method(method, move |operation| controller.clone().execute(operation))
        });
        server.add_service(service);
        controller
    }

    /// The configuration of this number, if this server has applied the operation that made it. For checks
    /// after every event.
    pub fn config(&self, num: u64) -> Option<Config> {
        self.replica.state().get(num).cloned()
    }

    async fn execute(self: Rc<Controller>, operation: Operation) -> Reply {
        let Action::Query { num } = operation.action else {
            return self.replica.execute(&operation).await;
        };
        // What was made once never changes.
        if let Some(config) = num.and_then(|num| self.config(num)) {
            return Ok(Answer::Config(config));
        }
        self.replica.read(&operation, |history| Answer::Config(history.query(num).clone())).await
    }
}
