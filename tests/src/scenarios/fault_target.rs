//! How the steps of a schedule are carried out on a cluster.

use std::time::Duration;

use labraft::{Cluster, Config};
use labrpc::Dice;

use super::schedule::{ScheduleMix, Step, Victim};
use crate::kv::KvConfig;

/// How long the phase of faults lasts.
const FAULT_PHASE: Duration = Duration::from_secs(20);
/// The number of the schedule of faults, for [`labrpc::Runtime::happens`].
const FAULTS: u32 = 0;

/// The number of the schedule of a client's work, for [`labrpc::Runtime::happens`].
pub(super) fn work_of_client(client: u32) -> u32 {
    FAULTS + 1 + client
}

/// What a schedule of faults acts on: the servers of a Raft test, or those of the key/value
/// service.
pub(super) trait FaultTarget {
    fn cluster(&self) -> &Cluster;
    /// Starts a server that is down from its saved state. It may still have to be connected.
    fn start_again(&self, i: usize);
    fn crash(&self, i: usize);
    /// Cuts a server off from all others.
    fn isolate(&self, i: usize);
    fn reconnect_all(&self);

    /// Starts all of these servers that are down.
    fn start_stopped(&self, servers: impl IntoIterator<Item = usize>) {
        for i in servers {
            if !self.cluster().is_running(i) {
                self.start_again(i);
            }
        }
    }
}

impl FaultTarget for Config {
    fn cluster(&self) -> &Cluster {
        self
    }

    fn start_again(&self, i: usize) {
        self.start1(i);
    }

    fn crash(&self, i: usize) {
        self.crash1(i);
    }

    fn isolate(&self, i: usize) {
        self.disconnect(i);
    }

    fn reconnect_all(&self) {
        for i in 0..self.n() {
            self.connect(i);
        }
    }
}

impl FaultTarget for KvConfig {
    fn cluster(&self) -> &Cluster {
        self
    }

    fn start_again(&self, i: usize) {
        self.start(i);
    }

    fn crash(&self, i: usize) {
        self.shutdown(i);
    }

    fn isolate(&self, i: usize) {
        self.cut_off(i);
    }

    fn reconnect_all(&self) {
        self.connect_all();
    }
}

/// Draws steps and carries them out, until the phase of faults is over.
pub(super) async fn inject_faults(target: &impl FaultTarget, dice: &Dice) {
    let cluster = target.cluster();
    let mix = ScheduleMix::draw(dice);
    let end = cluster.tester().now() + FAULT_PHASE;
    while cluster.tester().now() < end {
        for (quiet, step) in mix.draw_steps(dice, cluster.n()) {
            cluster.sleep(quiet).await;
            if cluster.tester().happens(FAULTS) {
                carry_out(target, step);
            }
        }
    }
}

fn carry_out(target: &impl FaultTarget, step: Step) {
    match step {
        Step::Crash(victim) => {
            if let Some(i) = find_victim(target.cluster(), victim) {
                target.crash(i);
            }
        }
        Step::StartAll => {
            target.start_stopped(0..target.cluster().n());
            target.reconnect_all();
        }
        Step::CutOff(victim) => {
            if let Some(i) = find_victim(target.cluster(), victim) {
                target.isolate(i);
            }
        }
        Step::Partition(one, other) => partition(target.cluster(), &one, &other),
        Step::ConnectAll => target.reconnect_all(),
        Step::Depose => {
            target.reconnect_all();
            if let Some(leader) = current_leader(target.cluster()) {
                target.isolate(leader);
            }
        }
        Step::Strand(order) => {
            target.reconnect_all();
            strand(target.cluster(), order);
        }
    }
}

fn find_victim(cluster: &Cluster, victim: Victim) -> Option<usize> {
    match victim {
        Victim::Server(i) => Some(i),
        Victim::Leader => current_leader(cluster),
    }
}

/// The leader with the highest term. A leader with a lower term may not know yet that it has been
/// replaced.
pub(super) fn current_leader(cluster: &Cluster) -> Option<usize> {
    let mut newest = None;
    for i in 0..cluster.n() {
        if let Some(state) = cluster.state(i)
            && state.is_leader
        {
            newest = newest.max(Some((state.term, i)));
        }
    }
    newest.map(|(_, leader)| leader)
}

/// Carries out [`Step::Strand`].
fn strand(cluster: &Cluster, mut order: Vec<usize>) {
    let Some(leader) = current_leader(cluster) else { return };
    order.retain(|&i| i != leader);
    order.insert(0, leader);
    let (stranded, others) = order.split_at(cluster.n() / 2);
    partition(cluster, stranded, others);
}

/// Cuts every link between the two groups.
fn partition(cluster: &Cluster, one: &[usize], other: &[usize]) {
    cluster.step(|| format!("partition {one:?} | {other:?}"));
    for &i in one {
        cluster.link(i, other.iter().copied(), false);
    }
}
