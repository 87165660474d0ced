//! What a Raft offers beyond the course, and says that it offers.
//!
//! Nobody has to offer anything. Tests, properties and rules of an optional part are for the Rafts that offer
//! it; for others they do not exist.

use std::time::Duration;

use crate::part::Part;

/// Something that a Raft has besides what the course asks for: one of the optional parts.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Part 2E: pre-vote (Ongaro's thesis, section 9.6), and check-quorum with the voters' lease (sections
    /// 6.2 and 4.2.3). Together they let a leader lead for as long as a majority hears it and answers it, and no
    /// longer.
    StableLeader {
        /// The shortest election time-out: how long a server that has heard from its leader disregards
        /// candidates, and after how much time at the latest a leader looks whether a majority has
        /// answered.
        election_timeout: Duration,
    },
    /// Part 2F: a leader can hand leadership to another server (Ongaro's thesis, section 3.10), by
    /// [`Raft::transfer_leadership`](crate::Raft::transfer_leadership).
    LeaderTransfer {
        /// After how much time a leader at the latest gives up a transfer that has not succeeded, and takes
        /// commands again. It is measured by the server's own clock.
        longest: Duration,
    },
    /// Part 2G: [`Raft::read`](crate::Raft::read), which confirms reads without entries of the log (Ongaro's
    /// thesis, section 6.4).
    ReadIndex,
    /// Part 2G: a leader answers [`Raft::read`](crate::Raft::read) at once while it holds a lease (section 6.4.1).
    /// It needs [`Offer::ReadIndex`] and [`Offer::StableLeader`] as well.
    LeaseReads {
        /// How much faster one server's clock may run than another's, in percent, so that leases are safe.
        /// Runs whose clocks differ by more are not judged by what reads see.
        clock_drift_percent: u32,
    },
}

/// All that a Raft offers. By default it is nothing.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// The `election_timeout` of [`Offer::StableLeader`], if that is offered.
    pub stable_leader: Option<Duration>,
    /// The `longest` of [`Offer::LeaderTransfer`], if that is offered.
    pub leader_transfer: Option<Duration>,
    /// Whether [`Offer::ReadIndex`] is offered.
    pub read_index: bool,
    /// The `clock_drift_percent` of [`Offer::LeaseReads`], if that is offered.
    pub lease_reads: Option<u32>,
}

impl Offers {
    /// What the course asks for, and nothing else.
    pub const NOTHING: Offers =
        Offers { stable_leader: None, leader_transfer: None, read_index: false, lease_reads: None };

    /// The same with one more.
    #[must_use]
    pub const fn with(self, offer: Offer) -> Offers {
        match offer {
            Offer::StableLeader { election_timeout } => {
                Offers { stable_leader: Some(election_timeout), ..self }
            }
            Offer::ReadIndex => Offers { read_index: true, ..self },
            Offer::LeaseReads { clock_drift_percent } => {
                Offers { lease_reads: Some(clock_drift_percent), ..self }
            }
            Offer::LeaderTransfer { longest } => Offers { leader_transfer: Some(longest), ..self },
        }
    }

    /// Whether the tests of a part are for it. Those of the course are for every Raft.
    pub const fn include(self, part: Part) -> bool {
        match part {
            Part::Raft2E => self.stable_leader.is_some(),
            Part::Raft2F => self.leader_transfer.is_some(),
            Part::Raft2G => self.read_index,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_offered_is_asked_for() {
        let nothing = Offers::default();
        let election_timeout = Duration::from_millis(300);
        let offer = Offer::StableLeader { election_timeout };
        let other = Offer::LeaderTransfer { longest: election_timeout };
        assert!(nothing.include(Part::Raft2A) && nothing.include(Part::Beyond));
        assert!(!nothing.include(Part::Raft2E));
        assert!(nothing.with(offer).include(Part::Raft2E));
        assert!(!nothing.with(offer).include(Part::Raft2F));
        let both = nothing.with(offer).with(other);
        assert!(both.include(Part::Raft2E) && both.include(Part::Raft2F));
        assert!(!both.include(Part::Raft2G));
        assert!(both.with(Offer::ReadIndex).include(Part::Raft2G));
        for part in Part::COURSE {
            assert_eq!(nothing.include(part), !part.is_optional(), "{part}");
        }
    }
}
