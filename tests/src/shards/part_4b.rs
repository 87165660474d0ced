//! Part 4B: the sharded key/value service.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use labraft::{Checked, expectation};
use labrpc::JoinHandle;

use super::admin::Admin;
use super::groups::{Client, GROUPS, Groups};
use super::work::{Appenders, CLIENTS, Pause, Values, count_answers, random_value};
use crate::steps::{check, spawn_client};

/// The number of keys in most tests: one for each shard.
const KEYS: usize = 10;
/// How long clients pause that do not pause in Go.
const UNPAUSED: Pause = Pause::Drawn { longest: Duration::from_millis(100) };
/// How many of 1,000 random operations are Appends, and how many of 1,000 others are Puts.
const APPENDS: u64 = 500;
const PUTS: u64 = 100;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A group that is down makes half of the shards unavailable, and only these.
pub(crate) async fn static_shards(cfg: &Groups, admin: &mut Admin, ck: &mut Client) -> Checked<()> {
    cfg.join(admin, &[0]).await;
    cfg.join(admin, &[1]).await;
    let values = Values::put(cfg, ck, KEYS, 20).await;
    values.check(cfg, ck).await?;
    cfg.shutdown_group(1);
    cfg.check_sizes()?;
    let clients = (0..KEYS).map(|_| cfg.make_client()).collect();
    check_half_answered(cfg, count_answers(cfg, clients, &values).await)?;
    cfg.start_group(1);
    values.check(cfg, ck).await
}

/// Clients that follow another controller service, where one group has all shards, are refused the
/// shards that it does not really have.
pub(crate) async fn rejection(cfg: &Groups, admin: &mut Admin, ck: &mut Client) -> Checked<()> {
    cfg.join(admin, &[0]).await;
    cfg.join(admin, &[1]).await;
    let values = Values::put(cfg, ck, KEYS, 20).await;
    values.check(cfg, ck).await?;
    let others = cfg.start_other_controllers();
    let mut other_admin = cfg.make_admin_of(&others);
    cfg.join(&mut other_admin, &[0]).await;
    let clients = (0..KEYS).map(|_| cfg.make_client_of(&others)).collect();
    check_half_answered(cfg, count_answers(cfg, clients, &values).await)
}

fn check_half_answered(cfg: &Groups, answered: usize) -> Checked<()> {
    check(cfg, answered == KEYS / 2, || {
        expectation!("expected {} operations to complete, got {answered}", KEYS / 2)
    })
}

/// A group joins, another leaves, and then is needed no more.
pub(crate) async fn join_leave(cfg: &Groups, admin: &mut Admin, ck: &mut Client) -> Checked<()> {
    cfg.join(admin, &[0]).await;
    let mut values = Values::put(cfg, ck, KEYS, 5).await;
    values.check(cfg, ck).await?;
    cfg.join(admin, &[1]).await;
    values.check_and_append(cfg, ck, 5).await?;
    cfg.leave(admin, &[0]).await;
    values.check_and_append(cfg, ck, 5).await?;
    cfg.sleep(ms(1000)).await;
    cfg.check_sizes()?;
    cfg.shutdown_group(0);
    values.check(cfg, ck).await
}

/// Everything is there after all servers have been restarted.
pub(crate) async fn snapshot(cfg: &Groups, admin: &mut Admin, ck: &mut Client) -> Checked<()> {
    cfg.join(admin, &[0]).await;
    let mut values = Values::put(cfg, ck, 30, 20).await;
    values.check(cfg, ck).await?;
    cfg.join(admin, &[1]).await;
    cfg.join(admin, &[2]).await;
    cfg.leave(admin, &[0]).await;
    values.check_and_append(cfg, ck, 20).await?;
    cfg.leave(admin, &[1]).await;
    cfg.join(admin, &[0]).await;
    values.check_and_append(cfg, ck, 20).await?;
    cfg.sleep(ms(1000)).await;
    values.check(cfg, ck).await?;
    cfg.sleep(ms(1000)).await;
    cfg.check_sizes()?;
    (0..GROUPS).for_each(|group| cfg.shutdown_group(group));
    (0..GROUPS).for_each(|group| cfg.start_group(group));
    values.check(cfg, ck).await
}

