//! `ShortShards`, a short scenario for `lab search`: groups of a single server, and a controller of one.
//!
//! The number of runs of a search grows with the number of messages, and one server is enough for what a group must
//! remember of its shards, and for what it must do about them when it restarts. That leaves only the messages of the
//! sharded service itself. It always runs on [`SINGLE_SERVER`], not on the Raft under test: the course has no clusters
//! of one server, and many Rafts that pass its tests would never elect a leader in one.

use std::time::Duration;

use labraft::{Checked, Lab, Steps};

use super::admin::Admin;
use super::groups::{Client, Groups, gid, groups};
use super::single_server::SINGLE_SERVER;
use super::work::in_time;
use crate::scenarios::{append_and_read, heal_network};
use crate::steps::{LOOK_EVERY, spawn_client};

/// The size of the saved state, in bytes, at which servers take a snapshot: a few operations.
const SMALL_STATE: usize = 300;
/// The keys of the two clients. The second group gets the shard of the first key when it joins.
const KEYS: [&str; 2] = ["0", "2"];
/// Their shards.
const SHARDS: [usize; 2] = [8, 0];
/// Longer than the interval at which groups ask for configurations in the course.
const NOTICED: Duration = Duration::from_millis(150);
/// How long a client pauses after it has written.
const PAUSE: Duration = Duration::from_millis(150);
/// How long everybody may take to complete what they are doing.
const ANSWERS: Duration = Duration::from_secs(5);

/// Two clients append while a group joins, and then a second one, which restarts and takes over everything. A
/// third one reads before and after. Then nobody writes any more, and shards move while groups restart. Under
/// chaos, only the first half has faults: groups must come to the latest configuration after it, and need a
/// network for that.
pub(crate) fn short_shards(lab: Lab) -> Steps {
    let lab = lab.with_implementation(SINGLE_SERVER);
    groups().sizes(1, &[1, 1]).snapshots(SMALL_STATE).run(lab, scenario)
}

async fn scenario(cfg: &Groups, admin: &mut Admin, _: &mut Client) -> Checked<()> {
    while cfg.clusters().iter().any(|cluster| cluster.leader().is_none()) {
        cfg.sleep(LOOK_EVERY).await;
    }
    let clients = KEYS.map(|key| {
        spawn_client(cfg, "client", append_and_read(cfg.clone(), cfg.make_client(), key, PAUSE))
    });
    cfg.sleep(NOTICED).await;
    cfg.join(admin, &[0]).await;
    cfg.sleep(NOTICED).await;
    let reader = spawn_client(cfg, "reader", read_all(cfg.clone(), cfg.make_client()));
    cfg.join(admin, &[1]).await;
    cfg.sleep(NOTICED).await;
    restart(cfg, 1);
    cfg.leave(admin, &[0]).await;
    cfg.sleep(NOTICED).await;
    heal_network(cfg);
    in_time(cfg, ANSWERS, async {
        for client in clients {
            client.await;
        }
        // It still asks the first group first.
        let reader = reader.await.expect("the tester does not crash");
        read_all(cfg.clone(), reader).await.map(drop)
    })
    .await?;
    // What has gone wrong by now is told without the rest.
    cfg.check_linearizable()?;

    cfg.join(admin, &[0]).await;
    cfg.sleep(NOTICED).await;
    restart(cfg, 0);
    // Each group gets something from the other.
    cfg.move_shard(admin, SHARDS[0], gid(1)).await;
    cfg.move_shard(admin, SHARDS[1], gid(0)).await;
    restart(cfg, 1);
    in_time(cfg, ANSWERS, std::future::ready(Ok(()))).await?;
    read_all(cfg.clone(), cfg.make_client()).await?;
    Ok(())
}

/// Has a client read all keys, and returns it.
async fn read_all(cfg: Groups, mut client: Client) -> Checked<Client> {
    for key in KEYS {
        cfg.get(&mut client, key).await;
    }
    Ok(client)
}

fn restart(cfg: &Groups, group: usize) {
    cfg.shutdown_group(group);
    cfg.start_group(group);
}
