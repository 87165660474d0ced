//! `ChaosShards`: groups join, leave and get single shards while servers and whole groups crash, links within
//! and between clusters are cut, and clients read and write.
//!
//! As in the other generated scenarios, anything may happen in the first phase, and only safety is checked. In the
//! second everything runs and is connected, and every operation must complete.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use labraft::{Checked, Lab, Steps};
use labrpc::{Dice, JoinHandle, Node};
use shardctrler::N_SHARDS;

use super::groups::{Admin, Client, GROUPS, Groups, gid, groups};
use crate::scenarios::{Work, heal_network, read_and_write, standstill};
use crate::steps::spawn_client;

/// How long the phase of faults lasts.
const FAULT_PHASE: Duration = Duration::from_secs(15);
/// How long everybody may take afterwards to complete what they are doing.
const ANSWERS: Duration = Duration::from_secs(30);
/// The shortest and the longest time between two steps of the schedule of faults.
const QUIET: [Duration; 2] = [Duration::from_millis(80), Duration::from_millis(600)];
/// The longest time between two changes of the configuration.
const LONGEST_UNCHANGED: Duration = Duration::from_millis(900);
/// The number of keys: one for each shard.
const KEYS: u64 = 10;

/// The numbers of the schedules, for [`labrpc::Runtime::happens`]: of faults, of changes of the configuration,
/// and of the work of the first client. Those of other clients follow.
const FAULTS: u32 = 0;
const CHANGES: u32 = 1;
const WORK: u32 = 2;

/// The sharded service under generated faults.
pub(crate) fn chaos_shards(lab: Lab) -> Steps {
    lab.draw_chaos();
    let dice = lab.world().tester().workload(0);
    let mut setup = groups();
    if dice.below(2) == 1 {
        setup = setup.unreliable();
    }
    if dice.below(2) == 1 {
        setup = setup.snapshots([1, 100, 1000][dice.below(3) as usize]);
    }
    setup.run(lab, async move |cfg, admin, client| scenario(cfg, admin, client, &dice).await)
}

async fn scenario(
    cfg: &Groups,
    admin: &mut Admin,
    client: &mut Client,
    dice: &Dice,
) -> Checked<()> {
    let is_over = Rc::<Cell<bool>>::default();
    let client_count = 2 + dice.below(4) as usize;
    let mut work: Vec<JoinHandle<()>> = (0..client_count)
        .map(|i| {
            let schedule = WORK + i as u32;
            let work = Work { i, keys: KEYS, schedule, is_over: is_over.clone() };
            spawn_client(cfg, "client", client_at_work(cfg.clone(), work))
        })
        .collect();
    let changes = change(cfg.clone(), is_over.clone());
    work.push(spawn_client(cfg, "administrator", changes));
    inject_faults(cfg, dice).await;
    is_over.set(true);
    heal(cfg);
    let answers = async {
        for each in work {
            each.await;
        }
        // One more change, to which every group must come, and everything must be there.
        let all: Vec<usize> = (0..GROUPS).collect();
        cfg.join(admin, &all).await;
        for key in 0..KEYS {
            cfg.get(client, &key.to_string()).await;
        }
    };
    if cfg.tester().timeout(ANSWERS, answers).await.is_none() {
        let waiting = cfg.waiting().unwrap_or_else(|| "the administrator is waiting".into());
        let what = format!("{} s after the last fault, {waiting}", ANSWERS.as_secs());
        let all: Vec<usize> = (0..cfg.lab().servers()).collect();
        return Err(standstill(cfg, &all, what));
    }
    Ok(())
}

/// A client that reads and writes.
async fn client_at_work(cfg: Groups, work: Work) -> Checked<()> {
    let client = cfg.make_client();
    read_and_write(&cfg, client, work).await
}

