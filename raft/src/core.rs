// SOLUTION FILE
//! Raft itself (paper, figures 2 and 13), as a pure state machine: no clock, no dice, no tasks.
//!
//! Messages and time-outs come in through methods; what is to be done in return gathers in
//! [`Output`], which the caller carries out after each call, in this order: save, then send. So what
//! is said to others has been saved before.

use bytes::Bytes;
use labraft::{ApplyMsg, FollowerProbe, Pieces, Probe, Role, Started};

use crate::log::{Log, encode_state};
use crate::message::{
    AppendEntriesArgs, AppendEntriesReply, AppendOutcome, Entry, InstallSnapshotArgs,
    InstallSnapshotReply, RequestVoteArgs, RequestVoteReply,
};

/// What is to be done after a call.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Term, vote or log have changed and are to be saved before anything is sent.
    pub must_save: bool,
    /// The election timer starts anew, with a time-out drawn anew.
    pub reset_election_timer: bool,
    /// This server has become a candidate or a leader: heartbeat time-outs begin.
    pub start_heartbeats: bool,
    /// What to send, and to whom.
    pub messages: Vec<(usize, Message)>,
}

/// A request to another server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the types say it")]
pub enum Message {
    RequestVote(RequestVoteArgs),
    AppendEntries(AppendEntriesArgs),
    InstallSnapshot(InstallSnapshotArgs),
}

/// While a follower owes this many answers, new entries wait for one of them or for the next
/// heartbeat, and then travel together.
const MAX_IN_FLIGHT: usize = 4;

/// What a leader knows of another server's log.
#[derive(Clone, Copy, Debug)]
struct Follower {
    /// The next index to send. A guess until it has once been right.
    next_index: u64,
    /// Up to here its log is known to be the leader's.
    match_index: u64,
    /// How many requests of this reign it has not answered yet.
    in_flight: usize,
}

/// One server's Raft.
///
/// It holds that
/// - `last_included_index <= commit_index <= last_index`, and `last_applied <= commit_index`;
/// - `current_term`, `commit_index` and `last_applied` never fall;
/// - nothing up to `commit_index` is ever removed from the log but by a snapshot;
/// - for a leader, `match_index < next_index <= last_index + 1` for each other server.
#[derive(Debug)]
pub struct Core {
    me: usize,
    servers: usize,

    // Saved before any message leaves.
    current_term: u64,
    voted_for: Option<usize>,
    log: Log,
    snapshot: Bytes,

    role: Role,
    commit_index: u64,
    last_applied: u64,
    /// A candidate's: who has voted for it in this term.
    votes: Vec<bool>,
    /// A leader's: what it knows of each server. Its own place is not used.
    followers: Vec<Follower>,

    lowest_written: Option<u64>,
    output: Output,
}

