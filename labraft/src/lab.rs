//! The context of one run of a test: the simulated world, the implementation, and the results.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Range;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use labrpc::{Event, World};
use serde::{Deserialize, Serialize};

use crate::audit::{Audit, Finding, Found};
use crate::failure::Failure;
use crate::property::Violation;
use crate::raft::Implementation;
use crate::reason::Reason;
use crate::server_names::ServerNames;
use crate::suite::Test;
use crate::waypoint::Reached;
use crate::without::Without;

/// The figures that the course prints when a part of a test has passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// The part's title, as printed when it begins.
    pub title: String,
    /// The virtual time that the part took.
    pub took: Duration,
    /// The number of servers.
    pub servers: usize,
    /// The number of RPCs sent during the part.
    pub rpcs: u64,
    /// The number of bytes in the arguments of those RPCs and in the replies that arrived.
    pub bytes: u64,
    /// In a Raft test, the increase of the highest index applied by any server. In a key/value
    /// test, the number of operations that the helpers counted.
    pub commands: u64,
}

/// The handle that a test uses to reach its run: the world, the implementation and the results.
///
/// Clones refer to the same run.
#[derive(Clone)]
pub struct Lab {
    world: World,
    test: &'static Test,
    implementation: Implementation,
    without: Without,
    /// The number of servers that there are, in all clusters.
    servers: Rc<Cell<usize>>,
    /// `None` if the run is not audited.
    audit: Option<Rc<RefCell<Audit>>>,
    /// The runner reads them after the simulation's thread has ended.
    results: Arc<Mutex<Results>>,
    reached: Reached,
}

/// What a run reports in addition to the result that its steps return.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// The names of the servers, if they have any.
    pub(crate) names: ServerNames,
    /// A description of the chaos profile's faults, if there are any.
    pub(crate) chaos: Option<String>,
    /// The title of the part that began last.
    pub(crate) begun: Option<String>,
    pub(crate) passed: Vec<Passed>,
    pub(crate) warnings: Vec<String>,
    /// The first finding of each kind, in the order in which they were found.
    pub(crate) findings: Vec<Finding>,
    /// Whether a server did not answer when it was asked for a probe.
    pub(crate) is_probe_missing: bool,
    /// The first failure reported with [`Lab::fail`].
    pub(crate) failure: Option<Failure>,
    /// The first slip of each property, in the order in which they were found.
    pub(crate) slips: Vec<Failure>,
}

impl Lab {
    pub(crate) fn new(
        world: World,
        test: &'static Test,
        implementation: Implementation,
        without: Without,
        is_audited: bool,
        (results, reached): (Arc<Mutex<Results>>, Reached),
    ) -> Lab {
        let audit = is_audited.then(Rc::default);
        let servers = Rc::default();
        let lab = Lab { world, test, implementation, without, servers, audit, results, reached };
        lab.note_chaos();
        lab.audit_messages();
        lab
    }

    /// Shows every delivered message to the audit, if there is one.
    fn audit_messages(&self) {
        if self.is_audited() {
            // The network drops its observers at the end of the run.
            let lab = self.clone();
            self.world.network().on_delivery(move |delivery| {
                lab.audited(|audit| audit.delivered(delivery));
            });
        }
    }

    /// Numbers the servers of a new cluster: they follow those of the clusters before it. `name` is the first
    /// part of their names; empty if they have only numbers.
    pub(crate) fn add_servers(&self, name: &str, count: usize) -> Range<usize> {
        let first = self.servers.get();
        self.servers.set(first + count);
        self.results().names.add(name, first..first + count);
        self.audited(|audit| {
            audit.begin(first..first + count);
            None
        });
        first..first + count
    }

    /// The names of the servers in all clusters.
    pub fn names(&self) -> ServerNames {
        self.results().names.clone()
    }

    /// The number of servers in all clusters.
    pub fn servers(&self) -> usize {
        self.servers.get()
    }

    /// Puts a description of the chaos profile's faults, if any, into the report and the recording.
    fn note_chaos(&self) {
        if let Some(chaos) = self.world.chaos() {
            let text = chaos.to_string();
            self.results().chaos = Some(text.clone());
            self.world.tester().record(|| Event::custom("chaos", text));
        }
    }

