//! Runs a test once and reports the result.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use labrpc::{Limits, RunSpec, Simulation, Taken, Timed, Trouble, Watch};

use crate::audit::Finding;
use crate::failure::Failure;
use crate::lab::{Lab, Passed, Results};
use crate::missing::Missing;
use crate::raft::Implementation;
use crate::reason::Reason;
use crate::server_names::ServerNames;
use crate::suite::{Test, test_limits};
use crate::verdict::{Profile, Verdict};
use crate::waypoint::{Reached, Waypoints};
use crate::without::Without;

/// The result of one run of a test.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// The test that was run.
    pub test: &'static Test,
    /// The seed and the changed decisions that determine the run.
    pub spec: RunSpec,
    /// The faults that the run could meet.
    pub profile: Profile,
    /// The properties and thresholds by which the run was not judged.
    pub without: Without,
    /// `Ok` if the run passed, otherwise the first failure that was found.
    pub result: Result<(), Failure>,
    /// The names of the servers, if they have any.
    pub names: ServerNames,
    /// A description of the chaos profile's faults, if there were any.
    pub chaos: Option<String>,
    /// The title of the part that began last.
    pub begun: Option<String>,
    /// The figures of each part that passed.
    pub passed: Vec<Passed>,
    /// Suspicious observations that are not failures.
    pub warnings: Vec<String>,
    /// What the audit found: the first finding of each kind; empty if the run was not audited.
    pub findings: Vec<Finding>,
    /// Whether a server did not answer [`probe`](crate::Raft::probe) when it was asked.
    pub is_probe_missing: bool,
    /// The waypoints that the run came to.
    pub waypoints: Waypoints,
    /// The virtual time at the end of the run.
    pub elapsed: Duration,
    /// The number of events: polls of tasks and arrivals of messages.
    pub event_count: u64,
    /// A hash of everything that happened. Two equal runs have the same fingerprint.
    pub fingerprint: u64,
    /// The recorded events in order; empty if the run was not recorded.
    pub events: Vec<Timed>,
    /// The decisions that were not neutral, or all; empty if they were not recorded.
    pub choices: Vec<Taken>,
}

impl RunReport {
    /// The verdict on this run.
    pub fn verdict(&self) -> Verdict {
        self.result
            .as_ref()
            .map_or_else(|failure| failure.verdict(self.profile), |()| Verdict::Passed)
    }
}

/// A run of one test, to be configured and then started with [`run`](Run::run).
pub struct Run {
    test: &'static Test,
    implementation: Implementation,
    spec: RunSpec,
    profile: Profile,
    without: Without,
    record: bool,
    record_choices: bool,
    keep_neutral: bool,
    audit: bool,
    limits: Limits,
    watch: Option<Box<dyn Watch>>,
}

impl Run {
    /// Creates a run with the default profile and limits. Nothing is recorded.
    pub fn new(test: &'static Test, implementation: Implementation, spec: RunSpec) -> Run {
        let profile = Profile::default();
        Run {
            test,
            implementation,
            spec,
            profile,
            without: Without::NOTHING,
            record: false,
            record_choices: false,
            keep_neutral: false,
            audit: false,
            limits: test_limits(),
            watch: None,
        }
    }

    /// Sets limits beyond which the run is aborted, in place of [`test_limits`].
    pub fn limits(self, limits: Limits) -> Run {
        Run { limits, ..self }
    }

    /// Sets the faults that the run may meet.
    pub fn profile(self, profile: Profile) -> Run {
        Run { profile, ..self }
    }

    /// Sets the properties and thresholds by which the run is not judged.
    pub fn without(self, without: Without) -> Run {
        Run { without, ..self }
    }

    /// Sets whether to record events. Recording does not affect the run.
    pub fn record(self, yes: bool) -> Run {
        Run { record: yes, ..self }
    }

    /// Sets whether to record the decisions that are not neutral. Recording does not affect
    /// the run.
    pub fn record_choices(self, yes: bool) -> Run {
        Run { record_choices: yes, ..self }
    }

