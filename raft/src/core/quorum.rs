// SOLUTION FILE
//! Check-quorum, and the voters' lease (Ongaro's thesis, sections 6.2 and 4.2.3).
//!
//! A leader counts who has answered it since its lease timer ran out last. If that is no majority, it
//! can commit nothing, and steps down. A server that has heard from its leader since *its* lease
//! timer was restarted is in lease: it disregards candidates, so that nobody deposes a leader that a
//! majority hears.
//!
//! The two belong together. With the lease alone, a leader that sends and does not receive would be
//! kept for ever, though it commits nothing. With check-quorum alone, a server that sends and
//! does not receive would depose one good leader after the other.
//!
//! ```text
//!                leader's message           nothing for one shortest election time-out
//! voter           |<------------ in lease ------------>|  may vote for another
//!
//!                begins to lead      timer           timer: no majority since the one before
//! leader          |------------------|------------------|  follower
//! ```

use labraft::Role;

use super::Core;
use super::stable_leader::StableLeader;

impl Core {
    /// Adds pre-vote, check-quorum and the lease of part 2E to a server that has just been made.
    #[must_use]
    pub fn with_stable_leader(self) -> Core {
        Core { stable_leader: Some(StableLeader::default()), ..self }
    }

    /// Whether this server leads, or has heard from the leader of its term within the lease.
    pub(super) fn is_in_lease(&self) -> bool {
        let has_heard = |stable_leader: &StableLeader| {
            let is_of_this_term = stable_leader.heard_in == Some(self.current_term);
            // A lease of a leader counts on its voters, even those that have moved on to a newer term.
            let is_kept = self.has_leases() && stable_leader.heard_in.is_some();
            self.role == Role::Leader || is_of_this_term || is_kept
        };
        self.stable_leader.as_ref().is_some_and(has_heard)
    }

    /// Whether a candidate of `term` is to get no vote, and its term to be left alone.
    pub(super) fn disregards_candidates(&self, term: u64) -> bool {
        let would_vote = self.has_leases() && term == self.current_term && self.voted_for.is_none();
        (term > self.current_term || would_vote) && self.is_in_lease()
    }

    /// The leader of `term` has written. If that is the current term, its lease begins anew.
    pub(super) fn begin_lease(&mut self, term: u64) {
        let Some(stable_leader) = &mut self.stable_leader else { return };
        if term < self.current_term {
            return;
        }
        stable_leader.heard_in = Some(self.current_term);
        stable_leader.pre_candidacy = None;
        self.output.restart_lease = true;
    }

    /// The leader of an earlier term wants a candidate of `term` to lead, so its lease is no reason to refuse.
    pub(super) fn set_aside_lease(&mut self, term: u64) {
        if let Some(stable_leader) = &mut self.stable_leader
            && stable_leader.heard_in.is_some_and(|heard_in| heard_in < term)
        {
            stable_leader.heard_in = None;
        }
    }

    /// This server has begun to lead.
    pub(super) fn begin_quorum_check(&mut self) {
        let Some(stable_leader) = &mut self.stable_leader else { return };
        stable_leader.pre_candidacy = None;
        stable_leader.answered = vec![false; self.servers];
        self.output.restart_lease = true;
    }

    /// A follower has answered this leader in its present term.
    pub(super) fn count_for_quorum(&mut self, from: usize) {
        if let Some(stable_leader) = &mut self.stable_leader {
            stable_leader.answered[from] = true;
        }
    }

    /// The shortest election time-out has passed since the lease timer was restarted, or ran out
    /// last. A follower's lease is over; a leader that too few servers have answered in this time
    /// steps down, in the same term.
    pub fn lease_timeout(&mut self) {
        self.check_invariants();
        let Some(stable_leader) = &mut self.stable_leader else { return };
        stable_leader.heard_in = None;
        if self.role != Role::Leader {
            return;
        }
        let nobody = vec![false; self.servers];
        let answered = std::mem::replace(&mut stable_leader.answered, nobody);
        let others = answered.iter().filter(|&&has_answered| has_answered).count();
        if !self.is_majority(1 + others) {
            self.become_follower();
        }
    }
}
