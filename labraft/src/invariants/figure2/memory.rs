//! What a server has learnt and done, as far as later steps are judged by it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::step::{MOST_SERVERS, Step};

/// How long a request that is not known to be answered stays a reason for what the server does.
const REASON_FOR: Duration = Duration::from_secs(3);
/// The number of requests from which on old ones are dropped.
const MANY_APPENDS: usize = 256;
/// How many entries are remembered of which it was read that they are committed.
const MANY_COMMITTED: usize = 64;

/// What one server has learnt and done.
#[derive(Default)]
pub(super) struct Memory {
    /// By term: whom it voted for. This and `passed` survive a restart; all else is forgotten then.
    pub(super) votes: BTreeMap<u64, usize>,
    /// The terms that it has passed through without showing them, as the first and the last of each stretch. It may
    /// have voted in them.
    pub(super) passed: Vec<(u64, u64)>,
    /// The highest term that it has read in any message.
    pub(super) highest_read: u64,
    /// The highest term that it has read in any message but a request for a vote.
    pub(super) highest_read_elsewhere: u64,
    /// Its last question whether it would be elected, unless it has heard from a leader since.
    pub(super) pre_candidacy: Option<PreCandidacy>,
    /// The questions of others that it has read last.
    pub(super) pre_votes_read: Vec<PreVoteRead>,
    /// That its leader has told it to stand for election, the last time (part 2F).
    pub(super) told_to_stand: Option<ToldToStand>,
    /// Its last candidacy.
    pub(super) candidacy: Option<Candidacy>,
    /// Its last time as leader.
    pub(super) reign: Option<Reign>,
    /// The terms that it has led.
    pub(super) led: Vec<u64>,
    /// The requests for votes that it has read, from its present term on.
    pub(super) asked: Vec<Asked>,
    /// The AppendEntries requests of leaders, other than of an earlier term, that it has read and not
    /// answered.
    pub(super) appends: VecDeque<AppendRead>,
    /// Until when it may do things because of requests that are no longer in the list.
    forgotten_until: Duration,
    /// The last term whose leader wanted another server to lead, so that a lease of that leader has ended (part 2F).
    pub(super) lease_set_aside_of: Option<u64>,
    /// How far the leaders that it has heard have allowed it to commit.
    pub(super) may_commit: u64,
    /// The last entries of which it has read that they are committed: their indexes and terms. It may get
    /// them later.
    pub(super) committed: VecDeque<(u64, u64)>,
    /// The furthest snapshot that a leader has sent it.
    pub(super) snapshot_read: Option<(u64, u64)>,
    /// The last snapshot that a leader of a lower term has sent it: what it covers, and the leader's term.
    pub(super) stale_snapshot: Option<(u64, u64)>,
    /// When its election timer restarted last, in a generous reading: whatever any Raft restarts it for.
    pub(super) timer_restarted: Duration,
    /// Requests of lower terms than its own that it has read and not answered: by mark, its term at that time.
    pub(super) outdated: BTreeMap<u64, u64>,
    /// When it was started.
    pub(super) started: Duration,
    /// When it read a message of a leader of its own term last.
    pub(super) leader_heard: Option<Duration>,
    /// The same, in the time that it was awake.
    pub(super) leader_heard_awake: Option<Duration>,
    /// The term of that leader.
    pub(super) leader_heard_in: u64,
    /// When it answered a leader of its own term last: then its timer has certainly restarted.
    pub(super) leader_answered: Option<(Duration, usize)>,
    /// The servers from which it has read no answer since it last sent them a request. A Raft may send its
    /// requests to a server one at a time.
    pub(super) waits_for: Servers,
}

/// A server's candidacy.
#[derive(Copy, Clone)]
pub(super) struct Candidacy {
    pub(super) term: u64,
    /// The term and the index of its last entry when it became a candidate.
    pub(super) last_entry: (u64, u64),
    /// The servers that have granted it their vote, itself included.
    pub(super) votes: Servers,
    /// The servers that it has asked, itself included.
    pub(super) asked: Servers,
    /// When it became a candidate.
    pub(super) since: Duration,
    /// When it became a follower in the term of this candidacy without a message of the term's leader.
    pub(super) given_up: Option<Duration>,
}

