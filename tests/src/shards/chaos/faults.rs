//! The faults of `ChaosShards`, and the times at which they happen: after a pause, or at a step of a migration.

use std::time::Duration;

use labrpc::{Dice, Node};

use super::super::checks::Progress;
use super::super::groups::{GROUPS, Groups};

/// The shortest and the longest time between two steps of the schedule of faults.
const QUIET: [Duration; 2] = [Duration::from_millis(80), Duration::from_millis(600)];
/// How often to look whether a group has come to a step of a migration.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);
/// The longest time between such a step and the fault: messages take up to 27 ms in the course's network, but
/// hardly any time if it is reliable.
const LONGEST_AFTER: [Duration; 2] = [Duration::from_millis(3), Duration::from_millis(30)];

/// When a fault happens.
pub(super) enum When {
    /// After a pause.
    Later(Duration),
    /// So long after a group has come to a step of a migration, or after a pause if it does not come to it.
    At { group: usize, step: MigrationStep, after: Duration, latest: Duration },
}

/// A step of a migration that a group shows.
#[derive(Copy, Clone)]
pub(super) enum MigrationStep {
    /// It has gone to another configuration: it has stopped serving what it loses.
    Configured,
    /// It has begun to serve shards.
    Arrived,
    /// It has deleted what it had handed over.
    Deleted,
}

impl MigrationStep {
    fn was_taken(self, before: Progress, now: Progress) -> bool {
        match self {
            MigrationStep::Configured => now.config > before.config,
            MigrationStep::Arrived => now.arrivals > before.arrivals,
            MigrationStep::Deleted => now.deletions > before.deletions,
        }
    }
}

impl When {
    /// After a pause, or at a step that this group takes.
    pub(super) fn draw(dice: &Dice, group: usize) -> When {
        let [shortest, longest] = QUIET;
        // All of this is drawn each time, so that later draws stay the same.
        let latest = dice.span(shortest, longest);
        let after = dice.span(Duration::ZERO, LONGEST_AFTER[dice.below(2) as usize]);
        let step = match dice.below(6) {
            0 => MigrationStep::Configured,
            1 => MigrationStep::Arrived,
            2 => MigrationStep::Deleted,
            _ => return When::Later(latest),
        };
        When::At { group, step, after, latest }
    }

    /// Waits until it is time.
    pub(super) async fn come(&self, cfg: &Groups) {
        let (group, step, after, latest) = match *self {
            When::Later(pause) => return cfg.sleep(pause).await,
            When::At { group, step, after, latest } => (group, step, after, latest),
        };
        let before = cfg.progress(group);
        let end = cfg.tester().now() + latest;
        while cfg.tester().now() < end {
            if step.was_taken(before, cfg.progress(group)) {
                return cfg.sleep(after).await;
            }
            cfg.sleep(LOOK_INTERVAL).await;
        }
    }
}

/// A fault. Clusters are given by their places: the controllers, then the groups.
pub(super) enum Fault {
    /// A server crashes.
    Crash { cluster: usize, server: usize },
    /// The leader of a cluster crashes, if there is one.
    CrashLeader { cluster: usize },
    /// All servers of a group crash.
    CrashGroup { group: usize },
    /// All servers of a group crash, and are started at once.
    RestartGroup { group: usize },
    /// A server cannot reach the others of its cluster, nor they it.
    CutOff { cluster: usize, server: usize },
    /// The same, with the leader of a cluster.
    CutOffLeader { cluster: usize },
    /// A node cannot reach any server of a cluster by name: a server of another cluster, or a client.
    CutWays { from: Node, cluster: usize },
    /// No server of a group can reach any server of another cluster by name.
    CutGroup { group: usize, cluster: usize },
    /// Everything is started and connected.
    Heal,
}

/// How many numbers stand for a kind of fault in [`Fault::draw`], and how many of them, the first, for faults of
/// servers.
const KINDS: u64 = 13;
const SERVER_KINDS: u64 = 8;

impl Fault {
    /// Any fault, of any cluster, or that everything is healed.
    pub(super) fn draw(cfg: &Groups, dice: &Dice) -> Fault {
        let cluster = dice.below(cfg.clusters().len() as u64) as usize;
        Fault::draw_for(cfg, dice, cluster, KINDS)
    }

    /// A fault of servers of a group.
    pub(super) fn draw_for_group(cfg: &Groups, dice: &Dice, group: usize) -> Fault {
        Fault::draw_for(cfg, dice, 1 + group, SERVER_KINDS)
    }

    /// A fault of a cluster, of the first of all kinds.
    fn draw_for(cfg: &Groups, dice: &Dice, cluster: usize, kinds: u64) -> Fault {
        // All of this is drawn for every fault, so that later ones stay the same.
        let kind = dice.below(kinds);
        let server = dice.below(cfg.clusters()[cluster].n() as u64) as usize;
        let node = dice.below(cfg.lab().servers() as u64) as usize;
        let client = dice.below(8) as usize;
        // The controllers are no group: for them, it is the last one.
        let group = cluster.checked_sub(1).unwrap_or(GROUPS - 1);
        match kind {
            0 => Fault::Crash { cluster, server },
            1 | 2 => Fault::CrashLeader { cluster },
            3 => Fault::CrashGroup { group },
            4 => Fault::RestartGroup { group },
            5 => Fault::CutOff { cluster, server },
            6 | 7 => Fault::CutOffLeader { cluster },
            8 => Fault::CutWays { from: Node::server(node), cluster },
            9 => Fault::CutWays { from: Node::client(client), cluster },
            10 => Fault::CutGroup { group: node % GROUPS, cluster },
            _ => Fault::Heal,
        }
    }

    pub(super) fn carry_out(self, cfg: &Groups) {
        let clusters = cfg.clusters();
        let leader = |cluster: usize| clusters[cluster].leader();
        match self {
            Fault::Crash { cluster, server } => clusters[cluster].shutdown(server),
            Fault::CrashLeader { cluster } => {
                leader(cluster).into_iter().for_each(|i| clusters[cluster].shutdown(i));
            }
            Fault::CrashGroup { group } => cfg.shutdown_group(group),
            Fault::RestartGroup { group } => {
                cfg.shutdown_group(group);
                cfg.start_group(group);
            }
            Fault::CutOff { cluster, server } => clusters[cluster].cut_off(server),
            Fault::CutOffLeader { cluster } => {
                leader(cluster).into_iter().for_each(|i| clusters[cluster].cut_off(i));
            }
            Fault::CutWays { from, cluster } => cut_ways(cfg, from, cluster),
            Fault::CutGroup { group, cluster } => {
                let group = clusters[1 + group];
                (0..group.n()).for_each(|i| cut_ways(cfg, group.node(i), cluster));
            }
            Fault::Heal => start_and_connect(cfg),
        }
    }
}

fn cut_ways(cfg: &Groups, from: Node, cluster: usize) {
    let cluster = cfg.clusters()[cluster];
    cfg.step(|| format!("{from} can no longer reach the {}", cluster.name()));
    (0..cluster.n()).for_each(|i| cfg.set_way(from, cluster.node(i), false));
}

/// Starts all servers that are down, and opens all links and ways.
pub(super) fn start_and_connect(cfg: &Groups) {
    cfg.open_all_ways();
    for cluster in cfg.clusters() {
        for i in (0..cluster.n()).filter(|&i| !cluster.is_running(i)) {
            cluster.start(i);
        }
        cluster.connect_all();
    }
}
