//! Short scenarios for `lab search`, which makes all of their runs with few faults.
//!
//! Each lasts a few virtual seconds and needs few messages, because the number of runs grows with the
//! number of places for faults. The steps alone lead to where Rafts go wrong; a fault or two do the rest.
//! Whatever the faults, a correct Raft has the time to recover before the end.

use std::time::Duration;

use labraft::{Checked, Config, Lab, Steps, Threshold, expectation};

use super::agree;
use super::fault_target::FaultTarget;
use super::work::append_and_read;
use crate::beyond::PROMPT;
use crate::kv::{KvConfig, KvSetup};
use crate::steps::{LOOK_EVERY, check_threshold, find_leader, random, restart, spawn_client};

/// Longer than the time between two heartbeats, so that a server that is connected again learns the
/// present term.
pub(super) const HEARTBEAT: Duration = Duration::from_millis(150);
/// Long enough for a message and its reply, and for what they lead to.
pub(super) const ROUND_TRIP: Duration = Duration::from_millis(30);
/// How long two of three servers do not hear of each other: two or three elections.
const CHAIN: Duration = Duration::from_millis(1000);
/// How long two halves are apart: an election or two.
const HALVES: Duration = Duration::from_millis(700);
/// How often a follower is cut off while commands are started.
const LOSSES: usize = 3;
/// The commands that it is needed for afterwards, one after the other. A fault slows down a few of them.
const COMMANDS: usize = 10;
/// The commands that are lost each time, and the time between two of them.
const LOST_AT_A_TIME: usize = 5;
const BETWEEN: Duration = Duration::from_millis(20);
/// The size of the saved state, in bytes, at which servers of the service take a snapshot: a few operations.
const SMALL_STATE: usize = 200;
/// How long a client pauses after a write: longer than an election, because a client that looks for a leader makes many
/// calls.
const BETWEEN_WRITES: Duration = Duration::from_millis(500);

/// Three servers elect a leader. Then it and one follower can reach only the third server, which hears
/// of two candidates, or of a leader and a candidate, in one election after the other. Last the leader
/// restarts.
pub(crate) async fn short_elections(cfg: &Config) -> Checked<()> {
    let first = leader(cfg).await?;
    cfg.sleep(HEARTBEAT).await;
    cfg.link(first, [(first + 1) % cfg.n()], false);
    cfg.sleep(CHAIN).await;
    cfg.reconnect_all();
    cfg.sleep(HEARTBEAT).await;
    let second = leader(cfg).await?;
    restart(cfg, second);
    cfg.sleep(HEARTBEAT).await;
    cfg.check_one_leader().await?;
    Ok(())
}

/// Figure 8 with three servers: two leaders in turn are cut off with an entry that only they have. The
/// first comes back, is elected again and copies its entry, which has an older term, to a majority. Then
/// the second one comes back in its place.
pub(crate) async fn short_replication(cfg: &Config) -> Checked<()> {
    let first = leader(cfg).await?;
    cfg.start(first, random(cfg));
    cfg.sleep(ROUND_TRIP).await;

    cfg.disconnect(first);
    cfg.start(first, random(cfg));
    cfg.sleep(HEARTBEAT).await;
    let second = leader(cfg).await?;
    cfg.disconnect(second);
    cfg.start(second, random(cfg));

    cfg.connect(first);
    cfg.sleep(HEARTBEAT).await;
    let third = leader(cfg).await?;
    cfg.sleep(ROUND_TRIP).await;
    cfg.disconnect(third);
    cfg.connect(second);
    cfg.sleep(HEARTBEAT).await;
    let fourth = leader(cfg).await?;
    cfg.start(fourth, random(cfg));
    cfg.sleep(ROUND_TRIP).await;

    cfg.reconnect_all();
    agree_all(cfg).await
}

