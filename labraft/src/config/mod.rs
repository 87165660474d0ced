//! The course's `config`: a cluster of servers that a test starts, crashes, cuts off and asks.
//!
//! Three differences from the Go harness. A crashed instance's tasks end at once, so what it had
//! not yet handed over is never applied. Messages under way when a server crashes are delivered, but
//! nobody answers for the dead. And a failure ends its run only, not the process.

mod applier;
mod checks;

use std::cell::{Ref, RefCell, RefMut};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use labrpc::{ClientEnd, Dice, Event, Network, Node, Runtime, Server};

use crate::command::Command;
use crate::failure::{Checked, Failure, Reason};
use crate::lab::{Lab, Passed};
use crate::persister::Persister;
use crate::raft::{Env, Raft, RaftState, Started, apply_channel};

/// How long the course lets an election take: `RaftElectionTimeout`.
pub const RAFT_ELECTION_TIMEOUT: Duration = Duration::from_millis(1000);
/// The service makes a snapshot each so many commands.
pub const SNAPSHOT_INTERVAL: u64 = 10;
/// The saved state must stay below this where snapshots are made: `MAXLOGSIZE`.
pub const MAX_LOG_SIZE_BYTES: usize = 2000;
/// The longest that a test may take, in virtual time.
const LONGEST_TEST: Duration = Duration::from_secs(120);

/// A cluster under test. Clones are the same cluster.
#[derive(Clone)]
pub struct Config(Rc<Inner>);

struct Inner {
    lab: Lab,
    snapshot: bool,
    servers: RefCell<Vec<Slot>>,
    progress: RefCell<Progress>,
}

/// What the harness knows of one server.
#[derive(Default)]
struct Slot {
    instance: Option<Instance>,
    /// Its ends to each server; new ones for each incarnation.
    ends: Vec<ClientEnd>,
    connected: bool,
    saved: Option<Persister>,
    /// What it applied, by index. Survives crashes: what a new incarnation applies again is compared.
    log: Vec<Option<Bytes>>,
    last_applied: u64,
}

#[derive(Clone)]
struct Instance {
    raft: Rc<dyn Raft>,
    server: Server,
}

/// Figures since `begin`, and which server `one` tries next.
#[derive(Default)]
struct Progress {
    title: String,
    began: Duration,
    rpcs: u64,
    bytes: u64,
    max_index: u64,
    max_index_before: u64,
    made: Duration,
}

impl Config {
    pub(crate) fn new(lab: Lab, servers: usize, unreliable: bool, snapshot: bool) -> Config {
        let slots = (0..servers).map(|_| Slot::default()).collect();
        let made = lab.world().tester().now();
        let config = Config(Rc::new(Inner {
            lab,
            snapshot,
            servers: RefCell::new(slots),
            progress: RefCell::new(Progress { made, ..Progress::default() }),
        }));
        config.network().reliable(!unreliable);
        config.network().long_delays(true);
        for i in 0..servers {
            config.start1(i);
        }
        for i in 0..servers {
            config.connect(i);
        }
        config
    }

    /// How many servers there are, running or not.
    pub fn n(&self) -> usize {
        self.servers().len()
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

    fn servers(&self) -> Ref<'_, Vec<Slot>> {
        self.0.servers.borrow()
    }

