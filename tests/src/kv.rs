//! The course's `config` of the key/value tests: servers of the service, clerks, partitions, and what
//! the clerks did.
//!
//! Unlike the Raft tests' one, a call to a server that cannot be reached fails within 100 ms, and who
//! can reach whom is set server by server.

use std::cell::{Cell, Ref, RefCell};
use std::ops::Deref;
use std::rc::Rc;

use kvraft::{Clerk, KvServer};
use labraft::linearizability::{self, History, Input, Linearizability, Operation};
use labraft::{Checked, Cluster, Failure, HarnessEvent, Lab, RAFT_ELECTION_TIMEOUT, Reason, Steps};
use labrpc::{EndId, Node, Sleep};

/// A cluster of key/value servers and their clients. Clones are the same one.
#[derive(Clone)]
pub(crate) struct KvConfig {
    cluster: Cluster,
    max_raft_state: Option<usize>,
    clients: Rc<RefCell<Vec<Vec<EndId>>>>,
    /// How many operations were done.
    operations: Rc<Cell<u64>>,
    history: Rc<RefCell<History>>,
}

/// What a test's cluster is like: what the course's `make_config` is told.
#[derive(Copy, Clone)]
pub(crate) struct KvSetup {
    pub(crate) servers: usize,
    pub(crate) unreliable: bool,
    /// Bytes of saved state from which on servers make snapshots; `None` where the course has -1.
    pub(crate) max_raft_state: Option<usize>,
}

/// So many servers on a reliable network, without snapshots.
pub(crate) fn kv_servers(servers: usize) -> KvSetup {
    KvSetup { servers, unreliable: false, max_raft_state: None }
}

impl KvSetup {
    /// The network loses and delays messages.
    pub(crate) fn unreliable(self) -> KvSetup {
        KvSetup { unreliable: true, ..self }
    }

    /// Snapshots are made when the saved state reaches 1000 bytes.
    pub(crate) fn snapshots(self) -> KvSetup {
        KvSetup { max_raft_state: Some(1000), ..self }
    }

    /// A whole test: makes the cluster, begins, takes the test's steps, ends and cleans up.
    pub(crate) fn run<Body>(self, lab: Lab, body: Body) -> Steps
    where
        Body: AsyncFnOnce(&KvConfig) -> Checked<()> + 'static,
    {
        Box::pin(async move {
            let title = lab.test().title;
            let cfg = KvConfig::new(lab, self);
            cfg.begin(title);
            cfg.in_time(body(&cfg)).await?;
            cfg.end()?;
            cfg.cleanup()
        })
    }
}

/// A client of the test: a clerk whose operations are counted and written down.
pub(crate) struct Client {
    number: usize,
    pub(crate) clerk: Clerk,
}

impl Client {
    /// For connecting it while it is in use.
    pub(crate) fn number(&self) -> usize {
        self.number
    }
}

impl Deref for KvConfig {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl KvConfig {
    /// So many servers, all running and connected: the course's `make_config`.
    fn new(lab: Lab, setup: KvSetup) -> KvConfig {
        let KvSetup { servers, unreliable, max_raft_state } = setup;
        let config = KvConfig {
            cluster: Cluster::new(lab, servers),
            max_raft_state,
            clients: Rc::default(),
            operations: Rc::default(),
            history: Rc::default(),
        };
        config.show_commands(kvraft::message::show);
        let weak = config.downgrade();
        config.restart_with(move |i| {
            if let Some(cluster) = weak.upgrade() {
                start_service(&cluster, i, max_raft_state);
            }
        });
        for i in 0..servers {
            config.start(i);
        }
        config.connect_all();
        config.network().reliable(!unreliable);
        config
    }

    /// Bytes of saved state from which on servers make snapshots.
    pub(crate) fn max_raft_state(&self) -> Option<usize> {
        self.max_raft_state
    }

    /// Starts a server from what it had saved. It is not connected to the others: `StartServer`.
    pub(crate) fn start(&self, i: usize) {
        start_service(self, i, self.max_raft_state);
    }

