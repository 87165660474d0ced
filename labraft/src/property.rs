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
    /// A server has no vote and no entry after a restart that it did not have before (figure 2, persistent state).
    Restored: Promise, "restored", "a restart finds what was saved", "paper, figure 2";
    /// The election timer restarts when a vote is granted and whenever the leader is heard
    /// (section 5.2).
    ElectionTimer: Slip, "election-timer", "election timer", "paper, section 5.2";
    /// What a server shows of itself makes sense in itself (the documentation of `Probe`).
    ProbeForm: Promise, "probe-form", "a probe that can be", "the lab's contract, Raft::probe";
    /// A leader accepts a command in its current term, and says so (the documentation of `Started`).
    StartedTerm: Slip, "started-term", "Start returns the current term", "the lab's contract, Raft::start";
    /// A command that a leader accepts appears in its log at the index that it names (the documentation of
    /// `Started`).
    StartedIndex: Promise, "started-index", "Start returns the index of the command", "the lab's contract, Raft::start";
    /// The replies that clients got fit one order of their operations (section 8).
    Linearizability: Promise, "linearizability", "linearizability", "paper, section 8";
    /// A configuration of the shard controller divides the shards evenly, and moves as few of them as
    /// possible (lab 4A).
    MinimalMoves: Promise, "minimal-moves", "balanced, with as few moves as possible", "lab 4A";
    /// Configurations of one number are the same, wherever they are seen (lab 4A).
    ConfigurationSame: Promise, "configuration-same", "one configuration of each number", "lab 4A";
    /// A group goes from each configuration to the one with the next number (lab 4B).
    ConfigurationOrder: Promise, "configuration-order", "configurations one by one", "lab 4B";
    /// No two groups serve a shard, and none serves one that is another's (lab 4B).
    OneOwner: Promise, "one-owner", "one group serves a shard", "lab 4B";
    /// A shard arrives as it was when its old owner stopped serving it (lab 4B).
    ShardTransfer: Promise, "shard-transfer", "a shard arrives as it left", "lab 4B";
    /// A group that has lost a shard keeps it until it has arrived (lab 4C).
    ShardDeletion: Promise, "shard-deletion", "a shard is deleted when it has arrived", "lab 4C";

    /// A leader that hears from no majority for two election time-outs leads no longer (part 2E).
    CheckQuorum: Slip, "check-quorum", "who hears from no majority leads no longer", "thesis, section 6.2";
    /// A server that hears from no majority begins no election (part 2E).
    TermStability: Slip, "term-stability", "who hears from no majority keeps its term", "thesis, section 9.6";
    /// A read is answered from a state with everything that was committed before it came (part 2G).
    ReadIndex: Promise, "read-index", "a read sees what was committed before it", "thesis, section 6.4";
    /// A server that has lost its leadership answers the reads that it has taken (part 2G).
    ReadDropped: Slip, "read-dropped", "a read ends with the leadership", "thesis, section 6.4";

    /// A leader takes no commands while it hands over leadership (part 2F).
    TransferNoCommands: Slip, "transfer-no-commands", "who hands over leadership takes no commands", "thesis, section 3.10";
    /// A leader gives up a transfer after the time that its Raft declares (part 2F).
    TransferEnds: Slip, "transfer-ends", "a transfer succeeds or is given up", "thesis, section 3.10";
    /// A leader hands over to another server, and in the term in which it began to (part 2F).
    TransferBegins: Slip, "transfer-begins", "who hands over leadership leads, and hands it to another", "thesis, section 3.10";

    // Rules of figures 2 and 13, and those of parts 2E and 2F, each about a step. They come last; other properties go above them.
    /// What is committed is given to the service (figure 2, rules for servers, all servers 1).
    AllServers1: Slip, "all-servers-1", "all servers 1: what is committed is applied", "paper, figure 2";
    /// A server that reads a higher term moves to it, and to no other (all servers 2).
    AllServers2: Promise, "all-servers-2", "all servers 2: the term is the highest one read", "paper, figure 2";
    /// An answer tells the asker the term of the server that answers (results of all RPCs).
    AnswersTerm: Slip, "answers-term", "results: an answer carries the current term", "paper, figure 2";
    /// A follower that hears from no leader begins an election (followers 2).
    Followers2: Slip, "followers-2", "followers 2: who hears from no leader begins an election", "paper, figure 2";
    /// A server that begins an election increments its term and votes for itself (candidates 1).
    Candidates1: Promise, "candidates-1", "candidates 1: a new term, and a vote for itself", "paper, figure 2";
    /// A candidate asks all other servers for their votes (candidates 1).
    Candidates1Asks: Slip, "candidates-1-asks", "candidates 1: all servers are asked for their votes", "paper, figure 2";
    /// A candidate becomes leader by the votes of a majority, and by nothing else (candidates 2).
    Candidates2: Promise, "candidates-2", "candidates 2: a majority of votes makes a leader", "paper, figure 2";
    /// A candidate that has the votes of a majority becomes leader (candidates 2).
    Candidates2Leads: Slip, "candidates-2-leads", "candidates 2: who has a majority leads", "paper, figure 2";
    /// A candidate that hears from the leader of its term becomes a follower (candidates 3).
    Candidates3: Slip, "candidates-3", "candidates 3: a candidate follows the leader of its term", "paper, figure 2";
    /// A candidate whose election does not end begins another one (candidates 4).
    Candidates4: Slip, "candidates-4", "candidates 4: an election without a result is repeated", "paper, figure 2";
    /// A new leader writes to the other servers at once (leaders 1).
    Leaders1: Slip, "leaders-1", "leaders 1: a new leader writes to all servers", "paper, figure 2";
    /// A leader writes to all servers again and again (leaders 1).
    Leaders1Repeats: Slip, "leaders-1-repeats", "leaders 1: a leader repeats its heartbeats", "paper, figure 2";
    /// A leader leads until it hears of a newer term (section 5.1), or from too few servers.
    LeadersStay: Slip, "leaders-stay", "a leader leads until there is a newer term", "paper, section 5.1";
    /// A leader's new entries are of its own term (leaders 2).
    Leaders2: Promise, "leaders-2", "leaders 2: new entries are of the leader's term", "paper, figure 2";
    /// A leader counts on what a follower has acknowledged to it in this term (leaders 3).
    Leaders3: Promise, "leaders-3", "leaders 3: matchIndex is what was acknowledged", "paper, figure 2";
    /// A leader sends new entries to followers that have nothing else to answer (leaders 3).
    Leaders3Sends: Slip, "leaders-3-sends", "leaders 3: new entries are sent", "paper, figure 2";
    /// A leader makes use of what followers answer (leaders 3).
    Leaders3Answers: Slip, "leaders-3-answers", "leaders 3: answers change nextIndex and matchIndex", "paper, figure 2";
    /// A leader commits what a majority has of its term (leaders 4).
    Leaders4Commits: Slip, "leaders-4-commits", "leaders 4: what a majority has is committed", "paper, figure 2";
    /// What a candidate says of itself is so (RequestVote RPC, arguments).
    RequestVoteArgs: Promise, "request-vote-args", "RequestVote, arguments", "paper, figure 2";
    /// A candidate of a lower term gets no vote (RequestVote RPC, receiver 1).
    RequestVote1: Promise, "request-vote-1", "RequestVote, receiver 1: no vote in a lower term", "paper, figure 2";
    /// A vote goes only to a candidate that asked for it and whose log is at least as up to date as
    /// the voter's (RequestVote RPC, receiver 2).
    RequestVote2: Promise, "request-vote-2", "RequestVote, receiver 2: who may have the vote", "paper, figure 2";
    /// A vote that can be granted is (RequestVote RPC, receiver 2).
    RequestVote2Grants: Slip, "request-vote-2-grants", "RequestVote, receiver 2: a vote that is free is granted", "paper, figure 2";
    /// What a leader says of its log is so (AppendEntries RPC, arguments).
    AppendEntriesArgs: Promise, "append-entries-args", "AppendEntries, arguments", "paper, figure 2";
    /// A leader of a lower term is turned away (AppendEntries RPC, receiver 1).
    AppendEntries1: Promise, "append-entries-1", "AppendEntries, receiver 1: no entries of a lower term's leader", "paper, figure 2";
    /// Entries are taken after an entry that the logs share (AppendEntries RPC, receiver 2).
    AppendEntries2: Promise, "append-entries-2", "AppendEntries, receiver 2: the entry before is in the log", "paper, figure 2";
    /// Entries that fit are not refused (AppendEntries RPC, receiver 1 and 2).
    AppendEntriesRefused: Slip, "append-entries-refused", "AppendEntries, receiver 1 and 2: nothing else is refused", "paper, figure 2";
    /// Entries are removed if a leader's conflict with them (AppendEntries RPC, receiver 3).
    AppendEntries3: Promise, "append-entries-3", "AppendEntries, receiver 3: only entries that conflict are removed", "paper, figure 2";
    /// A follower's entries are those that a leader has sent (AppendEntries RPC, receiver 4).
    AppendEntries4: Promise, "append-entries-4", "AppendEntries, receiver 4: the leader's entries are in the log", "paper, figure 2";
    /// A follower commits what its leader has committed and sent (AppendEntries RPC, receiver 5).
    AppendEntries5: Promise, "append-entries-5", "AppendEntries, receiver 5: commitIndex is at most the last new entry", "paper, figure 2";
    /// A follower commits what it knows to be committed (AppendEntries RPC, receiver 5).
    AppendEntries5Commits: Slip, "append-entries-5-commits", "AppendEntries, receiver 5: commitIndex follows the leader's", "paper, figure 2";
    /// A leader sends a snapshot of its own (InstallSnapshot RPC, arguments).
    InstallSnapshotArgs: Promise, "install-snapshot-args", "InstallSnapshot, arguments", "paper, figure 13";
    /// A snapshot from a leader of a lower term is not installed (InstallSnapshot RPC, receiver 1).
    InstallSnapshot1: Promise, "install-snapshot-1", "InstallSnapshot, receiver 1: no snapshot of a lower term's leader", "paper, figure 13";
    /// Entries behind a snapshot that fits the log are kept (InstallSnapshot RPC, receiver 6).
    InstallSnapshot6: Promise, "install-snapshot-6", "InstallSnapshot, receiver 6: entries behind the snapshot stay", "paper, figure 13";
    /// What a pre-candidate says of itself is so (part 2E).
    PreVoteArgs: Slip, "pre-vote-args", "pre-vote, arguments", "thesis, section 9.6";
    /// A pre-vote is granted to a log that is as up to date, by a server that does not hear from a leader
    /// (part 2E).
    PreVoteGranted: Slip, "pre-vote-granted", "pre-vote: who may have one", "thesis, section 9.6";
    /// A pre-vote that can be granted is (part 2E).
    PreVoteRefused: Slip, "pre-vote-refused", "pre-vote: nothing else is refused", "thesis, section 9.6";
    /// A server begins an election with the pre-votes of a majority, given for this election (part 2E).
    PreVoteMajority: Slip, "pre-vote-majority", "pre-vote: an election begins with the pre-votes of a majority", "thesis, section 9.6";
    /// A server that hears from its leader leaves its term alone when a candidate asks (part 2E).
    VotersLease: Slip, "voters-lease", "a voter that hears its leader disregards candidates", "thesis, section 4.2.3";
    /// A leader tells the server to which it hands over to stand for election, when it has the whole log (part
    /// 2F).
    TimeoutNowArgs: Slip, "timeout-now-args", "TimeoutNow: who may be told to stand", "thesis, section 3.10";
    /// A server whose leader tells it to stand for election does, at once (part 2F).
    TimeoutNowStands: Slip, "timeout-now-stands", "TimeoutNow: who is told to stand does", "thesis, section 3.10";
    /// A request for a vote is marked if the candidate's leader has told it to stand, and only then (part 2F).
    RequestVoteMark: Slip, "request-vote-mark", "RequestVote: the mark is of a candidate that was told to stand", "thesis, section 4.2.3";
    /// A server that hears from its leader answers a candidate that this leader has told to stand (part 2F).
    VotersLeaseSetAside: Slip, "voters-lease-set-aside", "a voter that hears its leader answers the candidate of its choice", "thesis, section 4.2.3";
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

    /// Whether it is a rule of figure 2 or 13, or of part 2E or 2F, which is about a step.
    pub fn is_rule(self) -> bool {
        self >= Property::AllServers1
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
#[cold]
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
    fn the_rules_come_last_and_are_named_after_a_part_of_the_figure() {
        let parts = [
            "all-servers-",
            "answers-",
            "followers-",
            "candidates-",
            "leaders-",
            "request-vote-",
            "append-entries-",
            "install-snapshot-",
            "pre-vote-",
            "voters-",
            "timeout-now-",
        ];
        for property in Property::all() {
            let is_named_so = parts.iter().any(|part| property.name().starts_with(part));
            assert_eq!(property.is_rule(), is_named_so, "{}", property.name());
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
