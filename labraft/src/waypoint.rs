//! Waypoints: named situations in which bugs show. A sweep that never comes to one of them says nothing
//! about what a Raft does there.
//!
//! `invariants/waypoints` has what notices them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::part::Part;

/// Declares the enum together with the table of what is known of its variants.
macro_rules! waypoints {
    ($($(#[$doc:meta])* $waypoint:ident: $part:ident, $name:literal, $sentence:literal;)+) => {
        /// A situation that a run can come to.
        ///
        /// Results contain a bit for each, in this order, so new ones go to the end.
        #[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Waypoint {
            $($(#[$doc])* $waypoint,)+
        }

        /// One row for each waypoint, in the order of the enum.
        const TABLE: &[Row] = &[$(Row {
            waypoint: Waypoint::$waypoint,
            part: Part::$part,
            name: $name,
            sentence: $sentence,
        }),+];
    };
}

// The first part of the course whose tests can come to each waypoint, its stable name for programs, and a
// sentence for people.
waypoints! {
    /// Two servers are candidates of the same term.
    RivalCandidates: Raft2A, "rival-candidates", "two candidates of one term";
    /// A term with several candidates ended without a leader.
    SplitVote: Raft2A, "split-vote", "a split vote: a term with several candidates and no leader";
    /// A server is elected that has led an earlier term.
    LeadsAgain: Raft2A, "leads-again", "a leader elected that led before";
    /// A candidate or leader gets the answer to a request of an older candidacy of its own.
    OlderCandidacyAnswer: Raft2A, "older-candidacy-answer",
        "a candidate, or the winner, gets an answer to an earlier candidacy of its own";
    /// A leader gets the answer to a request that it made as the leader of an earlier term.
    EarlierReignAnswer: Raft2A, "earlier-reign-answer",
        "a leader gets an answer to a request of an earlier reign of its own";
    /// The request of a leader arrives where a newer term has begun.
    LateLeaderRequest: Raft2A, "late-leader-request",
        "a leader's request arrives at a server that has gone on to a newer term";
    /// The request of a candidate arrives where a newer term has begun.
    LateCandidateRequest: Raft2A, "late-candidate-request",
        "a candidate's request arrives at a server that has gone on to a newer term";
    /// A leader steps down at the moment in which it gets an answer, and no request.
    DeposedByAnswer: Raft2A, "deposed-by-answer", "a leader steps down because of an answer";
    /// A server has adopted the term of a candidate whose log is behind its own.
    CandidateBehind: Raft2B, "candidate-behind",
        "a candidate comes to a server whose log is ahead of its own";
    /// A server has an entry of another term than the one that was committed at its index.
    ConflictWithCommitted: Raft2B, "conflict-with-committed",
        "a server has an entry that conflicts with one just committed";
    /// Entries of a server's log were removed or replaced.
    EntriesReplaced: Raft2B, "entries-replaced", "a follower's entries are removed or replaced";
    /// A new leader has entries of older terms that it does not know to be committed.
    OldTermEntries: Raft2B, "old-term-entries",
        "a leader elected with uncommitted entries of an older term";
    /// A leader knows a majority to have an entry of an older term that is not committed (figure 8).
    OldTermOnMajority: Raft2B, "old-term-on-majority",
        "an uncommitted entry of an older term on a majority, as in figure 8";
    /// A leader accepts commands while another leads a newer term.
    OldLeaderAccepts: Raft2B, "old-leader-accepts",
        "a leader accepts commands after another was elected";
    /// A leader's nextIndex for a follower goes back over entries of more than one term.
    BacksUpOverTerms: Raft2B, "backs-up-over-terms", "a leader backs up over more than one term";
    /// A leader stops, and nobody else has the last entry of its log.
    LeaderStopsAhead: Raft2B, "leader-stops-ahead",
        "a leader crashes with an entry that nobody else has";
    /// A server stops in the term in which it voted for another, before anybody has won.
    VotedThenStopped: Raft2C, "voted-then-stopped",
        "a server crashes after it voted, before the election is decided";
    /// A follower has saved, and stops before it answers anybody.
    SavedThenStopped: Raft2C, "saved-then-stopped",
        "a follower crashes after a save, before it answers anybody";
    /// A server crashes while it saves; only chaos makes that happen.
    StoppedInSave: Beyond, "stopped-in-save", "a server crashes while it saves";
    /// A server has installed a snapshot that covers its whole log.
    SnapshotInstalled: Raft2D, "snapshot-installed",
        "a follower installs a snapshot in place of its whole log";
    /// A server has installed a snapshot that ends before its log does.
    SnapshotInsideLog: Raft2D, "snapshot-inside-log",
        "a follower installs a snapshot that ends within its log";
    /// What a leader sent when it had only a snapshot for a follower arrives when that has applied more.
    SnapshotOvertaken: Raft2D, "snapshot-overtaken",
        "a snapshot arrives that the receiver's applied index has passed";
    /// A server starts with a snapshot and no entries behind it.
    OnlySnapshotAtStart: Raft2D, "only-snapshot-at-start",
        "a server restarts with a snapshot and no entries behind it";
    /// A leader accepts a command that has been applied already, after another leader had accepted it.
    ExecutedThenRetried: Kv3A, "executed-then-retried",
        "a command is executed, its answer lost, and another leader gets it again";
}

/// What is known of a waypoint.
struct Row {
    waypoint: Waypoint,
    part: Part,
    name: &'static str,
    sentence: &'static str,
}

// A set of waypoints has 64 bits.
const _: () = assert!(TABLE.len() <= 64);

impl Waypoint {
    /// All waypoints, in the order of the table.
    pub fn all() -> impl Iterator<Item = Waypoint> {
        TABLE.iter().map(|row| row.waypoint)
    }

    const fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The stable name, such as `leads-again`, for programs.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// What the situation is, for people.
    pub const fn sentence(self) -> &'static str {
        self.row().sentence
    }

    /// The first part of the course whose tests can come to it.
    pub const fn part(self) -> Part {
        self.row().part
    }

    /// Whether tests of this part can come to it.
    pub fn is_possible_in(self, part: Part) -> bool {
        // The tests of 3A and 4A make no snapshots.
        let has_snapshots = !matches!(part, Part::Kv3A | Part::Shard4A);
        part >= self.part() && (has_snapshots || self.part() != Part::Raft2D)
    }

    const fn bit(self) -> u64 {
        1 << self as u32
    }
}

/// A set of waypoints. Written as a hexadecimal number with a bit for each, the first one the lowest.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Waypoints(u64);

impl Waypoints {
    /// Whether it contains none.
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Whether it contains this one.
    pub const fn contains(self, waypoint: Waypoint) -> bool {
        self.0 & waypoint.bit() != 0
    }

    /// Those in the set, in the order of the table.
    pub fn iter(self) -> impl Iterator<Item = Waypoint> {
        Waypoint::all().filter(move |&waypoint| self.contains(waypoint))
    }
}

impl FromIterator<Waypoint> for Waypoints {
    fn from_iter<T: IntoIterator<Item = Waypoint>>(all: T) -> Waypoints {
        Waypoints(all.into_iter().fold(0, |bits, waypoint| bits | waypoint.bit()))
    }
}

impl From<Waypoints> for String {
    fn from(waypoints: Waypoints) -> String {
        format!("{:x}", waypoints.0)
    }
}

impl TryFrom<String> for Waypoints {
    type Error = String;

    fn try_from(text: String) -> Result<Waypoints, String> {
        u64::from_str_radix(&text, 16).map(Waypoints).map_err(|_| {
            format!("{text:?} is not a set of waypoints: a hexadecimal number of up to 16 digits")
        })
    }
}

/// The waypoints that a run has reached so far. Clones refer to the same set, so that it can be
/// read after the simulation's thread has ended, however that was.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reached(Arc<AtomicU64>);

impl Reached {
    /// Whether the run has already reached a waypoint, so that it need not be looked for again.
    #[inline]
    pub(crate) fn has(&self, waypoint: Waypoint) -> bool {
        self.0.load(Ordering::Relaxed) & waypoint.bit() != 0
    }

    /// The run has come to a waypoint.
    pub(crate) fn add(&self, waypoint: Waypoint) {
        self.0.fetch_or(waypoint.bit(), Ordering::Relaxed);
    }

    /// Adds a waypoint if the run has not come to it before, and `is_here` says that it has now.
    #[inline]
    pub(crate) fn add_if(&self, waypoint: Waypoint, is_here: impl FnOnce() -> bool) {
        if !self.has(waypoint) && is_here() {
            self.add(waypoint);
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> Waypoints {
        Waypoints(self.0.load(Ordering::Relaxed))
    }
}

impl fmt::Display for Waypoint {
    /// Its sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_sentences_tell_all_waypoints_apart() {
        let names: BTreeSet<&str> = Waypoint::all().map(Waypoint::name).collect();
        let sentences: BTreeSet<&str> = Waypoint::all().map(Waypoint::sentence).collect();
        assert_eq!((names.len(), sentences.len()), (TABLE.len(), TABLE.len()));
    }

    #[test]
    fn a_set_is_written_as_a_number() {
        let set = Waypoints::from_iter([Waypoint::RivalCandidates, Waypoint::EarlierReignAnswer]);
        let text = serde_json::to_string(&set).unwrap();
        assert_eq!(text, "\"11\"");
        assert_eq!(serde_json::from_str::<Waypoints>(&text).unwrap(), set);
        let error = serde_json::from_str::<Waypoints>("\"leads-again\"").unwrap_err().to_string();
        assert!(error.contains("not a set of waypoints"), "{error}");
    }
}
