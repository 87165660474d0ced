//! Servers with their disks and their ends to one another: what the Raft harness and the key/value
//! harness share.

mod overseen;
mod slot;
mod test_part;

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

use bytes::Bytes;
use labrpc::{ClientEnd, Dice, Event, Network, Node, Runtime};

use crate::failure::{Checked, Failure};
use crate::harness_event::HarnessEvent;
use crate::invariants::{Invariants, Persistence, Traffic};
use crate::lab::Lab;
use crate::part::Part;
use crate::persister::Persister;
use crate::property::Holds;
use crate::raft::{Env, Raft, RaftState, apply_channel};
use crate::reason::{Expectation, Reason};
use crate::state_recorder::ShowCommand;

use overseen::Overseen;
use slot::{Instance, Slot};
use test_part::{Figures, TestPart};

pub use slot::NewServer;

/// The longest that a test may take, in virtual time.
const LONGEST_TEST: Duration = Duration::from_secs(120);

/// Servers under test. Clones are the same cluster.
///
/// Three differences from the Go harness. A crashed instance's tasks end at once, so what it had
/// not yet handed over is never applied. Messages under way when a server crashes are delivered, but
/// nobody answers for the dead. And a failure ends its run only, not the process.
#[derive(Clone)]
pub struct Cluster(Rc<Inner>);

struct Inner {
    lab: Lab,
    made: Duration,
    slots: RefCell<Vec<Slot>>,
    /// Which ways between servers the test has enabled, by from and to.
    enabled: RefCell<Vec<Vec<bool>>>,
    /// How a server is started again that chaos has crashed.
    restart: RefCell<Option<Restart>>,
    invariants: RefCell<Invariants>,
    show: Cell<ShowCommand>,
    part: RefCell<TestPart>,
}

type Restart = Rc<dyn Fn(usize)>;

/// For at most so long a server stays down that chaos has crashed.
const LONGEST_DOWN: Duration = Duration::from_secs(1);

impl Cluster {
    /// A cluster of so many servers, none of which runs yet.
    pub fn new(lab: Lab, servers: usize) -> Cluster {
        let persistence = match lab.test().part {
            Part::Raft2A | Part::Raft2B => Persistence::NotYet,
            _ => Persistence::Required,
        };
        let inner = Rc::new(Inner {
            made: lab.world().tester().now(),
            lab,
            slots: RefCell::new((0..servers).map(|_| Slot::default()).collect()),
            enabled: RefCell::new(vec![vec![false; servers]; servers]),
            restart: RefCell::default(),
            invariants: RefCell::new(Invariants::new(servers, persistence)),
            show: Cell::new(crate::command::show),
            part: RefCell::default(),
        });
        let cluster = Cluster(inner);
        cluster.record(|| HarnessEvent::Cluster { servers });
        let weak = cluster.downgrade();
        cluster.lab().world().after_each_poll(move |node| {
            if let (Some(i), Some(cluster)) = (node.as_server(), weak.upgrade()) {
                cluster.check_server(i);
            }
        });
        cluster
    }

    /// A handle that does not keep the cluster.
    pub fn downgrade(&self) -> WeakCluster {
        WeakCluster(Rc::downgrade(&self.0))
    }

    /// How a server is started again that chaos has crashed; its ways are enabled as they were. The
    /// cluster keeps `start`, which therefore must not keep the cluster.
    pub fn restart_with(&self, start: impl Fn(usize) + 'static) {
        self.0.restart.replace(Some(Rc::new(start)));
    }

    /// Server `i` has run: it may have been crashed by chaos, or be in a state in which none may be.
    fn check_server(&self, i: usize) {
        let slots = self.slots();
        let Some(Instance { raft, server }) = slots.get(i).and_then(|slot| slot.instance.as_ref())
        else {
            return;
        };
        if !server.runtime().is_alive() {
            drop(slots);
            return self.crashed_by_chaos(i);
        }
        let now = self.tester().now();
        let saves = slots[i].saved.as_ref().map_or(0, Persister::count);
        let traffic = Traffic { saves, replies: server.answers() };
        let checked = self.0.invariants.borrow_mut().check(i, &**raft, traffic, now);
        if server.runtime().is_recording() {
            let invariants = self.0.invariants.borrow();
            let mut recorder = slots[i].recorder.borrow_mut();
            let state = recorder.change(&**raft, invariants.last_probe(i), self.0.show.get());
            if let Some(state) = state {
                server.runtime().record(|| HarnessEvent::State(state).event());
            }
        }
        self.report_violation(i, checked);
    }

