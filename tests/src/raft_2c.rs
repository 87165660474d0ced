//! Part 2C, persistence: what a server has promised survives a crash, even on a bad network.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use labraft::{Checked, Config, RAFT_ELECTION_TIMEOUT, Started, expectation, show};

use crate::steps::{RANDOM_INTS, as_int, check, random, restart, spawn_client};

const MILLISECOND: Duration = Duration::from_millis(1);

/// All servers crash, then the leader, then a leader while an entry is committed without it, then a
/// follower; nothing may be lost. Catches a log, term or vote that is not saved or not restored.
pub(crate) async fn persist1(cfg: &Config) -> Checked<()> {
    let n = cfg.n();
    cfg.one(11, n, true).await?;

    // All crash and restart, one after the other, and are connected when all are up again.
    for i in 0..n {
        cfg.start1(i);
    }
    for i in 0..n {
        cfg.disconnect(i);
        cfg.connect(i);
    }
    cfg.one(12, n, true).await?;

    let leader1 = cfg.check_one_leader().await?;
    cfg.disconnect(leader1);
    restart(cfg, leader1);
    cfg.one(13, n, true).await?;

    let leader2 = cfg.check_one_leader().await?;
    cfg.disconnect(leader2);
    cfg.one(14, n - 1, true).await?;
    restart(cfg, leader2);
    // The server must catch up before the next one is cut off.
    cfg.wait(4, n, None).await?;

    let i3 = (cfg.check_one_leader().await? + 1) % n;
    cfg.disconnect(i3);
    cfg.one(15, n - 1, true).await?;
    restart(cfg, i3);
    cfg.one(16, n, true).await?;
    Ok(())
}

/// Servers come and go so that each majority has just one server in common with the one before.
/// Catches entries that are acknowledged but not saved, and servers that vote without comparing the
/// candidate's log to theirs.
pub(crate) async fn persist2(cfg: &Config) -> Checked<()> {
    let n = cfg.n();
    let mut index = 1;
    for _ in 0..5 {
        cfg.one(10 + index, n, true).await?;
        index += 1;

        let leader1 = cfg.check_one_leader().await?;
        let next = |k: usize| (leader1 + k) % n;
        cfg.disconnect(next(1));
        cfg.disconnect(next(2));
        cfg.one(10 + index, n - 2, true).await?;
        index += 1;

        cfg.disconnect(next(0));
        cfg.disconnect(next(3));
        cfg.disconnect(next(4));

        // Two of five servers are not a majority.
        cfg.start1(next(1));
        cfg.start1(next(2));
        cfg.connect(next(1));
        cfg.connect(next(2));
        cfg.sleep(RAFT_ELECTION_TIMEOUT).await;

        // The third one has the entry that the other two lack.
        restart(cfg, next(3));
        cfg.one(10 + index, n - 2, true).await?;
        index += 1;

        cfg.connect(next(4));
        cfg.connect(next(0));
    }
    cfg.one(1000, n, true).await?;
    Ok(())
}

/// Two servers commit an entry and crash. The leader among them restarts, meets the server that
/// lacks the entry, and must win the election. Catches a log that only leaders or only followers
/// save.
pub(crate) async fn persist3(cfg: &Config) -> Checked<()> {
    let n = cfg.n();
    cfg.one(101, 3, true).await?;

    let leader = cfg.check_one_leader().await?;
    let next = |k: usize| (leader + k) % n;
    cfg.disconnect(next(2));
    cfg.one(102, 2, true).await?;

    cfg.crash1(next(0));
    cfg.crash1(next(1));
    cfg.connect(next(2));
    restart(cfg, next(0));
    cfg.one(103, 2, true).await?;

    restart(cfg, next(1));
    cfg.one(104, n, true).await?;
    Ok(())
}