/// One server of each group is down while configurations change.
pub(crate) async fn miss_change(cfg: &Groups, admin: &mut Admin, ck: &mut Client) -> Checked<()> {
    cfg.join(admin, &[0]).await;
    let mut values = Values::put(cfg, ck, KEYS, 20).await;
    values.check(cfg, ck).await?;
    cfg.join(admin, &[1]).await;
    (0..GROUPS).for_each(|group| cfg.shutdown_server(group, 0));
    cfg.join(admin, &[2]).await;
    cfg.leave(admin, &[1]).await;
    cfg.leave(admin, &[0]).await;
    values.check_and_append(cfg, ck, 20).await?;
    cfg.join(admin, &[1]).await;
    values.check_and_append(cfg, ck, 20).await?;
    (0..GROUPS).for_each(|group| cfg.start_server(group, 0));
    values.check_and_append(cfg, ck, 20).await?;
    cfg.sleep(ms(2000)).await;
    (0..GROUPS).for_each(|group| cfg.shutdown_server(group, 1));
    cfg.join(admin, &[0]).await;
    cfg.leave(admin, &[2]).await;
    values.check_and_append(cfg, ck, 20).await?;
    (0..GROUPS).for_each(|group| cfg.start_server(group, 1));
    values.check(cfg, ck).await
}

/// Clients append while configurations change and all groups are restarted.
pub(crate) async fn concurrent1(cfg: &Groups, admin: &mut Admin, ck: &mut Client) -> Checked<()> {
    cfg.join(admin, &[0]).await;
    let values = Values::put(cfg, ck, KEYS, 5).await;
    let appenders = Appenders::start(cfg, &values, 5, Pause::Fixed(ms(10)));
    cfg.sleep(ms(150)).await;
    cfg.join(admin, &[1]).await;
    cfg.sleep(ms(500)).await;
    cfg.join(admin, &[2]).await;
    cfg.sleep(ms(500)).await;
    cfg.leave(admin, &[0]).await;
    cfg.shutdown_group(0);
    cfg.sleep(ms(100)).await;
    cfg.shutdown_group(1);
    cfg.sleep(ms(100)).await;
    cfg.shutdown_group(2);
    cfg.leave(admin, &[2]).await;
    cfg.sleep(ms(100)).await;
    (0..GROUPS).for_each(|group| cfg.start_group(group));
    cfg.sleep(ms(100)).await;
    cfg.join(admin, &[0]).await;
    cfg.leave(admin, &[1]).await;
    cfg.sleep(ms(500)).await;
    cfg.join(admin, &[1]).await;
    cfg.sleep(ms(1000)).await;
    appenders.stop().await.check(cfg, ck).await
}

/// Clients append while shards move several times, and groups that have handed theirs over are restarted.
pub(crate) async fn concurrent2(cfg: &Groups, admin: &mut Admin, ck: &mut Client) -> Checked<()> {
    for group in [1, 0, 2] {
        cfg.join(admin, &[group]).await;
    }
    let values = Values::put(cfg, ck, KEYS, 1).await;
    let appenders = Appenders::start(cfg, &values, 1, Pause::Fixed(ms(50)));
    cfg.leave(admin, &[0]).await;
    cfg.leave(admin, &[2]).await;
    cfg.sleep(ms(3000)).await;
    cfg.join(admin, &[0]).await;
    cfg.join(admin, &[2]).await;
    cfg.leave(admin, &[1]).await;
    cfg.sleep(ms(3000)).await;
    cfg.join(admin, &[1]).await;
    cfg.leave(admin, &[0]).await;
    cfg.leave(admin, &[2]).await;
    cfg.sleep(ms(3000)).await;
    cfg.shutdown_group(1);
    cfg.shutdown_group(2);
    cfg.sleep(ms(1000)).await;
    cfg.start_group(1);
    cfg.start_group(2);
    cfg.sleep(ms(2000)).await;
    appenders.stop().await.check(cfg, ck).await
}

