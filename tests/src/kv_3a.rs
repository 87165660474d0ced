//! Part 3A: the service without snapshots. Most of its tests are [`GenericTest`]s.
//!
//! [`GenericTest`]: crate::kv_generic::GenericTest

use std::time::Duration;

use labraft::linearizability::Input;
use labraft::{Checked, Threshold, expectation};

use crate::kv::KvConfig;
use crate::kv_generic::{appended, check_appends};
use crate::steps::{check, check_threshold, spawn_client};

/// The number of operations in the speed test.
const SPEED_OPERATIONS: u64 = 1000;
/// How long each of them may take on average: a third of a heartbeat interval of 100 ms.
const SPEED_LIMIT: Duration = Duration::from_nanos(33_333_333);

/// One client appends again and again on a reliable network. Catches a service whose operations
/// wait for the next heartbeat.
pub(crate) async fn speed(cfg: &KvConfig) -> Checked<()> {
    let mut client = cfg.make_client_of_all();
    // Waits for a leader. As in the course, these operations are not counted.
    cfg.operate(&mut client, "x", Input::Get).await;
    let began = cfg.tester().now();
    for i in 0..SPEED_OPERATIONS {
        cfg.operate(&mut client, "x", Input::Append(appended(0, i))).await;
    }
    let took = cfg.tester().now() - began;
    let value = cfg.operate(&mut client, "x", Input::Get).await;
    check_appends(cfg, 0, &value, SPEED_OPERATIONS)?;
    check_threshold(
        cfg,
        Threshold::OperationTime,
        took <= SPEED_LIMIT * SPEED_OPERATIONS as u32,
        || {
            let each = took.as_secs_f64() * 1000.0 / SPEED_OPERATIONS as f64;
            let limit = SPEED_LIMIT.as_secs_f64() * 1000.0;
            expectation!(
                "operations completed too slowly: {each:.1} ms each; the limit is {limit:.1} ms"
            )
        },
    )?;
    Ok(())
}

/// Five clients append to one key on an unreliable network. Each append must take effect exactly
/// once, and those of one client in order.
pub(crate) async fn unreliable_one_key(cfg: &KvConfig) -> Checked<()> {
    const CLIENTS: usize = 5;
    const APPENDS: u64 = 10;
    let mut checking = cfg.make_client_of_all();
    cfg.put(&mut checking, "k", "").await;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|i| {
            let of_client = cfg.clone();
            spawn_client(cfg, "client", async move {
                let mut client = of_client.make_client_of_all();
                for n in 0..APPENDS {
                    of_client.append(&mut client, "k", &appended(i, n)).await;
                }
                Ok(())
            })
        })
        .collect();
    for client in clients {
        client.await;
    }
    let value = cfg.get(&mut checking, "k").await;
    for i in 0..CLIENTS {
        check_appends(cfg, i, &value, APPENDS)?;
    }
    Ok(())
}

/// The leader is in the minority of a partition. The majority makes progress, the minority must not
/// answer, and when the partition has healed, every operation completes.
///
/// After the heal, Go's test does not really wait for the Get that was stuck in the minority. This
/// one does, and it also checks that the history is linearizable.
pub(crate) async fn one_partition(cfg: &KvConfig) -> Checked<()> {
    const IN_MINORITY: Duration = Duration::from_secs(1);
    const AFTER_HEAL: Duration = Duration::from_secs(3);
    let mut all = cfg.make_client_of_all();
    cfg.put(&mut all, "1", "13").await;

    cfg.begin("progress in majority");
    let [majority, minority] = cfg.make_partition();
    cfg.partition([&majority, &minority]);
    let mut a = cfg.make_client(majority);
    let mut b = cfg.make_client(minority.iter().copied());
    let mut c = cfg.make_client(minority);
    cfg.put(&mut a, "1", "14").await;
    cfg.check(&mut a, "1", "14").await?;
    cfg.end()?;

    cfg.begin("no progress in minority");
    let in_minority = [&b, &c].map(|client| client.number);
    let (of_put, of_get) = (cfg.clone(), cfg.clone());
    let mut put = cfg.tester().spawn("put in minority", async move {
        of_put.put(&mut b, "1", "15").await;
    });
    let mut get = cfg.tester().spawn("get in minority", async move {
        of_get.get(&mut c, "1").await;
    });
    cfg.sleep(IN_MINORITY).await;
    check(cfg, !put.is_finished(), || "Put in minority completed".into())?;
    check(cfg, !get.is_finished(), || "Get in minority completed".into())?;
    cfg.check(&mut a, "1", "14").await?;
    cfg.put(&mut a, "1", "16").await;
    cfg.check(&mut a, "1", "16").await?;
    cfg.end()?;

    cfg.begin("completion after heal");
    cfg.connect_all();
    for client in in_minority {
        cfg.link_client(client, 0..cfg.n(), true);
    }
    cfg.sleep_election_timeout().await;
    for (what, operation) in [("Put", &mut put), ("Get", &mut get)] {
        let answered = cfg.tester().timeout(AFTER_HEAL, operation).await;
        check(cfg, answered.is_some(), || expectation!("{what} did not complete"))?;
    }
    cfg.check(&mut all, "1", "15").await?;
    cfg.check_linearizable()
}
