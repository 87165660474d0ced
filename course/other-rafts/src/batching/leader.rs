//! The leader's side: what it sends to each follower, and what it makes of the answers.

use std::rc::Rc;
use std::time::Duration;

use labraft::Role;
use labrpc::Call;

use super::{APPEND_ENTRIES, Answer, Outcome, Server, State, last_up_to};
use crate::messages::{AppendEntries, INSTALL_SNAPSHOT, InstallSnapshot, Installed};

const HEARTBEAT: Duration = Duration::from_millis(105);
/// After this time a snapshot that was not answered is sent again.
const SNAPSHOT_AGAIN: Duration = Duration::from_millis(300);
/// How many requests with entries may be under way to a follower, besides those of heartbeats.
const MOST_UNDER_WAY: usize = 4;

/// A request for entries, as its answer is compared with it.
struct Question {
    to: usize,
    term: u64,
    round: u64,
    prev: u64,
    count: u64,
}

impl Server {
    pub(super) async fn run_sender(self: Rc<Self>) {
        loop {
            let (leads, due) = {
                let state = self.state.borrow();
                (state.role == Role::Leader, state.heartbeat_due)
            };
            if leads {
                let span = due.saturating_sub(self.rt.now());
                self.rt.timeout(span, self.to_send.notified()).await;
            } else {
                self.to_send.notified().await;
            }
            let state = &mut *self.state.borrow_mut();
            if state.role == Role::Leader {
                self.send_what_is_due(state);
            }
        }
    }

    fn send_what_is_due(self: &Rc<Self>, state: &mut State) {
        let is_heartbeat = self.rt.now() >= state.heartbeat_due;
        if is_heartbeat {
            state.heartbeat_due = self.rt.now() + HEARTBEAT;
        }
        for to in (0..self.ends.len()).filter(|&to| to != self.me) {
            let follower = &state.followers[to];
            let has_more = follower.next_index <= state.saved.log.last_index();
            let may_send = follower.is_found
                && follower.under_way < MOST_UNDER_WAY
                && !follower.awaits_snapshot(&state.saved.log, self.rt.now());
            if is_heartbeat || (has_more && may_send) {
                self.send(state, to);
            }
        }
    }

    /// Sends a follower what comes next: entries, or the snapshot if they are gone.
    fn send(self: &Rc<Self>, state: &mut State, to: usize) {
        let State { saved, saved_snapshot, followers, term, commit_index, .. } = state;
        let term = *term;
        let log = &saved.log;
        let follower = &mut followers[to];
        let is_gone = follower.next_index <= log.snapshot_index();
        if is_gone && self.rt.now() >= follower.snapshot_due {
            follower.snapshot_due = self.rt.now() + SNAPSHOT_AGAIN;
            let last_index = log.snapshot_index();
            let last_term = log.snapshot_term();
            let snapshot = saved_snapshot.clone();
            let args = InstallSnapshot { term, last_index, last_term, snapshot };
            let call = self.ends[to].call(INSTALL_SNAPSHOT, &args);
            let answer = self.clone().await_installed(to, term, last_index, call);
            return self.rt.spawn_detached("send a snapshot", answer);
        }
        let prev = if is_gone { log.snapshot_index() } else { follower.next_index - 1 };
        let may_send = follower.is_found && !is_gone;
        let entries = if may_send { log.from(prev + 1).to_vec() } else { Vec::new() };
        let count = entries.len() as u64;
        follower.under_way += usize::from(count > 0);
        follower.next_index += count;
        let args = AppendEntries {
            term,
            prev_log_index: prev,
            prev_log_term: log.term_at(prev).expect("the log reaches back to next_index"),
            entries,
            leader_commit: *commit_index,
        };
        let call = self.ends[to].call(APPEND_ENTRIES, &args);
        let question = Question { to, term, round: follower.round, prev, count };
        self.rt.spawn_detached("send entries", self.clone().await_answer(question, call));
    }

    async fn await_answer(self: Rc<Self>, question: Question, call: Call<Answer>) {
        let answer = call.await;
        let state = &mut *self.state.borrow_mut();
        self.see(state, answer.as_ref().map_or(0, |answer| answer.term));
        if !state.leads_in(question.term) {
            return;
        }
        let Question { to, prev, count, .. } = question;
        let follower = &mut state.followers[to];
        let is_recent = follower.round == question.round;
        follower.under_way -= usize::from(is_recent && count > 0);
        match answer.map(|answer| answer.outcome) {
            Some(Outcome::Matches) => self.confirm(state, to, prev + count),
            Some(Outcome::Differs { index, term }) if is_recent => {
                // Where the leader's log has been discarded, only the snapshot will do.
                let common = last_up_to(&state.saved.log, index, term);
                let next_index = common.map_or(1, |(index, _)| index + 1).min(prev.max(1));
                follower.set_back(next_index);
                follower.is_found = false;
                if !follower.awaits_snapshot(&state.saved.log, self.rt.now()) {
                    self.send(state, to);
                }
            }
            // The entries may be lost. They are sent again with the next heartbeat. Of several messages that were
            // lost, the news of a later one may come first.
            None if count > 0 => follower.set_back(prev + 1),
            _ => {}
        }
    }

    async fn await_installed(
        self: Rc<Self>,
        to: usize,
        term: u64,
        last_index: u64,
        call: Call<Installed>,
    ) {
        let Some(answer) = call.await else { return };
        let state = &mut *self.state.borrow_mut();
        self.see(state, answer.term);
        if state.leads_in(term) {
            self.confirm(state, to, last_index);
        }
    }

    /// A follower has saved everything up to an index.
    fn confirm(&self, state: &mut State, from: usize, index: u64) {
        let follower = &mut state.followers[from];
        follower.match_index = follower.match_index.max(index);
        follower.is_found |= index + 1 >= follower.next_index;
        follower.next_index = follower.next_index.max(index + 1);
        state.commit(self.me);
        self.to_apply.notify();
        self.to_send.notify();
    }
}
