//! Rules for election timers: who stands for election when (section 5.2; figure 2, rules for servers,
//! followers 2 and candidates 4).

use std::time::Duration;

use super::super::election_timer::{AT_ONCE, SHORTEST_TIMEOUT};
use super::case::Case;
use super::debts::{Debt, QUIET};
use crate::property::Property;
use crate::raft::Role;

/// Whether the server has been quiet for so long that it has to be looked at.
pub(super) fn is_due(timer_restarted: Duration, at: Duration) -> bool {
    at > timer_restarted + QUIET
}

pub(super) fn check(case: &mut Case<'_>) {
    let step = case.step;
    if !step.keeps_time {
        case.memory.leader_answered = None;
        return;
    }
    let now = step.now;
    if now.role != Role::Leader && is_due(case.memory.timer_restarted, step.at) {
        let quiet_since = case.memory.timer_restarted;
        case.owe_since(Debt::Stand { quiet_since }, quiet_since);
    }
    let is_new_candidacy = now.role == Role::Candidate && now.term > step.before.term;
    let since_start = step.at - case.memory.started;
    let is_told = case.memory.is_told_to_stand_in(now.term);
    if now.role == Role::Candidate
        && step.servers > 1
        && (is_new_candidacy || step.is_first)
        && !is_told
        && since_start < SHORTEST_TIMEOUT
    {
        let what = format!(
            "becomes a candidate in term {}, {:.1} ms after it was started: it has not waited for a leader's \
             word for a whole election time-out",
            now.term,
            since_start.as_secs_f64() * 1000.0
        );
        case.note(step.breaks(Property::ElectionTimer, None, what));
    }
    if !is_new_candidacy || step.is_first {
        return;
    }
    let Some((answered, leader)) = case.memory.leader_answered.take() else { return };
    let since = step.at - answered;
    if !is_told && since > AT_ONCE && since < SHORTEST_TIMEOUT {
        let what = format!(
            "becomes a candidate in term {}, {:.1} ms after it answered its leader, server {leader}: that \
             should have restarted its election timer",
            now.term,
            since.as_secs_f64() * 1000.0
        );
        case.note(step.breaks(Property::ElectionTimer, None, what));
    }
}
