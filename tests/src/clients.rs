//! Clients of a key/value service, their operations, and the history of what they did. For labs 3 and 4.

use std::cell::{Ref, RefCell};
use std::ops::Deref;
use std::rc::Rc;

use labraft::linearizability::{self, History, Input, Linearizability, Operation};
use labraft::{Checked, Expectation, Failure, HarnessEvent, Property, Reason, expectation};

use crate::service::ServiceCluster;

/// A clerk of a key/value service.
pub(crate) trait KvClerk {
    /// The value of a key; empty when the key is absent.
    async fn get(&mut self, key: &str) -> String;
    /// Sets the value of a key.
    async fn put(&mut self, key: &str, value: &str);
    /// Appends to the value of a key.
    async fn append(&mut self, key: &str, value: &str);
}

impl KvClerk for kvraft::Clerk {
    async fn get(&mut self, key: &str) -> String {
        self.get(key).await
    }

    async fn put(&mut self, key: &str, value: &str) {
        self.put(key, value).await;
    }

    async fn append(&mut self, key: &str, value: &str) {
        self.append(key, value).await;
    }
}

// BEGIN LAB 4
#[cfg(feature = "lab4")]
impl KvClerk for shardkv::Clerk {
    async fn get(&mut self, key: &str) -> String {
        self.get(key).await
    }

    async fn put(&mut self, key: &str, value: &str) {
        self.put(key, value).await;
    }

    async fn append(&mut self, key: &str, value: &str) {
        self.append(key, value).await;
    }
}

// END LAB 4
/// A client of the test: a clerk whose operations are counted and added to the history.
pub(crate) struct Client<C> {
    pub(crate) number: usize,
    pub(crate) clerk: C,
}

/// The operations of all clients of a run. A clone is a handle to the same operations.
#[derive(Clone)]
pub(crate) struct Operations {
    service: ServiceCluster,
    history: Rc<RefCell<History>>,
}

impl Deref for Operations {
    type Target = ServiceCluster;

    fn deref(&self) -> &ServiceCluster {
        &self.service
    }
}

impl Operations {
    /// No operations yet. Those to come are counted as the service's.
    pub(crate) fn new(service: ServiceCluster) -> Operations {
        Operations { service, history: Rc::default() }
    }

    /// Returns the value of a key, which is empty if the key does not exist.
    pub(crate) async fn get(&self, client: &mut Client<impl KvClerk>, key: &str) -> String {
        let call = self.record_call(client, key, Input::Get);
        let value = self.operate(client, key, Input::Get).await;
        self.record_answer(call, &value);
        value
    }

    pub(crate) async fn put(&self, client: &mut Client<impl KvClerk>, key: &str, value: &str) {
        let input = Input::Put(value.into());
        let call = self.record_call(client, key, input.clone());
        self.operate(client, key, input).await;
        self.record_answer(call, "");
    }

    pub(crate) async fn append(&self, client: &mut Client<impl KvClerk>, key: &str, value: &str) {
        let input = Input::Append(value.into());
        let call = self.record_call(client, key, input.clone());
        self.operate(client, key, input).await;
        self.record_answer(call, "");
    }

    /// Has a client's clerk do an operation that is neither counted nor added to the history. Returns
    /// the value of a Get.
    pub(crate) async fn operate(
        &self,
        client: &mut Client<impl KvClerk>,
        key: &str,
        input: Input,
    ) -> String {
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
    pub(crate) async fn check(
        &self,
        client: &mut Client<impl KvClerk>,
        key: &str,
        value: &str,
    ) -> Checked<()> {
        let got = self.get(client, key).await;
        if got == value {
            return Ok(());
        }
        Err(self.wrong(expectation!("Get({key:?}): expected {value:?}, received {got:?}")))
    }

    /// Adds an operation to the history when a client begins it. Returns its index there.
    fn record_call(&self, client: &Client<impl KvClerk>, key: &str, input: Input) -> usize {
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
            let text = format!("after {waited:.1} ms: {operation}");
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
    pub(crate) fn waiting(&self) -> Option<String> {
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
