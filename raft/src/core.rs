// SOLUTION FILE
//! Raft itself (paper, figures 2 and 13), as a pure state machine: no clock, no dice, no tasks.
//!
//! Messages and time-outs come in through methods. What has to be done in return gathers in
//! [`Output`], which the caller takes after each call and carries out in this order: save, then
//! send. So whatever a message says was saved before the message left.

mod applying;
mod contact;
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
mod rounds;
mod stable_leader;
mod transfer;

use bytes::Bytes;
use labraft::{Pieces, Role, Started};

use self::contact::Contact;
use self::follower::Follower;
use self::handover::Handover;
pub use self::output::{Message, Output, SentEntries, SentSnapshot};
pub use self::rounds::Confirmed;
use self::rounds::Reads;
use self::stable_leader::StableLeader;
use crate::log::{Log, PersistentState, encode_state};
use crate::message::{
    AppendEntriesArgs, AppendEntriesReply, AppendOutcome, Entry, InstallSnapshotArgs,
    InstallSnapshotReply, RequestVoteArgs, RequestVoteReply,
};

/// While a follower has this many requests to answer, new entries wait for one of its answers or
/// for the next heartbeat, and then travel together.
const MAX_IN_FLIGHT: usize = 4;

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

    // Terms and elections (sections 5.1, 5.2 and 5.4.1).

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
    fn ask_for_votes(&mut self) {
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
    fn observe_term(&mut self, term: u64) {
        if term > self.current_term {
            self.current_term = term;
            self.voted_for = None;
            self.output.must_save = true;
            self.become_follower();
        }
    }

    fn become_follower(&mut self) {
        if self.role == Role::Leader {
            // While it led, its election timer ran out and was not restarted.
            self.output.reset_election_timer = true;
            self.abort_transfer();
            self.drop_reads();
        }
        self.role = Role::Follower;
    }

    fn become_leader(&mut self) {
        self.role = Role::Leader;
        self.begin_quorum_check();
        let next_index = self.log.last_index() + 1;
        self.followers = vec![Follower { next_index, match_index: 0, in_flight: 0 }; self.servers];
        self.output.start_heartbeats = true;
        self.begin_flow_control();
        self.begin_reads();
        self.heartbeat_timeout();
    }

    // Replication (section 5.3).

    /// Appends a client's command to the log; `None` if this server does not lead, or hands over. The
    /// entry is saved and sent by the next [`replicate`](Self::replicate): until then no other server has
    /// seen it, and this one does not count it towards a majority.
    pub fn start(&mut self, command: Bytes) -> Option<Started> {
        self.check_invariants();
        if self.role != Role::Leader || self.transferee().is_some() {
            return None;
        }
        let term = self.current_term;
        self.append(Entry { term, command });
        Some(Started { index: self.log.last_index(), term })
    }

    fn append(&mut self, entry: Entry) {
        self.log.append(entry);
        self.note_written(self.log.last_index());
        self.output.must_save = true;
    }

    /// Sends new entries to the followers that do not have too many requests to answer.
    pub fn replicate(&mut self) {
        self.check_invariants();
        if self.role != Role::Leader {
            return;
        }
        // In a cluster of one, this server alone is a majority.
        self.advance_commit_index();
        for server in self.others() {
            self.send_new_entries(server);
        }
    }

    fn send_new_entries(&mut self, to: usize) {
        self.hand_over(to);
        let follower = &self.followers[to];
        if self.has_room(to) && follower.next_index <= self.log.last_index() {
            self.send_append(to);
        }
    }

    /// The heartbeat interval has passed: a leader sends each follower the entries that it seems to
    /// lack, or an empty request to show that it is alive; a candidate asks again for votes.
    pub fn heartbeat_timeout(&mut self) {
        self.check_invariants();
        match self.role {
            Role::Leader => {
                self.begin_round();
                self.count_heartbeat();
                self.others().for_each(|server| self.send_append(server));
            }
            Role::Candidate => self.ask_for_votes(),
            Role::Follower => {}
        }
        self.ask_for_pre_votes();
        self.hand_over_again();
    }

    fn send_append(&mut self, to: usize) {
        if self.is_silent(to) {
            return self.send_probe(to);
        }
        let follower = &mut self.followers[to];
        follower.in_flight += 1;
        let prev_log_index = follower.next_index - 1;
        let Some(prev_log_term) = self.log.term(prev_log_index) else {
            return self.send_snapshot(to);
        };
        let args = AppendEntriesArgs {
            term: self.current_term,
            leader_id: self.me,
            prev_log_index,
            prev_log_term,
            entries: self.log.entries_from(prev_log_index + 1),
            leader_commit: self.commit_index,
        };
        self.send(to, Message::AppendEntries(args));
    }

    /// A request has come from the leader of `term`. If that is the current term, this server
    /// follows it, even if it was a candidate; an earlier term's leader is turned away: `false`.
    fn accept_leader(&mut self, term: u64) -> bool {
        self.observe_term(term);
        self.begin_lease(term);
        if term < self.current_term {
            return false;
        }
        assert!(self.role != Role::Leader, "server {} and another lead term {term}", self.me);
        self.become_follower();
        self.output.reset_election_timer = true;
        true
    }

    /// Answers a leader, and takes its entries if this log has the entry before them.
    pub fn append_entries(&mut self, args: AppendEntriesArgs) -> AppendEntriesReply {
        self.check_invariants();
        let outcome = if self.accept_leader(args.term) {
            self.take_entries(args)
        } else {
            AppendOutcome::StaleTerm
        };
        AppendEntriesReply { term: self.current_term, outcome }
    }

    /// The consistency check of section 5.3, and what follows from it.
    ///
    /// A refusal says enough for the leader to skip a whole term at once:
    ///
    /// ```text
    /// index              1   2   3   4   5   6
    /// request                            prev, of term 6
    /// this log, a      | 4 | 4 |                     TooShort { next_index: 3 }
    /// this log, b      | 4 | 5 | 5 | 5 | 5 | 5 |     Conflict { term: 5, first_index: 2 }
    /// ```
    ///
    /// [`next_index_after_conflict`](Self::next_index_after_conflict) shows what the leader makes
    /// of it.
    fn take_entries(&mut self, args: AppendEntriesArgs) -> AppendOutcome {
        let prev = args.prev_log_index;
        // Up to the commit index every leader's log is the same as this one, so the check would
        // succeed; it cannot be made where a snapshot has replaced the entries.
        if prev > self.commit_index {
            match self.log.term(prev) {
                None => {
                    return AppendOutcome::TooShort { next_index: self.log.last_index() + 1 };
                }
                Some(term) if term != args.prev_log_term => {
                    let first_index = self.log.first_index_of_term_at(prev);
                    return AppendOutcome::Conflict { term, first_index };
                }
                Some(_) => {}
            }
        }
        let last_index = args.last_index();
        for (index, entry) in (prev + 1..).zip(args.entries) {
            if index <= self.commit_index {
                continue;
            }
            match self.log.term(index) {
                // An entry that is here already is no reason to remove what follows it: this may be
                // a late message, and the entries behind may have been acknowledged since.
                Some(term) if term == entry.term => continue,
                Some(_) => {
                    self.log.truncate_from(index);
                    self.note_written(index);
                    self.append(entry);
                }
                None => self.append(entry),
            }
        }
        // The logs agree up to the last entry that was sent, and no further: entries that follow in
        // this log may be from another leader.
        self.commit_index = self.commit_index.max(args.leader_commit.min(last_index));
        AppendOutcome::Success
    }

    /// A follower has answered the request `sent`; `None` if no answer will come. Each request is
    /// answered once, in either way.
    pub fn append_entries_reply(
        &mut self,
        from: usize,
        sent: SentEntries,
        reply: Option<&AppendEntriesReply>,
    ) {
        self.check_invariants();
        if let Some(reply) = reply {
            self.observe_term(reply.term);
        }
        // An answer from an earlier time as leader says nothing about this one.
        if self.role != Role::Leader || sent.term != self.current_term {
            return;
        }
        self.note_answer(from, reply.map(|_| sent.round));
        let follower = &mut self.followers[from];
        follower.in_flight -= 1;
        // A lost request is replaced at once. For a server that cannot be reached, too many
        // requests are in flight for that, and only the heartbeats keep trying.
        let Some(reply) = reply else { return self.send_new_entries(from) };
        match reply.outcome {
            AppendOutcome::Success => {
                // What the request said counts, not what has been appended since.
                follower.match_index = follower.match_index.max(sent.last_index);
                follower.next_index = follower.next_index.max(follower.match_index + 1);
                self.advance_commit_index();
            }
            AppendOutcome::StaleTerm => return,
            // This refuses an earlier guess than the present one: a late answer.
            _ if follower.next_index != sent.prev_log_index + 1 => return,
            AppendOutcome::TooShort { next_index } => {
                self.back_up(from, sent.prev_log_index, next_index);
            }
            AppendOutcome::Conflict { term, first_index } => {
                let next_index =
                    self.next_index_after_conflict(sent.prev_log_index, term, first_index);
                self.back_up(from, sent.prev_log_index, next_index);
            }
        }
        self.send_new_entries(from);
    }

    /// Where to go on sending after a refusal at `prev`: the fast backup of section 5.3, last
    /// paragraphs. Without it a leader would go back one entry for each refusal. There are three
    /// cases, of which the first needs no search.
    ///
    /// The follower's log is too short. It names the first index that it lacks, 3 here, and the
    /// leader goes on there:
    ///
    /// ```text
    /// index              1   2   3   4   5   6
    /// leader           | 4 | 4 | 6 | 6 | 6 | 6 |     prev = 6
    /// follower         | 4 | 4 |                     TooShort { next_index: 3 }
    /// next_index                 ^
    /// ```
    ///
    /// The follower has another term at `prev`, and the leader has entries of that term, too. They
    /// are of the same leader, so the logs agree up to the leader's last one of them (Log
    /// Matching); the leader goes on behind it:
    ///
    /// ```text
    /// index              1   2   3   4   5   6
    /// leader           | 4 | 4 | 4 | 6 | 6 | 6 |     prev = 6
    /// follower         | 4 | 4 | 4 | 4 | 4 | 4 |     Conflict { term: 4, first_index: 1 }
    /// next_index                     ^
    /// ```
    ///
    /// The leader has no entry of that term. Then the follower keeps none of them, and the leader
    /// goes on at the first:
    ///
    /// ```text
    /// index              1   2   3   4   5   6
    /// leader           | 4 | 4 | 6 | 6 | 6 | 6 |     prev = 6
    /// follower         | 4 | 5 | 5 | 5 | 5 | 5 |     Conflict { term: 5, first_index: 2 }
    /// next_index             ^
    /// ```
    ///
    /// The new guess may be wrong as well, and is then refused for an earlier term. So there is
    /// about one refusal for each term in which the logs differ, and not one for each entry.
    fn next_index_after_conflict(&self, prev: u64, term: u64, first_index: u64) -> u64 {
        match self.log.last_index_of_term(term, prev) {
            Some(last) => last + 1,
            None => first_index,
        }
    }

    /// Takes back the guess of a follower's `next_index` after a refusal at `prev`: by at least one
    /// entry, or the same refusal would come again, but never below what is known to match.
    fn back_up(&mut self, server: usize, prev: u64, next_index: u64) {
        let follower = &mut self.followers[server];
        let lowest = follower.match_index + 1;
        let highest = prev.max(lowest);
        follower.next_index = next_index.clamp(lowest, highest);
    }

    /// Commits what a majority has, if it is of the current term (section 5.4.2).
    ///
    /// How far a majority has come can be read off the sorted match indexes. With five servers it
    /// is the one in the middle, with four the one before the middle:
    ///
    /// ```text
    /// server           0   1   2   3   4         server           0   1   2   3
    /// match_index      9   4   7   2   7         match_index      9   4   7   2
    ///
    /// sorted           2   4   7   7   9         sorted           2   4   7   9
    /// place            0   1   2   3   4         place            0   1   2   3
    ///                          ^                                      ^
    ///            three of five have index 7              three of four have index 4
    /// ```
    ///
    /// An entry of an earlier term is not committed by counting (figure 8). On the left, server 0
    /// leads term 4 and has brought its old entry 2 to a majority. Server 4 can still be elected,
    /// because its last term, 3, is later than that of servers 1 to 3, and would replace the entry.
    /// On the right, an entry of term 4 is on a majority as well: server 4 can no longer win, so 3
    /// is committed, and 2 along with it.
    ///
    /// ```text
    /// index              1   2                   index              1   2   3
    /// server 0         | 1 | 2 |                 server 0         | 1 | 2 | 4 |
    /// server 1         | 1 | 2 |                 server 1         | 1 | 2 | 4 |
    /// server 2         | 1 | 2 |                 server 2         | 1 | 2 | 4 |
    /// server 3         | 1 |                     server 3         | 1 |
    /// server 4         | 1 | 3 |                 server 4         | 1 | 3 |
    /// ```
    fn advance_commit_index(&mut self) {
        let mut matches: Vec<u64> =
            self.followers.iter().map(|follower| follower.match_index).collect();
        matches[self.me] = self.log.last_index();
        matches.sort_unstable();
        let replicated = matches[(self.servers - 1) / 2];
        if replicated > self.commit_index && self.log.term(replicated) == Some(self.current_term) {
            self.commit_index = replicated;
        }
    }

    // Snapshots (section 7).

    /// Takes a snapshot that the service on this server has made of everything up to `index`, and
    /// lets the log forget what it covers. One that reaches no further than the last is ignored.
    ///
    /// # Panics
    /// If the service has not yet been given everything up to `index`.
    pub fn take_snapshot(&mut self, index: u64, snapshot: Bytes) {
        self.check_invariants();
        assert!(
            index <= self.last_applied,
            "a snapshot up to {index} covers more than the {} applied",
            self.last_applied
        );
        if index > self.log.last_included_index() {
            self.log.compact(index);
            self.snapshot = snapshot;
            self.output.must_save = true;
        }
    }

    fn send_snapshot(&mut self, to: usize) {
        let args = InstallSnapshotArgs {
            term: self.current_term,
            leader_id: self.me,
            last_included_index: self.log.last_included_index(),
            last_included_term: self.log.last_included_term(),
            data: self.snapshot.clone(),
        };
        self.send(to, Message::InstallSnapshot(args));
    }

    /// Answers a leader that sends its snapshot, and takes the snapshot if it reaches beyond what
    /// is committed here.
    pub fn install_snapshot(&mut self, args: InstallSnapshotArgs) -> InstallSnapshotReply {
        self.check_invariants();
        let index = args.last_included_index;
        if self.accept_leader(args.term) && index > self.commit_index {
            if self.log.term(index) == Some(args.last_included_term) {
                // The entries behind it stay: they may have been acknowledged.
                self.log.compact(index);
            } else {
                self.log.reset(index, args.last_included_term);
            }
            self.note_written(index);
            self.snapshot = args.data;
            self.commit_index = index;
            self.output.must_save = true;
        }
        InstallSnapshotReply { term: self.current_term }
    }

    /// A follower has answered the request `sent`; `None` if no answer will come. Each request is
    /// answered once, in either way.
    pub fn install_snapshot_reply(
        &mut self,
        from: usize,
        sent: SentSnapshot,
        reply: Option<&InstallSnapshotReply>,
    ) {
        self.check_invariants();
        if let Some(reply) = reply {
            self.observe_term(reply.term);
        }
        if self.role != Role::Leader || sent.term != self.current_term {
            return;
        }
        self.note_answer(from, reply.map(|_| sent.round));
        let follower = &mut self.followers[from];
        follower.in_flight -= 1;
        if reply.is_some() {
            follower.match_index = follower.match_index.max(sent.last_included_index);
            follower.next_index = follower.next_index.max(follower.match_index + 1);
            self.advance_commit_index();
            self.send_new_entries(from);
        }
    }
}