/// A server's leader has told it to stand for election (part 2F).
#[derive(Copy, Clone)]
pub(super) struct ToldToStand {
    /// The term in which it is to stand.
    pub(super) term: u64,
    /// Since when it has been told; `None` if it need not obey, because it was about to stand anyway.
    pub(super) since: Option<Duration>,
}

/// A server's question whether it would be elected (part 2E).
#[derive(Copy, Clone)]
pub(super) struct PreCandidacy {
    /// The term in which it would stand.
    pub(super) next_term: u64,
    /// The servers that would vote for it, itself included.
    pub(super) granted: Servers,
}

/// Another server's question whether it would be elected, and what the server that read it knew then.
#[derive(Copy, Clone)]
pub(super) struct PreVoteRead {
    pub(super) mark: u64,
    pub(super) from: usize,
    pub(super) next_term: u64,
    /// The term and the index of the asker's last entry.
    pub(super) last_entry: (u64, u64),
    pub(super) own_term: u64,
    /// The term and the index of its own last entry.
    pub(super) own_last_entry: (u64, u64),
    /// Whether it must not grant its pre-vote, because of its leader; and whether it need not.
    pub(super) is_in_lease: bool,
    pub(super) may_be_in_lease: bool,
}

/// A server's time as leader of one term.
pub(super) struct Reign {
    pub(super) term: u64,
    /// For each server, the last index that it has acknowledged in answers which the leader has read.
    pub(super) acknowledged: Vec<u64>,
    /// The servers to which it has sent anything, itself included.
    pub(super) reached: Servers,
    /// For each server, what it was sent last.
    pub(super) sent: Vec<LastSent>,
    /// For each server, whether there is anything to wait for.
    pub(super) lines: Vec<Line>,
    /// Until when no line has been silent for too long.
    pub(super) in_touch_until: Duration,
    /// For each server, the highest term that it has told in an answer.
    pub(super) told: Vec<u64>,
    /// For each server, when the leader last read an answer to a request of this reign.
    pub(super) answered: Vec<Option<Duration>>,
}

/// What is under way from a leader to a follower.
#[derive(Clone, Default)]
pub(super) struct Line {
    /// The requests that are neither answered nor known to have failed.
    pub(super) under_way: Vec<UnderWay>,
    /// The mark of the last request, and when it was sent; at first when the reign began.
    pub(super) last_sent: u64,
    pub(super) last_sent_at: Duration,
    /// The last request that was sent before another one failed. A leader may take it that nothing gets
    /// through until a later request is answered.
    pub(super) doubted: u64,
    /// Whether a request was answered that is not in doubt.
    pub(super) is_answered: bool,
    /// The mark of the last request that could bring the follower closer to the leader's log.
    pub(super) offered: u64,
    /// The follower's answers since then, if it lacks entries all the same.
    pub(super) starving: Option<Starving>,
}

/// A request to which an answer may still come.
#[derive(Copy, Clone)]
pub(super) struct UnderWay {
    pub(super) mark: u64,
    /// The index after which its entries begin, or 0 for a snapshot; `None` if it brings neither.
    pub(super) brings_after: Option<u64>,
}

/// A follower that lacks entries, and answers requests that do not bring them.
#[derive(Copy, Clone)]
pub(super) struct Starving {
    pub(super) since: Duration,
    /// How many answers there were, and when the last one was counted.
    pub(super) answers: u32,
    pub(super) counted: Duration,
}

impl Line {
    pub(super) fn is_under_way(&self, mark: u64) -> bool {
        self.under_way.iter().any(|request| request.mark == mark)
    }

    /// Whether entries that begin before this one, or a snapshot, are under way.
    pub(super) fn will_bring(&self, index: u64) -> bool {
        self.under_way.iter().any(|request| request.brings_after.is_some_and(|prev| prev < index))
    }
}

