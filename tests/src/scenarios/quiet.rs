//! More short scenarios for `lab search`: something has to happen by itself, while nothing more is started.
//!
//! A command that is started covers up for much. It wakes who has slept, makes a leader write to those whom it had
//! forgotten, and brings along what was not told in its time. So here nothing follows after what matters, for longer
//! than it may take.

use std::time::Duration;

use labraft::{Checked, Config, SNAPSHOT_INTERVAL};

use super::fault_target::FaultTarget;
use super::short::{HEARTBEAT, ROUND_TRIP, agree_all, leader, start_many};
use crate::beyond::check_timeouts;
use crate::steps::{random, restart};

/// Longer than what is committed may wait for a service that waits for it.
const QUIET: Duration = Duration::from_millis(750);
/// The longest time that a slow service takes for a command or a snapshot.
const SLOW: Duration = Duration::from_millis(30);
/// The commands that come to a slow service: several at a time, and many more before it is done with the first.
const AT_A_TIME: usize = 5;
const TIMES: u32 = 5;
const BETWEEN: Duration = Duration::from_millis(20);

/// The logs of two servers end exactly where their snapshots do, and the third lags behind. It stands for
/// election against one of them, gets its snapshot, and nothing is started after it. The same server restarts, and
/// there is another election between logs that are empty.
pub(crate) async fn short_log_ends(cfg: &Config) -> Checked<()> {
    let first = leader(cfg).await?;
    let lagging = (first + 1) % cfg.n();
    let lacked = SNAPSHOT_INTERVAL as usize / 2;
    start_many(cfg, first, SNAPSHOT_INTERVAL as usize - 1 - lacked);
    cfg.sleep(ROUND_TRIP).await;
    cfg.disconnect(lagging);
    start_many(cfg, first, lacked);
    // The follower learns with a heartbeat that all of it is committed.
    cfg.sleep(HEARTBEAT).await;

    cfg.disconnect(first);
    cfg.connect(lagging);
    let second = leader(cfg).await?;
    cfg.sleep(QUIET).await;
    restart(cfg, second);
    leader(cfg).await?;
    cfg.connect(first);
    cfg.sleep(HEARTBEAT).await;
    all_apply_one(cfg).await?;
    agree_all(cfg).await
}

/// More is committed than a slow service has taken, when a follower is cut off, comes back and gets a snapshot, and
/// when another restarts.
pub(crate) async fn short_slow_service(cfg: &Config) -> Checked<()> {
    let first = leader(cfg).await?;
    let lagging = (first + 1) % cfg.n();
    cfg.slow_service(SLOW);
    for time in 0..TIMES {
        start_many(cfg, first, AT_A_TIME);
        cfg.sleep(BETWEEN).await;
        if time == 1 {
            cfg.disconnect(lagging);
        }
    }
    cfg.connect(lagging);
    cfg.sleep(HEARTBEAT).await;
    start_many(cfg, first, AT_A_TIME);
    cfg.sleep(HEARTBEAT).await;
    restart(cfg, (first + 2) % cfg.n());
    cfg.sleep(QUIET).await;
    all_apply_one(cfg).await?;
    agree_all(cfg).await
}

/// No server hears of another for a long time. Each stands for election again and again, with a time-out of another
/// length each time, and soon after they are connected again one leads.
pub(crate) async fn short_outage(cfg: &Config) -> Checked<()> {
    let first = leader(cfg).await?;
    start_many(cfg, first, 1);
    cfg.sleep(ROUND_TRIP).await;
    for i in 0..cfg.n() {
        cfg.disconnect(i);
    }
    check_timeouts(cfg, (first + 1) % cfg.n()).await?;
    cfg.reconnect_all();
    leader(cfg).await?;
    cfg.sleep(HEARTBEAT).await;
    all_apply_one(cfg).await?;
    agree_all(cfg).await
}

/// Starts one command, and waits until all servers have applied it or are in a later term.
async fn all_apply_one(cfg: &Config) -> Checked<()> {
    let leader = leader(cfg).await?;
    if let Some(started) = cfg.start(leader, random(cfg)) {
        cfg.wait(started.index, cfg.n(), Some(started.term)).await?;
    }
    Ok(())
}
