//! Figure 2 of the Raft paper (and figure 13) as a judge of steps.
//!
//! A step is what a server does between two moments at which the lab looks at it, nearly always one poll of
//! one task. Its state before, the messages that it has read, its state afterwards and the messages that
//! it has sent are compared with the figure, rule by rule. This needs a Raft that shows its state
//! ([`Raft::probe`](crate::Raft::probe)) and tells what its messages say
//! ([`Implementation::with_messages`](crate::Implementation::with_messages)).
//!
//! The figure describes a server that does everything at once. Real ones collect, save first, pass messages from
//! task to task, and ask again. So a change needs a reason in what the server has read *so far*, not in the
//! same step; and what it must do, it owes for a while ([`debts`]). What the figure leaves open is free:
//! how far a leader backs up, what it sends how often, when it answers its clients.
//!
//! | file | rules |
//! |---|---|
//! | `elections` | terms, candidates, votes; the arguments and answers of RequestVote |
//! | `following` | what a server does because a leader says so; the answers to AppendEntries |
//! | `leading` | what leaders append, send and count; the arguments of AppendEntries and InstallSnapshot |
//! | `lines` | what leaders have under way to their followers |
//! | `timers` | who stands for election when |
//! | `pre_votes` | part 2E: pre-votes, and the voters' lease |
//! | `transfers` | part 2F: TimeoutNow, and the mark of the candidate that is told to stand |
//! | `debts` | what has to happen soon |
//! | `reading` | what a server learns from a message |
//! | `memory` | what is remembered of each server |
//! | `messages` | the messages of the run |
//! | `step`, `case` | what a rule is given |

mod case;
mod debts;
mod elections;
mod following;
mod leading;
mod lines;
mod memory;
mod messages;
mod pre_votes;
mod reading;
mod step;
#[cfg(test)]
mod tests;
mod timers;
mod transfers;

use std::time::Duration;

use case::Case;
use debts::{Debt, Debts};
use memory::Memory;
pub(crate) use messages::SharedMessages;
use messages::{SentMessage, StepMessages};
pub(crate) use step::{MOST_SERVERS, Step};

use crate::message::RaftMessage;
use crate::offer::Offers;
use crate::property::{Property, Violation};

/// The judge of the steps of all servers of a run.
pub(crate) struct Figure2 {
    messages: SharedMessages,
    servers: Vec<Judged>,
    /// Whether servers have to save before they send.
    must_save: bool,
    /// What the Raft offers.
    offers: Offers,
    /// Kept to be used again.
    step: StepMessages,
}

/// One server.
#[derive(Default)]
struct Judged {
    memory: Memory,
    debts: Debts,
}

impl Figure2 {
    /// A judge of this many servers, none of which is running.
    pub(crate) fn new(
        servers: usize,
        messages: SharedMessages,
        must_save: bool,
        offers: Offers,
    ) -> Figure2 {
        let servers = (0..servers).map(|_| Judged::default()).collect();
        let step = StepMessages::default();
        Figure2 { messages, servers, must_save, offers, step }
    }

    /// A server was started, at this time.
    pub(crate) fn started(&mut self, server: usize, at: Duration) {
        // What its predecessor did last is not judged.
        self.messages.0.borrow_mut().swap_step(server, &mut self.step);
        let Judged { memory, debts } = &mut self.servers[server];
        memory.restart(at);
        *debts = Debts::default();
    }

    /// Whether a server has to be judged though its state is the same: it has read or sent something, or owes
    /// something.
    pub(crate) fn is_due(&self, server: usize, at: Duration) -> bool {
        let Judged { memory, debts } = &self.servers[server];
        self.messages.0.borrow().has_news(server)
            || !debts.is_empty()
            || timers::is_due(memory.timer_restarted, at)
            || memory.reign.as_ref().is_some_and(|reign| at >= reign.in_touch_until)
    }

    /// Judges a step of a server. Returns the rules that it breaks.
    pub(crate) fn check(&mut self, step: &Step<'_>) -> Vec<Violation> {
        let mut found = Vec::new();
        self.messages.0.borrow_mut().swap_step(step.server, &mut self.step);
        let messages = self.messages.0.borrow();
        let Judged { memory, debts } = &mut self.servers[step.server];
        if step.is_first && self.offers.lease_reads.is_some() {
            // It may have heard from a leader before it stopped, and counts as one that has.
            memory.leader_heard_awake = Some(step.awake);
        }
        let offers = self.offers;
        let mut case = Case { step, offers, memory, debts, messages: &messages, found: &mut found };
        for &(to, mark) in &self.step.failed {
            lines::came_to_an_end(&mut case, to, mark, false);
        }
        for &read in &self.step.read {
            if let Some(request) = read.answers {
                lines::came_to_an_end(&mut case, read.from, request, true);
            }
            reading::take_in(&mut case, read);
            if let Some(request) = read.answers {
                lines::check_retries(&mut case, read, request);
            }
        }
        if step.log_change.is_some() {
            elections::check(&mut case);
            following::check(&mut case);
            leading::check(&mut case);
        }
        timers::check(&mut case);
        if step.service_waits && step.now.last_applied < step.now.commit_index {
            case.owe(Debt::Apply { last_applied: step.now.last_applied });
        }
        for sent in &self.step.sent {
            check_sent(&mut case, *sent, self.must_save);
        }
        lines::owe_heartbeats(&mut case);
        let overdue = case.debts.check(step, case.memory);
        case.note(overdue);
        found
    }
}