/// A follower misses so many entries that it needs a snapshot; the other follower restarts before it
/// gets one, and the leader restarts after. Then there is a second snapshot.
pub(crate) async fn short_restarts(cfg: &Config) -> Checked<()> {
    let first = leader(cfg).await?;
    let lagging = (first + 1) % cfg.n();
    let other = (first + 2) % cfg.n();
    start_many(cfg, first, 2);
    cfg.sleep(ROUND_TRIP).await;
    cfg.disconnect(lagging);
    start_many(cfg, first, 10);
    cfg.sleep(ROUND_TRIP).await;
    restart(cfg, other);

    cfg.connect(lagging);
    cfg.sleep(HEARTBEAT).await;
    start_many(cfg, first, 2);
    cfg.sleep(ROUND_TRIP).await;
    restart(cfg, first);
    cfg.sleep(HEARTBEAT).await;
    let second = leader(cfg).await?;
    start_many(cfg, second, 8);
    cfg.sleep(ROUND_TRIP).await;
    start_many(cfg, second, 1);
    cfg.sleep(HEARTBEAT).await;
    agree_all(cfg).await
}

/// Figure 7 with three servers: two leaders in turn are cut off with several entries that only they have. The
/// first comes back and is elected again. Then the second one comes back in its place, with entries of a term
/// that nobody else has, and restarts as soon as they are replaced.
pub(crate) async fn short_conflicts(cfg: &Config) -> Checked<()> {
    let first = leader(cfg).await?;
    start_many(cfg, first, 2);
    cfg.sleep(ROUND_TRIP).await;
    cfg.disconnect(first);
    start_many(cfg, first, 3);
    let second = leader(cfg).await?;
    cfg.disconnect(second);
    start_many(cfg, second, 4);

    cfg.connect(first);
    let third = leader(cfg).await?;
    start_many(cfg, third, 2);
    cfg.sleep(HEARTBEAT).await;
    cfg.disconnect(third);
    cfg.connect(second);
    let fourth = leader(cfg).await?;
    start_many(cfg, fourth, 1);
    cfg.sleep(ROUND_TRIP).await;
    restart(cfg, second);

    cfg.reconnect_all();
    agree_all(cfg).await
}

/// One follower needs a snapshot twice in one reign, and restarts after the second one. Then the leader is cut
/// off with entries of its own, until it needs a snapshot that replaces them.
pub(crate) async fn short_snapshots(cfg: &Config) -> Checked<()> {
    let first = leader(cfg).await?;
    let lagging = (first + 1) % cfg.n();
    for _ in 0..2 {
        cfg.disconnect(lagging);
        start_many(cfg, first, 12);
        cfg.sleep(ROUND_TRIP).await;
        cfg.connect(lagging);
        cfg.sleep(HEARTBEAT).await;
    }
    restart(cfg, lagging);
    cfg.sleep(HEARTBEAT).await;

    cfg.disconnect(first);
    start_many(cfg, first, 14);
    let second = leader(cfg).await?;
    start_many(cfg, second, 12);
    cfg.sleep(ROUND_TRIP).await;
    cfg.connect(first);
    start_many(cfg, second, 1);
    cfg.sleep(HEARTBEAT).await;
    restart(cfg, first);
    agree_all(cfg).await
}

/// Two clients of the key/value service append to one key. Meanwhile the leader is cut off from
/// the other servers, but not from the clients. Then it is back, and all servers restart from what they have
/// saved.
pub(crate) fn short_service(lab: Lab) -> Steps {
    let setup = KvSetup { servers: 3, unreliable: false, max_raft_state: Some(SMALL_STATE) };
    setup.run(lab, serve)
}

async fn serve(cfg: &KvConfig) -> Checked<()> {
    while cfg.leader().is_none() {
        cfg.sleep(LOOK_EVERY).await;
    }
    let clients = [(); 2].map(|()| {
        let client = cfg.make_client_of_all();
        spawn_client(cfg, "client", append_and_read(cfg.clone(), client, "k", BETWEEN_WRITES))
    });
    cfg.sleep(BETWEEN_WRITES).await;
    cfg.cut_off(cfg.leader().unwrap_or(0));
    cfg.sleep(CHAIN / 2).await;
    cfg.connect_all();
    cfg.sleep(HEARTBEAT).await;
    for i in 0..cfg.n() {
        cfg.start(i);
    }
    cfg.connect_all();
    for client in clients {
        client.await;
    }
    cfg.check_linearizable()
}