/// What a leader has sent to a follower.
#[derive(Copy, Clone, Default)]
pub(super) struct LastSent {
    /// The `prevLogIndex` of the last AppendEntries.
    pub(super) prev_log_index: u64,
    /// The mark of the last message with which the leader went back: an AppendEntries with a lower
    /// `prevLogIndex` than the one before it, or a snapshot.
    pub(super) went_back: u64,
}

/// A request for a vote that a server has read.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) term: u64,
    pub(super) candidate: usize,
    /// The term and the index of the candidate's last entry.
    pub(super) last_entry: (u64, u64),
}

/// An AppendEntries request that a server has read.
#[derive(Copy, Clone)]
pub(super) struct AppendRead {
    pub(super) mark: u64,
    pub(super) at: Duration,
    /// Whether the log fitted the request at the end of the step in which it was read.
    pub(super) fits: bool,
}

/// A set of servers.
#[derive(Copy, Clone, Default, PartialEq, Eq)]
pub(super) struct Servers(u64);

impl Servers {
    pub(super) fn only(server: usize) -> Servers {
        let mut servers = Servers::default();
        servers.insert(server);
        servers
    }

    /// Adds a server. No judged cluster has more than [`MOST_SERVERS`].
    pub(super) fn insert(&mut self, server: usize) {
        self.0 |= 1 << server;
    }

    pub(super) fn remove(&mut self, server: usize) {
        self.0 &= !(1 << server);
    }

    /// All servers that are in one set or the other.
    pub(super) fn or(self, other: Servers) -> Servers {
        Servers(self.0 | other.0)
    }

    pub(super) fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        (0..MOST_SERVERS).filter(move |server| self.0 & 1 << server != 0)
    }
}

impl Memory {
    /// Forgets what a restart forgets.
    pub(super) fn restart(&mut self, at: Duration) {
        let votes = std::mem::take(&mut self.votes);
        let passed = std::mem::take(&mut self.passed);
        *self = Memory { votes, passed, timer_restarted: at, started: at, ..Memory::default() };
    }

    /// Whether its leader has told it to stand for election in this term.
    pub(super) fn is_told_to_stand_in(&self, term: u64) -> bool {
        self.told_to_stand.is_some_and(|told| told.term == term)
    }

    /// Whether it has passed through a term without showing it.
    pub(super) fn has_passed(&self, term: u64) -> bool {
        self.passed.iter().any(|&(first, last)| (first..=last).contains(&term))
    }

    /// Whether it has written to all servers but those that still have to answer something else. `written`
    /// contains the server itself.
    pub(super) fn has_written_to_all(&self, written: Servers, step: &Step<'_>) -> bool {
        written.or(self.waits_for).len() >= step.servers
    }

    /// A request for a vote was read by a server that was in this term.
    pub(super) fn note_asked(&mut self, asked: Asked, own_term: u64) {
        self.asked.retain(|earlier| earlier.term >= own_term && *earlier != asked);
        self.asked.push(asked);
    }

    /// Word came that an entry is committed.
    pub(super) fn push_committed(&mut self, index: u64, term: u64) {
        if self.committed.contains(&(index, term)) {
            return;
        }
        if self.committed.len() >= MANY_COMMITTED {
            self.committed.pop_front();
        }
        self.committed.push_back((index, term));
    }

    pub(super) fn push_append(&mut self, append: AppendRead) {
        if self.appends.len() >= MANY_APPENDS
            && let Some(oldest) = self.appends.pop_front()
        {
            self.forgotten_until = oldest.at + REASON_FOR;
        }
        self.appends.push_back(append);
    }

    /// An AppendEntries request was answered.
    pub(super) fn answered_append(&mut self, mark: u64) {
        if let Some(place) = self.appends.iter().position(|read| read.mark == mark) {
            self.appends.remove(place);
        }
    }

    /// Whether the server may do something at this time because of a request that is no longer in the list.
    pub(super) fn has_forgotten_appends(&self, at: Duration) -> bool {
        at < self.forgotten_until
    }
}
