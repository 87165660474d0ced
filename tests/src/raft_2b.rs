//! Part 2B, log: a majority agrees on the commands and their order, at a reasonable cost.

use std::time::Duration;

use labraft::{Checked, Config, RAFT_ELECTION_TIMEOUT, Started, Threshold, expectation, show};

use crate::steps::{as_int, check, check_index, check_threshold, next_index, random, rpcs};

/// Three commands are committed at the indexes 1 to 3, and none before it is started. Catches
/// indexes that begin at 0, and a last entry that is applied only when another one follows.
pub(crate) async fn basic_agree(cfg: &Config) -> Checked<()> {
    let mut index = 1;
    for command in [100, 200, 300] {
        let (applied, _) = cfg.n_committed(index)?;
        check(cfg, applied == 0, || {
            expectation!("some have committed before Start(): {applied} servers at index {index}")
        })?;
        let found = cfg.one(command, cfg.n(), false).await?;
        let got = || expectation!("got index {found} but expected {index}");
        index = check_index(cfg, found, index, got)? + 1;
    }
    Ok(())
}

/// Each command is sent to each peer just once. Catches a Raft that always sends its whole log, or
/// sends entries again while they are still in flight.
pub(crate) async fn rpc_bytes(cfg: &Config) -> Checked<()> {
    const COMMANDS: u64 = 10;
    const LENGTH: u64 = 5000;
    let first = cfg.one(99, cfg.n(), false).await?;
    let mut index = next_index(cfg, first, 2);
    let before = cfg.bytes_total();
    for _ in 0..COMMANDS {
        let found = cfg.one(random_text(cfg, LENGTH), cfg.n(), false).await?;
        let got = || expectation!("got index {found} but expected {index}");
        index = check_index(cfg, found, index, got)? + 1;
    }
    let got = cfg.bytes_total() - before;
    let expected = cfg.n() as u64 * COMMANDS * LENGTH;
    let allowed = expected + 50_000;
    check_threshold(cfg, Threshold::RpcBytes, got <= allowed, || {
        expectation!("too many RPC bytes; got {got}, expected {expected}; the limit is {allowed}")
    })
}

/// A random text of letters, digits, `-` and `_`. Each character takes six random bits, and each
/// draw gives eight characters.
fn random_text(cfg: &Config, length: u64) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let dice = cfg.dice();
    let mut text = String::new();
    for _ in 0..length.div_ceil(8) {
        let bits = dice.below(1 << 48);
        text.extend((0..8).map(|i| char::from(LETTERS[(bits >> (6 * i)) as usize % 64])));
    }
    text.truncate(length as usize);
    text
}

/// Followers fail one after the other: two of three servers agree, one alone does not. Catches a
/// leader that requires too few servers for a majority, or counts servers that do not answer.
pub(crate) async fn follower_failure(cfg: &Config) -> Checked<()> {
    let n = cfg.n();
    cfg.one(101, n, false).await?;

    // Without one follower, the leader and the other follower agree.
    let leader1 = cfg.check_one_leader().await?;
    cfg.disconnect((leader1 + 1) % n);
    cfg.one(102, n - 1, false).await?;
    cfg.sleep(RAFT_ELECTION_TIMEOUT).await;
    let last = cfg.one(103, n - 1, false).await?;

    // Without both followers, the leader accepts a command but does not commit it.
    let leader2 = cfg.check_one_leader().await?;
    cfg.disconnect((leader2 + 1) % n);
    cfg.disconnect((leader2 + 2) % n);
    let Some(Started { index, .. }) = cfg.start(leader2, 104) else {
        return Err(cfg.expected("leader rejected Start()"));
    };
    let expected = next_index(cfg, last, 4);
    check_index(cfg, index, expected, || expectation!("expected index {expected}, got {index}"))?;
    cfg.sleep(2 * RAFT_ELECTION_TIMEOUT).await;
    check_none_committed(cfg, index)
}

