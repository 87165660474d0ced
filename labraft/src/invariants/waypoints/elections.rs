//! Waypoints of elections: candidates, leaders and votes.

use super::super::change::Change;
use super::super::history::History;
use super::observed::{Observer, TERMS_KEPT};
use crate::raft::Role;
use crate::waypoint::Waypoint;

/// A server has come to another term or role.
pub(super) fn look(observer: &mut Observer, history: &History, change: &Change<'_>) {
    let Change { server, before, now, at, .. } = *change;
    match now.role {
        Role::Candidate => stands(observer, history, change),
        Role::Leader => observer.reached.add_if(Waypoint::LeadsAgain, || {
            let stints = &observer.servers[server].stints;
            stints.iter().any(|stint| stint.role == Role::Leader && stint.term < now.term)
        }),
        Role::Follower => candidate_comes(observer, history, change),
    }
    let was_leader = before.is_some_and(|before| before.role == Role::Leader);
    if was_leader && now.role == Role::Follower {
        observer.reached.add_if(Waypoint::DeposedByAnswer, || {
            let observed = &observer.servers[server];
            observed.last_answer == Some(at) && observed.last_request != Some(at)
        });
    }
}

/// A server stands for election.
fn stands(observer: &mut Observer, history: &History, change: &Change<'_>) {
    let Change { server, before, now, .. } = *change;
    let candidates = observer.candidates.entry(now.term).or_default();
    if !candidates.contains(&server) {
        candidates.push(server);
    }
    if observer.candidates.len() > TERMS_KEPT {
        observer.candidates.pop_first();
    }
    let rivals = observer.rivals(now.term, server);
    observer.reached.add_if(Waypoint::RivalCandidates, || rivals > 0);
    if let Some(before) = before.filter(|before| before.role == Role::Candidate) {
        observer.reached.add_if(Waypoint::SplitVote, || {
            observer.rivals(before.term, server) > 0 && !history.leaders.contains_key(&before.term)
        });
    }
}

/// A server has become a follower, perhaps because a candidate of that term has asked it for its vote.
fn candidate_comes(observer: &Observer, history: &History, change: &Change<'_>) {
    let Change { server, now, .. } = *change;
    if now.voted_for.is_some() || history.leaders.contains_key(&now.term) {
        return;
    }
    let last = |server: usize| {
        let log = &history.servers[server].log;
        log.term_at(log.last_index).map(|term| (term, log.last_index))
    };
    observer.reached.add_if(Waypoint::CandidateBehind, || {
        let candidates = observer.candidates.get(&now.term);
        let mut others = candidates.into_iter().flatten().filter(|&&other| other != server);
        others.any(|&other| matches!((last(other), last(server)), (Some(a), Some(b)) if a < b))
    });
}