    /// Sets whether to record all decisions, even those that are neutral. Recording does not affect the
    /// run.
    pub fn record_all_choices(self, yes: bool) -> Run {
        Run { record_choices: self.record_choices || yes, keep_neutral: yes, ..self }
    }

    /// Sets whether to look for servers and clients that know more than they were told. This copies
    /// all messages, and does not affect the run.
    pub fn audit(self, yes: bool) -> Run {
        Run { audit: yes, ..self }
    }

    /// Passes events and polls to a watcher as they happen. Watching does not affect the run.
    pub fn watch(self, watch: Box<dyn Watch>) -> Run {
        Run { watch: Some(watch), ..self }
    }

    /// Executes the run on a new thread and waits for it to end.
    pub fn run(self) -> RunReport {
        let Run { test, implementation, spec, profile, without, audit, limits, .. } = self;
        let results = Arc::new(Mutex::new(Results::default()));
        let reached = Reached::default();
        let inside = (results.clone(), reached.clone());
        let missing = Missing::default();
        let missing_inside = missing.clone();
        let mut simulation = Simulation::new(spec.clone()).limits(limits).record(self.record);
        simulation =
            simulation.chaos(profile == Profile::Chaos).record_choices(self.record_choices);
        if let Some(watch) = self.watch {
            simulation = simulation.watch(watch);
        }
        let outcome = simulation.run(move |world| {
            missing_inside.listen();
            let lab = Lab::new(world, test, implementation, without, audit, inside);
            (test.run)(lab)
        });
        let found = std::mem::take(&mut *results.lock().unwrap_or_else(PoisonError::into_inner));
        let result = match (found.failure, outcome.result) {
            (Some(failure), _) => Err(failure),
            (None, Ok(result)) => result,
            (None, Err(trouble)) => Err(from_trouble(trouble, outcome.elapsed)),
        };
        let result = with_slips(result, found.slips, profile);
        let missing = missing.earliest();
        let result = result.map_err(|failure| Failure { missing, ..failure });
        RunReport {
            test,
            spec,
            profile,
            without,
            result,
            names: found.names,
            chaos: found.chaos,
            begun: found.begun,
            passed: found.passed,
            warnings: found.warnings,
            findings: found.findings,
            is_probe_missing: found.is_probe_missing,
            waypoints: reached.all(),
            elapsed: outcome.elapsed,
            event_count: outcome.event_count,
            fingerprint: outcome.fingerprint,
            events: outcome.events,
            choices: match self.keep_neutral {
                true => outcome.choices,
                false => outcome.choices.into_iter().filter(Taken::is_fault).collect(),
            },
        }
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Run({:?}, {:?}, {:?})", self.test, self.implementation, self.spec)
    }
}

/// Runs a test once, on a new thread of this process. Use it only for trusted code, since nothing
/// isolates the process from the code under test.
pub fn run_test(
    test: &'static Test,
    implementation: Implementation,
    spec: RunSpec,
    record: bool,
) -> RunReport {
    Run::new(test, implementation, spec).record(record).run()
}

/// Takes the slips of a run into its result. The first one is the failure of a run that ended well or
/// only missed a bound under chaos; a worse failure is explained by them.
fn with_slips(
    result: Result<(), Failure>,
    mut slips: Vec<Failure>,
    profile: Profile,
) -> Result<(), Failure> {
    let is_worse = |failure: &Failure| failure.verdict(profile) > Verdict::Missed;
    let failure = match result {
        Err(failure) if is_worse(&failure) || slips.is_empty() => failure,
        Ok(()) if slips.is_empty() => return Ok(()),
        _ => slips.remove(0),
    };
    let others = slips.iter().map(|slip| {
        let at = slip.at.as_secs_f64();
        format!("also, at {at:.6} s: {slip}")
    });
    let situation = failure.situation.iter().cloned().chain(others).collect();
    Err(Failure { situation, ..failure })
}

fn from_trouble(trouble: Trouble, at: Duration) -> Failure {
    let server = trouble.node().and_then(|node| node.as_server());
    Failure::new(Reason::Trouble(Box::new(trouble)), at, server)
}
