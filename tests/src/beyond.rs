//! Tests beyond the course's of what costs only time or bytes: how elections go, over many of them, and
//! what it costs to bring back a server that went astray or lags behind.
//!
//! Their bounds are far from what the reference needs, and say what they rest on.

use std::time::Duration;

use labraft::{Checked, Config, SNAPSHOT_INTERVAL};

use crate::steps::{check, random, restart};

/// How often the leader is cut off.
const LEADER_CHANGES: u64 = 40;
/// How many terms so many elections may take. With time-outs drawn from 300 ms, one election in two
/// thousand needs a second term.
const MOST_TERMS: u64 = LEADER_CHANGES + LEADER_CHANGES / 10;
/// How often it is looked whether there is a leader, or a new term.
const LOOK: Duration = Duration::from_millis(1);
/// How long an election may take.
const LONGEST_ELECTION: Duration = Duration::from_secs(10);
/// For how long a server is alone, to see its time-outs.
const ALONE: Duration = Duration::from_secs(8);
/// So many time-outs in a row are to differ ...
const TIMEOUTS: usize = 8;
/// ... by this at least. With as much, elections already went well in the paper (section 9.3).
const LEAST_SPREAD: Duration = Duration::from_millis(5);

/// Forty times the leader of seven servers is cut off, and the others elect another on a reliable network;
/// then one server is alone. Catches time-outs that are not drawn anew, or lie so close together that
/// servers stand at one moment and split the vote.
pub(crate) async fn elections(cfg: &Config) -> Checked<()> {
    let mut terms = 0;
    for _ in 0..LEADER_CHANGES {
        let (leader, before) = newer_leader(cfg, 0).await?;
        cfg.disconnect(leader);
        let (_, after) = newer_leader(cfg, before).await?;
        terms += after - before;
        cfg.connect(leader);
        // For the old leader to follow; and for the next change to come at any time between heartbeats.
        let pause = cfg.dice().span(Duration::from_millis(400), Duration::from_millis(800));
        cfg.sleep(pause).await;
    }
    check(cfg, terms <= MOST_TERMS, || {
        format!(
            "{LEADER_CHANGES} elections on a reliable network took {terms} terms; {MOST_TERMS} are \
             allowed: servers stand for election at one moment, and split the vote"
        )
    })?;
    let alone = cfg.dice().below(cfg.n() as u64) as usize;
    cfg.disconnect(alone);
    check_timeouts(cfg, alone).await
}

/// A connected server that leads in a term above `term`, and its term.
async fn newer_leader(cfg: &Config, term: u64) -> Checked<(usize, u64)> {
    let leads = |i: usize| {
        let state = cfg.state(i).filter(|state| state.is_leader && state.term > term)?;
        cfg.is_connected(i).then_some((i, state.term))
    };
    let find = async {
        loop {
            // Who leads in the newest term: one that was cut off may not have heard of it yet.
            if let Some(leader) = (0..cfg.n()).filter_map(leads).max_by_key(|leader| leader.1) {
                return leader;
            }
            cfg.sleep(LOOK).await;
        }
    };
    let found = cfg.tester().timeout(LONGEST_ELECTION, find).await;
    let limit = LONGEST_ELECTION.as_secs();
    found.ok_or_else(|| cfg.expected(format!("nobody was elected within {limit} s")))
}

/// The election time-outs of a server that hears nobody differ from one another (section 5.2).
async fn check_timeouts(cfg: &Config, alone: usize) -> Checked<()> {
    let until = cfg.tester().now() + ALONE;
    let term = || cfg.state(alone).map(|state| state.term);
    let (mut in_term, mut since) = (term(), None);
    let mut timeouts = Vec::new();
    while cfg.tester().now() < until {
        cfg.sleep(LOOK).await;
        if term() != in_term {
            let now = cfg.tester().now();
            timeouts.extend(since.map(|since| now - since));
            (in_term, since) = (term(), Some(now));
        }
    }
    // One that asks before it raises its term, as with pre-vote, shows none.
    let (Some(shortest), Some(longest)) = (timeouts.iter().min(), timeouts.iter().max()) else {
        return Ok(());
    };
    let differ = timeouts.len() < TIMEOUTS || *longest - *shortest >= LEAST_SPREAD;
    check(cfg, differ, || {
        format!(
            "{} election time-outs in a row of server {alone} lie between {} and {} ms: it does not draw \
             them anew",
            timeouts.len(),
            shortest.as_millis(),
            longest.as_millis()
        )
    })
}