/// Leaders fail one after the other: two of three servers go on, one alone does not. Catches a
/// server that becomes leader or commits without a majority.
pub(crate) async fn leader_failure(cfg: &Config) -> Checked<()> {
    let n = cfg.n();
    cfg.one(101, n, false).await?;

    // Without the first leader, the other two agree.
    let leader1 = cfg.check_one_leader().await?;
    cfg.disconnect(leader1);
    cfg.one(102, n - 1, false).await?;
    cfg.sleep(RAFT_ELECTION_TIMEOUT).await;
    let last = cfg.one(103, n - 1, false).await?;

    // Without the second leader too, no server commits anything, whichever gets the command.
    let leader2 = cfg.check_one_leader().await?;
    cfg.disconnect(leader2);
    for i in 0..n {
        cfg.start(i, 104);
    }
    cfg.sleep(2 * RAFT_ELECTION_TIMEOUT).await;
    check_none_committed(cfg, next_index(cfg, last, 4))
}

/// Checks that no server has applied a command at this index.
fn check_none_committed(cfg: &Config, index: u64) -> Checked<()> {
    let (applied, _) = cfg.n_committed(index)?;
    check(cfg, applied == 0, || {
        expectation!("{applied} committed but no majority: at index {index}")
    })
}

/// A follower that was cut off catches up. Catches a leader that gives up on a server, needs all
/// servers to commit, or waits for the one that does not answer.
pub(crate) async fn fail_agree(cfg: &Config) -> Checked<()> {
    let n = cfg.n();
    cfg.one(101, n, false).await?;

    let leader = cfg.check_one_leader().await?;
    let follower = (leader + 1) % n;
    cfg.disconnect(follower);
    cfg.one(102, n - 1, false).await?;
    cfg.one(103, n - 1, false).await?;
    cfg.sleep(RAFT_ELECTION_TIMEOUT).await;
    cfg.one(104, n - 1, false).await?;
    cfg.one(105, n - 1, false).await?;

    cfg.connect(follower);
    // All three agree, including on what was committed in the meantime.
    cfg.one(106, n, true).await?;
    cfg.sleep(RAFT_ELECTION_TIMEOUT).await;
    cfg.one(107, n, true).await?;
    Ok(())
}

/// Two of five servers commit nothing, and all five agree once they are connected again. Catches a
/// wrongly computed majority.
pub(crate) async fn fail_no_agree(cfg: &Config) -> Checked<()> {
    let n = cfg.n();
    let first = cfg.one(10, n, false).await?;

    let leader = cfg.check_one_leader().await?;
    let followers = [1, 2, 3].map(|k| (leader + k) % n);
    for i in followers {
        cfg.disconnect(i);
    }
    let Some(Started { index, .. }) = cfg.start(leader, 20) else {
        return Err(cfg.expected("leader rejected Start()"));
    };
    let expected = next_index(cfg, first, 2);
    check_index(cfg, index, expected, || expectation!("expected index {expected}, got {index}"))?;
    cfg.sleep(2 * RAFT_ELECTION_TIMEOUT).await;
    check_none_committed(cfg, index)?;

    for i in followers {
        cfg.connect(i);
    }
    // The three may have elected one of themselves as leader, which never received command 20.
    let leader2 = cfg.check_one_leader().await?;
    let Some(Started { index: index2, .. }) = cfg.start(leader2, 30) else {
        return Err(cfg.expected("leader2 rejected Start()"));
    };
    let expected = if index2 == index { index } else { index + 1 };
    check_index(cfg, index2, expected, || {
        expectation!("unexpected index {index2}; it must be {index} or one more")
    })?;
    cfg.one(1000, n, true).await?;
    Ok(())
}

