//! Part 2D, snapshots: the log is trimmed, and a server that lacks trimmed entries is sent the
//! snapshot.

use labraft::{Checked, Config, MAX_LOG_SIZE_BYTES, SNAPSHOT_INTERVAL, Threshold, expectation};

use crate::steps::{check, check_threshold, random, restart};

/// What happens to one server in each round of [`snap_common`].
#[derive(Copy, Clone, PartialEq, Eq)]
enum Disruption {
    None,
    Disconnect,
    Crash,
}

/// Thirty rounds of commands with snapshots. With a disruption, one server misses a part of each
/// round: a follower in two rounds of three, the leader in the third.
async fn snap_common(cfg: &Config, disruption: Disruption) -> Checked<()> {
    let n = cfg.n();
    cfg.one(random(cfg), n, true).await?;
    let mut leader1 = cfg.check_one_leader().await?;

    for round in 0..30 {
        let follower = (leader1 + 1) % n;
        let (sender, victim) =
            if round % 3 == 1 { (follower, leader1) } else { (leader1, follower) };
        match disruption {
            Disruption::None => {}
            Disruption::Disconnect => cfg.disconnect(victim),
            Disruption::Crash => cfg.crash1(victim),
        }
        if disruption != Disruption::None {
            cfg.one(random(cfg), n - 1, true).await?;
        }

        // Perhaps enough for a snapshot. A sender that does not lead rejects them all.
        for _ in 0..random_count(cfg) {
            cfg.start(sender, random(cfg));
        }
        // Without a disruption all must have caught up, so that none has to be sent a snapshot.
        let expected = if disruption == Disruption::None { n } else { n - 1 };
        cfg.one(random(cfg), expected, true).await?;

        let size = cfg.log_size();
        check_threshold(cfg, Threshold::SavedSize, size < MAX_LOG_SIZE_BYTES, || {
            expectation!(
                "Log size too large: {size} bytes are saved; {MAX_LOG_SIZE_BYTES} are too many"
            )
        })?;

        match disruption {
            Disruption::None => continue, // As in the course, the leader is not looked up again.
            Disruption::Disconnect => cfg.connect(victim),
            Disruption::Crash => restart(cfg, victim),
        }
        // The victim may have to be sent a snapshot to catch up.
        cfg.one(random(cfg), n, true).await?;
        leader1 = cfg.check_one_leader().await?;
    }
    Ok(())
}

/// A random number of commands, 5 to 14, where ten lead to a snapshot.
fn random_count(cfg: &Config) -> u64 {
    SNAPSHOT_INTERVAL / 2 + cfg.dice().below(SNAPSHOT_INTERVAL)
}

/// The log is trimmed while all servers keep up. Catches a log that is not trimmed, indexes that
/// are wrong in a trimmed log, and a Raft that holds its lock while it applies commands.
pub(crate) async fn snapshot_basic(cfg: &Config) -> Checked<()> {
    snap_common(cfg, Disruption::None).await
}

/// A server that was cut off needs entries that the leader has already trimmed. Catches a leader
/// that does not send its snapshot, and a follower that installs an outdated one or discards the
/// entries after it. On an unreliable network it also catches snapshots that are installed twice or
/// too late.
pub(crate) async fn snapshot_install(cfg: &Config) -> Checked<()> {
    snap_common(cfg, Disruption::Disconnect).await
}

/// Like [`snapshot_install`], but the server crashes instead of being cut off. Catches a snapshot
/// that is not saved together with Raft's state, and a restart that does not continue from the snapshot.
pub(crate) async fn snapshot_install_crash(cfg: &Config) -> Checked<()> {
    snap_common(cfg, Disruption::Crash).await
}

/// All servers crash and restart, five times, and indexes continue from where they were. Catches a
/// Raft that forgets how many entries the snapshot has replaced.
pub(crate) async fn snapshot_all_crash(cfg: &Config) -> Checked<()> {
    let n = cfg.n();
    cfg.one(random(cfg), n, true).await?;
    for _ in 0..5 {
        // Perhaps enough for a snapshot.
        for _ in 0..random_count(cfg) {
            cfg.one(random(cfg), n, true).await?;
        }
        let index1 = cfg.one(random(cfg), n, true).await?;
        crash_and_restart_all(cfg);
        let index2 = cfg.one(random(cfg), n, true).await?;
        check(cfg, index2 > index1, || expectation!("index decreased from {index1} to {index2}"))?;
    }
    Ok(())
}

/// All servers crash, save their state after the restart, and crash again. Catches a Raft that
/// saves its state without the snapshot: the second restart finds a trimmed log and no snapshot.
pub(crate) async fn snapshot_init(cfg: &Config) -> Checked<()> {
    let n = cfg.n();
    cfg.one(random(cfg), n, true).await?;
    // Enough for a snapshot.
    for _ in 0..SNAPSHOT_INTERVAL + 1 {
        cfg.one(random(cfg), n, true).await?;
    }
    crash_and_restart_all(cfg);
    // One command makes every server save its state.
    cfg.one(random(cfg), n, true).await?;
    crash_and_restart_all(cfg);
    cfg.one(random(cfg), n, true).await?;
    Ok(())
}

fn crash_and_restart_all(cfg: &Config) {
    for i in 0..cfg.n() {
        cfg.crash1(i);
    }
    for i in 0..cfg.n() {
        restart(cfg, i);
    }
}
