//! A short scenario for `lab search`: leaders are replaced without knowing it (parts 2F and 2G).
//!
//! Every run checks what reads see, so the steps only have to lead to where that matters.

use std::time::Duration;

use labraft::{Checked, Config};

use super::fault_target::FaultTarget;
use super::short::{HEARTBEAT, ROUND_TRIP, agree_all, leader, start_many};
use crate::reads::{END_LIMIT, Read, all_end};
use crate::reigns::{leads_after, others, state};

/// How often a leader that is being replaced is asked for a read.
const READ_EVERY: Duration = Duration::from_millis(2);
/// How long the others have to elect another leader: several time-outs.
const REPLACED: Duration = Duration::from_millis(1500);

/// A leader hears only one of its followers, so only that one's answers confirm that it leads. Then it is cut off, and the
/// followers elect one of themselves while an answer may still be on its way. The next leader can no longer hear anyone
/// when it hands over its leadership. Its successor has the last entry, but does not know yet that it is committed.
pub(crate) async fn short_reads(cfg: &Config) -> Checked<()> {
    let first = leader(cfg).await?;
    commit(cfg, first).await;
    let unheard = (first + 1) % cfg.n();
    cfg.step(|| format!("server {first} does not hear server {unheard} any more"));
    cfg.deafen(first, [unheard]);
    let reads = Vec::from_iter(Read::begin(cfg, first));
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

/// Keeps asking a leader for reads until another has had time to commit something in its place. The new leader is asked
/// once, as soon as it leads. Then all servers hear each other again, and all reads must end.
async fn read_while_replaced(cfg: &Config, old: usize, mut reads: Vec<Read>) -> Checked<()> {
    let term = state(cfg, old).term;
    let now = || cfg.tester().now();
    let elected_by = now() + REPLACED;
    let mut next = None;
    while next.is_none() && now() < elected_by {
        reads.extend(Read::begin(cfg, old));
        next = next_leader(cfg, term, now() + READ_EVERY).await;
    }
    if let Some(next) = next {
        reads.extend(Read::begin(cfg, next));
        start_many(cfg, next, 1);
        let committed_by = now() + HEARTBEAT;
        while now() < committed_by {
            reads.extend(Read::begin(cfg, old));
            cfg.sleep(READ_EVERY).await;
        }
    }
    cfg.reconnect_all();
    all_end(cfg, &reads, END_LIMIT, "all servers were connected").await
}

/// Waits for the leader of a later term, and returns it before it can have committed anything. `None` if there is none
/// by `end`.
async fn next_leader(cfg: &Config, term: u64, end: Duration) -> Option<usize> {
    while cfg.tester().now() < end {
        let next = (0..cfg.n()).find(|&i| leads_after(cfg, i, term));
        if next.is_some() {
            return next;
        }
        _ = cfg.tester().timeout(end - cfg.tester().now(), cfg.server_active()).await;
    }
    None
}
