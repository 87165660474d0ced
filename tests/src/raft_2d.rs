//! Part 2D, snapshots: the log is trimmed, and who lacks what was trimmed is given the snapshot.

use labraft::{Checked, Config, MAX_LOG_SIZE_BYTES, SNAPSHOT_INTERVAL};

use crate::steps::{check, random, restart};

/// What happens to one server in each round of [`snap_common`].
#[derive(Copy, Clone, PartialEq, Eq)]
enum Victim {
    Stays,
    IsCutOff,
    Crashes,
}

/// Thirty rounds of commands with snapshots, in each of which one server may be away for a while:
/// a follower in two rounds of three, the leader in the third.
async fn snap_common(cfg: &Config, what: Victim) -> Checked<()> {
    let n = cfg.n();
    cfg.one(random(cfg), n, true).await?;
    let mut leader1 = cfg.check_one_leader().await?;

    for round in 0..30 {
        let follower = (leader1 + 1) % n;
        let (sender, victim) =
            if round % 3 == 1 { (follower, leader1) } else { (leader1, follower) };
        match what {
            Victim::Stays => {}
            Victim::IsCutOff => cfg.disconnect(victim),
            Victim::Crashes => cfg.crash1(victim),
        }
        if what != Victim::Stays {
            cfg.one(random(cfg), n - 1, true).await?;
        }

        // Perhaps enough for a snapshot. If the sender does not lead, nothing comes of it.
        for _ in 0..random_count(cfg) {
            cfg.start(sender, random(cfg));
        }
        // If all are there, all must have caught up, so that nobody needs to be sent a snapshot.
        let expected = if what == Victim::Stays { n } else { n - 1 };
        cfg.one(random(cfg), expected, true).await?;

        let size = cfg.log_size();
        check(cfg, size < MAX_LOG_SIZE_BYTES, || {
            format!("Log size too large: {size} bytes are saved; {MAX_LOG_SIZE_BYTES} are too many")
        })?;

        match what {
            Victim::Stays => continue, // The leader is not looked up again.
            Victim::IsCutOff => cfg.connect(victim),
            Victim::Crashes => restart(cfg, victim),
        }
        // The victim may have to be sent a snapshot to catch up.
        cfg.one(random(cfg), n, true).await?;
        leader1 = cfg.check_one_leader().await?;
    }
    Ok(())
}

/// How many commands: 5 to 14.
fn random_count(cfg: &Config) -> u64 {
    SNAPSHOT_INTERVAL / 2 + cfg.dice().below(SNAPSHOT_INTERVAL)
}

/// The log is trimmed while all servers keep up. Catches a log that is not trimmed or is indexed
/// wrongly once it is, and a Raft that holds its lock while it applies.
pub(crate) async fn snapshot_basic(cfg: &Config) -> Checked<()> {
    snap_common(cfg, Victim::Stays).await
}

/// A server that was cut off finds the log trimmed beyond its own end. Catches a leader that does
/// not send its snapshot, and a follower that installs an old one, or forgets the entries that
/// follow it. On an unreliable network, also what is installed twice or late.
pub(crate) async fn snapshot_install(cfg: &Config) -> Checked<()> {
    snap_common(cfg, Victim::IsCutOff).await
}

/// The same with a server that crashes in place of being cut off. Catches a snapshot that is not
/// saved with the state that goes with it, and a restart that does not begin after the snapshot.
pub(crate) async fn snapshot_install_crash(cfg: &Config) -> Checked<()> {
    snap_common(cfg, Victim::Crashes).await
}

/// All servers crash and restart, five times, and indexes go on from where they were. Catches a
/// position in the log that is lost with the entries that the snapshot has replaced.
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
        check(cfg, index2 > index1, || format!("index decreased from {index1} to {index2}"))?;
    }
    Ok(())
}

/// All servers crash, save something after the restart, and crash again. Catches a Raft that saves
/// its state without the snapshot: the second restart meets a trimmed log and no snapshot.
pub(crate) async fn snapshot_init(cfg: &Config) -> Checked<()> {
    let n = cfg.n();
    cfg.one(random(cfg), n, true).await?;
    // Enough for a snapshot.
    for _ in 0..SNAPSHOT_INTERVAL + 1 {
        cfg.one(random(cfg), n, true).await?;
    }
    crash_and_restart_all(cfg);
    // One command, so that every server saves its state.
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