    /// Cuts a server off and stops it: `ShutdownServer`. Clients can no longer find it.
    pub(crate) fn shutdown(&self, i: usize) {
        self.crash_server(i);
    }

    /// Connects all servers with one another.
    pub(crate) fn connect_all(&self) {
        self.step(|| "connect all servers".into());
        for i in 0..self.n() {
            self.link(i, 0..self.n(), true);
        }
    }

    /// Parts the servers into two groups. Clients reach whom they reached before.
    pub(crate) fn partition(&self, groups: [&[usize]; 2]) {
        let [one, other] = groups;
        self.step(|| format!("partition {one:?} | {other:?}"));
        for (here, there) in [(one, other), (other, one)] {
            for &i in here {
                self.link(i, there.iter().copied(), false);
                self.link(i, here.iter().copied(), true);
            }
        }
    }

    /// A majority without the leader, and the rest, the leader last. It may be an old leader; without
    /// one it is server 0.
    pub(crate) fn make_partition(&self) -> [Vec<usize>; 2] {
        let leads = |i: &usize| self.state(*i).is_some_and(|state| state.is_leader);
        let leader = (0..self.n()).find(leads).unwrap_or(0);
        let mut majority: Vec<usize> = (0..self.n()).filter(|&i| i != leader).collect();
        let mut minority = majority.split_off(self.n() / 2 + 1);
        minority.push(leader);
        [majority, minority]
    }

    // Clients.

    /// A client with an end to each server, handed to its clerk in a drawn order. Only the servers in
    /// the list can be reached.
    pub(crate) fn make_client(&self, servers: impl IntoIterator<Item = usize>) -> Client {
        let number = self.clients.borrow().len();
        let node = Node::client(number);
        let mut ends: Vec<_> = (0..self.n())
            .map(|i| {
                let end = self.network().make_end(node);
                self.network().connect(end.id(), Node::server(i));
                end
            })
            .collect();
        self.clients.borrow_mut().push(ends.iter().map(|end| end.id()).collect());
        self.link_client(number, servers, true);
        let dice = self.dice();
        for last in (1..ends.len()).rev() {
            ends.swap(last, dice.below(last as u64 + 1) as usize);
        }
        Client { number, clerk: Clerk::new(ends, self.lab().world().client(number)) }
    }

    /// A client that reaches all servers.
    pub(crate) fn make_client_of_all(&self) -> Client {
        self.make_client(0..self.n())
    }

    /// Lets a client reach these servers, or no longer: `ConnectClient` and `DisconnectClient`.
    pub(crate) fn link_client(
        &self,
        client: usize,
        servers: impl IntoIterator<Item = usize>,
        enabled: bool,
    ) {
        let servers: Vec<usize> = servers.into_iter().collect();
        let what = if enabled { "reaches" } else { "no longer reaches" };
        self.step(|| format!("client {client} {what} servers {servers:?}"));
        for i in servers {
            self.network().enable(self.clients.borrow()[client][i], enabled);
        }
    }

    // Operations that are counted.

    /// The value of a key.
    pub(crate) async fn get(&self, client: &mut Client, key: &str) -> String {
        let call = self.called(client, key, Input::Get);
        let value = client.clerk.get(key).await;
        self.answered(call, &value);
        value
    }

    pub(crate) async fn put(&self, client: &mut Client, key: &str, value: &str) {
        let call = self.called(client, key, Input::Put(value.into()));
        client.clerk.put(key, value).await;
        self.answered(call, "");
    }

    pub(crate) async fn append(&self, client: &mut Client, key: &str, value: &str) {
        let call = self.called(client, key, Input::Append(value.into()));
        client.clerk.append(key, value).await;
        self.answered(call, "");
    }

    /// A Get that must get this value.
    pub(crate) async fn check(&self, client: &mut Client, key: &str, value: &str) -> Checked<()> {
        let got = self.get(client, key).await;
        if got == value {
            return Ok(());
        }
        Err(self.wrong(format!("Get({key:?}): expected {value:?}, received {got:?}")))
    }

