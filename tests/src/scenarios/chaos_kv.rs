//! `ChaosKv`: the key/value service, whose clients read and write a few keys.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use labraft::{Checked, Lab, Steps};
use labrpc::{Dice, JoinHandle};

use super::fault_target::{FaultTarget, current_leader, inject_faults, work_of_client};
use super::schedule::{REPLACEMENT, draw_bool, draw_order, draw_span};
use super::work::{Work, read_and_write};
use super::{heal_network, standstill};
use crate::kv::{KvConfig, KvSetup};
use crate::steps::spawn_client;

/// The numbers of servers, each equally likely. Of an even number, half is no majority.
const CLUSTER_SIZES: [usize; 6] = [3, 4, 4, 5, 6, 7];
/// The shortest and the longest time between two leaders that are cut off while they have reads to answer.
const BETWEEN_CUTS: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(1200)];
/// How long a cut waits for a read at most.
const WAIT_FOR_READ: Duration = Duration::from_millis(200);
/// How often it looks for one.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// The longest time for which a read has been under way when the leader is cut off: it may be on its way to it, or the
/// answer on its way back.
const LONGEST_UNDER_WAY: Duration = Duration::from_millis(10);
/// How long a healthy majority may take to answer all clients.
const ANSWERS: Duration = Duration::from_secs(30);

/// The key/value service under generated faults.
pub(crate) fn chaos_kv(lab: Lab) -> Steps {
    lab.draw_chaos();
    let dice = lab.world().tester().workload(0);
    let setup = KvSetup {
        servers: CLUSTER_SIZES[dice.below(CLUSTER_SIZES.len() as u64) as usize],
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
    let reading = Rc::new(Cell::new(0));
    let clients: Vec<JoinHandle<()>> = (0..client_count)
        .map(|i| {
            let schedule = work_of_client(i as u32);
            let (reading, is_over) = (reading.clone(), is_over.clone());
            let work = Work { i, keys, schedule, reading, is_over };
            spawn_client(cfg, "client", client(cfg.clone(), work))
        })
        .collect();
    if draw_bool(dice) {
        let cuts = cut_off_readers(cfg.clone(), client_count as u32, reading, is_over.clone());
        spawn_client(cfg, "cuts", cuts);
    }
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

/// Cuts off leaders that have reads to answer, again and again. They go on reaching their clients, while the others
/// elect a new leader and take writes. The schedule connects them again, or this does.
async fn cut_off_readers(
    cfg: KvConfig,
    number: u32,
    reading: Rc<Cell<usize>>,
    is_over: Rc<Cell<bool>>,
) -> Checked<()> {
    let dice = cfg.client_dice(number);
    while !is_over.get() {
        cfg.sleep(draw_span(&dice, BETWEEN_CUTS)).await;
        // All of this is drawn even if the cut is skipped, so that later ones stay the same.
        let under_way = dice.span(Duration::ZERO, LONGEST_UNDER_WAY);
        let replacement = draw_span(&dice, REPLACEMENT);
        let connects_again = draw_bool(&dice);
        if is_over.get() || !cfg.tester().happens(work_of_client(number)) {
            continue;
        }
        let end = cfg.tester().now() + WAIT_FOR_READ;
        while reading.get() == 0 && cfg.tester().now() < end {
            cfg.sleep(LOOK_EVERY).await;
        }
        cfg.sleep(under_way).await;
        if let Some(leader) = current_leader(&cfg).filter(|_| !is_over.get()) {
            cfg.isolate(leader);
        }
        cfg.sleep(replacement).await;
        if connects_again && !is_over.get() {
            cfg.reconnect_all();
        }
    }
    Ok(())
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