/// Five servers, of which two and two can reach only each other and the fifth. Whoever wins an election has
/// the vote of the fifth, which can give only one in each term.
pub(crate) async fn short_votes(cfg: &Config) -> Checked<()> {
    for one_side in [0, 1] {
        cfg.link(one_side, [3, 4], false);
    }
    cfg.sleep(CHAIN).await;
    cfg.reconnect_all();
    cfg.sleep(HEARTBEAT).await;
    leader(cfg).await?;
    Ok(())
}

/// Four servers. A leader and one follower are cut off from the other two: half of the servers have what is started
/// meanwhile, and half stand for election. Neither is a majority. Then the three others do without the leader.
pub(crate) async fn short_halves(cfg: &Config) -> Checked<()> {
    let first = leader(cfg).await?;
    let [follower, third, fourth] = [1, 2, 3].map(|next| (first + next) % cfg.n());
    start_many(cfg, first, 1);
    cfg.sleep(ROUND_TRIP).await;
    for one_side in [first, follower] {
        cfg.link(one_side, [third, fourth], false);
    }
    start_many(cfg, first, 2);
    cfg.sleep(HALVES).await;
    cfg.reconnect_all();
    cfg.sleep(HEARTBEAT).await;
    let second = leader(cfg).await?;
    cfg.disconnect(second);
    start_many(cfg, second, 1);
    let third = leader(cfg).await?;
    start_many(cfg, third, 1);
    cfg.sleep(ROUND_TRIP).await;
    cfg.reconnect_all();
    agree_all(cfg).await
}

/// A follower is cut off again and again while commands are started, so that what it is sent is lost. Later
/// the leader has no other follower, and commands are committed as soon as before.
pub(crate) async fn short_losses(cfg: &Config) -> Checked<()> {
    let first = leader(cfg).await?;
    let [lagging, other] = [1, 2].map(|next| (first + next) % cfg.n());
    // Calls to a server that is cut off fail within 100 ms, so the scenario need not wait long.
    cfg.network().long_delays(false);
    for _ in 0..LOSSES {
        cfg.disconnect(lagging);
        for _ in 0..LOST_AT_A_TIME {
            start_many(cfg, first, 1);
            cfg.sleep(BETWEEN).await;
        }
        cfg.connect(lagging);
        cfg.sleep(HEARTBEAT).await;
    }
    // What was lost has failed by then.
    cfg.sleep(HEARTBEAT).await;
    cfg.disconnect(other);
    let mut slow = 0;
    for _ in 0..COMMANDS {
        let before = cfg.tester().now();
        // The leader applies a command as soon as it is committed, the follower with the next heartbeat.
        cfg.one(random(cfg), 1, true).await?;
        slow += usize::from(cfg.tester().now() - before > PROMPT);
    }
    check_threshold(cfg, Threshold::OperationTime, 2 * slow <= COMMANDS, || {
        expectation!(
            "after what server {lagging} was sent had been lost {LOSSES} times, {slow} of {COMMANDS} commands that \
             need it take more than {} ms each",
            PROMPT.as_millis()
        )
    })?;
    cfg.reconnect_all();
    agree_all(cfg).await
}

/// Starts several commands at once.
pub(super) fn start_many(cfg: &Config, server: usize, count: usize) {
    for _ in 0..count {
        cfg.start(server, random(cfg));
    }
}

/// The leader of the highest term among the connected servers, as soon as there is one.
pub(super) async fn leader(cfg: &Config) -> Checked<usize> {
    let (leader, _) = find_leader(cfg, |i| cfg.is_connected(i), 0).await?;
    Ok(leader)
}

/// Checks that all servers agree on one more command.
pub(super) async fn agree_all(cfg: &Config) -> Checked<()> {
    let all: Vec<usize> = (0..cfg.n()).collect();
    agree(cfg, &all).await
}
