//! The course's `config` of the key/value tests: servers with the service, clerks, partitions, and
//! the history of what the clerks did.
//!
//! It differs from the `config` of the Raft tests in two ways: a call to an unreachable server
//! fails within 100 ms, and links are enabled server by server.

use std::cell::{Cell, Ref, RefCell};
use std::ops::Deref;
use std::rc::Rc;

use kvraft::{Clerk, KvServer};
use labraft::linearizability::{self, History, Input, Linearizability, Operation};
use labraft::{
    Checked, Cluster, Expectation, Failure, HarnessEvent, Lab, Property, RAFT_ELECTION_TIMEOUT,
    Reason, Steps, expectation,
};
use labrpc::{EndId, Node, Sleep};

/// A cluster of key/value servers and their clients. A clone is a handle to the same cluster.
///
/// It dereferences to its [`Cluster`] so that tests can write `cfg.n()` and `cfg.sleep()` as the
/// course's tests do.
#[derive(Clone)]
pub(crate) struct KvConfig {
    cluster: Cluster,
    max_raft_state: Option<usize>,
    /// The ends of each client, one to each server.
    clients: Rc<RefCell<Vec<Vec<EndId>>>>,
    /// The number of completed operations.
    operations: Rc<Cell<u64>>,
    history: Rc<RefCell<History>>,
}

/// The cluster that a test runs on: the parameters of the course's `make_config`.
#[derive(Copy, Clone)]
pub(crate) struct KvSetup {
    pub(crate) servers: usize,
    pub(crate) unreliable: bool,
    /// The size of the saved state, in bytes, at which servers take a snapshot. `None` means no
    /// snapshots, like -1 in the course.
    pub(crate) max_raft_state: Option<usize>,
}

/// A cluster on a reliable network, without snapshots.
pub(crate) fn kv_servers(servers: usize) -> KvSetup {
    KvSetup { servers, unreliable: false, max_raft_state: None }
}

impl KvSetup {
    /// Makes the network lose and delay messages.
    pub(crate) fn unreliable(self) -> KvSetup {
        KvSetup { unreliable: true, ..self }
    }

    /// Makes servers take a snapshot when their saved state reaches 1000 bytes.
    pub(crate) fn snapshots(self) -> KvSetup {
        KvSetup { max_raft_state: Some(1000), ..self }
    }

    /// Runs a whole test: makes the cluster, announces the test, runs `body`, notes the statistics
    /// and cleans up.
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

/// A client of the test: a clerk whose operations are counted and added to the history.
pub(crate) struct Client {
    number: usize,
    clerk: Clerk,
}

impl Client {
    /// The number of the client, for [`KvConfig::link_client`].
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
    /// Creates a cluster whose servers are all running and connected: the course's `make_config`.
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

    /// See [`KvSetup::max_raft_state`].
    pub(crate) fn max_raft_state(&self) -> Option<usize> {
        self.max_raft_state
    }