/// Has groups join and leave, and shards move, until it is told to stop. There is always a group: without one,
/// the course's service forgets everything.
async fn change(cfg: Groups, is_over: Rc<Cell<bool>>) -> Checked<()> {
    let mut admin = cfg.make_admin();
    let dice = cfg.client_dice(u32::MAX / 8);
    let mut is_in = [false; GROUPS];
    is_in[0] = true;
    cfg.join(&mut admin, &[0]).await;
    while !is_over.get() {
        let group = dice.below(GROUPS as u64) as usize;
        let shard = dice.below(N_SHARDS as u64) as usize;
        let is_move = dice.below(3) == 0;
        let pause = dice.span(Duration::ZERO, LONGEST_UNCHANGED);
        if cfg.tester().happens(CHANGES) {
            let others = is_in.iter().filter(|is_in| **is_in).count() - usize::from(is_in[group]);
            if !is_in[group] {
                is_in[group] = true;
                cfg.join(&mut admin, &[group]).await;
            } else if is_move {
                cfg.move_shard(&mut admin, shard, gid(group)).await;
            } else if others > 0 {
                is_in[group] = false;
                cfg.leave(&mut admin, &[group]).await;
            }
        }
        cfg.sleep(pause).await;
    }
    Ok(())
}

/// Draws steps and carries them out, until the phase of faults is over.
async fn inject_faults(cfg: &Groups, dice: &Dice) {
    let [shortest, longest] = QUIET;
    let end = cfg.tester().now() + FAULT_PHASE;
    while cfg.tester().now() < end {
        let quiet = dice.span(shortest, longest);
        let step = Step::draw(cfg, dice);
        cfg.sleep(quiet).await;
        if cfg.tester().happens(FAULTS) {
            step.carry_out(cfg);
        }
    }
}

/// A step of the schedule of faults. Clusters are given by their places: the controllers, then the groups.
enum Step {
    /// A server crashes.
    Crash { cluster: usize, server: usize },
    /// The leader of a cluster crashes, if there is one.
    CrashLeader { cluster: usize },
    /// All servers of a group crash.
    CrashGroup { group: usize },
    /// A server cannot reach the others of its cluster, nor they it.
    CutOff { cluster: usize, server: usize },
    /// A node cannot reach any server of a cluster by name: a server of another cluster, or a client.
    CutWays { from: Node, cluster: usize },
    /// Everything is started and connected.
    Heal,
}

impl Step {
    fn draw(cfg: &Groups, dice: &Dice) -> Step {
        // All of this is drawn for every step, so that later ones stay the same.
        let kind = dice.below(9);
        let cluster = dice.below(cfg.clusters().len() as u64) as usize;
        let server = dice.below(cfg.n() as u64) as usize;
        let node = dice.below(cfg.lab().servers() as u64) as usize;
        let client = dice.below(6) as usize;
        match kind {
            0 => Step::Crash { cluster, server },
            1 | 2 => Step::CrashLeader { cluster },
            3 => Step::CrashGroup { group: cluster % GROUPS },
            4 => Step::CutOff { cluster, server },
            5 => Step::CutWays { from: Node::server(node), cluster },
            6 => Step::CutWays { from: Node::client(client), cluster },
            _ => Step::Heal,
        }
    }

    fn carry_out(self, cfg: &Groups) {
        let clusters = cfg.clusters();
        match self {
            Step::Crash { cluster, server } => clusters[cluster].shutdown(server),
            Step::CrashLeader { cluster } => {
                let cluster = clusters[cluster];
                let leader = (0..cluster.n()).find(|&i| cluster.claims_to_lead(i));
                leader.into_iter().for_each(|i| cluster.shutdown(i));
            }
            Step::CrashGroup { group } => cfg.shutdown_group(group),
            Step::CutOff { cluster, server } => clusters[cluster].cut_off(server),
            Step::CutWays { from, cluster } => {
                let cluster = clusters[cluster];
                cfg.step(|| format!("{from} can no longer reach the {}", cluster.name()));
                (0..cluster.n()).for_each(|i| cfg.set_way(from, cluster.node(i), false));
            }
            Step::Heal => start_and_connect(cfg),
        }
    }
}

/// Starts all servers that are down, and opens all links and ways.
fn start_and_connect(cfg: &Groups) {
    cfg.open_all_ways();
    for cluster in cfg.clusters() {
        for i in (0..cluster.n()).filter(|&i| !cluster.is_running(i)) {
            cluster.start(i);
        }
        cluster.connect_all();
    }
}

/// Ends all faults.
fn heal(cfg: &Groups) {
    heal_network(cfg);
    start_and_connect(cfg);
}
