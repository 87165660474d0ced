//! A short scenario for `lab search` about leaders that are replaced and cannot know it (parts 2F and 2G).
//!
//! What a read has to see is a property of every run, so the steps only lead to where it matters.

use std::time::Duration;

use labraft::{Checked, Config};

use super::fault_target::FaultTarget;
use super::short::{HEARTBEAT, ROUND_TRIP, agree_all, leader, start_many};
use crate::reads::{Read, all_end};
use crate::reigns::{others, state};

/// How often a leader that is being replaced is asked for a read.
const READ_EVERY: Duration = Duration::from_millis(2);
/// How long the others have to replace it: several time-outs.
const REPLACED: Duration = Duration::from_millis(1500);
/// How soon reads have to end when all servers hear each other again.
const END_LIMIT: Duration = Duration::from_secs(1);

/// A leader hears only one of its followers, so that its answers alone confirm that it leads. Then it is cut off, but an
/// answer may still be on its way while the followers elect one of them. The next leader hands over its leadership when
/// it hears nothing any more, to a server that has an entry of which it does not know that it is committed.
pub(crate) async fn short_reads(cfg: &Config) -> Checked<()> {
    let first = leader(cfg).await?;
    commit(cfg, first).await;
    let unheard = (first + 1) % cfg.n();
    cfg.step(|| format!("server {first} does not hear server {unheard} any more"));
    cfg.deafen(first, [unheard]);
    let mut reads = Vec::new();
    reads.extend(Read::begin(cfg, first));
    cfg.sleep(HEARTBEAT).await;
    cfg.disconnect(first);
    read_while_replaced(cfg, first, reads).await?;

    let second = leader(cfg).await?;
    cfg.sleep(HEARTBEAT).await;
    commit(cfg, second).await;
    cfg.step(|| format!("server {second} hears nothing any more"));
    cfg.deafen(second, others(cfg, second));
    if cfg.transfer_leadership(second, (second + 1) % cfg.n()) {
        read_while_replaced(cfg, second, Vec::new()).await?;
    }
    cfg.reconnect_all();
    agree_all(cfg).await
}

/// Has a leader commit a command.
async fn commit(cfg: &Config, leader: usize) {
    start_many(cfg, leader, 1);
    cfg.sleep(ROUND_TRIP).await;
}

/// Asks a leader for reads until another one has had the time to commit something in its place, and that one at once.
/// Then all servers hear each other again, and all of the reads end.
async fn read_while_replaced(cfg: &Config, old: usize, mut reads: Vec<Read>) -> Checked<()> {
    let term = state(cfg, old).term;
    let now = || cfg.tester().now();
    let mut end = now() + REPLACED;
    let mut next = None;
    while next.is_none() && now() < end {
        reads.extend(Read::begin(cfg, old));
        next = next_leader(cfg, term, now() + READ_EVERY).await;
    }
    if let Some(next) = next {
        reads.extend(Read::begin(cfg, next));
        start_many(cfg, next, 1);
        end = now() + HEARTBEAT;
        while now() < end {
            reads.extend(Read::begin(cfg, old));
            cfg.sleep(READ_EVERY).await;
        }
    }
    cfg.reconnect_all();
    all_end(cfg, &reads, END_LIMIT, "all servers were connected").await
}

/// The leader of a later term, as soon as there is one and before it can have committed anything; `None` if there is
/// none until `end`.
async fn next_leader(cfg: &Config, term: u64, end: Duration) -> Option<usize> {
    let leads = |&i: &usize| state(cfg, i).is_leader && state(cfg, i).term > term;
    while cfg.tester().now() < end {
        let next = (0..cfg.n()).find(leads);
        if next.is_some() {
            return next;
        }
        _ = cfg.tester().timeout(end - cfg.tester().now(), cfg.server_active()).await;
    }
    None
}
