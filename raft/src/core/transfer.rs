// SOLUTION FILE
//! Leadership transfer (Ongaro's thesis, section 3.10): a leader hands leadership to a server of its
//! choice, in the time of a few messages and without an election time-out.
//!
//! ```text
//!             takes no commands from here on                    takes commands again, if it still leads
//! leader      |--- entries that the target lacks ---|--- TimeoutNow ---|  an election time-out later
//!                                                                 \
//! target                                                           | stands for election in the next
//!                                                                    term, and asks nobody beforehand
//! ```
//!
//! The target needs the whole log first, or others would refuse it their votes, and it may lack what
//! is committed. Its election is an ordinary one, so all that figure 2 promises holds; only
//! pre-votes and the voters' lease, which are to protect the leader, must not protect it against its
//! own wish. The target asks for no pre-votes, and its requests for votes carry a mark.
//!
//! Nothing of this is saved: a transfer that a crash ends has not happened.

use labraft::Role;

use super::handover::{Handover, Transfer};
use super::{Core, Message};
use crate::message::{RequestVoteArgs, RequestVoteReply, TimeoutNowArgs, TimeoutNowReply};

impl Core {
    /// Adds leadership transfer, part 2F, to a server that has just been made.
    #[must_use]
    pub fn with_transfer(self) -> Core {
        Core { handover: Some(Handover::default()), ..self }
    }

    /// Begins to hand leadership to a server, instead of another one if that had begun. Returns
    /// whether leadership is being handed to it now: not if this server does not lead, and not to
    /// itself. The next [`replicate`](Self::replicate) sends what there is to send.
    pub fn transfer_leadership(&mut self, to: usize) -> bool {
        self.check_invariants();
        let is_possible = self.role == Role::Leader && to != self.me && to < self.servers;
        let Some(handover) = self.handover.as_mut().filter(|_| is_possible) else { return false };
        if handover.transfer.is_none_or(|transfer| transfer.to != to) {
            handover.transfer = Some(Transfer { to, is_told: false });
            self.output.start_transfer_timer = true;
            self.end_read_lease();
        }
        true
    }

    /// The server to which this leader is handing over. Meanwhile it takes no commands.
    pub fn transferee(&self) -> Option<usize> {
        Some(self.handover.as_ref()?.transfer?.to)
    }

    /// An election time-out has passed since the last transfer began: leadership stays here.
    pub fn transfer_timeout(&mut self) {
        self.check_invariants();
        self.abort_transfer();
    }

    /// Ends the transfer that is under way, if there is one.
    pub(super) fn abort_transfer(&mut self) {
        if let Some(handover) = &mut self.handover {
            handover.transfer = None;
        }
    }

    /// Tells a server to stand for election, once, if leadership is being handed to it and its log is
    /// the leader's.
    pub(super) fn hand_over(&mut self, server: usize) {
        let Some(handover) = &mut self.handover else { return };
        let Some(transfer) = handover.transfer.as_mut().filter(|transfer| transfer.to == server)
        else {
            return;
        };
        let has_all = self.followers[server].match_index == self.log.last_index();
        if has_all && !transfer.is_told {
            transfer.is_told = true;
            let args = TimeoutNowArgs { term: self.current_term, leader_id: self.me };
            self.send(server, Message::TimeoutNow(args));
        }
    }

    /// Tells the server to which leadership is being handed once more: messages get lost.
    pub(super) fn hand_over_again(&mut self) {
        let Some(handover) = &mut self.handover else { return };
        let Some(transfer) = &mut handover.transfer else { return };
        transfer.is_told = false;
        let to = transfer.to;
        self.hand_over(to);
    }

    /// Answers a leader that hands over to this server: it stands for election at once. A request of
    /// an earlier term's leader is out of date.
    pub fn timeout_now(&mut self, args: &TimeoutNowArgs) -> TimeoutNowReply {
        self.check_invariants();
        if self.accept_leader(args.term) {
            if let Some(handover) = &mut self.handover {
                handover.told_to_stand_in = Some(self.current_term + 1);
            }
            self.election_timeout();
        }
        TimeoutNowReply { term: self.current_term }
    }

    /// The target of a transfer has answered. If it stands for election, the reign is over.
    pub fn timeout_now_reply(&mut self, reply: &TimeoutNowReply) {
        self.check_invariants();
        self.observe_term(reply.term);
    }

    /// Whether a leader has told this server to stand for election in this term.
    pub(super) fn is_told_to_stand_in(&self, term: u64) -> bool {
        let told = self.handover.as_ref().and_then(|handover| handover.told_to_stand_in);
        told == Some(term)
    }

    /// A candidate's request, with the mark if its leader has told it to stand.
    pub(super) fn vote_request(&self, args: RequestVoteArgs) -> Message {
        if self.is_told_to_stand_in(args.term) {
            Message::TransferVote(args)
        } else {
            Message::RequestVote(args)
        }
    }

    /// Answers a candidate whose leader has told it to stand. That this server hears the leader is no
    /// reason to disregard it; everything else is as in [`request_vote`](Self::request_vote).
    pub fn transfer_vote(&mut self, args: &RequestVoteArgs) -> RequestVoteReply {
        self.check_invariants();
        self.observe_term(args.term);
        self.set_aside_lease(args.term);
        self.request_vote(args)
    }
}