/// Makes up to five attempts at something that can only be judged while one leader stays in one
/// term. `attempt` returns `None` when the leader or its term has changed.
async fn in_one_term<T>(
    cfg: &Config,
    attempt: impl AsyncFn(&Config) -> Checked<Option<T>>,
) -> Checked<T> {
    for round in 0..5 {
        if round > 0 {
            // Gives the cluster time to settle.
            cfg.sleep(Duration::from_secs(3)).await;
        }
        if let Some(value) = attempt(cfg).await? {
            return Ok(value);
        }
    }
    Err(cfg.expected("term changed too often"))
}

/// Whether every server is in this term.
fn all_in_term(cfg: &Config, term: u64) -> bool {
    (0..cfg.n()).all(|i| cfg.state(i).is_some_and(|state| state.term == term))
}

/// Five commands that are started concurrently are all committed. Catches a Raft that gives one
/// index to two commands, or applies commands from several tasks in arbitrary order.
pub(crate) async fn concurrent_starts(cfg: &Config) -> Checked<()> {
    in_one_term(cfg, start_five).await
}

/// One attempt: the leader is given one command, and then five from a task each.
async fn start_five(cfg: &Config) -> Checked<Option<()>> {
    let leader = cfg.check_one_leader().await?;
    let Some(Started { term, .. }) = cfg.start(leader, 1) else { return Ok(None) };

    let commands = 100..105;
    let mut clients = Vec::new();
    for command in commands.clone() {
        let client_cfg = cfg.clone();
        let client = async move { client_cfg.start(leader, command) };
        clients.push(cfg.tester().spawn("Start", client));
    }
    let mut indexes = Vec::new();
    for client in clients {
        let started = client.await.flatten();
        indexes.extend(started.filter(|started| started.term == term).map(|started| started.index));
    }
    if !all_in_term(cfg, term) {
        return Ok(None);
    }

    let mut values = Vec::new();
    for index in indexes {
        let Some(command) = cfg.wait(index, cfg.n(), Some(term)).await? else { return Ok(None) };
        let Some(value) = as_int(&command) else {
            return Err(cfg.expected(expectation!("value {} is not an int", show(&command))));
        };
        values.push(value);
    }
    for command in commands {
        check(cfg, values.contains(&command), || {
            expectation!("cmd {command} missing in {values:?}")
        })?;
    }
    Ok(Some(()))
}

/// A leader that was cut off comes back with entries that no other server has, and must give them
/// up. Both sides of the partition use the values 103 and 104. Catches an old leader that keeps or
/// commits such entries, and heartbeats that are accepted without the consistency check of the log.
pub(crate) async fn rejoin(cfg: &Config) -> Checked<()> {
    let n = cfg.n();
    cfg.one(101, n, true).await?;

    // The leader is cut off, and accepts commands that it cannot commit.
    let leader1 = cfg.check_one_leader().await?;
    cfg.disconnect(leader1);
    for command in [102, 103, 104] {
        cfg.start(leader1, command);
    }
    // A new leader commits at index 2 as well.
    cfg.one(103, 2, true).await?;

    // Now the new leader is cut off, and the old one is back.
    let leader2 = cfg.check_one_leader().await?;
    cfg.disconnect(leader2);
    cfg.connect(leader1);
    cfg.one(104, 2, true).await?;

    // All servers are connected again.
    cfg.connect(leader2);
    cfg.one(105, n, true).await?;
    Ok(())
}

