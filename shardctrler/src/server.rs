// SOLUTION FILE
//! One server of the controller.

use std::rc::Rc;

use kvraft::Replica;
use labraft::NewServer;
use labrpc::Service;

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

    /// All configurations, as far as this server has applied the log.
    pub fn history(&self) -> std::cell::Ref<'_, History> {
        self.replica.state()
    }

    async fn execute(self: Rc<Controller>, operation: Operation) -> Reply {
        // What was made once never changes.
        if let Action::Query { num: Some(num) } = operation.action
            && let Some(config) = self.history().get(num)
        {
            return Ok(Answer::Config(config.clone()));
        }
        self.replica.execute(&operation).await
    }
}
