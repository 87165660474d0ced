//! What a server has to do soon, but need not have done by the end of the step in which it learnt of it:
//! a Raft may pass what it reads from task to task, collect it, or save first.
//!
//! A debt is overdue when its time has passed and the server has then had a whole instant of virtual
//! time to itself. So a server that was paused is given the instant in which it wakes up. A search
//! makes single timers late; what waits for one of them may be as late.

use std::time::Duration;

use super::memory::{Memory, Reign};
use super::step::Step;
use crate::property::{Holds, Property};
use crate::raft::{FollowerProbe, Role};

/// How long a server may take over something for which it need not wait for anybody else.
pub(super) const SOON: Duration = Duration::from_millis(60);
/// How long a candidate's first requests and a refused vote may take.
const LATER: Duration = Duration::from_millis(250);
/// How long a new leader may take to write to all servers. Heartbeats are at least 100 ms apart in the
/// course, so one that takes longer has waited for its first heartbeat to be due.
const FIRST: Duration = Duration::from_millis(100);
/// How long a leader may send nothing to a server: as long as an election time-out in the course can be. That
/// it waits for an answer is no excuse, for "servers retry RPCs if they do not receive a response in a timely
/// manner" (section 5.1).
pub(super) const SILENT: Duration = Duration::from_secs(1);
/// How long what is committed may wait for the service to be given it.
const APPLY: Duration = Duration::from_millis(600);
/// How long a server may hear nothing from a leader before it has to stand for election. The course's
/// time-outs are below one second, and its tests expect a leader within five.
pub(super) const QUIET: Duration = Duration::from_secs(4);

/// Something that a server has to do.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Debt {
    /// It has read this term.
    AdoptTerm(u64),
    /// It has read this term in the request of a candidate that its leader has told to stand (part 2F).
    SetLeaseAside(u64),
    /// Its leader has told it to stand in this term (part 2F).
    StandAtOnce(u64),
    /// It was a candidate of this term, and has read a message of the term's leader.
    StepDown(u64),
    /// It has the votes of a majority in this term.
    Lead(u64),
    /// It is a candidate of this term, and has not asked all servers for their votes.
    Ask(u64),
    /// It is a new leader of this term, and has not written to all servers.
    Reach(u64),
    /// It leads this term, and has sent nothing to a server since then.
    Repeat { term: u64, server: usize, silent_since: Duration },
    /// It leads this term, and a follower has acknowledged entries up to an index.
    Match { term: u64, follower: usize, index: u64 },
    /// It leads this term, and a follower has refused the entries after `prev` in the request with this
    /// mark.
    BackUp { term: u64, follower: usize, prev: u64, match_index: u64, request: u64 },
    /// It leads this term, its log goes up to this index, and it waits for no answer from this follower.
    Send { term: u64, follower: usize, index: u64 },
    /// It leads this term, and a majority has an entry of the term.
    Commit { term: u64, index: u64 },
    /// It has accepted entries of a leader that has committed them.
    Follow { term: u64, index: u64 },
    /// It has refused its vote to a candidate although it could have granted it.
    Vote { term: u64, candidate: usize },
    /// Entries after this index are committed, and its service waits for them.
    Apply { last_applied: u64 },
    /// It has heard nothing since then.
    Stand { quiet_since: Duration },
}

/// The debts of one server.
#[derive(Default)]
pub(super) struct Debts(Vec<Owed>);

struct Owed {
    debt: Debt,
    /// The time from which it is overdue.
    due: Duration,
    /// The first instant after that in which the server was active.
    last_chance: Option<Duration>,
}

impl Debt {
    fn patience(self) -> Duration {
        match self {
            Debt::Ask(_) | Debt::Vote { .. } => LATER,
            Debt::Reach(_) => FIRST,
            Debt::Repeat { .. } => SILENT,
            Debt::Apply { .. } => APPLY,
            Debt::Stand { .. } => QUIET,
            _ => SOON,
        }
    }

