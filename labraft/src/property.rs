//! The properties that every run is checked for, by name, and how a report states that one was broken.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Declares the enum together with the table of what is known of its variants.
macro_rules! properties {
    ($($(#[$doc:meta])* $property:ident: $severity:ident, $name:literal, $title:literal, $source:literal;)+) => {
        /// A property that every run is checked for. Figures and sections are those of the extended Raft
        /// paper.
        ///
        /// Files, such as results and the patches of known bugs, contain its [`name`](Property::name).
        #[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub enum Property {
            $($(#[$doc])* $property,)+
        }

        /// One row for each property, in the order of the enum.
        const TABLE: &[Row] = &[$(Row {
            property: Property::$property,
            severity: Severity::$severity,
            name: $name,
            title: $title,
            source: $source,
        }),+];
    };
}

// The severity of each property, its stable name for programs and files, its title for people, and where
// it is stated.
properties! {
    /// At most one leader is elected in a term (figure 3).
    ElectionSafety: Promise, "election-safety", "Election Safety", "paper, figure 3";
    /// A leader never overwrites or deletes entries of its log (figure 3).
    LeaderAppendOnly: Promise, "leader-append-only", "Leader Append-Only", "paper, figure 3";
    /// Two logs that contain an entry with the same index and term are identical up to it (figure 3).
    LogMatching: Promise, "log-matching", "Log Matching", "paper, figure 3";
    /// A leader's log contains all entries that were committed in earlier terms (figure 3).
    LeaderCompleteness: Promise, "leader-completeness", "Leader Completeness", "paper, figure 3";
    /// No two servers commit or apply different entries at the same index (figure 3).
    StateMachineSafety: Promise, "state-machine-safety", "State Machine Safety", "paper, figure 3";
    /// A leader counts replicas only of entries of its own term, and needs a majority (section 5.4.2).
    CommitRule: Promise, "commit-rule", "commit rule", "paper, section 5.4.2";
    /// A server's term never decreases, not even over a restart (figure 2).
    TermMonotone: Promise, "term-monotone", "term never decreases", "paper, figure 2";
    /// A server votes for one candidate in a term, even across a restart (figure 2).
    OneVote: Promise, "one-vote", "one vote per term", "paper, figure 2";
    /// While a server is up, its commitIndex and lastApplied never decrease, and lastApplied <=
    /// commitIndex <= the log's last index (figure 2).
    CommitMonotone: Promise, "commit-monotone", "commitIndex and lastApplied never decrease", "paper, figure 2";
    /// An entry that a follower acknowledged stays in its log until a later leader replaces it
    /// (section 5.3).
    Acknowledged: Promise, "acknowledged", "acknowledged entries stay", "paper, section 5.3";
    /// A leader's matchIndex never decreases, and the follower has the entries up to it (figure 2).
    MatchIndex: Promise, "match-index", "matchIndex is replicated", "paper, figure 2";
    /// A leader's nextIndex for a follower is above its matchIndex (figure 2). A leader with a lower one
    /// sends again what the follower has.
    NextIndex: Slip, "next-index", "nextIndex is above matchIndex", "paper, figure 2";
    /// A server hands its service each command once, in the order of the log (section 5.3).
    ApplyOrder: Promise, "apply-order", "apply order", "paper, section 5.3";
    /// A snapshot stands for what its service has applied. It is saved together with the log that
    /// follows it, and an older snapshot never replaces a newer one (section 7).
    Snapshot: Promise, "snapshot", "snapshot and log fit together", "paper, section 7";
    /// Term, vote and entries are saved before a reply leaves (figure 2, persistent state).
    SavedFirst: Promise, "saved-first", "saved before replying", "paper, figure 2";
    /// The election timer restarts when a vote is granted and whenever the leader is heard
    /// (section 5.2).
    ElectionTimer: Slip, "election-timer", "election timer", "paper, section 5.2";
    /// The replies that clients got fit one order of their operations (section 8).
    Linearizability: Promise, "linearizability", "linearizability", "paper, section 8";
}

/// What a broken property means.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Raft has broken its promise: committed data can be lost or contradicted. The run ends at once.
    Promise,
    /// Raft deviates from the paper in a way that breaks nothing by itself, but costs time or messages.
    /// The run goes on, so that a slip hides nothing that comes later. A run that is otherwise fine
    /// fails for its first slip.
    Slip,
}

/// What is known of a property: the one table that reports, results and patches read.
struct Row {
    property: Property,
    severity: Severity,
    name: &'static str,
    title: &'static str,
    source: &'static str,
}

impl Property {
    /// The number of properties.
    pub(crate) const COUNT: usize = TABLE.len();

    /// All properties, in the order of the table.
    pub fn all() -> impl Iterator<Item = Property> {
        TABLE.iter().map(|row| row.property)
    }

    const fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The stable name, such as `election-safety`, for files and programs.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The title, such as `Election Safety`, for people.
    pub const fn title(self) -> &'static str {
        self.row().title
    }

    /// Where it is stated, such as `paper, figure 3`.
    pub const fn source(self) -> &'static str {
        self.row().source
    }

    /// The property with this [`name`](Property::name).
    pub fn from_name(name: &str) -> Option<Property> {
        TABLE.iter().find(|row| row.name == name).map(|row| row.property)
    }

    /// What a broken one means.
    pub const fn severity(self) -> Severity {
        self.row().severity
    }

    /// Whether a broken one means that committed data can be lost or contradicted.
    pub const fn is_safety(self) -> bool {
        matches!(self.severity(), Severity::Promise)
    }
}

impl From<Property> for String {
    fn from(property: Property) -> String {
        property.name().into()
    }
}

impl TryFrom<String> for Property {
    type Error = String;

    fn try_from(name: String) -> Result<Property, String> {
        Property::from_name(&name).ok_or_else(|| format!("no property is called {name:?}"))
    }
}

impl fmt::Display for Property {
    /// Its title, and where it is stated.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.title(), self.source())
    }
}

/// A property that was broken, and the evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The property.
    pub property: Property,
    /// The servers that the evidence names.
    pub servers: Vec<usize>,
    /// The facts that contradict one another, in a sentence.
    pub evidence: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.property, self.evidence)
    }
}

/// Whether a property holds.
pub(crate) type Holds = Result<(), Violation>;

/// A broken property, as the result of its check.
pub(crate) fn violated(
    property: Property,
    servers: impl Into<Vec<usize>>,
    evidence: String,
) -> Holds {
    Err(Violation { property, servers: servers.into(), evidence })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_property_is_found_by_its_name() {
        for property in Property::all() {
            assert_eq!(Property::from_name(property.name()), Some(property));
        }
    }

    #[test]
    fn a_property_is_written_as_its_name() {
        let text = serde_json::to_string(&Property::CommitRule).unwrap();
        assert_eq!(text, "\"commit-rule\"");
        assert_eq!(serde_json::from_str::<Property>(&text).unwrap(), Property::CommitRule);
        let error = serde_json::from_str::<Property>("\"safety\"").unwrap_err().to_string();
        assert!(error.contains("no property is called \"safety\""), "{error}");
    }
}