    fn servers_mut(&self) -> RefMut<'_, Vec<Slot>> {
        self.0.servers.borrow_mut()
    }

    fn progress(&self) -> RefMut<'_, Progress> {
        self.0.progress.borrow_mut()
    }

    /// Records a step of the test, for people who read the run.
    fn step(&self, text: impl FnOnce() -> String) {
        self.tester().record(|| Event::Custom { kind: "test", text: text() });
    }

    /// A failure of this test's own expectation, at this moment.
    pub fn expected(&self, what: impl Into<String>) -> Failure {
        self.0.lab.failure(None, Reason::Expected(what.into()))
    }

    fn failure(&self, server: Option<usize>, reason: Reason) -> Failure {
        self.0.lab.failure(server, reason)
    }

    // Servers and their connections.

    /// Stops a server at once. What it had saved stays; what it had sent is delivered.
    pub fn crash1(&self, i: usize) {
        self.disconnect(i);
        // Before the persister is touched, so that no late answer can tell of what is not saved.
        self.network().delete_server(Node::server(i));
        let instance = {
            let slot = &mut self.servers_mut()[i];
            // From here on the old instance writes to a superseded copy, also while it is killed.
            slot.saved = slot.saved.as_ref().map(|saved| saved.copy(self.tester().clone()));
            slot.instance.take()
        };
        if let Some(Instance { raft, server }) = instance {
            self.step(|| format!("crash server {i}"));
            server.runtime().act(|| raft.kill());
            server.crash();
        }
    }

    /// Starts a server from what it had saved, crashing it first if it runs. It is not connected.
    pub fn start1(&self, i: usize) {
        self.crash1(i);
        self.step(|| format!("start server {i}"));
        let n = self.n();
        let ends: Vec<ClientEnd> = (0..n)
            .map(|j| {
                let end = self.network().make_end(Node::server(i));
                self.network().connect(end.id(), Node::server(j));
                end
            })
            .collect();
        let server = self.0.lab.world().server(i);
        let rt = server.runtime().clone();
        let persister = {
            let slot = &mut self.servers_mut()[i];
            slot.ends.clone_from(&ends);
            slot.last_applied = 0;
            let persister = match &slot.saved {
                Some(saved) => saved.copy(rt.clone()),
                None => Persister::new(rt.clone()),
            };
            slot.saved = Some(persister.clone());
            persister
        };
        self.load_snapshot(i, &persister.read_snapshot());

        let (apply, receiver) = apply_channel();
        let env = Env {
            me: i,
            peers: ends,
            persister,
            apply,
            server: server.clone(),
            rt: server.runtime().clone(),
        };
        let raft = rt.act(|| (self.0.lab.implementation().make)(env));
        self.spawn_applier(i, &server, raft.clone(), receiver);
        self.network().add_server(Node::server(i), &server);
        self.servers_mut()[i].instance = Some(Instance { raft, server });
    }

    /// Connects a server with all that are connected, itself included.
    pub fn connect(&self, i: usize) {
        self.step(|| format!("connect server {i}"));
        self.servers_mut()[i].connected = true;
        let servers = self.servers();
        for j in (0..servers.len()).filter(|&j| servers[j].connected) {
            self.network().enable(servers[i].ends[j].id(), true);
            self.network().enable(servers[j].ends[i].id(), true);
        }
    }

    /// Cuts a server off from all others. It runs on, and the tester can still talk to it.
    pub fn disconnect(&self, i: usize) {
        if std::mem::take(&mut self.servers_mut()[i].connected) {
            self.step(|| format!("disconnect server {i}"));
        }
        let servers = self.servers();
        for j in 0..servers.len() {
            for (from, to) in [(i, j), (j, i)] {
                if let Some(end) = servers[from].ends.get(to) {
                    self.network().enable(end.id(), false);
                }
            }
        }
    }

    /// Whether a server is connected.
    pub fn is_connected(&self, i: usize) -> bool {
        self.servers()[i].connected
    }

    /// Whether a server runs: it may be cut off, but it has not crashed.
    pub fn is_running(&self, i: usize) -> bool {
        self.servers()[i].instance.is_some()
    }

    /// Proposes a command at a server; `None` when it does not lead or does not run.
    pub fn start(&self, i: usize, command: impl Into<Command>) -> Option<Started> {
        self.start_bytes(i, &command.into().to_bytes())
    }

    fn start_bytes(&self, i: usize, command: &Bytes) -> Option<Started> {
        let Instance { raft, server } = self.instance(i)?;
        let started = server.runtime().act(|| raft.start(command.clone()));
        if let Some(Started { index, term }) = started {
            self.tester().fingerprint(index, term << 8 | i as u64);
            self.step(|| {
                let command = crate::command::show(command);
                format!("server {i} accepted {command} at index {index} of term {term}")
            });
        }
        started
    }

    /// A running server's term and whether it believes that it leads.
    pub fn state(&self, i: usize) -> Option<RaftState> {
        let Instance { raft, server } = self.instance(i)?;
        Some(server.runtime().act(|| raft.state()))
    }

    fn instance(&self, i: usize) -> Option<Instance> {
        self.servers()[i].instance.clone()
    }

    // Figures.

    /// How many requests came to a server since it was started.
    pub fn rpc_count(&self, i: usize) -> u64 {
        self.network().count(Node::server(i))
    }

    /// How many calls were made, by all servers since the beginning.
    pub fn rpc_total(&self) -> u64 {
        self.network().total_count()
    }

    /// How many bytes were sent, by all servers since the beginning.
    pub fn bytes_total(&self) -> u64 {
        self.network().total_bytes()
    }

    /// The size in bytes of the largest saved state, snapshots not counted.
    pub fn log_size(&self) -> usize {
        let servers = self.servers();
        let sizes = servers.iter().flat_map(|slot| &slot.saved).map(Persister::state_size_bytes);
        sizes.max().unwrap_or(0)
    }

    /// Begins a test, or a part of it with figures of its own.
    pub fn begin(&self, title: &str) {
        self.step(|| format!("begin: {title}"));
        let (rpcs, bytes) = (self.rpc_total(), self.bytes_total());
        let began = self.tester().now();
        let mut progress = self.progress();
        let max_index_before = progress.max_index;
        *progress =
            Progress { title: title.into(), began, rpcs, bytes, max_index_before, ..*progress };
    }

    /// Ends what [`begin`](Self::begin) began: notes its figures.
    ///
    /// # Errors
    /// When the test has taken more than the course's 120 s.
    pub fn end(&self) -> Checked<()> {
        self.check_timeout()?;
        let progress = self.progress();
        self.0.lab.passed(Passed {
            title: progress.title.clone(),
            took: self.tester().now() - progress.began,
            servers: self.n(),
            rpcs: self.rpc_total() - progress.rpcs,
            bytes: self.bytes_total() - progress.bytes,
            commands: progress.max_index - progress.max_index_before,
        });
        Ok(())
    }

    /// Stops all servers and closes the network.
    ///
    /// # Errors
    /// As [`end`](Self::end).
    pub fn cleanup(&self) -> Checked<()> {
        for i in 0..self.n() {
            let instance = self.servers_mut()[i].instance.take();
            if let Some(Instance { raft, server }) = instance {
                server.runtime().act(|| raft.kill());
                server.crash();
            }
        }
        self.network().cleanup();
        self.check_timeout()
    }

    fn check_timeout(&self) -> Checked<()> {
        let took = self.tester().now() - self.progress().made;
        if took > LONGEST_TEST {
            return Err(self.failure(None, Reason::TooSlow { took, limit: LONGEST_TEST }));
        }
        Ok(())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Config({} servers)", self.n())
    }
}
