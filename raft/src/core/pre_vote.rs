// SOLUTION FILE
//! Pre-vote (Ongaro's thesis, section 9.6): a server asks whether it would win an election before
//! it begins one, so that a server that cannot win disturbs nobody.
//!
//! Without it, a server that is cut off raises its term with every election time-out. When it is
//! back, its term deposes a leader that nothing was wrong with. With it, the time-out makes the
//! server a *pre-candidate*: what it was in its term, with a question to all others.
//!
//! ```text
//! election time-out        majority of pre-votes         majority of votes
//!   follower -----> pre-candidate -----------> candidate -------------> leader
//!                   of the same term           of the next term
//! ```
//!
//! A pre-vote is a forecast and no promise. Whoever grants one changes nothing, and may grant it to
//! several; so a pre-vote is never saved. The votes that elect a leader are those of figure 2.

use super::stable_leader::PreCandidacy;
use super::{Core, Message};
use crate::message::{PreVoteArgs, PreVoteReply};

impl Core {
    /// Whether an election time-out begins with a question, and not with an election. If so, this
    /// asks it, and forgets the answers to an earlier one.
    pub(super) fn asks_before_it_stands(&mut self) -> bool {
        if self.has_pre_votes() || self.is_told_to_stand_in(self.current_term + 1) {
            return false;
        }
        let Some(stable_leader) = &mut self.stable_leader else { return false };
        let mut pre_votes = vec![false; self.servers];
        pre_votes[self.me] = true;
        let (next_term, voted_for) = (self.current_term + 1, self.voted_for);
        stable_leader.heard_in = None;
        stable_leader.pre_candidacy = Some(PreCandidacy { next_term, voted_for, pre_votes });
        if self.has_pre_votes() {
            // In a cluster of one.
            return false;
        }
        self.output.reset_election_timer = true;
        self.output.start_heartbeats = true;
        self.ask_for_pre_votes();
        true
    }

    /// The pre-votes of a question that is still open.
    fn pre_votes(&self) -> Option<&[bool]> {
        let pre_candidacy = self.stable_leader.as_ref()?.pre_candidacy.as_ref()?;
        let &PreCandidacy { next_term, voted_for, ref pre_votes } = pre_candidacy;
        let is_open = next_term == self.current_term + 1 && voted_for == self.voted_for;
        is_open.then_some(pre_votes)
    }

    /// Whether this server waits for answers to the question whether it would be elected.
    pub fn is_pre_candidate(&self) -> bool {
        self.pre_votes().is_some()
    }

    fn has_pre_votes(&self) -> bool {
        let is_majority = |pre_votes: &[bool]| {
            self.is_majority(pre_votes.iter().filter(|&&pre_vote| pre_vote).count())
        };
        self.pre_votes().is_some_and(is_majority)
    }

    /// Asks the servers that have not granted their pre-vote; asking again makes up for lost
    /// messages. Nobody is asked if this server is no pre-candidate.
    pub(super) fn ask_for_pre_votes(&mut self) {
        let Some(pre_votes) = self.pre_votes() else { return };
        let others = self.others().filter(|&server| !pre_votes[server]);
        let asked: Vec<usize> = others.collect();
        for server in asked {
            let args = PreVoteArgs {
                next_term: self.current_term + 1,
                candidate_id: self.me,
                last_log_index: self.log.last_index(),
                last_log_term: self.log.last_term(),
            };
            self.send(server, Message::PreVote(args));
        }
    }

    /// Answers a pre-candidate: whether this server would vote for it. That is so if the term is one
    /// that this server has yet to come to, the log is at least as up to date, and this server has
    /// not heard from a leader lately. Nothing is changed by it, not even the election timer.
    pub fn pre_vote(&mut self, args: &PreVoteArgs) -> PreVoteReply {
        self.check_invariants();
        let ours = (self.log.last_term(), self.log.last_index());
        let is_up_to_date = (args.last_log_term, args.last_log_index) >= ours;
        let is_newer = args.next_term > self.current_term;
        let vote_granted = is_newer && is_up_to_date && !self.is_in_lease();
        PreVoteReply { term: self.current_term, vote_granted }
    }

    /// Counts the answer to the question whether this server would be elected in `next_term`. With
    /// the pre-votes of a majority it stands for election.
    pub fn pre_vote_reply(&mut self, from: usize, next_term: u64, reply: &PreVoteReply) {
        self.check_invariants();
        self.observe_term(reply.term);
        // An answer to a question of an earlier term says nothing about this one.
        let is_due = next_term == self.current_term + 1 && self.is_pre_candidate();
        if !is_due || !reply.vote_granted {
            return;
        }
        if let Some(stable_leader) = &mut self.stable_leader
            && let Some(pre_candidacy) = &mut stable_leader.pre_candidacy
        {
            pre_candidacy.pre_votes[from] = true;
        }
        if self.has_pre_votes() {
            self.election_timeout();
        }
    }
}
