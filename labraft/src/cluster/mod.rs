//! A cluster of servers with persistent storage and network connections, shared by the Raft and
//! key/value harnesses.

mod acts;
mod links;
mod measures;
mod numbers;
mod overseen;
mod reads;
mod slot;
mod test_part;
mod transfers;
mod watched;

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

use labrpc::sync::{Notified, Notify};
use labrpc::{ClientEnd, Dice, Event, Network, Runtime};

use crate::failure::{Checked, Failure};
use crate::harness_event::HarnessEvent;
use crate::invariants::{Contract, Invariants, News, Persistence, Traffic};
use crate::lab::Lab;
use crate::part::Part;
use crate::persister::Persister;
use crate::property::Holds;
use crate::raft::{Env, Raft, RaftState, apply_channel};
use crate::reason::{Expectation, Reason};
use crate::state_recorder::{ShowCommand, StateRecorder};

use slot::{Instance, MuteWays, Slot};
use test_part::TestPart;

pub use slot::NewServer;

/// The servers under test. Clones refer to the same cluster.
///
/// It differs from the Go harness in three ways. When a server crashes, its tasks end at once, so
/// messages not yet sent on the apply channel are never applied. Messages in flight at a crash are
/// still delivered, but a crashed server sends no replies. A failure ends only its own run.
#[derive(Clone)]
pub struct Cluster(Rc<Inner>);

struct Inner {
    lab: Lab,
    /// The cluster's name; empty if it is the only one of the run.
    name: String,
    /// The number of its first server. Within the cluster, servers are known by their places, from 0.
    first: usize,
    made: Duration,
    slots: RefCell<Vec<Slot>>,
    /// Which links the test has enabled, indexed by sender, then receiver.
    enabled: RefCell<Vec<Vec<bool>>>,
    mute: MuteWays,
    /// Restarts a server that fault injection has crashed.
    restart: RefCell<Option<Restart>>,
    /// Proposes a command to a server, if the test lets acts do that.
    propose: RefCell<Option<Propose>>,
    invariants: RefCell<Invariants>,
    show: Cell<ShowCommand>,
    part: RefCell<TestPart>,
    /// Set after each poll of a server's task.
    polled: Notify,
    /// In a poll of the harness's own service: whether it has called its Raft.
    service_called: Cell<Option<bool>>,
}

type Restart = Rc<dyn Fn(usize)>;
type Propose = Rc<dyn Fn(usize, &str)>;

/// The longest time that a server stays down after fault injection has crashed it.
const LONGEST_DOWN: Duration = Duration::from_secs(1);
/// How long it stays down in a search: it is back before others have time-outs, so that what it forgot shows.
const DOWN_IN_SEARCH: Duration = Duration::from_millis(20);

impl Cluster {
    /// Creates a cluster with the given number of servers, none of them started.
    pub fn new(lab: Lab, servers: usize) -> Cluster {
        Cluster::named(lab, "", "", servers)
    }

    /// Creates one of several clusters of a run, with a name such as `group 101`, and a short one such as `101`, after
    /// which its servers are called `101/0` and so on. Their numbers follow those of the clusters before it.
    pub fn named(lab: Lab, name: &str, short: &str, servers: usize) -> Cluster {
        let numbers = lab.add_servers(short, servers);
        let persistence = match lab.test().part {
            Part::Raft2A | Part::Raft2B => Persistence::NotYet,
            _ => Persistence::Required,
        };
        let contract = Contract {
            persistence,
            has_internal_entries: lab.implementation().has_internal_entries,
            offers: lab.implementation().offers,
            reads: Cluster::reads_to_judge(&lab),
            without: lab.without(),
        };
        let inner = Rc::new(Inner {
            made: lab.world().tester().now(),
            lab,
            name: name.into(),
            first: numbers.start,
            slots: RefCell::new((0..servers).map(|_| Slot::default()).collect()),
            enabled: RefCell::new(vec![vec![false; servers]; servers]),
            mute: RefCell::default(),
            restart: RefCell::default(),
            propose: RefCell::default(),
            invariants: RefCell::new(Invariants::new(servers, contract)),
            show: Cell::new(crate::command::show),
            part: RefCell::default(),
            polled: Notify::new(),
            service_called: Cell::new(None),
        });
        let cluster = Cluster(inner);
        cluster.record(|| HarnessEvent::Cluster {
            servers: numbers.end,
            first: numbers.start,
            name: name.into(),
            short: short.into(),
        });
        let weak = cluster.downgrade();
        cluster.lab().world().after_each_poll(numbers.clone(), move |server| {
            if let Some(cluster) = weak.upgrade() {
                let i = server - numbers.start;
                let now = cluster.tester().now();
                cluster.0.invariants.borrow_mut().polled(i, now);
                if cluster.0.service_called.take() != Some(false) {
                    cluster.check_server(i, now);
                }
                cluster.0.polled.notify();
            }
        });
        if cluster.lab().implementation().has_one_way_messages {
            cluster.network().count_calls();
        }
        cluster.judge_steps();
        cluster.watch_messages();
        cluster.expect_acts();
        cluster
    }