    /// Whether nothing is owed any more.
    fn is_settled(self, step: &Step<'_>, memory: &Memory) -> bool {
        let now = step.now;
        match self {
            Debt::AdoptTerm(term) | Debt::SetLeaseAside(term) | Debt::StandAtOnce(term) => {
                now.term >= term
            }
            Debt::StepDown(term) | Debt::Lead(term) => !step.stands(term),
            Debt::Ask(term) => {
                let asked = memory.candidacy.map(|candidacy| candidacy.asked).unwrap_or_default();
                !step.stands(term) || memory.has_written_to_all(asked, step)
            }
            Debt::Reach(term) => {
                let reached = memory.reign.as_ref().map(|reign| reign.reached).unwrap_or_default();
                !step.leads(term) || memory.has_written_to_all(reached, step)
            }
            Debt::Repeat { term, server, silent_since } => {
                let has_sent = |reign: &Reign| reign.lines[server].last_sent_at > silent_since;
                !step.leads(term)
                    || step.timers_may_wait
                    || memory.reign.as_ref().is_none_or(has_sent)
            }
            Debt::Match { term, follower, index } => {
                let known = now.followers.get(follower);
                !step.leads(term) || known.is_none_or(|known| known.match_index >= index)
            }
            Debt::BackUp { term, follower, prev, match_index, request } => {
                // It has gone back since; or what it went back with is still under way, or entries that begin
                // before the one in question.
                let went_back = |reign: &Reign| {
                    let mark = reign.sent[follower].went_back;
                    let line = &reign.lines[follower];
                    mark > request || line.is_under_way(mark) || line.will_bring(prev)
                };
                let has_moved = |known: &FollowerProbe| {
                    known.match_index != match_index || known.next_index <= prev
                };
                !step.leads(term)
                    || memory.reign.as_ref().is_some_and(went_back)
                    || now.followers.get(follower).is_none_or(has_moved)
            }
            Debt::Send { term, follower, index } => {
                let is_waiting = |reign: &Reign| {
                    let line = &reign.lines[follower];
                    !line.is_answered || !line.under_way.is_empty()
                };
                // Who needs a snapshot first gets it when the leader likes.
                let has_no_use = |known: &FollowerProbe| {
                    known.next_index > index || known.next_index <= now.first_index
                };
                !step.leads(term)
                    || memory.reign.as_ref().is_none_or(is_waiting)
                    || now.followers.get(follower).is_none_or(has_no_use)
            }
            Debt::Commit { term, index } => !step.leads(term) || now.commit_index >= index,
            Debt::Follow { term, index } => now.term != term || now.commit_index >= index,
            Debt::Vote { term, .. } => now.term != term || now.voted_for.is_some(),
            Debt::Apply { last_applied } => now.last_applied > last_applied || !step.service_waits,
            Debt::Stand { quiet_since } => {
                now.role == Role::Leader || memory.timer_restarted > quiet_since
            }
        }
    }

    fn rule(self, step: &Step<'_>) -> Property {
        match self {
            Debt::AdoptTerm(_) => Property::AllServers2,
            Debt::SetLeaseAside(_) => Property::VotersLeaseSetAside,
            Debt::StandAtOnce(_) => Property::TimeoutNowStands,
            Debt::StepDown(_) => Property::Candidates3,
            Debt::Lead(_) => Property::Candidates2Leads,
            Debt::Ask(_) => Property::Candidates1Asks,
            Debt::Reach(_) => Property::Leaders1,
            Debt::Repeat { .. } => Property::Leaders1Repeats,
            Debt::Match { .. } | Debt::BackUp { .. } => Property::Leaders3Answers,
            Debt::Send { .. } => Property::Leaders3Sends,
            Debt::Commit { .. } => Property::Leaders4Commits,
            Debt::Follow { .. } => Property::AppendEntries5Commits,
            Debt::Vote { .. } => Property::RequestVote2Grants,
            Debt::Apply { .. } => Property::AllServers1,
            Debt::Stand { .. } if step.now.role == Role::Candidate => Property::Candidates4,
            Debt::Stand { .. } => Property::Followers2,
        }
    }

