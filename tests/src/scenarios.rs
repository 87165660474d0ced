//! Scenarios beyond the course's tests, generated from the seed: servers, workload, faults, and a
//! schedule of crashes and cuts.
//!
//! Each has two phases. In the first, everything may happen, and what is checked is safety: Raft's
//! properties, agreement, linearizability. In the second, a majority is healed, and every other server
//! is stopped or cut off from it both ways; then progress is demanded. One-way cuts, clogged links and
//! paused servers belong to the first phase: a Raft without pre-vote and check-quorum may rightly
//! stand still under them, for a server that hears nobody disturbs those that do.

use std::cell::Cell;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use labraft::{Checked, Cluster, Config, Failure, Lab, Reason, Steps};
use labrpc::Dice;

use crate::kv::{KvConfig, KvSetup};
use crate::kv_generic::appended;
use crate::steps::{random, spawn_client};

/// How long everything may happen.
const SAFETY_PHASE: Duration = Duration::from_secs(20);
/// After a step of the schedule, nothing is changed for at least so long, and at most so many times as
/// long: one of these.
const STABLE: Duration = Duration::from_millis(80);
const LONGEST_STABLE: [u32; 3] = [4, 8, 12];
/// How long the others have to replace a leader that was stranded or deposed, at least and at most.
const REPLACED: [Duration; 2] = [Duration::from_millis(400), Duration::from_millis(1000)];
/// How long a leader that was replaced has to hear of it, at least and at most.
const BACK: [Duration; 2] = [Duration::from_millis(40), Duration::from_millis(160)];
/// How long a slow service takes for a command or a snapshot, at most.
const SLOW: Duration = Duration::from_millis(8);
/// How long the clients of a healed majority may take to get all their answers.
const HEALED: Duration = Duration::from_secs(30);

/// More can go wrong among five and seven, so these come up twice as often.
fn draw_size(dice: &Dice) -> usize {
    [3, 4, 5, 5, 7, 7][dice.below(6) as usize]
}

/// Numbers in a drawn order.
fn shuffled(dice: &Dice, n: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        all.swap(last, dice.below(last as u64 + 1) as usize);
    }
    all
}

/// A step of the schedule.
enum Step {
    Crash(Who),
    StartAll,
    CutOff(Who),
    Part(Vec<usize>, Vec<usize>),
    ConnectAll,
    /// Whoever was cut off is back, and whoever leads is cut off.
    Depose,
    /// Whoever leads is cut off, and others with it in this order, half of the servers at most.
    Strand(Vec<usize>),
}

/// A server that is named, or whoever leads at that moment.
#[derive(Copy, Clone)]
enum Who {
    Server(usize),
    Leader,
}

impl Who {
    /// Half of the time the leader: most of what can go wrong begins with one.
    fn draw(dice: &Dice, n: usize) -> Who {
        match dice.below(2 * n as u64) as usize {
            i if i < n => Who::Server(i),
            _ => Who::Leader,
        }
    }

    /// The server; `None` when nobody leads.
    fn server(self, cfg: &Cluster) -> Option<usize> {
        let leads = |i: usize| cfg.state(i).filter(|state| state.is_leader).map(|s| (s.term, i));
        match self {
            Who::Server(i) => Some(i),
            Who::Leader => (0..cfg.n()).filter_map(leads).max().map(|(_, i)| i),
        }
    }
}

/// What a run's schedule is about: each kind of trouble is off altogether in half of all runs.
struct Style {
    crashes: bool,
    cuts: bool,
    parts: bool,
    deposes: bool,
    reigns: bool,
    longest: Duration,
}

impl Style {
    fn draw(dice: &Dice) -> Style {
        let is_on = || dice.below(2) == 1;
        Style {
            crashes: is_on(),
            cuts: is_on(),
            parts: is_on(),
            deposes: is_on(),
            reigns: is_on(),
            longest: LONGEST_STABLE[dice.below(3) as usize] * STABLE,
        }
    }

    /// What comes next; before each step nothing is changed for a time.
    fn next(&self, dice: &Dice, n: usize) -> Vec<(Duration, Step)> {
        let stable = dice.span(STABLE, self.longest);
        if self.reigns && dice.below(3) == 0 {
            return reigns(dice, n, stable);
        }
        vec![(stable, self.step(dice, n))]
    }

