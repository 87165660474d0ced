//! Part 4A: the shard controller.
//!
//! In Go, the checks of minimal transfers look at groups that are not there, so they check nothing. Here
//! every configuration that is seen must follow from the one before it with as few moves as possible: see
//! `configurations`. And each test asks for all of them at its end.

use std::time::Duration;

use labraft::{Checked, expectation};
use labrpc::JoinHandle;
use shardctrler::{Config, N_SHARDS};

use super::admin::Admin;
use super::controllers::{Controllers, Group};
use crate::steps::{check, spawn_client};

/// The number of clerks that work at the same time.
const CLERKS: u64 = 10;
/// How often a new leader is looked for, and how long each time.
const LEADER_TRIES: usize = 3;
const LEADER_PAUSE: Duration = Duration::from_secs(1);

/// Groups join and leave one by one, and shards are moved.
pub(crate) async fn basic(cfg: &Controllers, admin: &mut Admin) -> Checked<()> {
    let configs = join_and_leave(cfg, admin).await?;

    cfg.begin("historical queries");
    for s in 0..cfg.n() {
        cfg.shutdown(s);
        for config in &configs {
            let again = cfg.query(admin, Some(config.num)).await?;
            check_same(cfg, config, &again)?;
        }
        cfg.start(s);
        cfg.connect_all();
    }
    cfg.end()?;

    cfg.begin("move");
    moves(cfg, admin).await?;
    cfg.end()?;

    cfg.begin("concurrent leave/join");
    let gids: Vec<u64> = (0..CLERKS).map(|i| 100 + 10 * i).collect();
    together(cfg, &gids, async |cfg, admin, gid| {
        let (a, b) = names(gid);
        cfg.join(admin, &[(gid + 1000, a)]).await;
        cfg.join(admin, &[(gid, b)]).await;
        cfg.leave(admin, &[gid + 1000]).await;
    })
    .await;
    check_groups(cfg, admin, &gids).await?;
    cfg.end()?;

    let more: Vec<u64> = (1..=5).map(|i| 10 + i).collect();
    cfg.begin("minimal transfers after joins");
    let before = cfg.query(admin, None).await?;
    for &gid in &more {
        cfg.join(admin, &[(gid, names(gid).0)]).await;
    }
    let joined = cfg.query(admin, None).await?;
    check_kept(cfg, &before, &joined)?;
    cfg.end()?;

    cfg.begin("minimal transfers after leaves");
    for &gid in &more {
        cfg.leave(admin, &[gid]).await;
    }
    let left = cfg.query(admin, None).await?;
    check_kept(cfg, &left, &joined)
}

/// The first part of [`basic`]. Returns the configurations that it has seen.
async fn join_and_leave(cfg: &Controllers, admin: &mut Admin) -> Checked<Vec<Config>> {
    let one: Group<'_> = (1, ["x", "y", "z"]);
    let two: Group<'_> = (2, ["a", "b", "c"]);
    let mut configs = vec![check_groups(cfg, admin, &[]).await?];
    cfg.join(admin, &[one]).await;
    configs.push(check_groups(cfg, admin, &[1]).await?);
    cfg.join(admin, &[two]).await;
    configs.push(check_groups(cfg, admin, &[1, 2]).await?);
    let both = cfg.query(admin, None).await?;
    check_servers(cfg, &both, one)?;
    check_servers(cfg, &both, two)?;
    cfg.leave(admin, &[1]).await;
    configs.push(check_groups(cfg, admin, &[2]).await?);
    cfg.leave(admin, &[2]).await;
    configs.push(check_groups(cfg, admin, &[]).await?);
    cfg.end()?;
    Ok(configs)
}

/// Moves half of the shards to one group, and half to another, and then one of each half to the other group.
async fn moves(cfg: &Controllers, admin: &mut Admin) -> Checked<()> {
    let wanted = |shard: usize| if shard < N_SHARDS / 2 { 503 } else { 504 };
    cfg.join(admin, &[(503, ["3a", "3b", "3c"])]).await;
    cfg.join(admin, &[(504, ["4a", "4b", "4c"])]).await;
    for shard in 0..N_SHARDS {
        let before = cfg.query(admin, None).await?;
        cfg.move_shard(admin, shard, wanted(shard)).await;
        if before.shards[shard] != wanted(shard) {
            let num = cfg.query(admin, None).await?.num;
            check(cfg, num > before.num, || {
                expectation!("Move should increase the configuration's number; it is {num}")
            })?;
        }
    }
    let moved = cfg.query(admin, None).await?;
    for shard in 0..N_SHARDS {
        let owner = moved.shards[shard];
        let wanted = wanted(shard);
        check(cfg, owner == wanted, || {
            expectation!("expected shard {shard} on group {wanted}, it is on group {owner}")
        })?;
    }
    // Where a Join has divided the shards in this way already, nothing has moved so far, in Go either.
    for (shard, gid) in [(0, 504), (N_SHARDS - 1, 503)] {
        let before = cfg.query(admin, None).await?;
        cfg.move_shard(admin, shard, gid).await;
        let after = cfg.query(admin, None).await?;
        let mut wanted = before.shards;
        wanted[shard] = gid;
        let shards = after.shards;
        check(cfg, shards == wanted, || {
            expectation!("expected the shards on {wanted:?}, they are on {shards:?}")
        })?;
    }
    cfg.leave(admin, &[503]).await;
    cfg.leave(admin, &[504]).await;
    Ok(())
}