impl Core {
    /// A server that goes on from what it had saved: a follower that has applied what its snapshot
    /// covers.
    pub fn new(
        me: usize,
        servers: usize,
        (current_term, voted_for, log): (u64, Option<usize>, Log),
        snapshot: Bytes,
    ) -> Core {
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
        }
    }

    /// What is to be done now; afterwards there is nothing left to do.
    pub fn take_output(&mut self) -> Output {
        std::mem::take(&mut self.output)
    }

    /// What is to be saved: the state, and the service's snapshot.
    pub fn saved(&self) -> (Pieces, Bytes) {
        (encode_state(self.current_term, self.voted_for, &self.log), self.snapshot.clone())
    }

    /// The present term.
    pub fn current_term(&self) -> u64 {
        self.current_term
    }

    /// The present role.
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

    /// No leader has been heard of for a whole election time-out: stand for election.
    pub fn election_timeout(&mut self) {
        if self.role == Role::Leader {
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

    /// Asks everybody who has not voted for this candidate. Asking again within the term makes up
    /// for requests and replies that were lost; a vote that was given is given again.
    fn ask_for_votes(&mut self) {
        let args = RequestVoteArgs {
            term: self.current_term,
            candidate_id: self.me,
            last_log_index: self.log.last_index(),
            last_log_term: self.log.last_term(),
        };
        for server in self.others() {
            if !self.votes[server] {
                self.send(server, Message::RequestVote(args.clone()));
            }
        }
    }

    /// Answers a candidate.
    pub fn request_vote(&mut self, args: &RequestVoteArgs) -> RequestVoteReply {
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

    /// A voter has answered what this server had asked in term `asked_in`.
    pub fn request_vote_reply(&mut self, from: usize, asked_in: u64, reply: &RequestVoteReply) {
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

    /// Whoever hears of a newer term is a follower in it, and has not voted yet.
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
            // A leader's election timer has long run out.
            self.output.reset_election_timer = true;
        }
        self.role = Role::Follower;
    }

    fn become_leader(&mut self) {
        self.role = Role::Leader;
        let next_index = self.log.last_index() + 1;
        self.followers = vec![Follower { next_index, match_index: 0, in_flight: 0 }; self.servers];
        self.output.start_heartbeats = true;
        self.heartbeat_timeout();
    }

    // Replication (section 5.3).

    /// A client's command, if this server leads. It is saved and sent on the next
    /// [`replicate`](Self::replicate): until then nobody has been promised anything.
    pub fn start(&mut self, command: Bytes) -> Option<Started> {
        if self.role != Role::Leader {
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

    /// Sends what is new to those who do not owe too many answers.
    pub fn replicate(&mut self) {
        if self.role != Role::Leader {
            return;
        }
        // In a cluster of one, to be saved is to be committed.
        self.advance_commit_index();
        for server in self.others() {
            self.send_new_entries(server);
        }
    }

    fn send_new_entries(&mut self, to: usize) {
        let follower = &self.followers[to];
        if follower.in_flight < MAX_IN_FLIGHT && follower.next_index <= self.log.last_index() {
            self.send_append(to);
        }
    }

    /// The heartbeat interval is over: a leader tells everybody what it thinks they lack, if only to
    /// show that it is alive; a candidate asks again.
    pub fn heartbeat_timeout(&mut self) {
        match self.role {
            Role::Leader => self.others().for_each(|server| self.send_append(server)),
            Role::Candidate => self.ask_for_votes(),
            Role::Follower => {}
        }
    }

    fn send_append(&mut self, to: usize) {
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

    /// A follower obeys a leader of its own term: whoever stands against it gives up.
    fn obey(&mut self, term: u64) -> bool {
        self.observe_term(term);
        if term < self.current_term {
            return false;
        }
        assert!(self.role != Role::Leader, "server {} and another lead term {term}", self.me);
        self.become_follower();
        self.output.reset_election_timer = true;
        true
    }

    /// Takes a leader's entries, if they go on from what is here.
    pub fn append_entries(&mut self, args: AppendEntriesArgs) -> AppendEntriesReply {
        let outcome = match self.obey(args.term) {
            true => self.take_entries(args),
            false => AppendOutcome::StaleTerm,
        };
        AppendEntriesReply { term: self.current_term, outcome }
    }

    fn take_entries(&mut self, args: AppendEntriesArgs) -> AppendOutcome {
        let prev = args.prev_log_index;
        // What is committed here is the same in every leader's log, also where a snapshot hides it.
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
                // Nothing is removed for an entry that is here already: this may be an old message,
                // and what follows may have been acknowledged since.
                Some(term) if term == entry.term => continue,
                Some(_) => {
                    self.log.truncate_from(index);
                    self.note_written(index);
                    self.append(entry);
                }
                None => self.append(entry),
            }
        }
        // Up to the last entry sent the logs agree; what follows here may be another leader's.
        self.commit_index = self.commit_index.max(args.leader_commit.min(last_index));
        AppendOutcome::Success
    }

    /// A follower has answered entries that went up to `last_index` after `prev_log_index`, sent in
    /// term `sent_in`; or there will be no answer.
    pub fn append_entries_reply(
        &mut self,
        from: usize,
        (sent_in, prev_log_index, last_index): (u64, u64, u64),
        reply: Option<&AppendEntriesReply>,
    ) {
        if let Some(reply) = reply {
            self.observe_term(reply.term);
        }
        // An answer to an earlier reign says nothing about this one.
        if self.role != Role::Leader || sent_in != self.current_term {
            return;
        }
        let follower = &mut self.followers[from];
        follower.in_flight -= 1;
        // Without an answer it is sent again at once; to a server that cannot be reached, too much is
        // in flight for that, and the heartbeats go on trying.
        let Some(reply) = reply else { return self.send_new_entries(from) };
        match reply.outcome {
            AppendOutcome::Success => {
                // What the request said counts, not what has been appended since.
                follower.match_index = follower.match_index.max(last_index);
                follower.next_index = follower.next_index.max(follower.match_index + 1);
                self.advance_commit_index();
            }
            AppendOutcome::StaleTerm => return,
            // A refusal of anything but the present guess is old.
            _ if follower.next_index != prev_log_index + 1 => return,
            AppendOutcome::TooShort { next_index } => {
                let (low, high) = (follower.match_index + 1, prev_log_index);
                follower.next_index = next_index.clamp(low, high.max(low));
            }
            AppendOutcome::Conflict { term, first_index } => {
                let (low, high) = (follower.match_index + 1, prev_log_index);
                let next_index = match self.log.last_index_of_term(term, prev_log_index) {
                    Some(last) => last + 1,
                    None => first_index,
                };
                follower.next_index = next_index.clamp(low, high.max(low));
            }
        }
        self.send_new_entries(from);
    }

    /// An index is committed when a majority has it and it is of the present term; what comes before
    /// it is committed with it (section 5.4.2, figure 8).
    fn advance_commit_index(&mut self) {
        let mut matches: Vec<u64> =
            self.followers.iter().map(|follower| follower.match_index).collect();
        matches[self.me] = self.log.last_index();
        matches.sort_unstable();
        // At least half, and so with this one a majority, are as far as the one below the middle.
        let replicated = matches[(self.servers - 1) / 2];
        if replicated > self.commit_index && self.log.term(replicated) == Some(self.current_term) {
            self.commit_index = replicated;
        }
    }

    // Snapshots (section 7).

    /// The service's own snapshot covers everything up to `index`: the log may forget it.
    ///
    /// # Panics
    /// If that has not been applied.
    pub fn take_snapshot(&mut self, index: u64, snapshot: Bytes) {
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

    /// Takes a leader's snapshot, unless all that it covers is here.
    pub fn install_snapshot(&mut self, args: InstallSnapshotArgs) -> InstallSnapshotReply {
        let index = args.last_included_index;
        if self.obey(args.term) && index > self.commit_index {
            if self.log.term(index) == Some(args.last_included_term) {
                // What follows may have been acknowledged: it stays.
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

    /// A follower has answered a snapshot up to `last_included_index`, sent in term `sent_in`; or
    /// there will be no answer.
    pub fn install_snapshot_reply(
        &mut self,
        from: usize,
        (sent_in, last_included_index): (u64, u64),
        reply: Option<&InstallSnapshotReply>,
    ) {
        if let Some(reply) = reply {
            self.observe_term(reply.term);
        }
        if self.role != Role::Leader || sent_in != self.current_term {
            return;
        }
        let follower = &mut self.followers[from];
        follower.in_flight -= 1;
        if reply.is_some() {
            follower.match_index = follower.match_index.max(last_included_index);
            follower.next_index = follower.next_index.max(follower.match_index + 1);
            self.advance_commit_index();
            self.send_new_entries(from);
        }
    }

    // Applying (section 5.3, and 7 for snapshots).

    /// Whether the service has something to get.
    pub fn has_to_apply(&self) -> bool {
        self.last_applied < self.commit_index
    }

    /// The next thing that the service is to get. It counts as applied from now on.
    pub fn next_to_apply(&mut self) -> Option<ApplyMsg> {
        if !self.has_to_apply() {
            return None;
        }
        let (index, term) = (self.log.last_included_index(), self.log.last_included_term());
        if self.last_applied < index {
            self.last_applied = index;
            return Some(ApplyMsg::Snapshot { index, term, snapshot: self.snapshot.clone() });
        }
        self.last_applied += 1;
        let index = self.last_applied;
        let entry = self.log.entry(index).expect("what is committed is in the log");
        Some(ApplyMsg::Command { index, command: entry.command.clone() })
    }

    // For the lab's checks.

    fn note_written(&mut self, index: u64) {
        let lowest = self.lowest_written.get_or_insert(index);
        *lowest = index.min(*lowest);
    }

    /// See [`labraft::Raft::probe`].
    pub fn probe(&mut self) -> Probe {
        let last_index = self.log.last_index();
        let view = |(server, follower): (usize, &Follower)| match server == self.me {
            true => FollowerProbe { next_index: last_index + 1, match_index: last_index },
            false => {
                FollowerProbe { next_index: follower.next_index, match_index: follower.match_index }
            }
        };
        let followers = match self.role {
            Role::Leader => self.followers.iter().enumerate().map(view).collect(),
            Role::Follower | Role::Candidate => Vec::new(),
        };
        Probe {
            term: self.current_term,
            role: self.role,
            voted_for: self.voted_for,
            first_index: self.log.first_index(),
            last_index,
            commit_index: self.commit_index,
            last_applied: self.last_applied,
            lowest_written: self.lowest_written.take(),
            followers,
        }
    }

    /// The entry at `index`, if the log holds it.
    pub fn entry(&self, index: u64) -> Option<&Entry> {
        self.log.entry(index)
    }
}