    fn step(&self, dice: &Dice, n: usize) -> Step {
        let who = Who::draw(dice, n);
        match dice.below(8) {
            0 | 1 if self.crashes => Step::Crash(who),
            2 if self.cuts => Step::CutOff(who),
            3 if self.parts => {
                let (one, other) = (0..n).partition(|_| dice.below(2) == 0);
                Step::Part(one, other)
            }
            4 | 5 if self.deposes => Step::Depose,
            6 => Step::ConnectAll,
            _ => Step::StartAll,
        }
    }
}

/// A leader is replaced while only a few follow it, and its successor before long as well: whoever is
/// elected then may have led before, and what it knows or still hears from its first reign holds no longer.
fn reigns(dice: &Dice, n: usize, stable: Duration) -> Vec<(Duration, Step)> {
    let span = |[shortest, longest]: [Duration; 2]| dice.span(shortest, longest);
    vec![
        (stable, Step::Strand(shuffled(dice, n))),
        (span(REPLACED), Step::ConnectAll),
        (span(BACK), Step::Depose),
        (span(REPLACED), Step::ConnectAll),
    ]
}

/// What a schedule strikes: the servers of a Raft test, or those with a service on them.
trait Struck: Deref<Target = Cluster> {
    /// Starts a server from what it had saved.
    fn start_again(&self, i: usize);
    fn crash(&self, i: usize);
    /// Cuts a server off from all others.
    fn isolate(&self, i: usize);
    fn reconnect_all(&self);

    /// Those of the servers that do not run are started.
    fn start_those(&self, servers: impl IntoIterator<Item = usize>) {
        servers.into_iter().filter(|&i| !self.is_running(i)).for_each(|i| self.start_again(i));
    }
}

impl Struck for Config {
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
        (0..self.n()).for_each(|i| self.connect(i));
    }
}