    /// Whether a property holds; when it does not, the run ends.
    fn report_violation(&self, i: usize, checked: Holds) -> bool {
        if let Err(violation) = checked {
            self.0.lab.fail(Some(i), Reason::Violation(Box::new(violation)));
            return false;
        }
        true
    }

    /// Cleans up after a crash, and starts the server again after a while, unless the test does.
    fn crashed_by_chaos(&self, i: usize) {
        self.step(|| format!("server {i} crashed at a save"));
        let enabled = self.0.enabled.borrow().clone();
        self.crash_server(i);
        self.0.enabled.replace(enabled);
        let Some(restart) = self.0.restart.borrow().clone() else { return };
        let cluster = self.clone();
        let incarnation = self.slots()[i].incarnation;
        let down = self.client_dice(u32::MAX / 2).span(Duration::ZERO, LONGEST_DOWN);
        self.tester().spawn_detached("restart after a crash", async move {
            cluster.sleep(down).await;
            // Unless the test has done something with it meanwhile.
            if cluster.slots()[i].incarnation == incarnation {
                restart(i);
                // All its ways were cut by the crash.
                let wanted = cluster.0.enabled.borrow().clone();
                let mut ways = Vec::new();
                for (j, ways_of_j) in wanted.iter().enumerate() {
                    ways.extend([(i, j, wanted[i][j]), (j, i, ways_of_j[i])]);
                    cluster.0.enabled.borrow_mut()[i][j] = false;
                    cluster.0.enabled.borrow_mut()[j][i] = false;
                }
                cluster.set_ways(ways);
            }
        });
    }

    /// How many servers there are, running or not.
    pub fn n(&self) -> usize {
        self.slots().len()
    }

    /// The run that this cluster belongs to.
    pub fn lab(&self) -> &Lab {
        &self.0.lab
    }

    /// The network, to switch its modes.
    pub fn network(&self) -> &Network {
        self.0.lab.world().network()
    }

    /// The tester's tasks and time.
    pub fn tester(&self) -> &Runtime {
        self.0.lab.world().tester()
    }

    /// Waits in virtual time.
    #[track_caller]
    pub fn sleep(&self, span: Duration) -> labrpc::Sleep {
        self.tester().sleep(span)
    }

    /// The test's own random numbers.
    pub fn dice(&self) -> Dice {
        self.tester().workload(0)
    }

    /// The random numbers of one of the test's parallel clients.
    pub fn client_dice(&self, client: u32) -> Dice {
        self.tester().workload(1 + client)
    }

    /// Records a step of the test, for people who read the run.
    pub fn step(&self, text: impl FnOnce() -> String) {
        self.tester().record(|| Event::custom("test", text()));
    }

    /// Records something for programs that read the run.
    pub fn record(&self, event: impl FnOnce() -> HarnessEvent) {
        self.tester().record(|| event().event());
    }

    /// How commands are shown in the record, where they are not [`Command`](crate::Command)s.
    pub fn show_commands(&self, show: ShowCommand) {
        self.0.show.set(show);
    }

    /// A failure at the current time: a test's own expectation of a time, a count or an index was not
    /// met. See [`expectation!`](crate::expectation).
    pub fn expected(&self, what: impl Into<Expectation>) -> Failure {
        self.failure(None, Reason::Expected(what.into()))
    }

    /// A failure at the current time: the test saw something that no network can excuse.
    pub fn wrong(&self, what: impl Into<Expectation>) -> Failure {
        self.failure(None, Reason::Wrong(what.into()))
    }

    /// A failure at the current time, with the state of the servers.
    pub fn failure(&self, server: Option<usize>, reason: Reason) -> Failure {
        let enabled = self.0.enabled.borrow();
        let situation = self
            .0
            .invariants
            .borrow()
            .situation(self.tester().now(), &|from, to| enabled[from][to]);
        Failure { situation: situation.into(), ..self.0.lab.failure(server, reason) }
    }

