// SOLUTION FILE
//! Raft itself (paper, figures 2 and 13), as a pure state machine: no clock, no dice, no tasks.
//!
//! Messages and time-outs come in through methods. What has to be done in return gathers in
//! [`Output`], which the caller takes after each call and carries out in this order: save, then
//! send. So whatever a message says was saved before the message left.

mod applying;
mod contact;
mod elections;
mod flow;
mod follower;
mod handover;
#[cfg(debug_assertions)]
mod invariants;
mod output;
mod pre_vote;
mod probe;
mod quorum;
mod reads;
mod replication;
mod rounds;
mod snapshots;
mod stable_leader;
mod transfer;

use bytes::Bytes;
use labraft::{Pieces, Role};

use self::contact::Contact;
use self::follower::Follower;
use self::handover::Handover;
pub use self::output::{Message, Output, SentEntries, SentSnapshot};
pub use self::rounds::Confirmed;
use self::rounds::Reads;
use self::stable_leader::StableLeader;
use crate::log::{Log, PersistentState, encode_state};

/// One server's Raft.
///
/// At the end of every call, compared with the end of the call before,
/// - `last_included_index <= commit_index <= last_index`, and `last_applied <= commit_index`;
/// - `current_term`, `commit_index` and `last_applied` have not fallen;
/// - the vote has not changed, unless the term has or there was none yet;
/// - the log has no entry of a later term than `current_term` (and its terms never fall: [`Log`]);
/// - nothing up to `commit_index` has been removed from the log, except by a snapshot;
/// - a candidate and a leader have voted for themselves, and a leader has the votes of a majority;
/// - a leader has only added to its log, and has committed by an entry of its own term (figure 8);
/// - for a leader, `match_index < next_index <= last_index + 1` for each other server;
/// - if the term, the vote or the log has changed, [`Output::must_save`] is set.
///
/// Debug builds check this list at the beginning of each method that changes something. Callers
/// take the output after a call, so a mistake is found when it is made.
#[derive(Debug)]
pub struct Core {
    me: usize,
    servers: usize,
    /// What part 2E adds; `None` in the course's Raft, which has none of it.
    stable_leader: Option<StableLeader>,
    /// What part 2F adds; `None` likewise.
    handover: Option<Handover>,
    /// What part 2G adds; `None` in the course's Raft.
    reads: Option<Reads>,
    /// What flow control adds: a leader's contact with each server; `None` in the course's Raft.
    contacts: Option<Vec<Contact>>,

    // Persistent: saved before any message leaves.
    current_term: u64,
    voted_for: Option<usize>,
    log: Log,
    snapshot: Bytes,

    role: Role,
    commit_index: u64,
    last_applied: u64,
    /// A candidate's and a leader's: which servers have voted for it in this term.
    votes: Vec<bool>,
    /// A leader's: what it knows about each server. Its own place is not used.
    followers: Vec<Follower>,

    /// The lowest index that was written or overwritten since the last [`probe`](Self::probe).
    lowest_written: Option<u64>,
    output: Output,
    #[cfg(debug_assertions)]
    last_checked: Option<invariants::Moment>,
}

impl Core {
    /// A server that goes on from what it saved before it stopped: a follower, whose service has
    /// been restored from the snapshot.
    pub fn new(me: usize, servers: usize, saved: PersistentState, snapshot: Bytes) -> Core {
        let PersistentState { current_term, voted_for, log } = saved;
        let last_included_index = log.last_included_index();
        Core {
            me,
            servers,
            current_term,
            voted_for,
            log,
            snapshot,
            role: Role::Follower,
            commit_index: last_included_index,
            last_applied: last_included_index,
            votes: Vec::new(),
            followers: Vec::new(),
            lowest_written: None,
            output: Output { reset_election_timer: true, ..Output::default() },
            stable_leader: None,
            handover: None,
            reads: None,
            contacts: None,
            #[cfg(debug_assertions)]
            last_checked: None,
        }
    }

    /// Panics when something on [`Core`]'s list does not hold. Release builds leave it out.
    fn check_invariants(&mut self) {
        #[cfg(debug_assertions)]
        invariants::check(self);
    }

    /// What the caller has to do now. What it has taken will not be returned again.
    pub fn take_output(&mut self) -> Output {
        self.attend_to_reads();
        self.check_invariants();
        std::mem::take(&mut self.output)
    }

    /// What has to survive a crash: the encoded state, and the service's snapshot.
    pub fn saved(&self) -> (Pieces, Bytes) {
        (encode_state(self.current_term, self.voted_for, &self.log), self.snapshot.clone())
    }

    /// The latest term that this server knows of.
    pub fn current_term(&self) -> u64 {
        self.current_term
    }

    /// What this server is in its current term.
    pub fn role(&self) -> Role {
        self.role
    }

    fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let me = self.me;
        (0..self.servers).filter(move |&server| server != me)
    }

    fn is_majority(&self, servers: usize) -> bool {
        2 * servers > self.servers
    }

    fn send(&mut self, to: usize, message: Message) {
        self.output.messages.push((to, message));
    }
}