impl Struck for KvConfig {
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

/// Takes drawn steps until the phase is over.
async fn schedule(cfg: &impl Struck, dice: &Dice) {
    let style = Style::draw(dice);
    let end = cfg.tester().now() + SAFETY_PHASE;
    while cfg.tester().now() < end {
        for (stable, step) in style.next(dice, cfg.n()) {
            cfg.sleep(stable).await;
            if cfg.tester().happens(0) {
                carry_out(cfg, step);
            }
        }
    }
}

fn carry_out(cfg: &impl Struck, step: Step) {
    match step {
        Step::Crash(who) => who.server(cfg).into_iter().for_each(|i| cfg.crash(i)),
        Step::StartAll => {
            cfg.start_those(0..cfg.n());
            cfg.reconnect_all();
        }
        Step::CutOff(who) => who.server(cfg).into_iter().for_each(|i| cfg.isolate(i)),
        Step::Part(one, other) => part(cfg, &one, &other),
        Step::ConnectAll => cfg.reconnect_all(),
        Step::Depose => {
            cfg.reconnect_all();
            Who::Leader.server(cfg).into_iter().for_each(|i| cfg.isolate(i));
        }
        Step::Strand(order) => {
            cfg.reconnect_all();
            strand(cfg, order);
        }
    }
}

/// See [`Step::Strand`].
fn strand(cfg: &Cluster, mut order: Vec<usize>) {
    let Some(leader) = Who::Leader.server(cfg) else { return };
    order.retain(|&i| i != leader);
    order.insert(0, leader);
    let (stranded, others) = order.split_at(cfg.n() / 2);
    part(cfg, stranded, others);
}

fn part(cfg: &Cluster, one: &[usize], other: &[usize]) {
    cfg.step(|| format!("part {one:?} | {other:?}"));
    for &i in one {
        cfg.link(i, other.iter().copied(), false);
    }
}

/// From here on the network is the course's, and reliable.
fn heal_network(cfg: &Cluster) {
    cfg.step(|| "no more faults".into());
    cfg.lab().world().set_chaos(None);
    cfg.network().reliable(true);
    cfg.network().long_reordering(false);
}

fn standstill(cfg: &Cluster, majority: &[usize], what: impl std::fmt::Display) -> Failure {
    let text = format!("no progress though servers {majority:?} are healthy: {what}");
    cfg.failure(None, Reason::Standstill(text))
}

/// Raft under generated faults.
pub(crate) fn chaos_raft(lab: Lab) -> Steps {
    Box::pin(async move {
        lab.draw_chaos();
        let dice = lab.world().tester().workload(0);
        let (n, unreliable, snapshot) = (draw_size(&dice), dice.below(2) == 1, dice.below(2) == 1);
        let title = lab.test().title;
        let cfg = lab.make_config(n, unreliable, snapshot);
        cfg.network().long_reordering(dice.below(2) == 1);
        cfg.slow_service(if dice.below(2) == 1 { SLOW } else { Duration::ZERO });
        cfg.begin(title);
        let is_over = Rc::new(Cell::new(false));
        for client in 0..2 {
            let (of_client, is_over) = (cfg.clone(), is_over.clone());
            let dice = cfg.client_dice(client);
            let work = async move {
                while !is_over.get() {
                    let commands: Vec<u64> =
                        (0..of_client.n()).map(|_| dice.below(u64::MAX)).collect();
                    if of_client.tester().happens(1 + client) {
                        for (i, command) in commands.into_iter().enumerate() {
                            of_client.start(i, command);
                        }
                    }
                    let pause = dice.span(Duration::from_millis(5), Duration::from_millis(60));
                    of_client.sleep(pause).await;
                }
                Ok(())
            };
            spawn_client(&cfg, "client", work);
        }
        schedule(&cfg, &dice).await;

        is_over.set(true);
        heal_network(&cfg);
        cfg.slow_service(Duration::ZERO);
        let order = shuffled(&dice, n);
        let (majority, others) = order.split_at(n / 2 + 1);
        (0..n).for_each(|i| cfg.disconnect(i));
        for &i in others {
            if dice.below(2) == 0 {
                cfg.crash1(i);
            }
        }
        cfg.start_those(majority.iter().copied());
        majority.iter().for_each(|&i| cfg.connect(i));
        agree(&cfg, majority).await?;
        cfg.start_those(0..n);
        cfg.reconnect_all();
        agree(&cfg, &order).await?;
        cfg.end()?;
        cfg.cleanup()
    })
}

/// These servers agree on one command more.
async fn agree(cfg: &Config, servers: &[usize]) -> Checked<()> {
    match cfg.one(random(cfg), servers.len(), true).await {
        Ok(_) => Ok(()),
        Err(failure) if matches!(failure.reason, Reason::NoAgreement { .. }) => {
            Err(standstill(cfg, servers, failure))
        }
        Err(failure) => Err(failure),
    }
}

/// The key/value service under generated faults.
pub(crate) fn chaos_kv(lab: Lab) -> Steps {
    lab.draw_chaos();
    let dice = lab.world().tester().workload(0);
    let setup = KvSetup {
        servers: draw_size(&dice),
        unreliable: dice.below(2) == 1,
        max_raft_state: (dice.below(2) == 1).then_some(1000),
    };
    setup.run(lab, async move |cfg| {
        let n = cfg.n();
        cfg.network().long_reordering(dice.below(2) == 1);
        let is_over = Rc::new(Cell::new(false));
        let keys = 1 + dice.below(3);
        let clients: Vec<_> = (0..2 + dice.below(5) as usize)
            .map(|i| spawn_client(cfg, "client", client(cfg.clone(), i, keys, is_over.clone())))
            .collect();
        schedule(cfg, &dice).await;

        is_over.set(true);
        heal_network(cfg);
        let order = shuffled(&dice, n);
        let (majority, others) = order.split_at(n / 2 + 1);
        for &i in others {
            match dice.below(2) {
                0 => cfg.shutdown(i),
                _ => cfg.cut_off(i),
            }
        }
        cfg.start_those(majority.iter().copied());
        cfg.partition([majority, others]);
        let answers = async {
            for client in clients {
                client.await;
            }
            let mut checking = cfg.make_client_of_all();
            for key in 0..keys {
                cfg.get(&mut checking, &key.to_string()).await;
            }
        };
        if cfg.tester().timeout(HEALED, answers).await.is_none() {
            let what = format!("clients wait for more than {} s", HEALED.as_secs());
            return Err(standstill(cfg, majority, what));
        }
        cfg.check_linearizable()
    })
}

/// Reads and writes drawn keys, until it is over.
async fn client(cfg: KvConfig, i: usize, keys: u64, is_over: Rc<Cell<bool>>) -> Checked<()> {
    let mut client = cfg.make_client_of_all();
    let dice = cfg.client_dice(i as u32);
    let mut count = 0;
    while !is_over.get() {
        let key = dice.below(keys).to_string();
        let value = appended(i, count);
        match dice.below(10) {
            _ if !cfg.tester().happens(1 + i as u32) => {}
            0..5 => cfg.append(&mut client, &key, &value).await,
            5 => cfg.put(&mut client, &key, &value).await,
            _ => drop(cfg.get(&mut client, &key).await),
        }
        count += 1;
        cfg.sleep(dice.span(Duration::ZERO, Duration::from_millis(80))).await;
    }
    Ok(())
}