    fn slots(&self) -> Ref<'_, Vec<Slot>> {
        self.0.slots.borrow()
    }

    fn slots_mut(&self) -> RefMut<'_, Vec<Slot>> {
        self.0.slots.borrow_mut()
    }

    /// Starts a server that does not run, from what it had saved, with new ends to all servers. None
    /// of them is enabled yet.
    pub fn start_server(&self, i: usize) -> NewServer {
        self.record(|| HarnessEvent::Started { server: i });
        let ends: Vec<ClientEnd> = (0..self.n())
            .map(|j| {
                let end = self.network().make_end(Node::server(i));
                self.network().connect(end.id(), Node::server(j));
                end
            })
            .collect();
        let server = self.0.lab.world().server(i);
        let rt = server.runtime().clone();
        let persister = {
            let slot = &mut self.slots_mut()[i];
            assert!(slot.instance.is_none(), "server {i} is started while it runs");
            slot.ends.clone_from(&ends);
            slot.incarnation += 1;
            slot.recorder.take();
            let persister = match &slot.saved {
                Some(saved) => saved.copy(rt.clone()),
                None => Persister::new(rt.clone()),
            };
            slot.saved = Some(persister.clone());
            persister
        };
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
        self.0.invariants.borrow_mut().started(i, &persister.read_snapshot());
        self.network().add_server(Node::server(i), &server);
        self.slots_mut()[i].instance =
            Some(Instance { raft: raft.clone(), server: server.clone() });
        // How it starts is looked at before anything happens to it.
        self.check_server(i);
        let cluster = self.downgrade();
        let applied = applied.watched(move |message| {
            let Some(cluster) = cluster.upgrade() else { return true };
            let checked = cluster.0.invariants.borrow_mut().applied(i, message);
            cluster.report_violation(i, checked)
        });
        let raft = Rc::new(self.overseen(i, raft));
        NewServer { raft, applied, persister, server }
    }

    /// Server `i`'s Raft as its service gets it.
    fn overseen(&self, i: usize, raft: Rc<dyn Raft>) -> Overseen {
        let cluster = self.downgrade();
        let check_snapshot = Box::new(move |index, snapshot: &Bytes| {
            let Some(cluster) = cluster.upgrade() else { return true };
            let checked = cluster.0.invariants.borrow_mut().snapshot_made(i, index, snapshot);
            cluster.report_violation(i, checked)
        });
        let cluster = self.downgrade();
        let check_state = Box::new(move || {
            if let Some(cluster) = cluster.upgrade() {
                cluster.check_server(i);
            }
        });
        Overseen { raft, check_snapshot, check_state }
    }

    /// Stops a server at once, if it runs, and cuts it off from the others. What it had saved stays;
    /// what it had sent is delivered.
    pub fn crash_server(&self, i: usize) {
        self.cut_off(i);
        // Before the persister is touched, so that no late answer can tell of what is not saved.
        self.network().delete_server(Node::server(i));
        let instance = {
            let slot = &mut self.slots_mut()[i];
            // From here on the old instance writes to a superseded copy, also while it is killed.
            slot.saved = slot.saved.as_ref().map(|saved| saved.copy(self.tester().clone()));
            slot.incarnation += 1;
            slot.instance.take()
        };
        if let Some(instance) = instance {
            self.0.invariants.borrow_mut().stopped(i);
            self.record(|| HarnessEvent::Stopped { server: i });
            instance.end();
        }
    }

    /// Enables or disables the ways between a server and each of others, both there and back.
    pub fn link(&self, i: usize, others: impl IntoIterator<Item = usize>, enabled: bool) {
        let mut ways: Vec<(usize, usize, bool)> = Vec::new();
        for j in others {
            ways.extend([(i, j, enabled), (j, i, enabled)]);
        }
        self.set_ways(ways);
    }

    /// Opens or closes ways, by from and to, and records those of them that have changed.
    fn set_ways(&self, ways: Vec<(usize, usize, bool)>) {
        let mut changed = Vec::new();
        for (from, to, enabled) in ways {
            let was = std::mem::replace(&mut self.0.enabled.borrow_mut()[from][to], enabled);
            if was != enabled && from != to {
                changed.push((from, to, enabled));
            }
            self.enable(from, to, enabled);
        }
        if !changed.is_empty() {
            self.0.invariants.borrow_mut().links_changed(self.tester().now());
            self.record(|| HarnessEvent::Links { changed });
        }
    }

    fn enable(&self, from: usize, to: usize, enabled: bool) {
        // Whoever was never started has no ends yet.
        if let Some(end) = self.slots()[from].ends.get(to) {
            self.network().enable(end.id(), enabled);
        }
    }

    /// Cuts a server off from all others. It runs on, and the tester can still talk to it.
    pub fn cut_off(&self, i: usize) {
        self.link(i, 0..self.n(), false);
    }

    /// Whether a server runs: it may be cut off, but it has not crashed.
    pub fn is_running(&self, i: usize) -> bool {
        self.slots()[i].instance.is_some()
    }

    /// A running server's term and whether it believes that it leads.
    pub fn state(&self, i: usize) -> Option<RaftState> {
        self.ask(i, |raft| raft.state())
    }

    /// Asks the Raft of a running server something, on that server's behalf.
    pub fn ask<T>(&self, i: usize, question: impl FnOnce(&dyn Raft) -> T) -> Option<T> {
        let Instance { raft, server } = self.slots()[i].instance.clone()?;
        let answer = server.runtime().act(|| question(&*raft));
        self.check_server(i);
        Some(answer)
    }

    /// How many requests came to a server since it was started.
    pub fn rpc_count(&self, i: usize) -> u64 {
        self.network().count(Node::server(i))
    }

    /// How many calls were made, by all servers and clients since the beginning.
    pub fn rpc_total(&self) -> u64 {
        self.network().total_count()
    }

    /// How many bytes were sent, by all servers and clients since the beginning.
    pub fn bytes_total(&self) -> u64 {
        self.network().total_bytes()
    }

    /// The size in bytes of the largest saved state, snapshots not counted.
    pub fn log_size(&self) -> usize {
        self.largest(Persister::state_size_bytes)
    }

    /// The size in bytes of the largest saved snapshot.
    pub fn snapshot_size(&self) -> usize {
        self.largest(Persister::snapshot_size_bytes)
    }

    fn figures(&self, commands: u64) -> Figures {
        Figures {
            now: self.tester().now(),
            rpcs: self.rpc_total(),
            bytes: self.bytes_total(),
            commands,
        }
    }

    fn largest(&self, size: impl Fn(&Persister) -> usize) -> usize {
        self.slots().iter().flat_map(|slot| &slot.saved).map(size).max().unwrap_or(0)
    }

    /// Begins a test, or a part of it with figures of its own. `commands` is what had been done
    /// before, in whatever the test counts.
    pub fn begin_at(&self, title: &str, commands: u64) {
        self.step(|| format!("begin: {title}"));
        self.0.lab.begun(title);
        *self.0.part.borrow_mut() = TestPart { title: title.into(), began: self.figures(commands) };
    }

    /// Ends what [`begin_at`](Self::begin_at) began: notes its figures.
    ///
    /// # Errors
    /// When the test has taken more than the course's 120 s.
    pub fn end_at(&self, commands: u64) -> Checked<()> {
        self.check_timeout()?;
        let passed = self.0.part.borrow().passed(self.figures(commands), self.n());
        self.0.lab.passed(passed);
        Ok(())
    }

    /// Stops all servers and closes the network.
    ///
    /// # Errors
    /// When the test has taken more than the course's 120 s.
    pub fn cleanup(&self) -> Checked<()> {
        for i in 0..self.n() {
            let instance = self.slots_mut()[i].instance.take();
            if let Some(instance) = instance {
                self.0.invariants.borrow_mut().stopped(i);
                instance.end();
            }
        }
        self.network().cleanup();
        self.check_timeout()
    }

    /// When the test has taken too long.
    pub fn deadline(&self) -> Duration {
        self.0.made + LONGEST_TEST
    }

    fn check_timeout(&self) -> Checked<()> {
        let took = self.tester().now() - self.0.made;
        if took > LONGEST_TEST {
            return Err(self.failure(None, Reason::TooSlow { took, limit: LONGEST_TEST }));
        }
        Ok(())
    }
}

/// A [`Cluster`] that may be gone.
#[derive(Clone)]
pub struct WeakCluster(Weak<Inner>);

impl WeakCluster {
    /// The cluster, if it is still there.
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