    /// Enables the faults of [`Chaos`](labrpc::Chaos) if the run's profile has not done so. Some
    /// tests need them under every profile.
    pub fn draw_chaos(&self) {
        if self.world.chaos().is_none() {
            self.world.draw_chaos();
            self.note_chaos();
        }
    }

    /// The simulated world.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The test that this run executes.
    pub fn test(&self) -> &'static Test {
        self.test
    }

    /// The Raft implementation under test.
    pub fn implementation(&self) -> &Implementation {
        &self.implementation
    }

    /// Returns a handle to the same run that uses another Raft: for clusters whose Raft is not under test.
    #[must_use]
    pub fn with_implementation(&self, implementation: Implementation) -> Lab {
        Lab { implementation, ..self.clone() }
    }

    /// The checks that are left out of this run.
    pub fn without(&self) -> Without {
        self.without
    }

    /// The waypoints that the run has come to.
    pub(crate) fn reached(&self) -> &Reached {
        &self.reached
    }

    /// Creates a failure at the current virtual time. `server` is the server at which it was found,
    /// if any.
    pub fn failure(&self, server: Option<usize>, reason: Reason) -> Failure {
        Failure::new(reason, self.world.tester().now(), server)
    }

    /// Ends the run with a failure. Any task may call this; only the first failure is kept.
    pub fn fail(&self, server: Option<usize>, reason: Reason) {
        self.fail_with(self.failure(server, reason));
    }

    /// Ends the run with a failure that was found earlier, and keeps all that it says. Otherwise like
    /// [`fail`](Self::fail).
    pub fn fail_with(&self, failure: Failure) {
        self.results().failure.get_or_insert(failure);
        self.world.tester().stop();
    }

    /// Keeps a server's slip, unless its property has slipped before in this run.
    pub(crate) fn note_slip(&self, server: usize, slip: Violation) {
        let reason = Reason::Violation(Box::new(slip));
        let kind = reason.kind();
        let slip = self.failure(Some(server), reason);
        let slips = &mut self.results().slips;
        if slips.iter().all(|known| known.reason.kind() != kind) {
            self.world.tester().record(|| Event::custom("slip", slip.to_string()));
            slips.push(slip);
        }
    }

    /// Calls `look` if the run is audited, and keeps what it finds.
    #[inline(always)]
    pub(crate) fn audited(&self, look: impl FnOnce(&mut Audit) -> Found) {
        if let Some(audit) = &self.audit {
            let found = look(&mut audit.borrow_mut());
            self.keep_finding(found);
        }
    }

    fn keep_finding(&self, found: Found) {
        let Some(found) = found else { return };
        let finding = Finding::new(found, self.world.tester().now());
        let findings = &mut self.results().findings;
        if findings.iter().all(|known| known.kind != finding.kind) {
            self.world.tester().record(|| Event::custom("audit", finding.text.clone()));
            findings.push(finding);
        }
    }

    /// Whether the run is audited.
    pub(crate) fn is_audited(&self) -> bool {
        self.audit.is_some()
    }

    /// For the audit of the run, if there is one: a client begins an operation on a key, with the value
    /// that it writes, if any. A client has one operation at a time.
    pub fn audit_call(&self, client: usize, key: &str, written: Option<&str>) {
        self.audited(|audit| {
            audit.called(client, key, written);
            None
        });
    }

    /// For the audit of the run, if there is one: a client's Get has returned this value of a key.
    pub fn audit_read(&self, client: usize, key: &str, value: &str) {
        self.audited(|audit| audit.read(client, key, value));
    }

    /// Notes that a server did not answer when it was asked to show its inside.
    pub fn note_missing_probe(&self) {
        self.results().is_probe_missing = true;
    }

    /// Adds a warning to the report, about something suspicious that is not a failure.
    pub fn warn(&self, warning: String) {
        self.results().warnings.push(warning);
    }

    pub(crate) fn begun(&self, title: &str) {
        self.results().begun = Some(title.into());
    }

    pub(crate) fn passed(&self, figures: Passed) {
        self.results().passed.push(figures);
    }

    fn results(&self) -> MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lab({:?})", self.implementation)
    }
}
