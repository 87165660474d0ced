//! `ChaosRaft`: a Raft on its own, whose clients start commands on every server they can reach. Where the Raft offers it,
//! they also begin reads and have leadership handed over.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use labraft::{Checked, Config, Lab, Part, Steps};
use labrpc::Dice;

use super::fault_target::{FaultTarget, inject_faults, work_of_client};
use super::schedule::{draw_bool, draw_cluster_size, draw_order};
use super::{agree, heal_network, standstill};
use crate::reads::Read;
use crate::steps::spawn_client;

/// The number of clients that start commands.
const CLIENTS: u32 = 2;
/// The shortest pause of a client between two rounds of commands.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(60);
/// The longest time that a slow service takes for a command or a snapshot.
const SLOW_SERVICE: Duration = Duration::from_millis(8);
/// How long it may take until a read is confirmed, as long as to agree on a command.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// The shortest pause between two rounds of transfers of leadership.
const SHORTEST_REIGN: Duration = Duration::from_millis(10);
/// The longest such pause is one of these, the same for the whole run.
const LONGEST_REIGNS: [Duration; 3] =
    [Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(4)];

/// Raft under generated faults.
pub(crate) fn chaos_raft(lab: Lab) -> Steps {
    Box::pin(async move {
        lab.draw_chaos();
        let dice = lab.world().tester().workload(0);
        let cfg = draw_cluster(&lab, &dice);
        cfg.begin(lab.test().title);
        let is_over = Rc::new(Cell::new(false));
        for client in 0..CLIENTS {
            spawn_client(&cfg, "client", start_commands(cfg.clone(), client, is_over.clone()));
        }
        if lab.implementation().offers.include(Part::Raft2F) {
            spawn_client(&cfg, "transfers", hand_over(cfg.clone(), is_over.clone()));
        }
        inject_faults(&cfg, &dice).await;
        is_over.set(true);

        heal_network(&cfg);
        cfg.slow_service(Duration::ZERO);
        let order = draw_order(&dice, cfg.n());
        let majority = heal_majority(&cfg, &dice, &order);
        agree(&cfg, majority).await?;
        confirm_a_read(&cfg, majority).await?;
        cfg.start_stopped(0..cfg.n());
        cfg.reconnect_all();
        agree(&cfg, &order).await?;
        confirm_a_read(&cfg, &order).await?;
        cfg.end()?;
        cfg.cleanup()
    })
}

/// Checks that these servers confirm a read, where reads are offered.
async fn confirm_a_read(cfg: &Config, servers: &[usize]) -> Checked<()> {
    if !cfg.lab().implementation().offers.read_index {
        return Ok(());
    }
    let end = cfg.tester().now() + READ_LIMIT;
    while cfg.tester().now() < end {
        for &server in servers {
            let Some(pending) = cfg.read(server) else { continue };
            if cfg.tester().timeout(READ_LIMIT / 5, pending).await.flatten().is_some() {
                return Ok(());
            }
        }
        cfg.sleep(LONGEST_PAUSE).await;
    }
    Err(standstill(cfg, servers, "no leader confirms a read"))
}

/// Creates a cluster with a random size, a random network and a service of random speed.
fn draw_cluster(lab: &Lab, dice: &Dice) -> Config {
    let servers = draw_cluster_size(dice);
    let unreliable = draw_bool(dice);
    let snapshot = draw_bool(dice);
    let cfg = lab.make_config(servers, unreliable, snapshot);
    cfg.network().long_reordering(draw_bool(dice));
    cfg.slow_service(if draw_bool(dice) { SLOW_SERVICE } else { Duration::ZERO });
    cfg
}

/// Starts a command on each server, round after round, whether the server leads or not. Where reads are offered, it
/// begins some on each as well.
async fn start_commands(cfg: Config, client: u32, is_over: Rc<Cell<bool>>) -> Checked<()> {
    let dice = cfg.client_dice(client);
    while !is_over.get() {
        // These are drawn even if the round is skipped, so that later rounds stay the same.
        let commands: Vec<u64> = (0..cfg.n()).map(|_| dice.below(u64::MAX)).collect();
        if cfg.tester().happens(work_of_client(client)) {
            for (i, command) in commands.into_iter().enumerate() {
                cfg.start(i, command);
            }
            if cfg.lab().implementation().offers.read_index && draw_bool(&dice) {
                // What a read sees is a property, and so is that it ends.
                (0..cfg.n()).for_each(|i| drop(Read::begin(&cfg, i)));
            }
        }
        cfg.sleep(dice.span(SHORTEST_PAUSE, LONGEST_PAUSE)).await;
    }
    Ok(())
}

/// Has all servers that lead, or believe it, hand over leadership to others, round after round.
async fn hand_over(cfg: Config, is_over: Rc<Cell<bool>>) -> Checked<()> {
    let dice = cfg.client_dice(CLIENTS);
    let longest = LONGEST_REIGNS[dice.below(LONGEST_REIGNS.len() as u64) as usize];
    while !is_over.get() {
        cfg.sleep(dice.span(SHORTEST_REIGN, longest)).await;
        // These, too, are drawn even if the round is skipped.
        let targets: Vec<u64> = (0..cfg.n()).map(|_| dice.below(cfg.n() as u64)).collect();
        if cfg.tester().happens(work_of_client(CLIENTS)) {
            for (i, to) in targets.into_iter().enumerate() {
                cfg.transfer_leadership(i, to as usize);
            }
        }
    }
    Ok(())
}

/// Starts and connects the majority that comes first in this order. The other servers stay
/// disconnected, and some of them are crashed. Returns the majority.
fn heal_majority<'a>(cfg: &Config, dice: &Dice, order: &'a [usize]) -> &'a [usize] {
    let (majority, others) = order.split_at(cfg.n() / 2 + 1);
    for i in 0..cfg.n() {
        cfg.disconnect(i);
    }
    for &i in others {
        if !draw_bool(dice) {
            cfg.crash1(i);
        }
    }
    cfg.start_stopped(majority.iter().copied());
    for &i in majority {
        cfg.connect(i);
    }
    if cfg.lab().implementation().offers.include(Part::Raft2E) {
        others.iter().for_each(|&i| disturb(cfg, dice, i));
    }
    majority
}

/// Has a server that is cut off reach the others after all, in one direction only: it hears nothing, or
/// is not heard. Neither may keep the majority from making progress.
fn disturb(cfg: &Config, dice: &Dice, server: usize) {
    let is_deaf = draw_bool(dice);
    let how = if is_deaf { "hears nothing" } else { "is not heard" };
    if draw_bool(dice) {
        return;
    }
    cfg.step(|| format!("server {server} {how}"));
    cfg.start_stopped([server]);
    let all = 0..cfg.n();
    cfg.link(server, all.clone(), true);
    if is_deaf {
        cfg.deafen(server, all);
    } else {
        cfg.mute(server, all);
    }
}