    /// Starts a server from its saved state, without connecting it: the course's `StartServer`.
    pub(crate) fn start(&self, i: usize) {
        if self.is_running(i) {
            // An act from outside has started it before the test did.
            self.crash_server(i);
        }
        start_service(self, i, self.max_raft_state);
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

    /// Partitions the servers into two groups. The links of clients stay as they are.
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

    /// Returns a majority of the servers without the leader, and a minority that ends with it. As
    /// in the course, the leader is the first server that claims to lead, even if it has been
    /// replaced; if none does, it is server 0.
    pub(crate) fn make_partition(&self) -> [Vec<usize>; 2] {
        let leader = (0..self.n()).find(|&i| self.claims_to_lead(i)).unwrap_or(0);
        let mut majority: Vec<usize> = (0..self.n()).filter(|&i| i != leader).collect();
        let mut minority = majority.split_off(self.n() / 2 + 1);
        minority.push(leader);
        [majority, minority]
    }

    fn claims_to_lead(&self, i: usize) -> bool {
        self.state(i).is_some_and(|state| state.is_leader)
    }

    // Clients.

    /// Creates a client with an end to each server, which its clerk gets in a random order. Only
    /// the ends to the given servers are enabled.
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

    /// Creates a client that can reach all servers.
    pub(crate) fn make_client_of_all(&self) -> Client {
        self.make_client(0..self.n())
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

    // Operations, which are counted and added to the history.

    /// Returns the value of a key, which is empty if the key does not exist.
    pub(crate) async fn get(&self, client: &mut Client, key: &str) -> String {
        let call = self.record_call(client, key, Input::Get);
        let value = self.operate(client, key, Input::Get).await;
        self.record_answer(call, &value);
        value
    }

    pub(crate) async fn put(&self, client: &mut Client, key: &str, value: &str) {
        let input = Input::Put(value.into());
        let call = self.record_call(client, key, input.clone());
        self.operate(client, key, input).await;
        self.record_answer(call, "");
    }

    pub(crate) async fn append(&self, client: &mut Client, key: &str, value: &str) {
        let input = Input::Append(value.into());
        let call = self.record_call(client, key, input.clone());
        self.operate(client, key, input).await;
        self.record_answer(call, "");
    }

    /// Has a client's clerk do an operation that is neither counted nor added to the history. Returns
    /// the value of a Get.
    pub(crate) async fn operate(&self, client: &mut Client, key: &str, input: Input) -> String {
        let Client { number, clerk } = client;
        let written = match &input {
            Input::Get => None,
            Input::Put(value) | Input::Append(value) => Some(value.as_str()),
        };
        self.lab().audit_call(*number, key, written);
        let before = self.replies(*number);
        let value = match &input {
            Input::Get => clerk.get(key).await,
            Input::Put(value) => {
                clerk.put(key, value).await;
                String::new()
            }
            Input::Append(value) => {
                clerk.append(key, value).await;
                String::new()
            }
        };
        self.check_replied(*number, before);
        self.lab().audit_read(*number, key, &value);
        value
    }

    /// The number of replies that have arrived at a client so far.
    fn replies(&self, client: usize) -> u64 {
        self.network().replies(Node::client(client))
    }

    /// Fails the run if an operation of a client has completed although no server has replied to the
    /// client since there were `before` replies: nobody else can know the answer.
    fn check_replied(&self, client: usize, before: u64) {
        if self.replies(client) == before {
            let what = expectation!(
                "an operation of client {client} completed although no server replied to it meanwhile"
            );
            self.lab().fail(None, Reason::Wrong(what));
        }
    }

    /// Does a Get, which must return this value.
    pub(crate) async fn check(&self, client: &mut Client, key: &str, value: &str) -> Checked<()> {
        let got = self.get(client, key).await;
        if got == value {
            return Ok(());
        }
        Err(self.wrong(expectation!("Get({key:?}): expected {value:?}, received {got:?}")))
    }

    /// Adds an operation to the history when a client begins it. Returns its index there.
    fn record_call(&self, client: &Client, key: &str, input: Input) -> usize {
        let now = self.tester().now();
        let call = self.history.borrow_mut().call(client.number, key, input, now);
        self.lab().world().client(client.number).record(|| {
            let operation = self.history().operations()[call].to_string();
            let (client, key) = (client.number, key.into());
            HarnessEvent::Called { call, client, key, operation }.event()
        });
        call
    }

    /// Completes an operation in the history with what the service returned.
    fn record_answer(&self, call: usize, output: &str) {
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

    /// All operations of all clients so far.
    pub(crate) fn history(&self) -> Ref<'_, History> {
        self.history.borrow()
    }

    /// Checks that the history is linearizable. In Go, a search that runs out of time passes. Here
    /// it does not, and its budget is counted in steps, so that the result is the same on every
    /// machine.
    pub(crate) fn check_linearizable(&self) -> Checked<()> {
        if !self.lab().without().includes(Property::Linearizability) {
            return Ok(());
        }
        let history = self.history();
        let budget = linearizability::DEFAULT_BUDGET;
        let reason = match linearizability::check(history.operations(), budget) {
            Linearizability::Holds => return Ok(()),
            Linearizability::Violated(counterexample) => {
                self.record(|| {
                    let shown = counterexample.operations.iter();
                    let calls = shown.filter_map(|operation| find_call(&history, operation));
                    HarnessEvent::Unordered { calls: calls.collect() }
                });
                Reason::NotLinearizable(counterexample)
            }
            Linearizability::Unknown { key, operations, steps } => {
                Reason::Undecided { key, operations, steps }
            }
        };
        Err(self.failure(None, reason))
    }

    /// The failure of a test whose service gave a wrong answer. If the history is not linearizable,
    /// that becomes the failure, because it explains more than a single unexpected value.
    pub(crate) fn wrong(&self, what: impl Into<Expectation>) -> Failure {
        match self.check_linearizable() {
            Err(failure) if matches!(failure.reason, Reason::NotLinearizable(_)) => failure,
            _ => self.cluster.wrong(what),
        }
    }

    // The test.

    /// Runs a test's steps until the test's time is up. Clerks retry forever, so without a limit a
    /// test whose service is stuck would never end.
    async fn in_time(&self, steps: impl Future<Output = Checked<()>>) -> Checked<()> {
        let left = self.deadline().saturating_sub(self.tester().now());
        if let Some(result) = self.tester().timeout(left, steps).await {
            return result;
        }
        let history = self.history();
        let waiting = history.operations().iter().find(|each| each.answered.is_none());
        let who = waiting.map(|each| {
            let client = each.client;
            let since = each.called.at.as_secs_f64();
            format!(": client {client} has been waiting for {each} since {since:.3} s")
        });
        let who = who.unwrap_or_default();
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

/// The index of an operation in the history.
fn find_call(history: &History, operation: &Operation) -> Option<usize> {
    history.operations().iter().position(|each| each.called == operation.called)
}

/// Starts a server with a Raft and the service on top. It must not be running.
fn start_service(cluster: &Cluster, i: usize, max_raft_state: Option<usize>) {
    let new = cluster.start_server(i);
    let rt = new.server.runtime().clone();
    rt.act(|| KvServer::start(new, max_raft_state));
}

#[cfg(test)]
mod tests {
    use labraft::{Part, Run, Test, Verdict};
    use labrpc::RunSpec;

    use super::*;

    /// A client that invents its answer, after a real operation.
    static INVENTED: Test = Test {
        name: "Invented",
        part: Part::Kv3A,
        title: "an invented answer",
        points: 0,
        cost: 1,
        run: |lab| {
            kv_servers(3).run(lab, async |cfg| {
                let mut client = cfg.make_client_of_all();
                cfg.put(&mut client, "k", "v").await;
                cfg.check_replied(client.number, cfg.replies(client.number));
                Ok(())
            })
        },
    };

    #[test]
    fn an_operation_that_no_server_answers_fails_the_run() {
        let report = Run::new(&INVENTED, raft::REFERENCE, RunSpec::seed(0)).run();
        assert_eq!(report.verdict(), Verdict::Failed);
        let reason = report.result.unwrap_err().to_string();
        assert!(reason.contains("client 0 completed although no server replied to it"), "{reason}");
    }
}
