//! The Raft tests' harness, modelled on the course's `config`: a cluster whose servers a test can start,
//! crash and disconnect, with a service that checks what each server applies.

mod applier;
mod checks;

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use crate::cluster::{Cluster, WeakCluster};
use crate::command::Command;
use crate::failure::Checked;
use crate::harness_event::HarnessEvent;
use crate::lab::Lab;
use crate::raft::Started;

/// The time in which the tests expect an election to finish (the course's `RaftElectionTimeout`).
pub const RAFT_ELECTION_TIMEOUT: Duration = Duration::from_millis(1000);
/// The number of commands between two snapshots of the service.
pub const SNAPSHOT_INTERVAL: u64 = 10;
/// The limit on the size of the saved Raft state in tests with snapshots (the course's `MAXLOGSIZE`).
pub const MAX_LOG_SIZE_BYTES: usize = 2000;

/// A [`Cluster`] for the Raft tests, with a service that logs and checks what each server applies. Clones
/// refer to the same cluster.
#[derive(Clone)]
pub struct Config {
    cluster: Cluster,
    /// Whether the service makes snapshots.
    snapshot: bool,
    servers: Rc<RefCell<Vec<Slot>>>,
    /// The longest delay of the service before it processes a message.
    slowness: Rc<Cell<Duration>>,
}

/// A [`Config`] that does not keep its cluster.
struct WeakConfig {
    cluster: WeakCluster,
    snapshot: bool,
    servers: Rc<RefCell<Vec<Slot>>>,
    slowness: Rc<Cell<Duration>>,
}

impl WeakConfig {
    fn upgrade(&self) -> Option<Config> {
        Some(Config {
            cluster: self.cluster.upgrade()?,
            snapshot: self.snapshot,
            servers: self.servers.clone(),
            slowness: self.slowness.clone(),
        })
    }
}

/// The harness's data about one server: its connection, and what it has applied.
#[derive(Clone, Default)]
struct Slot {
    connected: bool,
    /// What was applied, by index. Kept across crashes, so that what is applied again after a restart is
    /// compared with what was applied before.
    log: Vec<Applied>,
    last_applied: u64,
    /// The highest index that the server has ever applied, including before crashes.
    max_index: u64,
}

/// What a server has applied at an index.
#[derive(Clone, Default, PartialEq, Eq)]
enum Applied {
    #[default]
    Nothing,
    /// An entry of the Raft's own, which the service does not see.
    Internal,
    Command(Bytes),
}

impl Applied {
    /// The command, if it is one.
    fn command(&self) -> Option<&Bytes> {
        match self {
            Applied::Command(command) => Some(command),
            Applied::Nothing | Applied::Internal => None,
        }
    }

    /// For reports.
    fn show(&self) -> String {
        match self {
            Applied::Nothing => "nothing".into(),
            Applied::Internal => "an internal entry".into(),
            Applied::Command(command) => crate::command::show(command),
        }
    }
}

/// Makes all methods of [`Cluster`] available on `Config`.
impl Deref for Config {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl Lab {
    /// Creates a cluster of `servers` servers, all started and connected, like the course's `make_config`.
    /// `unreliable` makes the network delay and lose messages; `snapshot` makes the service take
    /// snapshots.
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
        let weak = config.downgraded();
        config.restart_with(move |i| {
            if let Some(config) = weak.upgrade() {
                config.start_instance(i);
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

    /// A handle for functions that the cluster keeps, which must not keep the cluster.
    fn downgraded(&self) -> WeakConfig {
        WeakConfig {
            cluster: self.cluster.downgrade(),
            snapshot: self.snapshot,
            servers: self.servers.clone(),
            slowness: self.slowness.clone(),
        }
    }

    /// Makes the service wait for a random time, less than `longest`, before it processes each command or
    /// snapshot. By default, it does not wait.
    pub fn slow_service(&self, longest: Duration) {
        self.slowness.set(longest);
    }

    /// Lets the acts of the run propose commands.
    pub(crate) fn propose_from_acts(&self) {
        let weak = self.downgraded();
        self.propose_with(move |i, command| {
            let Some(config) = weak.upgrade() else { return };
            let command =
                command.parse().map_or_else(|_| Command::Text(command.into()), Command::Int);
            if config.start(i, command).is_none() {
                let why = if config.is_running(i) { "does not lead" } else { "is not running" };
                let why = format!("server {i} {why}, so it takes no command");
                config.record(|| HarnessEvent::Ignored { why });
            }
        });
    }

    fn servers(&self) -> Ref<'_, Vec<Slot>> {
        self.servers.borrow()
    }

    fn servers_mut(&self) -> RefMut<'_, Vec<Slot>> {
        self.servers.borrow_mut()
    }

    /// Disconnects a server and stops it immediately. Its saved state is kept, and messages that it has
    /// already sent are still delivered.
    pub fn crash1(&self, i: usize) {
        self.disconnect(i);
        self.crash_server(i);
    }

    /// Starts a server from its saved state, crashing it first if it is running. The server stays
    /// disconnected until [`connect`](Self::connect) is called.
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

    /// Connects a server to all servers that are currently connected.
    pub fn connect(&self, i: usize) {
        self.step(|| format!("connect server {i}"));
        self.servers_mut()[i].connected = true;
        let connected = (0..self.n()).filter(|&j| self.is_connected(j));
        self.link(i, connected, true);
    }

    /// Disconnects a server from all others. It keeps running, and the tester can still call it.
    pub fn disconnect(&self, i: usize) {
        if std::mem::take(&mut self.servers_mut()[i].connected) {
            self.step(|| format!("disconnect server {i}"));
        }
        self.cut_off(i);
    }

    /// Returns whether the test has connected a server to the network.
    pub fn is_connected(&self, i: usize) -> bool {
        self.servers()[i].connected
    }

    /// Proposes a command to a server. Returns `None` if the server is not the leader or is not running.
    pub fn start(&self, i: usize, command: impl Into<Command>) -> Option<Started> {
        self.start_bytes(i, &command.into().to_bytes())
    }

    fn start_bytes(&self, i: usize, command: &Bytes) -> Option<Started> {
        let started = self.ask(i, |raft| raft.start(command.clone()))?;
        if let Some(Started { index, term }) = started {
            self.note_accepted(i, command, Started { index, term });
            self.tester().fingerprint(index, term << 8 | i as u64);
            self.step(|| {
                let command = crate::command::show(command);
                format!("server {i} accepted {command} at index {index} of term {term}")
            });
        }
        started
    }

    /// Begins a test, or a part of a test that is measured separately.
    pub fn begin(&self, title: &str) {
        self.begin_at(title, self.max_index());
    }

    /// Ends the part begun by [`begin`](Self::begin) and stores its measurements.
    ///
    /// # Errors
    /// If the test has exceeded the course's limit of 120 s of virtual time.
    pub fn end(&self) -> Checked<()> {
        self.end_at(self.max_index())
    }

    /// Returns the highest index applied by any server, which the course uses as its count of commands.
    fn max_index(&self) -> u64 {
        self.servers().iter().map(|slot| slot.max_index).max().unwrap_or(0)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Config({} servers)", self.n())
    }
}