/// Servers with many uncommitted entries are connected to servers with other entries, twice.
/// Catches a leader that backs up by one entry per round trip or sends one entry per request, and
/// servers that vote without comparing the candidate's log to theirs.
pub(crate) async fn backup(cfg: &Config) -> Checked<()> {
    let n = cfg.n();
    cfg.one(random(cfg), n, true).await?;

    // The leader and one follower are alone with many commands that they cannot commit.
    let leader1 = cfg.check_one_leader().await?;
    let leader_side = [leader1, (leader1 + 1) % n];
    let majority = [2, 3, 4].map(|k| (leader1 + k) % n);
    for i in majority {
        cfg.disconnect(i);
    }
    for _ in 0..50 {
        cfg.start(leader1, random(cfg));
    }
    cfg.sleep(RAFT_ELECTION_TIMEOUT / 2).await;

    // The other three, on their own, commit as many.
    for i in leader_side {
        cfg.disconnect(i);
    }
    for i in majority {
        cfg.connect(i);
    }
    for _ in 0..50 {
        cfg.one(random(cfg), 3, true).await?;
    }

    // Their leader and one of its followers get many commands that they cannot commit either.
    let leader2 = cfg.check_one_leader().await?;
    let other = if leader2 == majority[0] { (leader2 + 1) % n } else { majority[0] };
    cfg.disconnect(other);
    for _ in 0..50 {
        cfg.start(leader2, random(cfg));
    }
    cfg.sleep(RAFT_ELECTION_TIMEOUT / 2).await;

    // The first two are back, together with a server that has every committed entry.
    for i in 0..n {
        cfg.disconnect(i);
    }
    for i in leader_side {
        cfg.connect(i);
    }
    cfg.connect(other);
    for _ in 0..50 {
        cfg.one(random(cfg), 3, true).await?;
    }

    for i in 0..n {
        cfg.connect(i);
    }
    cfg.one(random(cfg), n, true).await?;
    Ok(())
}

/// An election, an agreement and an idle second take few requests. Catches one request per command
/// and peer, retries without a pause, and heartbeats that are too frequent.
pub(crate) async fn count(cfg: &Config) -> Checked<()> {
    cfg.check_one_leader().await?;
    let total1 = rpcs(cfg);
    check_threshold(cfg, Threshold::RpcCount, (1..=30).contains(&total1), || {
        expectation!(
            "too many or few RPCs ({total1}) to elect initial leader; the limits are 1 and 30"
        )
    })?;

    let total2 = in_one_term(cfg, count_agreement).await?;

    cfg.sleep(RAFT_ELECTION_TIMEOUT).await;
    let idle = rpcs(cfg) - total2;
    check_threshold(cfg, Threshold::RpcCount, idle <= 3 * 20, || {
        expectation!("too many RPCs ({idle}) for 1 second of idleness; the limit is 60")
    })
}

/// One attempt: twelve commands at once. Returns the number of requests since the beginning of the
/// test when all commands but the last are committed.
async fn count_agreement(cfg: &Config) -> Checked<Option<u64>> {
    const WAITED_FOR: u64 = 10;
    const ALLOWED: u64 = (WAITED_FOR + 1 + 3) * 3;
    let leader = cfg.check_one_leader().await?;
    let total1 = rpcs(cfg);
    let Some(first) = cfg.start(leader, 1) else { return Ok(None) };

    let mut commands = Vec::new();
    let mut index = first.index + 1;
    for _ in 0..=WAITED_FOR {
        let command = cfg.dice().below(1 << 31);
        let Some(started) = cfg.start(leader, command) else { return Ok(None) };
        if started.term != first.term {
            return Ok(None);
        }
        let got = || {
            expectation!("Start() failed: it returned index {}, expected {index}", started.index)
        };
        let accepted = check_index(cfg, started.index, index, got)?;
        commands.push((accepted, command));
        index = accepted + 1;
    }
    for &(index, expected) in &commands[..WAITED_FOR as usize] {
        let Some(command) = cfg.wait(index, cfg.n(), Some(first.term)).await? else {
            return Ok(None);
        };
        check(cfg, as_int(&command) == Some(expected), || {
            let command = show(&command);
            expectation!("wrong value {command} committed for index {index}; expected {expected}")
        })?;
    }

    if !all_in_term(cfg, first.term) {
        return Ok(None);
    }
    let total2 = rpcs(cfg);
    let used = total2 - total1;
    check_threshold(cfg, Threshold::RpcCount, used <= ALLOWED, || {
        let entries = commands.len() + 1;
        expectation!("too many RPCs ({used}) for {entries} entries; the limit is {ALLOWED}")
    })?;
    Ok(Some(total2))
}
