//! `RestartedVoters` and `RestartedFollowers`: servers restart at the moment at which they have
//! promised something, and go on together with servers that do not know of the promise.
//!
//! Whatever a Raft decides, a majority decides, and any two majorities have a server in common. Only
//! the memory of that server keeps the second from contradicting the first. So in each round a bare
//! majority decides something while all other servers are cut off. As soon as the decision can be
//! seen from outside, the servers in common restart, and the rest of the first majority is cut off
//! in place of the others. The second majority has to go on without contradicting the first.
//!
//! Nothing here looks into a Raft or its messages. A vote that was forgotten shows as a second
//! leader of one term, a log that was forgotten as a second command at one index.

use std::time::Duration;

use labraft::{Checked, Config, Lab, Steps};
use labrpc::{Chaos, Dice, Ratio};

use super::fault_target::{FaultTarget, current_leader};
use super::schedule::{draw_bool, draw_order};
use super::{agree, heal_network};
use crate::steps::RANDOM_INTS;

/// The numbers of servers, each equally likely. Three come up more often than in the other
/// scenarios: the fewer servers, the more depends on the memory of one. So do four, of which half are no majority.
const CLUSTER_SIZES: [usize; 6] = [3, 3, 4, 4, 5, 7];
/// The number of rounds. One takes about two seconds.
const ROUNDS: u32 = 20;
/// No round begins later than this, so that a slow Raft does not exceed the time of a test.
const LATEST_ROUND: Duration = Duration::from_secs(70);
/// The number of the schedule of rounds, for [`labrpc::Runtime::happens`].
const ROUND: u32 = 0;
/// The longest time that the first majority gets for its decision.
const LONGEST_DECISION: Duration = Duration::from_secs(2);
/// The longest time for which every server is cut off from all others before an election: about as
/// long as an election time-out, so that some of them already stand when the first majority meets.
const LONGEST_ISOLATION: Duration = Duration::from_millis(800);
/// The share of saves at which a server crashes, in rounds with such crashes.
const CRASHES_AT_SAVE: Ratio = Ratio::new(1, 4);
/// The largest number of commands that are started together.
const MOST_COMMANDS: u64 = 3;

/// What the first majority of a round decides.
#[derive(Copy, Clone)]
enum Decision {
    /// Who leads.
    Leader,
    /// Which commands are committed.
    Commands,
}

/// Voters restart when their candidate has won.
pub(crate) fn restarted_voters(lab: Lab) -> Steps {
    Box::pin(run_scenario(lab, Decision::Leader))
}

/// Followers restart when the entries that they have acknowledged are committed.
pub(crate) fn restarted_followers(lab: Lab) -> Steps {
    Box::pin(run_scenario(lab, Decision::Commands))
}

async fn run_scenario(lab: Lab, decision: Decision) -> Checked<()> {
    let dice = lab.world().tester().workload(0);
    let faults = lab.world().chaos().unwrap_or_default();
    let (servers, is_unreliable, snapshot) =
        (CLUSTER_SIZES[dice.below(6) as usize], draw_bool(&dice), draw_bool(&dice));
    let cfg = lab.make_config(servers, is_unreliable, snapshot);
    cfg.begin(lab.test().title);
    let rounds = cfg.client_dice(0);
    for _ in 0..ROUNDS {
        let round = Round::draw(&rounds, servers);
        if cfg.tester().now() < LATEST_ROUND && cfg.tester().happens(ROUND) {
            agree_all(&cfg).await?;
            cfg.network().reliable(!is_unreliable);
            round.run(&cfg, decision, faults).await?;
        }
    }
    agree_all(&cfg).await?;
    cfg.end()?;
    cfg.cleanup()
}

/// Ends all faults, and lets all servers agree on one more command.
async fn agree_all(cfg: &Config) -> Checked<()> {
    let all: Vec<usize> = (0..cfg.n()).collect();
    heal_network(cfg);
    cfg.start_stopped(all.iter().copied());
    connect_only(cfg, &all);
    agree(cfg, &all).await
}

/// What is drawn for a round.
struct Round {
    /// The servers in a random order: the first ones become the first majority, once those that
    /// have to be in it have been put in front.
    order: Vec<usize>,
    /// A random order of the places in the first majority. The servers at the places that come
    /// first are also in the second majority.
    common: Vec<usize>,
    /// Whether servers crash at some of their saves, which finds a Raft that answers first.
    crashes_at_save: bool,
    /// How long every server is cut off from all others before an election.
    isolation: Duration,
    /// Whether the leader stays one when it is cut off before an election.
    leader_stays: bool,
    /// Commands for a leader that cannot commit them, and is in the first majority later on.
    stranded: Vec<u64>,
    /// The commands that the first majority decides on.
    commands: Vec<u64>,
}

