//! Waypoints of messages that come late. A message is known by the term and role that its sender had when it
//! sent it.

use std::time::Duration;

use labrpc::Delivery;

use super::super::history::History;
use super::observed::Observer;
use super::snapshots;
use crate::raft::Role;
use crate::waypoint::Waypoint;

/// A message of one server arrives at another.
pub(super) fn look(
    observer: &mut Observer,
    history: &History,
    (from, to): (usize, usize),
    message: &Delivery<'_>,
    at: Duration,
) {
    if message.is_reply {
        observer.servers[to].last_answer = Some(at);
        answer_arrives(observer, to, message.called_at);
    } else {
        observer.servers[to].last_request = Some(at);
        request_arrives(observer, (from, to), message.called_at);
        snapshots::request_arrives(observer, history, (from, to), message.called_at);
    }
}

/// A server gets the answer to a request that it made at this time.
fn answer_arrives(observer: &Observer, server: usize, called_at: Duration) {
    let observed = &observer.servers[server];
    let Some(now) = observed.present().filter(|now| now.since > called_at) else { return };
    let Some(then) = observed.at(called_at).filter(|then| then.term < now.term) else { return };
    if now.role == Role::Follower {
        return;
    }
    match then.role {
        Role::Candidate => observer.reached.add(Waypoint::OlderCandidacyAnswer),
        Role::Leader if now.role == Role::Leader => {
            observer.reached.add(Waypoint::EarlierReignAnswer);
        }
        Role::Leader | Role::Follower => {}
    }
}

/// A server gets the request that another made at this time.
fn request_arrives(observer: &Observer, (from, to): (usize, usize), called_at: Duration) {
    let Some(now) = observer.servers[to].present() else { return };
    let Some(then) = observer.servers[from].at(called_at) else { return };
    if then.term < now.term {
        match then.role {
            Role::Leader => observer.reached.add(Waypoint::LateLeaderRequest),
            Role::Candidate => observer.reached.add(Waypoint::LateCandidateRequest),
            Role::Follower => {}
        }
    }
}
