// SOLUTION FILE
//! Replication and commitment (paper, sections 5.3 and 5.4.2).

use bytes::Bytes;
use labraft::{Role, Started};

use super::{Core, Message, SentEntries};
use crate::message::{AppendEntriesArgs, AppendEntriesReply, AppendOutcome, Entry};

impl Core {
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

    pub(super) fn append(&mut self, entry: Entry) {
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

    pub(super) fn send_new_entries(&mut self, to: usize) {
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

    pub(super) fn send_append(&mut self, to: usize) {
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
    pub(super) fn accept_leader(&mut self, term: u64) -> bool {
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

    /// A follower has answered a request of this leader's present term, which it sent in this round; `None` if
    /// no answer will come. For what parts 2E to 2G and flow control count.
    pub(super) fn note_answer(&mut self, from: usize, round: Option<u64>) {
        self.note_contact(from, round.is_some());
        let Some(round) = round else { return };
        self.count_for_quorum(from);
        self.note_round(from, round);
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
    pub(super) fn advance_commit_index(&mut self) {
        let mut matches: Vec<u64> =
            self.followers.iter().map(|follower| follower.match_index).collect();
        matches[self.me] = self.log.last_index();
        matches.sort_unstable();
        let replicated = matches[(self.servers - 1) / 2];
        if replicated > self.commit_index && self.log.term(replicated) == Some(self.current_term) {
            self.commit_index = replicated;
        }
    }
}