    /// Returns a weak handle, which does not keep the cluster alive.
    pub fn downgrade(&self) -> WeakCluster {
        WeakCluster(Rc::downgrade(&self.0))
    }

    /// Sets the function that restarts a server after an injected crash. The cluster then restores the
    /// server's links. To avoid a reference cycle, `start` should hold only a [`WeakCluster`].
    pub fn restart_with(&self, start: impl Fn(usize) + 'static) {
        self.0.restart.replace(Some(Rc::new(start)));
    }

    /// Notes that the current poll belongs to the harness's own service, and whether the service calls its Raft
    /// in it. A poll in which it does not cannot change the Raft, so no check follows.
    pub(crate) fn service_runs(&self, calls_raft: bool) {
        let has_called = self.0.service_called.get().unwrap_or(false);
        self.0.service_called.set(Some(has_called || calls_raft));
    }

    /// Checks server `i` and records changes of its state, or handles an injected crash of it.
    fn check_server(&self, i: usize, now: Duration) {
        let slots = self.slots();
        let Some(Instance { raft, server, is_waited_for }) =
            slots.get(i).and_then(|slot| slot.instance.as_ref())
        else {
            return;
        };
        if !server.runtime().is_alive() {
            drop(slots);
            return self.crashed_by_chaos(i);
        }
        let saves = slots[i].saved.as_ref().map_or(0, Persister::count);
        let is_one_way = self.0.lab.implementation().has_one_way_messages;
        let answers = if is_one_way { server.calls() } else { server.answers() };
        let traffic = Traffic {
            saves,
            answers,
            requests: server.count(),
            service_waits: is_waited_for.get(),
            timers_may_wait: self.0.lab.world().can_hold_timers(),
            timers_late: self.0.lab.world().timers_late(),
        };
        let looked_at = (&**raft, slots[i].saved.as_ref());
        let checked = self.0.invariants.borrow_mut().check(i, looked_at, traffic, now);
        if server.runtime().is_recording() {
            self.record_state(i, &**raft, &mut slots[i].recorder.borrow_mut());
        }
        self.report(i, checked);
        if self.0.lab.is_audited() {
            self.audit_state(i, &**raft);
        }
    }

    /// Records what has changed in a server's state since it was recorded last.
    #[cold]
    fn record_state(&self, i: usize, raft: &dyn Raft, recorder: &mut StateRecorder) {
        let invariants = self.0.invariants.borrow();
        let state = recorder.change(raft, invariants.last_probe(i), self.0.show.get());
        if let Some(mut state) = state {
            state.voted_for = state.voted_for.map(|candidate| self.number(candidate));
            self.record_at(i, || HarnessEvent::State(state));
        }
    }

    /// Reports what a check of server `i` found, and ends the run if it is a broken promise. Returns
    /// whether it is not. Nearly all checks find nothing.
    #[inline]
    pub(super) fn report(&self, i: usize, checked: Holds) -> bool {
        let is_quiet = checked.is_ok() && !self.0.invariants.borrow().has_news();
        is_quiet || self.report_findings(i, checked)
    }

    #[cold]
    fn report_findings(&self, i: usize, checked: Holds) -> bool {
        for news in self.0.invariants.borrow_mut().take_news() {
            match news {
                News::Slip(slip) => self.0.lab.note_slip(self.number(i), self.named_in(slip)),
                News::NoProbe => self.0.lab.note_missing_probe(),
            }
        }
        if let Err(violation) = checked {
            let violation = self.named_in(violation);
            self.0.lab.fail(Some(self.number(i)), Reason::Violation(Box::new(violation)));
            return false;
        }
        true
    }