/// Clients append while groups join and leave again and again, and all of them are restarted each time.
pub(crate) async fn concurrent3(cfg: &Groups, admin: &mut Admin, ck: &mut Client) -> Checked<()> {
    const LONGEST: Duration = ms(900);
    cfg.join(admin, &[0]).await;
    let values = Values::put(cfg, ck, KEYS, 1).await;
    let appenders = Appenders::start(cfg, &values, 1, UNPAUSED);
    let dice = cfg.dice();
    let end = cfg.tester().now() + ms(12_000);
    while cfg.tester().now() < end {
        cfg.join(admin, &[2]).await;
        cfg.join(admin, &[1]).await;
        cfg.sleep(dice.span(Duration::ZERO, LONGEST)).await;
        (0..GROUPS).for_each(|group| cfg.shutdown_group(group));
        (0..GROUPS).for_each(|group| cfg.start_group(group));
        cfg.sleep(dice.span(Duration::ZERO, LONGEST)).await;
        cfg.leave(admin, &[1]).await;
        cfg.leave(admin, &[2]).await;
        cfg.sleep(dice.span(Duration::ZERO, LONGEST)).await;
    }
    cfg.sleep(ms(2000)).await;
    appenders.stop().await.check(cfg, ck).await
}

/// Shards move while the network loses messages.
pub(crate) async fn unreliable1(cfg: &Groups, admin: &mut Admin, ck: &mut Client) -> Checked<()> {
    const OPERATIONS: usize = 20;
    cfg.join(admin, &[0]).await;
    let mut values = Values::put(cfg, ck, KEYS, 5).await;
    cfg.join(admin, &[1]).await;
    cfg.join(admin, &[2]).await;
    cfg.leave(admin, &[0]).await;
    for i in 0..OPERATIONS {
        values.check_and_append_to(cfg, ck, i % KEYS, 5).await?;
    }
    cfg.join(admin, &[0]).await;
    cfg.leave(admin, &[1]).await;
    for i in 0..OPERATIONS {
        let key = i % KEYS;
        cfg.check(ck, &key.to_string(), &values.0[key]).await?;
    }
    Ok(())
}

/// Shards move while clients append and the network loses messages.
pub(crate) async fn unreliable2(cfg: &Groups, admin: &mut Admin, ck: &mut Client) -> Checked<()> {
    cfg.join(admin, &[0]).await;
    let values = Values::put(cfg, ck, KEYS, 5).await;
    let appenders = Appenders::start(cfg, &values, 5, UNPAUSED);
    unreliable_changes(cfg, admin).await;
    appenders.tell();
    cfg.network().reliable(true);
    appenders.stop().await.check(cfg, ck).await
}

async fn unreliable_changes(cfg: &Groups, admin: &mut Admin) {
    cfg.sleep(ms(150)).await;
    cfg.join(admin, &[1]).await;
    cfg.sleep(ms(500)).await;
    cfg.join(admin, &[2]).await;
    cfg.sleep(ms(500)).await;
    cfg.leave(admin, &[0]).await;
    cfg.sleep(ms(500)).await;
    cfg.leave(admin, &[1]).await;
    cfg.sleep(ms(500)).await;
    cfg.join(admin, &[1]).await;
    cfg.join(admin, &[0]).await;
    cfg.sleep(ms(2000)).await;
}

/// Shards move while clients read and write the same keys and the network loses messages.
pub(crate) async fn unreliable3(cfg: &Groups, admin: &mut Admin, ck: &mut Client) -> Checked<()> {
    cfg.join(admin, &[0]).await;
    Values::put(cfg, ck, KEYS, 5).await;
    let is_over = Rc::<Cell<bool>>::default();
    let clients: Vec<JoinHandle<()>> = (0..CLIENTS)
        .map(|i| spawn_client(cfg, "client", read_and_write(cfg.clone(), i, is_over.clone())))
        .collect();
    unreliable_changes(cfg, admin).await;
    is_over.set(true);
    cfg.network().reliable(true);
    for client in clients {
        client.await;
    }
    Ok(())
}

/// Reads and writes random keys until it is told to stop. No two clients write the same value: that makes the
/// search for an order easy.
async fn read_and_write(cfg: Groups, i: usize, is_over: Rc<Cell<bool>>) -> Checked<()> {
    let mut client = cfg.make_client();
    let dice = cfg.client_dice(i as u32);
    while !is_over.get() {
        let key = dice.below(KEYS as u64).to_string();
        let value = format!("{i}{}", random_value(&dice, 4));
        if dice.chance(APPENDS) {
            cfg.append(&mut client, &key, &value).await;
        } else if dice.chance(PUTS) {
            cfg.put(&mut client, &key, &value).await;
        } else {
            cfg.get(&mut client, &key).await;
        }
        cfg.sleep(UNPAUSED.draw(&dice)).await;
    }
    Ok(())
}
