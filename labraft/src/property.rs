//! The properties of Raft that are checked, by name, and how a report says that one was broken.

use std::fmt;

/// A property of Raft. Figures and sections are those of the extended Raft paper.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Property {
    /// At most one leader is elected in a term (figure 3).
    ElectionSafety,
    /// A leader never overwrites or deletes entries of its log (figure 3).
    LeaderAppendOnly,
    /// Logs that have an entry of one index and term in common are the same up to it (figure 3).
    LogMatching,
    /// Whoever leads has all entries that were committed in earlier terms (figure 3).
    LeaderCompleteness,
    /// No two servers take different entries for committed at one index (figure 3).
    StateMachineSafety,
    /// A leader counts replicas of entries of its own term only, and of a majority (section 5.4.2).
    CommitRule,
    /// A server's term never falls, also through restarts (figure 2).
    TermMonotone,
    /// A server votes for one candidate in a term, also through restarts (figure 2).
    OneVote,
    /// While a server is up, what it takes for committed and has applied grows only, in this order:
    /// applied, committed, in the log (figure 2).
    CommitMonotone,
    /// What a follower acknowledged stays in its log, until a later leader replaces it (section 5.3).
    Acknowledged,
    /// What a leader believes to be replicated grows only, and is (figure 2, matchIndex).
    MatchIndex,
    /// A server hands its service each command once, in the order of the log (section 5.3).
    ApplyOrder,
    /// A snapshot stands for what its service has applied; it is saved together with the log that goes
    /// on from it, and no older one ever takes its place (section 7).
    Snapshot,
    /// Term, vote and entries are saved before an answer leaves (figure 2, persistent state).
    SavedFirst,
    /// The election timer starts anew when a vote is given, and with each word of the leader
    /// (section 5.2).
    ElectionTimer,
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Property::ElectionSafety => "Election Safety (paper, figure 3)",
            Property::LeaderAppendOnly => "Leader Append-Only (paper, figure 3)",
            Property::LogMatching => "Log Matching (paper, figure 3)",
            Property::LeaderCompleteness => "Leader Completeness (paper, figure 3)",
            Property::StateMachineSafety => "State Machine Safety (paper, figure 3)",
            Property::CommitRule => "the commit rule (paper, section 5.4.2)",
            Property::TermMonotone => "terms grow only (paper, figure 2)",
            Property::OneVote => "one vote in a term (paper, figure 2)",
            Property::CommitMonotone => "commitIndex and lastApplied grow only (paper, figure 2)",
            Property::Acknowledged => "what was acknowledged stays (paper, section 5.3)",
            Property::MatchIndex => "matchIndex is what is replicated (paper, figure 2)",
            Property::ApplyOrder => "apply order (paper, section 5.3)",
            Property::Snapshot => "what a snapshot covers (paper, section 7)",
            Property::SavedFirst => "saved before it is answered (paper, figure 2)",
            Property::ElectionTimer => "the election timer (paper, section 5.2)",
        })
    }
}

/// A property that does not hold, and what shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub property: Property,
    /// The facts that contradict one another.
    pub facts: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.property, self.facts)
    }
}

pub(crate) type Checked = Result<(), Violation>;

pub(crate) fn violated(property: Property, facts: String) -> Checked {
    Err(Violation { property, facts })
}
