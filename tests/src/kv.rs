//! The course's `config` of the key/value tests: servers with the service, clerks, partitions, and
//! the history of what the clerks did.

use std::cell::{Ref, RefCell};
use std::ops::Deref;
use std::rc::Rc;

use kvraft::{Clerk, KvServer};
use labraft::linearizability::{self, History, Input, Linearizability, Operation};
use labraft::{
    Checked, Expectation, Failure, HarnessEvent, Lab, Property, Reason, Steps, expectation,
};

use crate::service::{ClientEnds, ServiceCluster};

/// A cluster of key/value servers and their clients. A clone is a handle to the same cluster.
///
/// It dereferences to its [`ServiceCluster`].
#[derive(Clone)]
pub(crate) struct KvConfig {
    service: ServiceCluster,
    max_raft_state: Option<usize>,
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
            cfg.in_time(body(&cfg), || cfg.waiting()).await?;
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
    type Target = ServiceCluster;

    fn deref(&self) -> &ServiceCluster {
        &self.service
    }
}

impl KvConfig {
    /// Creates a cluster whose servers are all running and connected: the course's `make_config`.
    fn new(lab: Lab, setup: KvSetup) -> KvConfig {
        let KvSetup { servers, unreliable, max_raft_state } = setup;
        let service = ServiceCluster::new(lab, servers, kvraft::message::show, move |new| {
            KvServer::start(new, max_raft_state);
        });
        service.network().reliable(!unreliable);
        KvConfig { service, max_raft_state, history: Rc::default() }
    }

    /// See [`KvSetup::max_raft_state`].
    pub(crate) fn max_raft_state(&self) -> Option<usize> {
        self.max_raft_state
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

    // Clients.

    /// Creates a client with an end to each server, which its clerk gets in a random order. Only
    /// the ends to the given servers are enabled.
    pub(crate) fn make_client(&self, servers: impl IntoIterator<Item = usize>) -> Client {
        let ClientEnds { number, rt, ends } = self.make_ends(servers);
        Client { number, clerk: Clerk::new(ends, rt) }
    }

    /// Creates a client that can reach all servers.
    pub(crate) fn make_client_of_all(&self) -> Client {
        self.make_client(0..self.n())
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
        let operation = async {
            match &input {
                Input::Get => return clerk.get(key).await,
                Input::Put(value) => clerk.put(key, value).await,
                Input::Append(value) => clerk.append(key, value).await,
            }
            String::new()
        };
        let value = self.replied(*number, operation).await;
        self.lab().audit_read(*number, key, &value);
        value
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
        self.count_operation();
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
            _ => self.service.wrong(what),
        }
    }

    /// The client that has been waiting for longest, and for what.
    fn waiting(&self) -> Option<String> {
        let history = self.history();
        let each = history.operations().iter().find(|each| each.answered.is_none())?;
        let client = each.client;
        let since = each.called.at.as_secs_f64();
        Some(format!("client {client} has been waiting for {each} since {since:.3} s"))
    }
}

/// The index of an operation in the history.
fn find_call(history: &History, operation: &Operation) -> Option<usize> {
    history.operations().iter().position(|each| each.called == operation.called)
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
                cfg.replied(client.number, async {}).await;
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