    /// Cleans up after an injected crash and schedules a restart.
    fn crashed_by_chaos(&self, i: usize) {
        self.0.invariants.borrow_mut().stopped_in_step(i);
        self.step(|| format!("{} crashed", self.server_name(i)));
        self.crash_keeping_links(i);
        let Some(restart) = self.0.restart.borrow().clone() else { return };
        let cluster = self.clone();
        let incarnation = self.slots()[i].incarnation;
        let down = match self.0.lab.world().is_searched() {
            true => DOWN_IN_SEARCH,
            false => self.client_dice(u32::MAX / 2).span(Duration::ZERO, LONGEST_DOWN),
        };
        self.tester().spawn_detached("restart after a crash", async move {
            cluster.sleep(down).await;
            // The test may have restarted or stopped the server in the meantime.
            if cluster.slots()[i].incarnation == incarnation {
                restart(i);
                cluster.restore_links(i);
            }
        });
    }

    /// Crashes a server, but keeps what its links are to be once it runs again.
    fn crash_keeping_links(&self, i: usize) {
        let enabled = self.0.enabled.borrow().clone();
        self.crash_server(i);
        self.0.enabled.replace(enabled);
    }

    /// Gives a server that was crashed and started again the links that it is to have: the crash disabled all
    /// of them.
    fn restore_links(&self, i: usize) {
        let wanted = self.0.enabled.borrow().clone();
        let mut ways = Vec::new();
        for (j, ways_of_j) in wanted.iter().enumerate() {
            ways.extend([(i, j, wanted[i][j]), (j, i, ways_of_j[i])]);
            self.0.enabled.borrow_mut()[i][j] = false;
            self.0.enabled.borrow_mut()[j][i] = false;
        }
        self.set_ways(ways);
    }

    /// Returns the number of servers, running or not.
    pub fn n(&self) -> usize {
        self.slots().len()
    }

    /// Returns the environment of the test run that this cluster belongs to.
    pub fn lab(&self) -> &Lab {
        &self.0.lab
    }

    /// Returns the simulated network, for example to make it unreliable.
    pub fn network(&self) -> &Network {
        self.0.lab.world().network()
    }

    /// Returns the tester's runtime, which spawns tasks and keeps the virtual time.
    pub fn tester(&self) -> &Runtime {
        self.0.lab.world().tester()
    }

    /// Waits for a span of virtual time.
    #[track_caller]
    pub fn sleep(&self, span: Duration) -> labrpc::Sleep {
        self.tester().sleep(span)
    }

    /// Waits until a server has done something: until a task of one of them has been polled. Only one task
    /// can wait for this at a time.
    #[track_caller]
    pub fn server_active(&self) -> Notified {
        self.0.polled.notified()
    }

    /// Returns the random number generator of the test itself.
    pub fn dice(&self) -> Dice {
        self.tester().workload(0)
    }

    /// Returns the random number generator of one of the test's parallel clients.
    pub fn client_dice(&self, client: u32) -> Dice {
        self.tester().workload(1 + client)
    }

    /// Records a step of the test as readable text. `text` is called only if the run is being recorded.
    pub fn step(&self, text: impl FnOnce() -> String) {
        self.tester().record(|| Event::custom("test", text()));
    }

    /// Records a machine-readable event. `event` is called only if the run is being recorded.
    pub fn record(&self, event: impl FnOnce() -> HarnessEvent) {
        self.tester().record(|| self.named_event(&event()));
    }

    /// Sets how recordings format commands; by default, as [`Command`](crate::Command)s.
    pub fn show_commands(&self, show: ShowCommand) {
        self.0.show.set(show);
    }

    /// Creates a failure at the current time for a test expectation, such as a time limit, a count or an
    /// index, that was not met. See [`expectation!`](crate::expectation).
    pub fn expected(&self, what: impl Into<Expectation>) -> Failure {
        self.failure(None, Reason::Expected(what.into()))
    }

    /// Creates a failure at the current time for incorrect behaviour that no network fault can explain.
    pub fn wrong(&self, what: impl Into<Expectation>) -> Failure {
        self.failure(None, Reason::Wrong(what.into()))
    }

    /// Creates a failure at the current time, with a summary of the servers' state.
    pub fn failure(&self, server: Option<usize>, reason: Reason) -> Failure {
        let server = server.map(|i| self.number(i));
        Failure { situation: self.situation(), ..self.0.lab.failure(server, reason) }
    }