    fn called(&self, client: &Client, key: &str, input: Input) -> usize {
        let now = self.tester().now();
        let call = self.history.borrow_mut().call(client.number, key, input, now);
        self.lab().world().client(client.number).record(|| {
            let operation = self.history().operations()[call].to_string();
            let (client, key) = (client.number, key.into());
            HarnessEvent::Called { call, client, key, operation }.event()
        });
        call
    }

    fn answered(&self, call: usize, output: &str) {
        self.operations.set(self.operations.get() + 1);
        self.history.borrow_mut().answer(call, output, self.tester().now());
        let history = self.history();
        let operation = &history.operations()[call];
        self.lab().world().client(operation.client).record(|| {
            let waited = (self.tester().now() - operation.called.at).as_secs_f64() * 1000.0;
            let text = format!("client {} after {waited:.1} ms: {operation}", operation.client);
            HarnessEvent::Answered { call, operation: operation.to_string() }.event_with(text)
        });
    }

    /// What the clients did.
    pub(crate) fn history(&self) -> Ref<'_, History> {
        self.history.borrow()
    }

    /// Checks that all answers fit one order of all operations. Unlike in Go, a search that takes too
    /// long is no pass; and it is counted in steps, so that it takes too long everywhere or nowhere.
    pub(crate) fn check_linearizable(&self) -> Checked<()> {
        let history = self.history();
        let budget = linearizability::DEFAULT_BUDGET;
        let reason = match linearizability::check(history.operations(), budget) {
            Linearizability::Holds => return Ok(()),
            Linearizability::Violated(story) => {
                self.record(|| {
                    let place = |told: &Operation| {
                        history.operations().iter().position(|each| each.called == told.called)
                    };
                    HarnessEvent::Unordered {
                        calls: story.operations.iter().filter_map(place).collect(),
                    }
                });
                Reason::NotLinearizable(story)
            }
            Linearizability::Unknown { key, operations, steps } => {
                Reason::Undecided { key, operations, steps }
            }
        };
        Err(self.failure(None, reason))
    }

    /// A wrong answer. That the answers fit no order of all operations says more than that one of them
    /// is not what was expected, so it is looked for first.
    pub(crate) fn wrong(&self, what: impl Into<String>) -> Failure {
        match self.check_linearizable() {
            Err(failure) if matches!(failure.reason, Reason::NotLinearizable(_)) => failure,
            _ => self.cluster.wrong(what),
        }
    }

    // The test.

    /// Takes a test's steps, for as long as a test may take: clerks try for ever, so without this a
    /// test whose service is stuck would not end.
    async fn in_time(&self, steps: impl Future<Output = Checked<()>>) -> Checked<()> {
        let left = self.deadline().saturating_sub(self.tester().now());
        if let Some(result) = self.tester().timeout(left, steps).await {
            return result;
        }
        let history = self.history();
        let waiting = history.operations().iter().find(|each| each.answered.is_none());
        let who = waiting.map(|each| {
            let (client, since) = (each.client, each.called.at.as_secs_f64());
            format!(": client {client} has waited for {each} since {since:.3} s")
        });
        let (limit, who) = (self.deadline().as_secs(), who.unwrap_or_default());
        Err(self.expected(format!("the test was not over after {limit} s{who}")))
    }

    /// The time that the course allows for an election.
    #[track_caller]
    pub(crate) fn sleep_election_timeout(&self) -> Sleep {
        self.sleep(RAFT_ELECTION_TIMEOUT)
    }

    /// Begins a test, or a part of it with figures of its own.
    pub(crate) fn begin(&self, title: &str) {
        self.begin_at(title, self.operations.get());
    }

    /// Ends what [`begin`](Self::begin) began: notes seconds, servers, RPCs and operations.
    pub(crate) fn end(&self) -> Checked<()> {
        self.end_at(self.operations.get())
    }
}

fn start_service(cluster: &Cluster, i: usize, max_raft_state: Option<usize>) {
    let new = cluster.start_server(i);
    let rt = new.server.runtime().clone();
    rt.act(|| KvServer::start(new, max_raft_state));
}