/// The scenario of figure 8 of the Raft paper, a thousand times: leaders crash soon after they have
/// accepted a command, whether or not it has reached another server. Catches a leader that commits
/// an entry of an earlier term because a majority stores it.
pub(crate) async fn figure8(cfg: &Config) -> Checked<()> {
    let n = cfg.n();
    cfg.one(random(cfg), 1, true).await?;
    for _ in 0..1000 {
        let mut leader = None;
        for i in 0..n {
            if cfg.is_running(i) && cfg.start(i, random(cfg)).is_some() {
                leader = Some(i);
            }
        }
        figure8_pause(cfg).await;
        if let Some(leader) = leader {
            cfg.crash1(leader);
        }
        let up = (0..n).filter(|&i| cfg.is_running(i)).count();
        if up < 3 {
            let i = random_server(cfg);
            if !cfg.is_running(i) {
                restart(cfg, i);
            }
        }
    }
    for i in 0..n {
        if !cfg.is_running(i) {
            restart(cfg, i);
        }
    }
    cfg.one(random(cfg), n, true).await?;
    Ok(())
}

/// Waits for a few milliseconds in most cases, and for up to half an election time-out in some, so
/// that a command may reach none, some or all of the servers, and may be committed or not.
async fn figure8_pause(cfg: &Config) {
    let half_election = RAFT_ELECTION_TIMEOUT.as_millis() as u64 / 2;
    let bound = if cfg.dice().chance(100) { half_election } else { 13 };
    cfg.sleep(Duration::from_millis(cfg.dice().below(bound))).await;
}

fn random_server(cfg: &Config) -> usize {
    cfg.dice().below(cfg.n() as u64) as usize
}

/// 246 commands, five at a time, on a network that delays and loses messages. Catches lost requests
/// that are not sent again, and replies that are taken for replies to another request.
pub(crate) async fn unreliable_agree(cfg: &Config) -> Checked<()> {
    let mut clients = Vec::new();
    for round in 1..50 {
        for j in 0..4 {
            let client_cfg = cfg.clone();
            let client = async move { client_cfg.one(100 * round + j, 1, true).await };
            clients.push(spawn_client(cfg, "one", client));
        }
        cfg.one(round, 1, true).await?;
    }
    cfg.network().reliable(true);
    for client in clients {
        client.await.ok_or_else(|| cfg.expected("client failed"))?;
    }
    cfg.one(100, cfg.n(), true).await?;
    Ok(())
}

/// Figure 8 on an unreliable network, where leaders are cut off and come back instead of crashing.
/// After a fifth of the test the network also delays replies, by up to 2.2 s. Servers that are cut
/// off get commands too, so conflicting entries pile up everywhere. At the end, on the same bad
/// network, all five servers must agree within ten seconds. Catches a leader that backs up slowly,
/// stale replies that are acted upon, and elections that keep each other from succeeding.
pub(crate) async fn figure8_unreliable(cfg: &Config) -> Checked<()> {
    const VALUES: u64 = 10_000;
    let n = cfg.n();
    cfg.one(cfg.dice().below(VALUES), 1, true).await?;
    for round in 0..1000 {
        if round == 200 {
            cfg.network().long_reordering(true);
        }
        let mut leader = None;
        for i in 0..n {
            let started = cfg.start(i, cfg.dice().below(VALUES));
            if started.is_some() && cfg.is_connected(i) {
                leader = Some(i);
            }
        }
        figure8_pause(cfg).await;
        if let Some(leader) = leader
            && cfg.dice().chance(500)
        {
            cfg.disconnect(leader);
        }
        let up = (0..n).filter(|&i| cfg.is_connected(i)).count();
        if up < 3 {
            let i = random_server(cfg);
            if !cfg.is_connected(i) {
                cfg.connect(i);
            }
        }
    }
    for i in 0..n {
        if !cfg.is_connected(i) {
            cfg.connect(i);
        }
    }
    cfg.one(cfg.dice().below(VALUES), n, true).await?;
    Ok(())
}

