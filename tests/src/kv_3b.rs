//! Part 3B: the service with snapshots. Most of its tests are [`GenericTest`]s.
//!
//! [`GenericTest`]: crate::kv_generic::GenericTest

use labraft::{Checked, Threshold, expectation};

use crate::kv::KvConfig;
use crate::steps::{check_sizes, check_threshold};

/// A server in a minority misses entries that the others have already discarded from their logs.
/// Catches a leader that does not send snapshots, and one that keeps its log for servers that do
/// not answer.
pub(crate) async fn snapshot_rpc(cfg: &KvConfig) -> Checked<()> {
    let mut all = cfg.make_client_of_all();
    cfg.put(&mut all, "a", "A").await;
    cfg.check(&mut all, "a", "A").await?;

    cfg.partition([&[0, 1], &[2]]);
    let mut client = cfg.make_client([0, 1]);
    for i in 0..50 {
        let text = i.to_string();
        cfg.put(&mut client, &text, &text).await;
    }
    cfg.sleep_election_timeout().await;
    cfg.put(&mut client, "b", "B").await;
    check_sizes(cfg, cfg.max_raft_state())?;

    // Now a majority needs server 2, which has to catch up by a snapshot.
    cfg.partition([&[0, 2], &[1]]);
    let mut client = cfg.make_client([0, 2]);
    cfg.put(&mut client, "c", "C").await;
    cfg.put(&mut client, "d", "D").await;
    for (key, value) in [("a", "A"), ("b", "B"), ("1", "1"), ("49", "49")] {
        cfg.check(&mut client, key, value).await?;
    }

    cfg.partition([&[0, 1, 2], &[]]);
    cfg.put(&mut all, "e", "E").await;
    for (key, value) in [("c", "C"), ("e", "E"), ("1", "1")] {
        cfg.check(&mut all, key, value).await?;
    }
    Ok(())
}

/// Small values are written to one key many times. Neither the log nor the snapshot may grow.
pub(crate) async fn snapshot_size(cfg: &KvConfig) -> Checked<()> {
    const MAX_SNAPSHOT_BYTES: usize = 500;
    let mut client = cfg.make_client_of_all();
    for _ in 0..200 {
        for value in ["0", "1"] {
            cfg.put(&mut client, "x", value).await;
            cfg.check(&mut client, "x", value).await?;
        }
    }
    check_sizes(cfg, cfg.max_raft_state())?;
    let size = cfg.snapshot_size();
    check_threshold(cfg, Threshold::SavedSize, size <= MAX_SNAPSHOT_BYTES, || {
        expectation!("snapshot too large ({size} > {MAX_SNAPSHOT_BYTES})")
    })?;
    Ok(())
}