/// Several groups join and leave in one operation.
pub(crate) async fn multi(cfg: &Controllers, admin: &mut Admin) -> Checked<()> {
    let one: Group<'_> = (1, ["x", "y", "z"]);
    let two: Group<'_> = (2, ["a", "b", "c"]);
    let three: Group<'_> = (3, ["j", "k", "l"]);
    check_groups(cfg, admin, &[]).await?;
    cfg.join(admin, &[one, two]).await;
    check_groups(cfg, admin, &[1, 2]).await?;
    cfg.join(admin, &[three]).await;
    check_groups(cfg, admin, &[1, 2, 3]).await?;
    let all = cfg.query(admin, None).await?;
    for group in [one, two, three] {
        check_servers(cfg, &all, group)?;
    }
    cfg.leave(admin, &[1, 3]).await;
    let rest = check_groups(cfg, admin, &[2]).await?;
    check_servers(cfg, &rest, two)?;
    cfg.leave(admin, &[2]).await;
    cfg.end()?;

    cfg.begin("concurrent multi leave/join");
    let gids: Vec<u64> = (0..CLERKS).map(|i| 1000 + i).collect();
    together(cfg, &gids, async |cfg, admin, gid| {
        let (a, b) = names(gid);
        cfg.join(admin, &[(gid, a), (gid + 1000, b), (gid + 2000, a)]).await;
        cfg.leave(admin, &[gid + 1000, gid + 2000]).await;
    })
    .await;
    check_groups(cfg, admin, &gids).await?;
    cfg.end()?;

    let more: Vec<u64> = (1..=5).map(|i| 10 + i).collect();
    let joining: Vec<Group<'_>> = more.iter().map(|&gid| (gid, names(gid).0)).collect();
    cfg.begin("minimal transfers after multijoins");
    let before = cfg.query(admin, None).await?;
    cfg.join(admin, &joining).await;
    let joined = cfg.query(admin, None).await?;
    check_kept(cfg, &before, &joined)?;
    cfg.end()?;

    cfg.begin("minimal transfers after multileaves");
    cfg.leave(admin, &more).await;
    let left = cfg.query(admin, None).await?;
    check_kept(cfg, &left, &joined)?;
    cfg.end()?;

    cfg.begin("same configuration on all servers");
    let before = cfg.query(admin, None).await?;
    let Some(leader) = cfg.leader() else {
        return Err(cfg.expected("no controller leads"));
    };
    cfg.shutdown(leader);
    wait_for_leader(cfg).await?;
    let after = cfg.query(admin, None).await?;
    check_same(cfg, &before, &after)
}

/// Waits until a server leads. Go's test looks for one only once, because it never asks again.
async fn wait_for_leader(cfg: &Controllers) -> Checked<()> {
    for _ in 0..LEADER_TRIES {
        cfg.sleep(LEADER_PAUSE).await;
        if cfg.leader().is_some() {
            return Ok(());
        }
    }
    Err(cfg.expected("leader not found"))
}

/// Runs a clerk for each of these groups, all at the same time, and waits for them.
async fn together(
    cfg: &Controllers,
    gids: &[u64],
    work: impl AsyncFn(&Controllers, &mut Admin, u64) + Copy + 'static,
) {
    let clerks: Vec<JoinHandle<()>> = gids
        .iter()
        .map(|&gid| {
            let of_clerk = cfg.clone();
            spawn_client(cfg, "clerk", async move {
                let mut admin = of_clerk.make_admin();
                work(&of_clerk, &mut admin, gid).await;
                Ok(())
            })
        })
        .collect();
    for clerk in clerks {
        clerk.await;
    }
}

/// Two lists of servers. The names need not be different from group to group.
fn names(gid: u64) -> ([&'static str; 3], [&'static str; 3]) {
    match gid % 2 {
        0 => (["a", "b", "c"], ["d", "e", "f"]),
        _ => (["u", "v", "w"], ["x", "y", "z"]),
    }
}

/// Checks that the latest configuration has these groups, and divides the shards evenly among them. Returns
/// it.
async fn check_groups(cfg: &Controllers, admin: &mut Admin, gids: &[u64]) -> Checked<Config> {
    let config = cfg.query(admin, None).await?;
    let there: Vec<u64> = config.groups.keys().copied().collect();
    let mut wanted = gids.to_vec();
    wanted.sort_unstable();
    check(cfg, there == wanted, || expectation!("expected groups {wanted:?}, got {there:?}"))?;
    if gids.is_empty() {
        return Ok(config);
    }
    for (shard, owner) in config.shards.iter().enumerate() {
        check(cfg, gids.contains(owner), || {
            expectation!("shard {shard} is on group {owner}, which is not there")
        })?;
    }
    let count = |gid: &u64| config.shards.iter().filter(|owner| *owner == gid).count();
    let most = gids.iter().map(count).max().unwrap_or(0);
    let least = gids.iter().map(count).min().unwrap_or(0);
    check(cfg, most <= least + 1, || {
        expectation!("one group has {most} shards, and another {least}")
    })?;
    Ok(config)
}

fn check_servers(cfg: &Controllers, config: &Config, (gid, servers): Group<'_>) -> Checked<()> {
    let there = config.groups.get(&gid).cloned().unwrap_or_default();
    check(cfg, there == servers, || {
        expectation!("expected servers {servers:?} of group {gid}, got {there:?}")
    })
}

fn check_same(cfg: &Controllers, one: &Config, other: &Config) -> Checked<()> {
    check(cfg, one == other, || {
        expectation!("two answers for one configuration differ: {one:?}, {other:?}")
    })
}

/// Checks that the groups of `fewer` have in both configurations what they have in `more`.
fn check_kept(cfg: &Controllers, fewer: &Config, more: &Config) -> Checked<()> {
    for (shard, gid) in more.shards.iter().enumerate() {
        let kept = !fewer.groups.contains_key(gid) || fewer.shards[shard] == *gid;
        check(cfg, kept, || {
            expectation!("shard {shard} moves from or to group {gid}, which need not change")
        })?;
    }
    Ok(())
}
