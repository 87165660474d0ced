// SOLUTION FILE
//! Terms and elections (paper, sections 5.1, 5.2 and 5.4.1).

use labraft::Role;

use super::Core;
use super::follower::Follower;
use crate::message::{RequestVoteArgs, RequestVoteReply};

impl Core {
    /// A whole election time-out has passed without a word from a leader: start an election.
    pub fn election_timeout(&mut self) {
        self.check_invariants();
        if self.role == Role::Leader {
            return;
        }
        if self.asks_before_it_stands() {
            return;
        }
        self.role = Role::Candidate;
        self.current_term += 1;
        self.voted_for = Some(self.me);
        self.votes = vec![false; self.servers];
        self.votes[self.me] = true;
        self.output.must_save = true;
        self.output.reset_election_timer = true;
        self.output.start_heartbeats = true;
        if self.is_majority(1) {
            self.become_leader();
        } else {
            self.ask_for_votes();
        }
    }

    /// Asks every server that has not voted for this candidate. Asking again within the term makes
    /// up for lost requests and replies: a server that has voted for it says so again.
    pub(super) fn ask_for_votes(&mut self) {
        let args = RequestVoteArgs {
            term: self.current_term,
            candidate_id: self.me,
            last_log_index: self.log.last_index(),
            last_log_term: self.log.last_term(),
        };
        for server in self.others() {
            if !self.votes[server] {
                self.send(server, self.vote_request(args.clone()));
            }
        }
    }

    /// Answers a candidate: with this server's vote if it is still free in this term and the
    /// candidate's log is at least as up to date (section 5.4.1).
    pub fn request_vote(&mut self, args: &RequestVoteArgs) -> RequestVoteReply {
        self.check_invariants();
        if self.disregards_candidates(args.term) {
            return RequestVoteReply { term: self.current_term, vote_granted: false };
        }
        self.observe_term(args.term);
        let ours = (self.log.last_term(), self.log.last_index());
        let is_up_to_date = (args.last_log_term, args.last_log_index) >= ours;
        let is_free = self.voted_for.is_none() || self.voted_for == Some(args.candidate_id);
        let vote_granted = args.term == self.current_term && is_free && is_up_to_date;
        if vote_granted {
            if self.voted_for.is_none() {
                self.voted_for = Some(args.candidate_id);
                self.output.must_save = true;
            }
            self.output.reset_election_timer = true;
        }
        RequestVoteReply { term: self.current_term, vote_granted }
    }

    /// Counts the answer to a request for a vote that this server sent in term `asked_in`.
    pub fn request_vote_reply(&mut self, from: usize, asked_in: u64, reply: &RequestVoteReply) {
        self.check_invariants();
        self.observe_term(reply.term);
        // An answer to an earlier candidacy says nothing about this one.
        if self.role != Role::Candidate || asked_in != self.current_term || !reply.vote_granted {
            return;
        }
        self.votes[from] = true;
        let votes = self.votes.iter().filter(|&&vote| vote).count();
        if self.is_majority(votes) {
            self.become_leader();
        }
    }

    /// Every message carries a term. A server that sees a newer one moves to it, as a follower that
    /// has not voted yet (section 5.1).
    pub(super) fn observe_term(&mut self, term: u64) {
        if term > self.current_term {
            self.current_term = term;
            self.voted_for = None;
            self.output.must_save = true;
            self.become_follower();
        }
    }

    pub(super) fn become_follower(&mut self) {
        if self.role == Role::Leader {
            // While it led, its election timer ran out and was not restarted.
            self.output.reset_election_timer = true;
            self.abort_transfer();
            self.drop_reads();
        }
        self.role = Role::Follower;
    }

    pub(super) fn become_leader(&mut self) {
        self.role = Role::Leader;
        self.begin_quorum_check();
        let next_index = self.log.last_index() + 1;
        self.followers = vec![Follower { next_index, match_index: 0, in_flight: 0 }; self.servers];
        self.output.start_heartbeats = true;
        self.begin_flow_control();
        self.begin_reads();
        self.heartbeat_timeout();
    }
}