/// How many commands all have when a leader is cut off, in one term.
const IN_COMMON: u64 = 200;
/// How many the old leader takes alone, and how many the others commit meanwhile.
const ASTRAY: u64 = 60;
const MEANWHILE: u64 = 20;
const COMMAND_BYTES: usize = 1000;
/// So many bytes all calls may take until the old leader is back.
const MOST_BYTES: u64 = IN_COMMON * COMMAND_BYTES as u64 / 2;

/// Twice a leader of three is cut off and takes commands that never commit, and is brought back to a leader
/// elected meanwhile. Catches a Raft that sends it again what both had before their logs part.
///
/// First they part in the middle of a term: the new leader knows the conflict's term, so it can go on behind
/// its own last entry of it. Then they part at the beginning of one that the new leader has never heard of:
/// it can go on where the follower's entries of it begin.
pub(crate) async fn rejoin_bytes(cfg: &Config) -> Checked<()> {
    let leader = cfg.check_one_leader().await?;
    for _ in 0..IN_COMMON {
        cfg.one(long(cfg), cfg.n(), false).await?;
    }
    go_astray_and_rejoin(cfg, leader).await?;

    let leader = cfg.check_one_leader().await?;
    restart(cfg, leader);
    let in_new_term = cfg.check_one_leader().await?;
    go_astray_and_rejoin(cfg, in_new_term).await
}

/// A random number as a long command.
fn long(cfg: &Config) -> String {
    format!("{:x<COMMAND_BYTES$}", random(cfg))
}

async fn go_astray_and_rejoin(cfg: &Config, leader: usize) -> Checked<()> {
    cfg.disconnect(leader);
    for _ in 0..ASTRAY {
        // Short ones: an old leader sends them to everybody until it hears that it is deposed.
        cfg.start(leader, random(cfg));
    }
    let next = cfg.check_one_leader().await?;
    for _ in 0..MEANWHILE {
        cfg.one(long(cfg), cfg.n() - 1, true).await?;
    }
    // Another election: whoever wins it knows nothing of the others' logs.
    restart(cfg, next);
    cfg.check_one_leader().await?;
    let before = cfg.bytes_total();
    cfg.connect(leader);
    cfg.one(long(cfg), cfg.n(), true).await?;
    let bytes = cfg.bytes_total() - before;
    check(cfg, bytes <= MOST_BYTES, || {
        let lacked = (MEANWHILE + 1) * COMMAND_BYTES as u64;
        format!(
            "it took {bytes} bytes to bring a server back that lacked {lacked}; {MOST_BYTES} are allowed"
        )
    })
}

/// How often a server is brought back by a snapshot ...
const SNAPSHOTS: usize = 12;
/// ... how long calls from when it was away may take to fail ...
const LONGEST_FAILURE: Duration = Duration::from_secs(7);
/// ... and how many commands it must then help to commit, one after the other ...
const AFTERWARDS: u32 = 20;
/// ... in so much time each. One that waits for a heartbeat takes twice as long.
const PROMPT: Duration = Duration::from_millis(50);

/// A server of three is brought back by the leader's snapshot, twelve times; then the third is cut off, and
/// commands commit as fast as they did before. Catches a leader that counts what a snapshot has under way
/// and never takes it off again, until it sends nothing but heartbeats there.
pub(crate) async fn snapshot_speed(cfg: &Config) -> Checked<()> {
    let leader = cfg.check_one_leader().await?;
    let (victim, third) = ((leader + 1) % cfg.n(), (leader + 2) % cfg.n());
    for _ in 0..SNAPSHOTS {
        cfg.disconnect(victim);
        for _ in 0..2 * SNAPSHOT_INTERVAL {
            cfg.start(leader, random(cfg));
        }
        cfg.one(random(cfg), cfg.n() - 1, true).await?;
        cfg.connect(victim);
        cfg.one(random(cfg), cfg.n(), true).await?;
    }
    cfg.sleep(LONGEST_FAILURE).await;
    cfg.disconnect(third);
    let before = cfg.tester().now();
    for _ in 0..AFTERWARDS {
        // The leader applies it at once; the follower would, with the next heartbeat.
        cfg.one(random(cfg), 1, false).await?;
    }
    let each = (cfg.tester().now() - before) / AFTERWARDS;
    check(cfg, each <= PROMPT, || {
        format!(
            "after {SNAPSHOTS} snapshots for server {victim}, a command that needs it takes {} ms; {} are \
             allowed",
            each.as_millis(),
            PROMPT.as_millis()
        )
    })
}