    fn slots(&self) -> Ref<'_, Vec<Slot>> {
        self.0.slots.borrow()
    }

    fn slots_mut(&self) -> RefMut<'_, Vec<Slot>> {
        self.0.slots.borrow_mut()
    }

    /// Starts a stopped server from its saved state, with new client ends to all servers. Its links are
    /// still disabled.
    ///
    /// # Panics
    /// If the server is already running.
    pub fn start_server(&self, i: usize) -> NewServer {
        self.record(|| HarnessEvent::Started { server: self.number(i) });
        let ends: Vec<ClientEnd> = (0..self.n())
            .map(|j| {
                let end = self.network().make_end(self.node(i));
                self.network().connect(end.id(), self.node(j));
                end
            })
            .collect();
        let world = self.0.lab.world();
        let server = world.server(self.number(i));
        let rt = server.runtime().clone();
        let persister = {
            let slot = &mut self.slots_mut()[i];
            assert!(slot.instance.is_none(), "server {i} is already running");
            slot.ends.clone_from(&ends);
            slot.incarnation += 1;
            slot.recorder.take();
            let persister = match &slot.saved {
                Some(saved) => saved.copy(world.clone(), rt.clone()),
                None => Persister::new(world.clone(), rt.clone()),
            };
            slot.saved = Some(persister.clone());
            persister
        };
        self.0.lab.audited(|audit| {
            audit.started(self.number(i), persister.read_state(), persister.read_snapshot())
        });
        let (apply, applied) = apply_channel();
        let env = Env {
            me: i,
            peers: ends,
            persister: persister.clone(),
            apply,
            server: server.clone(),
            rt: rt.clone(),
        };
        let raft = rt.act(|| (self.0.lab.implementation().make)(env));
        let now = self.tester().now();
        self.0.invariants.borrow_mut().started(i, &persister.read_snapshot(), now);
        self.network().add_server(self.node(i), &server);
        self.slots_mut()[i].instance = Some(Instance {
            raft: raft.clone(),
            server: server.clone(),
            is_waited_for: applied.is_waited_for(),
        });
        // Check the initial state before anything can change it.
        self.check_server(i, now);
        let cluster = self.downgrade();
        let applied = applied.watched(move |message| {
            let Some(cluster) = cluster.upgrade() else { return true };
            let checked = cluster.0.invariants.borrow_mut().applied(i, message);
            cluster.audit_handed_up(i, message);
            cluster.report(i, checked)
        });
        let raft = self.overseen(i, raft);
        NewServer { raft, applied, persister, server }
    }

    /// Stops a server immediately if it is running, and disables its links. Its saved state is kept, and
    /// messages that it has already sent are still delivered.
    pub fn crash_server(&self, i: usize) {
        self.cut_off(i);
        // This precedes the copy of the persister, so that no late reply can reveal unsaved state.
        self.network().delete_server(self.node(i));
        let world = self.0.lab.world();
        let instance = {
            let slot = &mut self.slots_mut()[i];
            // From here on, anything the old instance saves, even during `kill`, goes to the old copy.
            let copy = |saved: &Persister| saved.copy(world.clone(), world.tester().clone());
            slot.saved = slot.saved.as_ref().map(copy);
            slot.incarnation += 1;
            slot.instance.take()
        };
        if let Some(instance) = instance {
            self.0.invariants.borrow_mut().stopped(i);
            self.record(|| HarnessEvent::Stopped { server: self.number(i) });
            instance.end(self.0.lab.world());
        }
    }

    /// Returns whether a server is running, even if it is disconnected.
    pub fn is_running(&self, i: usize) -> bool {
        self.slots()[i].instance.is_some()
    }

    /// Returns a running server's current term and whether it believes that it is the leader.
    pub fn state(&self, i: usize) -> Option<RaftState> {
        self.ask(i, |raft| raft.state())
    }

    /// Calls `question` with the Raft of server `i`. Returns `None` if the server is not running.
    pub fn ask<T>(&self, i: usize, question: impl FnOnce(&dyn Raft) -> T) -> Option<T> {
        let Instance { raft, server, .. } = self.slots()[i].instance.clone()?;
        let answer = server.runtime().act(|| question(&*raft));
        self.check_server(i, self.tester().now());
        Some(answer)
    }

    /// Stops all servers and shuts down the network.
    ///
    /// # Errors
    /// If the test has exceeded the course's limit of 120 s of virtual time.
    pub fn cleanup(&self) -> Checked<()> {
        for i in 0..self.n() {
            let instance = self.slots_mut()[i].instance.take();
            if let Some(instance) = instance {
                self.0.invariants.borrow_mut().stopped(i);
                instance.end(self.0.lab.world());
            }
        }
        self.network().cleanup();
        self.check_timeout()
    }
}

/// A weak handle to a [`Cluster`].
#[derive(Clone)]
pub struct WeakCluster(Weak<Inner>);

impl WeakCluster {
    /// Returns the cluster, or `None` if it has been dropped.
    pub fn upgrade(&self) -> Option<Cluster> {
        self.0.upgrade().map(Cluster)
    }
}

impl fmt::Debug for WeakCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakCluster")
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cluster({} servers)", self.n())
    }
}