/// Three clients start commands while random servers are cut off, crash and come back. At the end,
/// the log must contain every command that a client has seen committed. Catches committed entries
/// that are lost or replaced, whatever the bug.
pub(crate) async fn churn(cfg: &Config) -> Checked<()> {
    let n = cfg.n();
    let stop = Rc::new(Cell::new(false));
    let clients: Vec<_> = (0..3)
        .map(|me| spawn_client(cfg, "client", churn_client(cfg.clone(), me, stop.clone())))
        .collect();

    for _ in 0..20 {
        churn_servers(cfg);
        // Long enough for the servers to keep up most of the time, and too short for them to
        // settle.
        cfg.sleep(RAFT_ELECTION_TIMEOUT * 7 / 10).await;
    }

    cfg.sleep(RAFT_ELECTION_TIMEOUT).await;
    cfg.network().reliable(true);
    for i in 0..n {
        if !cfg.is_running(i) {
            cfg.start1(i);
        }
        cfg.connect(i);
    }
    stop.set(true);
    let mut confirmed = Vec::new();
    for client in clients {
        confirmed.extend(client.await.ok_or_else(|| cfg.expected("client failed"))?);
    }

    cfg.sleep(RAFT_ELECTION_TIMEOUT).await;
    let last = cfg.one(random(cfg), n, true).await?;
    let mut values = BTreeSet::new();
    for index in (1..=last).filter(|&index| !cfg.is_internal(index)) {
        let command = cfg.wait(index, n, None).await?;
        let Some(value) = command.as_deref().and_then(as_int) else {
            let found = command.map_or("nothing".into(), |command| show(&command));
            return Err(cfg.expected(expectation!("not an int: {found} at index {index}")));
        };
        values.insert(value);
    }
    for (index, x) in confirmed {
        if !values.contains(&x) {
            return Err(cfg.wrong(expectation!(
                "didn't find a value: {x}, which was seen committed at index {index}, is lost"
            )));
        }
    }
    Ok(())
}

/// One round of random faults: a server may be cut off, one may come back, one may crash.
fn churn_servers(cfg: &Config) {
    if cfg.dice().chance(200) {
        cfg.disconnect(random_server(cfg));
    }
    if cfg.dice().chance(500) {
        let i = random_server(cfg);
        if !cfg.is_running(i) {
            cfg.start1(i);
        }
        cfg.connect(i);
    }
    if cfg.dice().chance(200) {
        let i = random_server(cfg);
        if cfg.is_running(i) {
            cfg.crash1(i);
        }
    }
}

/// Starts random commands until it is told to stop. Returns those that it has seen committed, each
/// with its index.
async fn churn_client(cfg: Config, me: u32, stop: Rc<Cell<bool>>) -> Checked<Vec<(u64, u64)>> {
    let dice = cfg.client_dice(me);
    let mut confirmed = Vec::new();
    while !stop.get() {
        let x = dice.below(RANDOM_INTS);
        let mut accepted = None;
        for i in 0..cfg.n() {
            // Disconnected servers are tried as well. A crashed one accepts nothing.
            if let Some(Started { index, .. }) = cfg.start(i, x) {
                accepted = Some(index);
            }
        }
        if let Some(index) = accepted {
            if sees_committed(&cfg, index, x).await? {
                confirmed.push((index, x));
            }
        } else {
            cfg.sleep((79 + me * 17) * MILLISECOND).await;
        }
        // A leader that was cut off long ago accepts commands at indexes where the others have
        // already committed another. As in Go, no time passes in such a round, so other tasks must
        // get a turn.
        cfg.tester().yield_now().await;
    }
    Ok(confirmed)
}

/// Whether `x` is committed at this index. The command may never be, so this gives up after a
/// while.
async fn sees_committed(cfg: &Config, index: u64, x: u64) -> Checked<bool> {
    for pause in [10, 20, 50, 100, 200] {
        if let (1.., Some(command)) = cfg.n_committed(index)? {
            let value = as_int(&command);
            check(cfg, value.is_some(), || {
                expectation!("wrong command type: {} at index {index}", show(&command))
            })?;
            return Ok(value == Some(x));
        }
        cfg.sleep(pause * MILLISECOND).await;
    }
    Ok(false)
}
