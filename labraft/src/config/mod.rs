//! The course's `config` of the Raft tests: a cluster that a test starts, crashes, cuts off and asks,
//! and a service that checks what each server applies.

mod applier;
mod checks;

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use crate::cluster::Cluster;
use crate::command::Command;
use crate::failure::Checked;
use crate::lab::Lab;
use crate::raft::Started;

/// How long the course lets an election take: `RaftElectionTimeout`.
pub const RAFT_ELECTION_TIMEOUT: Duration = Duration::from_millis(1000);
/// The service makes a snapshot each so many commands.
pub const SNAPSHOT_INTERVAL: u64 = 10;
/// The saved state must stay below this where snapshots are made: `MAXLOGSIZE`.
pub const MAX_LOG_SIZE_BYTES: usize = 2000;

/// A [`Cluster`] whose servers can be connected and disconnected, and whose service writes down
/// what each of them applies. Clones are the same one.
#[derive(Clone)]
pub struct Config {
    cluster: Cluster,
    /// Whether the service makes snapshots.
    snapshot: bool,
    servers: Rc<RefCell<Vec<Slot>>>,
    /// How long the service takes for each message, at most.
    slowness: Rc<Cell<Duration>>,
}

/// What the service and the test know of one server.
#[derive(Clone, Default)]
struct Slot {
    connected: bool,
    /// What it applied, by index. Survives crashes: what a new incarnation applies again is compared.
    log: Vec<Option<Bytes>>,
    last_applied: u64,
    /// The highest index that it ever applied.
    max_index: u64,
}

/// Everything that a cluster offers, a `Config` offers as well.
impl Deref for Config {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl Lab {
    /// The course's `make_config`: a cluster of `servers`, all started and connected, on an unreliable
    /// network or not, with the applier that makes snapshots or the plain one.
    pub fn make_config(&self, servers: usize, unreliable: bool, snapshot: bool) -> Config {
        Config::new(self.clone(), servers, unreliable, snapshot)
    }
}

impl Config {
    fn new(lab: Lab, servers: usize, unreliable: bool, snapshot: bool) -> Config {
        let slots = Rc::new(RefCell::new(vec![Slot::default(); servers]));
        let (cluster, slowness) = (Cluster::new(lab, servers), Rc::default());
        let config = Config { cluster, snapshot, servers: slots, slowness };
        config.network().reliable(!unreliable);
        config.network().long_delays(true);
        let (weak, slots) = (config.downgrade(), config.servers.clone());
        let slowness = config.slowness.clone();
        config.restart_with(move |i| {
            if let Some(cluster) = weak.upgrade() {
                let (servers, slowness) = (slots.clone(), slowness.clone());
                Config { cluster, snapshot, servers, slowness }.start_instance(i);
            }
        });
        for i in 0..servers {
            config.start1(i);
        }
        for i in 0..servers {
            config.connect(i);
        }
        config
    }

    /// From now on the service takes a drawn time below this for each command and each snapshot. At first
    /// it takes none.
    pub fn slow_service(&self, longest: Duration) {
        self.slowness.set(longest);
    }

    fn servers(&self) -> Ref<'_, Vec<Slot>> {
        self.servers.borrow()
    }

    fn servers_mut(&self) -> RefMut<'_, Vec<Slot>> {
        self.servers.borrow_mut()
    }

    /// Stops a server at once. What it had saved stays; what it had sent is delivered.
    pub fn crash1(&self, i: usize) {
        self.disconnect(i);
        self.crash_server(i);
    }

    /// Starts a server from what it had saved, crashing it first if it runs. It is not connected.
    pub fn start1(&self, i: usize) {
        self.crash1(i);
        self.start_instance(i);
    }

    fn start_instance(&self, i: usize) {
        self.servers_mut()[i].last_applied = 0;
        let new = self.start_server(i);
        self.load_snapshot(i, &new.persister.read_snapshot());
        self.spawn_applier(i, new);
    }

    /// Connects a server with all that are connected, itself included.
    pub fn connect(&self, i: usize) {
        self.step(|| format!("connect server {i}"));
        self.servers_mut()[i].connected = true;
        let connected = (0..self.n()).filter(|&j| self.is_connected(j));
        self.link(i, connected, true);
    }

    /// Cuts a server off from all others. It runs on, and the tester can still talk to it.
    pub fn disconnect(&self, i: usize) {
        if std::mem::take(&mut self.servers_mut()[i].connected) {
            self.step(|| format!("disconnect server {i}"));
        }
        self.cut_off(i);
    }

    /// Whether a server is connected.
    pub fn is_connected(&self, i: usize) -> bool {
        self.servers()[i].connected
    }

    /// Proposes a command at a server; `None` when it does not lead or does not run.
    pub fn start(&self, i: usize, command: impl Into<Command>) -> Option<Started> {
        self.start_bytes(i, &command.into().to_bytes())
    }

    fn start_bytes(&self, i: usize, command: &Bytes) -> Option<Started> {
        let started = self.ask(i, |raft| raft.start(command.clone()))?;
        if let Some(Started { index, term }) = started {
            self.tester().fingerprint(index, term << 8 | i as u64);
            self.step(|| {
                let command = crate::command::show(command);
                format!("server {i} accepted {command} at index {index} of term {term}")
            });
        }
        started
    }

    /// Begins a test, or a part of it with figures of its own.
    pub fn begin(&self, title: &str) {
        self.begin_at(title, self.max_index());
    }

    /// Ends what [`begin`](Self::begin) began: notes its figures.
    ///
    /// # Errors
    /// When the test has taken more than the course's 120 s.
    pub fn end(&self) -> Checked<()> {
        self.end_at(self.max_index())
    }

    /// The highest index applied anywhere: the course counts commands by it.
    fn max_index(&self) -> u64 {
        self.servers().iter().map(|slot| slot.max_index).max().unwrap_or(0)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Config({} servers)", self.n())
    }
}
