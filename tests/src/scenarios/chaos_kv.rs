//! `ChaosKv`: the key/value service, whose clients read and write a few keys.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use labraft::{Checked, Lab, Steps};
use labrpc::{Dice, JoinHandle};

use super::fault_target::{FaultTarget, inject_faults, work_of_client};
use super::schedule::{draw_bool, draw_cluster_size, draw_order};
use super::work::{Work, read_and_write};
use super::{heal_network, standstill};
use crate::kv::{KvConfig, KvSetup};
use crate::steps::spawn_client;

/// How long a healthy majority may take to answer all clients.
const ANSWERS: Duration = Duration::from_secs(30);

/// The key/value service under generated faults.
pub(crate) fn chaos_kv(lab: Lab) -> Steps {
    lab.draw_chaos();
    let dice = lab.world().tester().workload(0);
    let setup = KvSetup {
        servers: draw_cluster_size(&dice),
        unreliable: draw_bool(&dice),
        max_raft_state: draw_bool(&dice).then_some(1000),
    };
    setup.run(lab, async move |cfg| run_scenario(cfg, &dice).await)
}

async fn run_scenario(cfg: &KvConfig, dice: &Dice) -> Checked<()> {
    cfg.network().long_reordering(draw_bool(dice));
    let is_over = Rc::new(Cell::new(false));
    let keys = 1 + dice.below(3);
    let client_count = 2 + dice.below(5) as usize;
    let clients: Vec<JoinHandle<()>> = (0..client_count)
        .map(|i| {
            let schedule = work_of_client(i as u32);
            let work = Work { i, keys, schedule, is_over: is_over.clone() };
            spawn_client(cfg, "client", client(cfg.clone(), work))
        })
        .collect();
    inject_faults(cfg, dice).await;
    is_over.set(true);

    heal_network(cfg);
    let order = draw_order(dice, cfg.n());
    let majority = heal_majority(cfg, dice, &order);
    let answers = all_answers(cfg, clients, keys);
    if cfg.tester().timeout(ANSWERS, answers).await.is_none() {
        let what = format!("clients are still waiting after {} s", ANSWERS.as_secs());
        return Err(standstill(cfg, majority, what));
    }
    cfg.check_linearizable()
}

/// Starts and connects the majority that comes first in this order. Each of the other servers is
/// shut down or cut off. Returns the majority.
fn heal_majority<'a>(cfg: &KvConfig, dice: &Dice, order: &'a [usize]) -> &'a [usize] {
    let (majority, others) = order.split_at(cfg.n() / 2 + 1);
    for &i in others {
        if draw_bool(dice) {
            cfg.cut_off(i);
        } else {
            cfg.shutdown(i);
        }
    }
    cfg.start_stopped(majority.iter().copied());
    cfg.partition([majority, others]);
    majority
}

/// Waits for the last operation of each client, and reads every key once more.
async fn all_answers(cfg: &KvConfig, clients: Vec<JoinHandle<()>>, keys: u64) {
    for client in clients {
        client.await;
    }
    let mut checking = cfg.make_client_of_all();
    for key in 0..keys {
        cfg.get(&mut checking, &key.to_string()).await;
    }
}

/// A client that reads and writes.
async fn client(cfg: KvConfig, work: Work) -> Checked<()> {
    let client = cfg.make_client_of_all();
    read_and_write(&cfg, client, work).await
}