    /// What has not been done.
    fn reproach(self, step: &Step<'_>, memory: &Memory, since: Duration) -> String {
        let late = (step.at - since).as_millis();
        match self {
            Debt::AdoptTerm(term) => {
                format!(
                    "read a message of term {term} {late} ms ago, and is still in term {}",
                    step.now.term
                )
            }
            Debt::SetLeaseAside(term) => format!(
                "read the request of a candidate of term {term} that was told to stand {late} ms ago, and is \
                 still in term {}",
                step.now.term
            ),
            Debt::StandAtOnce(term) => format!(
                "was told {late} ms ago to stand for election in term {term}, and is still in term {}",
                step.now.term
            ),
            Debt::StepDown(term) => format!(
                "is still a candidate {late} ms after a message of the leader of its term {term}"
            ),
            Debt::Lead(term) => format!(
                "has had the votes of a majority of the {} servers in term {term} for {late} ms, and does \
                 not lead",
                step.servers
            ),
            Debt::Ask(term) => format!(
                "has been a candidate of term {term} for {late} ms, and has asked only {} of the {} other \
                 servers for their votes",
                memory.candidacy.map_or(0, |candidacy| candidacy.asked.len() - 1),
                step.servers - 1
            ),
            Debt::Reach(term) => format!(
                "has led term {term} for {late} ms, and has written to only {} of the {} other servers",
                memory.reign.as_ref().map_or(0, |reign| reign.reached.len() - 1),
                step.servers - 1
            ),
            Debt::Repeat { server, .. } => {
                format!("leads, and has sent nothing to server {server} for {late} ms")
            }
            Debt::Match { follower, index, .. } => format!(
                "learnt {late} ms ago that server {follower} has the entries up to {index}, and its \
                 matchIndex for it is {}",
                step.now.followers[follower].match_index
            ),
            Debt::BackUp { follower, prev, .. } => format!(
                "learnt {late} ms ago that server {follower} lacks entry {prev}, and its nextIndex for it \
                 is {}",
                step.now.followers[follower].next_index
            ),
            Debt::Send { follower, index, .. } => format!(
                "has had entry {index} in its log for {late} ms and not sent it to server {follower}, though \
                 it waits for no answer from it; its nextIndex for it is {}",
                step.now.followers[follower].next_index
            ),
            Debt::Commit { index, .. } => format!(
                "knows since {late} ms that a majority has entry {index} of its own term, and has not \
                 committed it"
            ),
            Debt::Follow { index, .. } => format!(
                "accepted entries {late} ms ago that its leader has committed up to {index}, and has not \
                 committed them"
            ),
            Debt::Vote { term, candidate } => format!(
                "refused its vote to server {candidate} {late} ms ago, whose log is as up to date as its \
                 own, and has voted for nobody in term {term}"
            ),
            Debt::Apply { last_applied } => format!(
                "has not given entry {} to its service, which has waited for it for {late} ms",
                last_applied + 1
            ),
            Debt::Stand { .. } => {
                format!("has heard from no leader for {late} ms, and has not begun an election")
            }
        }
    }
}

impl Debts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes that a server owes this since `since`, unless it has done it already.
    pub(super) fn owe(&mut self, debt: Debt, since: Duration, step: &Step<'_>, memory: &Memory) {
        if !debt.is_settled(step, memory) && self.0.iter().all(|owed| owed.debt != debt) {
            self.0.push(Owed { debt, due: since + debt.patience(), last_chance: None });
        }
    }

    /// Removes the debts that are settled, and returns the first that is overdue as a violation.
    pub(super) fn check(&mut self, step: &Step<'_>, memory: &Memory) -> Holds {
        if !step.keeps_time {
            self.0.clear();
            return Ok(());
        }
        let mut overdue = None;
        self.0.retain_mut(|owed| {
            if owed.debt.is_settled(step, memory) {
                return false;
            }
            if step.at < owed.due + step.timers_late || !step.is_active {
                return true;
            }
            let last_chance = *owed.last_chance.get_or_insert(step.at);
            let is_overdue = step.at > last_chance;
            if is_overdue {
                overdue.get_or_insert((owed.debt, owed.due));
            }
            !is_overdue
        });
        let Some((debt, due)) = overdue else { return Ok(()) };
        let what = debt.reproach(step, memory, due - debt.patience());
        step.breaks(debt.rule(step), None, what)
    }
}
