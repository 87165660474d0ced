// SOLUTION FILE
//! What the driver adds for part 2E: the lease timer, and the remote procedure PreVote.

use std::rc::Rc;

use labrpc::Service;

use super::{ELECTION_TIMEOUT_MIN, Peer};
use crate::core::Core;
use crate::message::{PRE_VOTE, PreVoteArgs};

impl Peer {
    /// Adds the handler of PreVote.
    pub(super) fn add_pre_votes(self: Rc<Peer>, service: Service) -> Service {
        service.method(PRE_VOTE, move |args| {
            std::future::ready(self.with_core(|core| core.pre_vote(&args)))
        })
    }

    /// Asks a server for its pre-vote at once, and spawns a task that waits for the answer.
    pub(super) fn ask_for_pre_vote(self: Rc<Peer>, to: usize, args: &PreVoteArgs) {
        let next_term = args.next_term;
        let call = self.peers[to].call(PRE_VOTE, args);
        self.rt.clone().spawn_detached("pre-vote", async move {
            if let Some(reply) = call.await {
                self.with_core(|core| core.pre_vote_reply(to, next_term, &reply));
            }
        });
    }

    /// The lease timer. It restarts by itself, so that a leader looks again and again who answers.
    pub(super) async fn watch_lease(self: Rc<Peer>) {
        loop {
            self.rt.sleep_until(self.lease_deadline.get()).await;
            if self.rt.now() >= self.lease_deadline.get() {
                self.lease_deadline.set(self.rt.now() + ELECTION_TIMEOUT_MIN);
                self.with_core(Core::lease_timeout);
            }
        }
    }
}
