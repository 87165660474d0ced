//! A cluster with a service on top of its Rafts, and the clients of that service: what the course's
//! `config`s of labs 3 and 4 have in common.
//!
//! It differs from the `config` of the Raft tests in two ways: a call to an unreachable server
//! fails within 100 ms, and links are enabled server by server.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;

use labraft::{
    Checked, Cluster, NewServer, RAFT_ELECTION_TIMEOUT, Reason, ShowCommand, expectation,
};
use labrpc::{ClientEnd, EndId, Node, Runtime, Sleep};

/// A cluster whose servers have a service, and its clients. A clone is a handle to the same cluster.
///
/// It dereferences to its [`Cluster`] so that tests can write `cfg.n()` and `cfg.sleep()` as the
/// course's tests do.
#[derive(Clone)]
pub(crate) struct ServiceCluster {
    cluster: Cluster,
    start_service: StartService,
    /// The ends of each client, one to each server.
    clients: Rc<RefCell<Vec<Vec<EndId>>>>,
    /// The number of completed operations.
    operations: Rc<Cell<u64>>,
}

/// Starts the service of a server on its Raft.
type StartService = Rc<dyn Fn(NewServer)>;

/// A client of the service: its number, its node's runtime, and an end to each server, in a random order.
pub(crate) struct ClientEnds {
    pub(crate) number: usize,
    pub(crate) rt: Runtime,
    pub(crate) ends: Vec<ClientEnd>,
}

impl Deref for ServiceCluster {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl ServiceCluster {
    /// Starts the service on all servers of a new cluster, and connects them: the course's `make_config`. `show`
    /// describes the service's commands.
    pub(crate) fn new(
        cluster: Cluster,
        show: ShowCommand,
        start_service: impl Fn(NewServer) + 'static,
    ) -> ServiceCluster {
        let servers = cluster.n();
        let config = ServiceCluster {
            cluster,
            start_service: Rc::new(start_service),
            clients: Rc::default(),
            operations: Rc::default(),
        };
        config.show_commands(show);
        let weak = config.downgrade();
        let start_service = config.start_service.clone();
        config.restart_with(move |i| {
            if let Some(cluster) = weak.upgrade() {
                start_on_raft(&cluster, i, &start_service);
            }
        });
        for i in 0..servers {
            config.start(i);
        }
        config.connect_all();
        config
    }

    /// Starts a server from its saved state, without connecting it: the course's `StartServer`.
    pub(crate) fn start(&self, i: usize) {
        if self.is_running(i) {
            // An act from outside has started it before the test did.
            self.crash_server(i);
        }
        start_on_raft(self, i, &self.start_service);
    }

    /// Cuts a server off and stops it: the course's `ShutdownServer`. Client calls to it fail.
    pub(crate) fn shutdown(&self, i: usize) {
        self.crash_server(i);
    }

    /// Connects all servers to each other.
    pub(crate) fn connect_all(&self) {
        self.step(|| "connect all servers".into());
        for i in 0..self.n() {
            self.link(i, 0..self.n(), true);
        }
    }

    /// Whether a server is running and says that it leads.
    pub(crate) fn claims_to_lead(&self, i: usize) -> bool {
        self.state(i).is_some_and(|state| state.is_leader)
    }

    /// The first server that says that it leads, even if it has been replaced.
    pub(crate) fn leader(&self) -> Option<usize> {
        (0..self.n()).find(|&i| self.claims_to_lead(i))
    }

    // Clients.

    /// Creates a client with an end to each server. Only the ends to the given servers are enabled.
    pub(crate) fn make_ends(&self, servers: impl IntoIterator<Item = usize>) -> ClientEnds {
        let number = self.clients.borrow().len();
        let node = Node::client(number);
        let mut ends: Vec<_> = (0..self.n())
            .map(|i| {
                let end = self.network().make_end(node);
                self.network().connect(end.id(), self.node(i));
                end
            })
            .collect();
        self.clients.borrow_mut().push(ends.iter().map(|end| end.id()).collect());
        self.link_client(number, servers, true);
        let dice = self.dice();
        for last in (1..ends.len()).rev() {
            ends.swap(last, dice.below(last as u64 + 1) as usize);
        }
        ClientEnds { number, rt: self.lab().world().client(number), ends }
    }

    /// Enables or disables a client's ends to these servers: the course's `ConnectClient` and
    /// `DisconnectClient`.
    pub(crate) fn link_client(
        &self,
        client: usize,
        servers: impl IntoIterator<Item = usize>,
        enabled: bool,
    ) {
        let servers: Vec<usize> = servers.into_iter().collect();
        let what = if enabled { "can reach" } else { "can no longer reach" };
        self.step(|| format!("client {client} {what} servers {servers:?}"));
        for i in servers {
            self.network().enable(self.clients.borrow()[client][i], enabled);
        }
    }

    /// Has a client do an operation. Fails the run if it completes although no server has replied to the
    /// client meanwhile: nobody else can know the answer.
    pub(crate) async fn replied<T>(&self, client: usize, operation: impl Future<Output = T>) -> T {
        let replies = || self.network().replies(Node::client(client));
        let before = replies();
        let answer = operation.await;
        if replies() == before {
            let what = expectation!(
                "an operation of client {client} completed although no server replied to it meanwhile"
            );
            self.lab().fail(None, Reason::Wrong(what));
        }
        answer
    }

    /// Adds one to the number of completed operations.
    pub(crate) fn count_operation(&self) {
        self.operations.set(self.operations.get() + 1);
    }

    // The test.

    /// Runs a test's steps until the test's time is up. Clerks retry forever, so without a limit a
    /// test whose service is stuck would never end. `waiting` says who has been waiting then, if anybody.
    pub(crate) async fn in_time(
        &self,
        steps: impl Future<Output = Checked<()>>,
        waiting: impl FnOnce() -> Option<String>,
    ) -> Checked<()> {
        let left = self.deadline().saturating_sub(self.tester().now());
        if let Some(result) = self.tester().timeout(left, steps).await {
            return result;
        }
        let who = waiting().map(|who| format!(": {who}")).unwrap_or_default();
        let limit = self.deadline().as_secs();
        Err(self.expected(expectation!("the test was still running after {limit} s{who}")))
    }

    /// Waits for as long as the course allows for an election.
    #[track_caller]
    pub(crate) fn sleep_election_timeout(&self) -> Sleep {
        self.sleep(RAFT_ELECTION_TIMEOUT)
    }

    /// Announces a test, or a part of one that has statistics of its own.
    pub(crate) fn begin(&self, title: &str) {
        self.begin_at(title, self.operations.get());
    }

    /// Ends what [`begin`](Self::begin) announced, and notes its statistics: virtual seconds,
    /// servers, RPCs and operations.
    pub(crate) fn end(&self) -> Checked<()> {
        self.end_at(self.operations.get())
    }
}

/// Starts a server with a Raft and the service on top. It must not be running.
fn start_on_raft(cluster: &Cluster, i: usize, start_service: &StartService) {
    let new = cluster.start_server(i);
    let rt = new.server.runtime().clone();
    rt.act(|| start_service(new));
}
