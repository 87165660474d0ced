//! Part 4C: the course's challenges. What was handed over is deleted, and a change of the configuration does
//! not stop what it does not concern.

use std::time::Duration;

use labraft::{Checked, Threshold, expectation};
use shardctrler::Config;
use shardkv::key_to_shard;

use super::admin::Admin;
use super::groups::{Client, Groups, gid};
use super::work::Values;
use crate::steps::check_threshold;

/// The number of keys of the second challenge: one for each shard.
const KEYS: usize = 10;
/// How long the three operations on a key may take that have nothing to wait for. Go's tests have no limit
/// but their 120 s.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

const SECOND: Duration = Duration::from_secs(1);

/// Groups that have handed their shards over keep no copies.
pub(crate) async fn delete(cfg: &Groups, admin: &mut Admin, ck: &mut Client) -> Checked<()> {
    const KEYS: usize = 30;
    const CHECKED: usize = 3;
    const VALUE_BYTES: usize = 1000;
    // What the course allows: each value on three servers, those of the keys that are read also in what is
    // remembered of clients, and some more.
    const MOST_BYTES: usize =
        3 * ((KEYS - CHECKED) * VALUE_BYTES + 2 * CHECKED * VALUE_BYTES + 6000);
    cfg.join(admin, &[0]).await;
    let values = Values::put(cfg, ck, KEYS, VALUE_BYTES).await;
    values.check_first(cfg, ck, CHECKED).await?;
    for _ in 0..2 {
        cfg.join(admin, &[1]).await;
        cfg.leave(admin, &[0]).await;
        cfg.join(admin, &[2]).await;
        cfg.sleep(3 * SECOND).await;
        values.check_first(cfg, ck, CHECKED).await?;
        cfg.leave(admin, &[1]).await;
        cfg.join(admin, &[0]).await;
        cfg.leave(admin, &[2]).await;
        cfg.sleep(3 * SECOND).await;
        values.check_first(cfg, ck, CHECKED).await?;
    }
    cfg.join(admin, &[1]).await;
    cfg.join(admin, &[2]).await;
    for _ in 0..3 {
        cfg.sleep(SECOND).await;
        values.check_first(cfg, ck, CHECKED).await?;
    }
    let bytes = cfg.saved_bytes();
    check_threshold(cfg, Threshold::SavedSize, bytes <= MOST_BYTES, || {
        expectation!("snapshots and saved state are too large: {bytes} > {MOST_BYTES}")
    })?;
    values.check(cfg, ck).await
}

/// While a group cannot get new shards, because their old owner is down, it serves those that it has.
pub(crate) async fn unaffected(cfg: &Groups, admin: &mut Admin, ck: &mut Client) -> Checked<()> {
    cfg.join(admin, &[0]).await;
    let mut values = put_everywhere(cfg, ck, "100").await;
    cfg.join(admin, &[1]).await;
    let config = cfg.query(admin).await?;
    cfg.sleep(SECOND).await;
    for key in keys_of(&config, gid(1)) {
        values.0[key] = "101".into();
        cfg.put(ck, &key.to_string(), "101").await;
    }
    cfg.shutdown_group(0);
    cfg.leave(admin, &[0]).await;
    cfg.sleep(SECOND).await;
    update(cfg, ck, &values, keys_of(&config, gid(1)), "-1").await
}

/// A shard that has arrived is served, although others cannot come, because their old owner is down.
pub(crate) async fn partial(cfg: &Groups, admin: &mut Admin, ck: &mut Client) -> Checked<()> {
    cfg.join(admin, &[0, 1, 2]).await;
    cfg.sleep(SECOND).await;
    let values = put_everywhere(cfg, ck, "100").await;
    let config = cfg.query(admin).await?;
    cfg.shutdown_group(0);
    cfg.leave(admin, &[0, 2]).await;
    cfg.sleep(SECOND).await;
    update(cfg, ck, &values, keys_of(&config, gid(2)), "-2").await
}

async fn put_everywhere(cfg: &Groups, ck: &mut Client, value: &str) -> Values {
    for key in 0..KEYS {
        cfg.put(ck, &key.to_string(), value).await;
    }
    Values(vec![value.into(); KEYS])
}

/// The keys whose shards a group has.
fn keys_of(config: &Config, gid: u64) -> Vec<usize> {
    let owner = |key: &usize| config.shards[key_to_shard(&key.to_string())];
    (0..KEYS).filter(|key| owner(key) == gid).collect()
}

/// Checks these keys, and changes their values. Nothing of it has anything to wait for.
async fn update(
    cfg: &Groups,
    ck: &mut Client,
    values: &Values,
    keys: Vec<usize>,
    more: &str,
) -> Checked<()> {
    for key in keys {
        let name = key.to_string();
        let value = format!("{}{more}", values.0[key]);
        let operations = async {
            cfg.check(ck, &name, &values.0[key]).await?;
            cfg.put(ck, &name, &value).await;
            cfg.check(ck, &name, &value).await
        };
        let Some(checked) = cfg.tester().timeout(LONGEST_WAIT, operations).await else {
            let waiting = cfg.waiting().unwrap_or_default();
            let what = expectation!("a shard that can be served is not served: {waiting}");
            return Err(cfg.expected(what));
        };
        checked?;
    }
    Ok(())
}