impl Round {
    fn draw(dice: &Dice, servers: usize) -> Round {
        Round {
            order: draw_order(dice, servers),
            common: draw_order(dice, servers / 2 + 1),
            crashes_at_save: draw_bool(dice),
            isolation: dice.span(Duration::ZERO, LONGEST_ISOLATION),
            leader_stays: draw_bool(dice),
            stranded: if draw_bool(dice) { draw_commands(dice) } else { Vec::new() },
            commands: draw_commands(dice),
        }
    }

    async fn run(mut self, cfg: &Config, decision: Decision, faults: Chaos) -> Checked<()> {
        let term = newest_term(cfg);
        match decision {
            Decision::Leader => self.isolate(cfg).await,
            Decision::Commands => self.strand(cfg).await?,
        }
        let (first, others) = self.order.split_at(self.common.len());
        let common_count = first.len() - others.len();
        let common = self.common.iter().take(common_count).map(|&place| first[place]);
        let common: Vec<usize> = common.collect();
        let second = [&common, others].concat();

        connect_only(cfg, first);
        let crashes_at_save =
            if self.crashes_at_save { CRASHES_AT_SAVE } else { faults.crashes_at_save };
        cfg.lab().world().set_chaos(Some(Chaos { crashes_at_save, ..faults }));
        match decision {
            Decision::Leader => wait_for_leader(cfg, first, term).await,
            Decision::Commands => commit(cfg, first[0], &self.commands).await,
        }

        heal_network(cfg);
        for i in common {
            cfg.start1(i);
        }
        cfg.start_stopped(second.iter().copied());
        connect_only(cfg, &second);
        agree(cfg, &second).await
    }

    /// Cuts every server off for a while. The leader restarts, so that nobody leads, or it stays and
    /// will be in the first majority: there it learns of a newer term from those it leads no more.
    async fn isolate(&mut self, cfg: &Config) {
        connect_only(cfg, &[]);
        if self.leader_stays {
            self.put_leader_first(cfg);
        } else if let Some(leader) = current_leader(cfg) {
            cfg.start1(leader);
        }
        cfg.sleep(self.isolation).await;
    }

    /// Puts the leader in front of the order. If there are commands to be stranded, it gets them
    /// while it is cut off, and its successor is put before it.
    async fn strand(&mut self, cfg: &Config) -> Checked<()> {
        self.put_leader_first(cfg);
        if !self.stranded.is_empty() {
            let (old, others) = (self.order[0], &self.order[1..]);
            cfg.disconnect(old);
            start_all(cfg, old, &self.stranded);
            agree(cfg, others).await?;
            self.put_leader_first(cfg);
        }
        Ok(())
    }

    fn put_leader_first(&mut self, cfg: &Config) {
        let Some(leader) = current_leader(cfg) else { return };
        self.order.retain(|&i| i != leader);
        self.order.insert(0, leader);
    }
}

fn draw_commands(dice: &Dice) -> Vec<u64> {
    let count = 1 + dice.below(MOST_COMMANDS);
    (0..count).map(|_| dice.below(RANDOM_INTS)).collect()
}

/// The highest term that a server is in.
fn newest_term(cfg: &Config) -> u64 {
    let terms = (0..cfg.n()).filter_map(|i| cfg.state(i)).map(|state| state.term);
    terms.max().unwrap_or(0)
}

/// Connects these servers to each other, and cuts off all others.
fn connect_only(cfg: &Config, servers: &[usize]) {
    for i in (0..cfg.n()).filter(|i| !servers.contains(i)) {
        cfg.disconnect(i);
    }
    for &i in servers.iter().filter(|&&i| !cfg.is_connected(i)) {
        cfg.connect(i);
    }
}

/// Waits until one of these servers leads in a term after this one.
async fn wait_for_leader(cfg: &Config, servers: &[usize], term: u64) {
    let leads = |i: usize| cfg.state(i).is_some_and(|now| now.is_leader && now.term > term);
    wait_until(cfg, || servers.iter().any(|&i| leads(i))).await;
}

/// Starts commands on a leader, and waits until a server has applied them.
async fn commit(cfg: &Config, leader: usize, commands: &[u64]) {
    if let Some(last) = start_all(cfg, leader, commands) {
        // A contradiction ends the wait: the harness reports it when the server applies it.
        wait_until(cfg, || !matches!(cfg.n_committed(last), Ok((0, _)))).await;
    }
}

/// Starts commands on a server. Returns the index of the last one if the server took it.
fn start_all(cfg: &Config, leader: usize, commands: &[u64]) -> Option<u64> {
    let mut last = None;
    for &command in commands {
        last = cfg.start(leader, command);
    }
    last.map(|started| started.index)
}

/// Waits until a condition holds, which is looked at whenever a server has done something; gives up
/// after [`LONGEST_DECISION`].
async fn wait_until(cfg: &Config, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            cfg.server_active().await;
        }
    };
    _ = cfg.tester().timeout(LONGEST_DECISION, wait).await;
}
