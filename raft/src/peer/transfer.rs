// SOLUTION FILE
//! What the driver adds for part 2F: the timer of a transfer, the remote procedure TimeoutNow, and
//! RequestVote with the mark.

use std::rc::Rc;
use std::time::Duration;

use labrpc::Service;

use super::{ELECTION_TIMEOUT_MAX, Peer};
use crate::core::Core;
use crate::message::{RequestVoteArgs, TIMEOUT_NOW, TRANSFER_VOTE, TimeoutNowArgs};

/// How long a leader tries to hand over: by then, whoever hears from no leader has stood for election.
pub(crate) const LONGEST_TRANSFER: Duration = ELECTION_TIMEOUT_MAX;

impl Peer {
    /// Adds the handlers of TimeoutNow, and of RequestVote with the mark.
    pub(super) fn add_transfers(self: Rc<Peer>, service: Service) -> Service {
        let voter = self.clone();
        service
            .method(TIMEOUT_NOW, move |args| {
                std::future::ready(self.with_core(|core| core.timeout_now(&args)))
            })
            .method(TRANSFER_VOTE, move |args| {
                std::future::ready(voter.with_core(|core| core.transfer_vote(&args)))
            })
    }

    /// Starts the timer of a transfer. One that began later has a later deadline, and the timers of
    /// earlier ones leave it alone.
    pub(super) fn time_transfer(self: Rc<Peer>) {
        let deadline = self.rt.now() + LONGEST_TRANSFER;
        self.transfer_deadline.set(deadline);
        self.rt.clone().spawn_detached("transfer timer", async move {
            self.rt.sleep_until(deadline).await;
            if self.transfer_deadline.get() == deadline {
                self.with_core(Core::transfer_timeout);
            }
        });
    }

    /// Tells a server to stand for election at once, and spawns a task that waits for the answer.
    pub(super) fn tell_to_stand(self: Rc<Peer>, to: usize, args: &TimeoutNowArgs) {
        let call = self.peers[to].call(TIMEOUT_NOW, args);
        self.rt.clone().spawn_detached("timeout now", async move {
            if let Some(reply) = call.await {
                self.with_core(|core| core.timeout_now_reply(&reply));
            }
        });
    }

    /// Asks a server for its vote, with the mark, and spawns a task that waits for the answer.
    pub(super) fn ask_for_transfer_vote(self: Rc<Peer>, to: usize, args: &RequestVoteArgs) {
        let asked_in = args.term;
        let call = self.peers[to].call(TRANSFER_VOTE, args);
        self.rt.clone().spawn_detached("request vote", async move {
            if let Some(reply) = call.await {
                self.with_core(|core| core.request_vote_reply(to, asked_in, &reply));
            }
        });
    }
}