/// Judges a message that a server has sent.
fn check_sent(case: &mut Case<'_>, sent: SentMessage, must_save: bool) {
    let messages = case.messages;
    let Some(message) = messages.get(sent.mark) else { return };
    if sent.answers.is_none() {
        case.memory.waits_for.insert(sent.to);
        lines::note_sent(case, sent, message);
    }
    let answers = sent.answers.filter(|_| !matches!(message, RaftMessage::Several(_)));
    for part in message.parts() {
        check_own_term(case, part, sent.to);
        match answers {
            Some(mark) => check_reply(case, part, mark, sent.to),
            None => check_request(case, part, sent, must_save),
        }
    }
}

/// A message carries no term that its sender has not reached.
fn check_own_term(case: &mut Case<'_>, message: &RaftMessage, to: usize) {
    let step = case.step;
    let is_other = matches!(message, RaftMessage::Other { .. });
    if message.term() > step.now.term && !is_other {
        let what = "sends a term that is higher than its own";
        case.note(step.breaks(Property::AllServers2, Some((message, to)), what));
    }
}

/// Judges a request, or a one-way message.
fn check_request(case: &mut Case<'_>, message: &RaftMessage, sent: SentMessage, must_save: bool) {
    let step = case.step;
    let to = sent.to;
    if matches!(message, RaftMessage::Other { .. } | RaftMessage::PreVote { .. }) {
        // It may be a pre-vote, or is one: the server does something about having heard nothing.
        case.memory.timer_restarted = step.at;
    }
    let is_new_candidate = message.vote_request().is_some()
        && message.term() == step.now.term
        && step.now.term > step.before.term;
    if must_save && is_new_candidate && !step.has_saved {
        let what = "asks for votes before it has saved its new term and its own vote";
        case.note(step.breaks(Property::SavedFirst, Some((message, to)), what));
    }
    elections::check_request(case, message, to);
    leading::check_request(case, message, sent);
    pre_votes::check_question(case, message, to);
    transfers::check_request(case, message, to);
    // With one-way messages, answers are requests.
    elections::check_answer(case, message, None, to);
    following::check_answer(case, message, None, to);
    pre_votes::check_answer(case, message, None, to);
}

/// "Results: term: currentTerm, for leader to update itself" (figure 2): whoever asks in a term that is out of
/// date learns the term that the server had when it read the request, or a newer one.
fn check_answered_term(case: &mut Case<'_>, message: &RaftMessage, mark: u64, to: usize) {
    let Some(own_term) = case.memory.outdated.remove(&mark) else { return };
    if message.term() < own_term && message.is_answer() {
        let what = format!(
            "answers a request of an earlier term, which it read in term {own_term}, with term {}",
            message.term()
        );
        case.note(case.step.breaks(Property::AnswersTerm, Some((message, to)), what));
    }
}

/// Whether this is the answer of a server that offers part 2E to a candidate that it disregards: the term of the
/// request does not count then.
fn disregards(case: &Case<'_>, answer: &RaftMessage) -> bool {
    let is_refusal = matches!(answer, RaftMessage::RequestVoteReply { vote_granted: false, .. });
    is_refusal && case.offers.stable_leader.is_some() && reading::may_disregard(case)
}

/// Judges the reply to the request with this mark.
fn check_reply(case: &mut Case<'_>, message: &RaftMessage, mark: u64, to: usize) {
    let step = case.step;
    let Some(request) = case.messages.get(mark) else { return };
    let is_other = matches!(message, RaftMessage::Other { .. });
    let has_lower_term = message.term() < request.term() && !is_other;
    if has_lower_term && transfers::disregards(case, request, message, to) {
        return;
    }
    if has_lower_term && !disregards(case, message) {
        let what = format!(
            "answers a message of term {} in term {}, and should have moved to the higher term",
            request.term(),
            message.term()
        );
        case.note(step.breaks(Property::AllServers2, Some((message, to)), what));
    }
    elections::check_answer(case, message, Some((mark, request)), to);
    check_answered_term(case, message, mark, to);
    following::check_answer(case, message, Some((mark, request)), to);
    pre_votes::check_answer(case, message, Some((mark, request)), to);
}
