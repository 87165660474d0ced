//! A client of the shard controller, for the tests of the controller and for those of the groups.

use std::cell::RefCell;
use std::rc::Rc;

use labraft::{Checked, Reason, Violation};
use shardctrler::{Clerk, Config};

use super::configurations::Configurations;
use crate::service::ServiceCluster;

/// A clerk, and what anybody has seen of its controllers' configurations.
pub(crate) struct Admin {
    pub(crate) number: usize,
    clerk: Clerk,
    seen: Rc<RefCell<Configurations>>,
}

impl Admin {
    pub(crate) fn new(number: usize, clerk: Clerk, seen: &Rc<RefCell<Configurations>>) -> Admin {
        Admin { number, clerk, seen: seen.clone() }
    }

    /// Asks for a Join, a Leave or a Move, and waits for the answer.
    pub(crate) async fn change(
        &mut self,
        cfg: &ServiceCluster,
        operation: impl AsyncFnOnce(&mut Clerk),
    ) {
        self.seen.borrow_mut().ask_for_change();
        cfg.replied(self.number, operation(&mut self.clerk)).await;
    }

    /// Asks for the configuration of this number, or for the latest. `told` is called with the answer before it is
    /// judged.
    ///
    /// # Errors
    /// If the answer cannot be right, from all that was seen before.
    pub(crate) async fn query(
        &mut self,
        cfg: &ServiceCluster,
        num: Option<u64>,
        told: impl FnOnce(&Config),
    ) -> Checked<Config> {
        let question = self.seen.borrow().ask(num);
        let config = cfg.replied(self.number, self.clerk.query(num)).await;
        told(&config);
        let who = format!("client {}", self.number);
        let checked = self.seen.borrow_mut().add_answer(&who, question, &config);
        judge(cfg, checked)?;
        Ok(config)
    }
}

/// Fails the test if what a client was told breaks a property, unless the run is made without this property.
fn judge(cfg: &ServiceCluster, checked: Result<(), Violation>) -> Checked<()> {
    match checked {
        Err(violation) if cfg.lab().without().includes(violation.property) => {
            Err(cfg.failure(None, Reason::Violation(Box::new(violation))))
        }
        _ => Ok(()),
    }
}
