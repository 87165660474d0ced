//! Runs a test once.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use labrpc::{Limits, RunSpec, Simulation, Taken, Timed, Trouble, Watch};

use crate::failure::Failure;
use crate::lab::{Lab, Passed, Results};
use crate::missing::Missing;
use crate::raft::Implementation;
use crate::reason::Reason;
use crate::suite::Test;
use crate::verdict::{Profile, Verdict};

/// What one run of one test came to.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// The test.
    pub test: &'static Test,
    /// What the run was made of.
    pub spec: RunSpec,
    /// Which faults there were.
    pub profile: Profile,
    /// Whether it passed, or the first thing that was wrong.
    pub result: Result<(), Failure>,
    /// The faults beyond the course's network, in words.
    pub chaos: Option<String>,
    /// The title of the part that was begun last.
    pub begun: Option<String>,
    /// The figures of each part that passed.
    pub passed: Vec<Passed>,
    /// What was odd but not wrong.
    pub warnings: Vec<String>,
    /// Virtual time at the end.
    pub elapsed: Duration,
    /// The number of polls of tasks and arrivals of messages.
    pub event_count: u64,
    /// Tells this run from any other.
    pub fingerprint: u64,
    /// The events in their order, if they were recorded.
    pub events: Vec<Timed>,
    /// The decisions that had another than their neutral value, if they were recorded.
    pub choices: Vec<Taken>,
}

impl RunReport {
    /// How this run is judged.
    pub fn verdict(&self) -> Verdict {
        self.result
            .as_ref()
            .map_or_else(|failure| failure.verdict(self.profile), |()| Verdict::Passed)
    }
}

/// A run to be, of one test.
pub struct Run {
    test: &'static Test,
    implementation: Implementation,
    spec: RunSpec,
    profile: Profile,
    record: bool,
    record_choices: bool,
    limits: Limits,
    watch: Option<Box<dyn Watch>>,
}

impl Run {
    /// A run of a test with an implementation.
    pub fn new(test: &'static Test, implementation: Implementation, spec: RunSpec) -> Run {
        let profile = Profile::default();
        Run {
            test,
            implementation,
            spec,
            profile,
            record: false,
            record_choices: false,
            limits: (test.limits)(),
            watch: None,
        }
    }

    /// Ends it no later than so. Without this, the test's own limits hold.
    pub fn limits(self, limits: Limits) -> Run {
        Run { limits, ..self }
    }

    /// Which faults there are.
    pub fn profile(self, profile: Profile) -> Run {
        Run { profile, ..self }
    }

    /// Whether to keep what happens. It changes nothing about the run itself.
    pub fn record(self, yes: bool) -> Run {
        Run { record: yes, ..self }
    }

    /// Whether to keep the decisions that are not neutral. It changes nothing about the run itself.
    pub fn record_choices(self, yes: bool) -> Run {
        Run { record_choices: yes, ..self }
    }

    /// Shows to a watcher what happens. It changes nothing about the run itself.
    pub fn watch(self, watch: Box<dyn Watch>) -> Run {
        Run { watch: Some(watch), ..self }
    }

    /// Runs it, on a thread of its own.
    pub fn run(self) -> RunReport {
        let Run { test, implementation, spec, profile, record, record_choices, limits, watch } =
            self;
        let results = Arc::new(Mutex::new(Results::default()));
        let results_inside = results.clone();
        let missing = Missing::default();
        let missing_inside = missing.clone();
        let mut simulation = Simulation::new(spec.clone()).limits(limits).record(record);
        simulation = simulation.chaos(profile == Profile::Chaos).record_choices(record_choices);
        if let Some(watch) = watch {
            simulation = simulation.watch(watch);
        }
        let outcome = simulation.run(move |world| {
            missing_inside.listen();
            let lab = Lab::new(world, test, implementation, results_inside);
            (test.run)(lab)
        });
        let found = std::mem::take(&mut *results.lock().unwrap_or_else(PoisonError::into_inner));
        let result = match (found.failure, outcome.result) {
            (Some(failure), _) => Err(failure),
            (None, Ok(result)) => result,
            (None, Err(trouble)) => Err(from_trouble(trouble, outcome.elapsed)),
        };
        let missing = missing.earliest();
        let result = result.map_err(|failure| Failure { missing, ..failure });
        RunReport {
            test,
            spec,
            profile,
            result,
            chaos: found.chaos,
            begun: found.begun,
            passed: found.passed,
            warnings: found.warnings,
            elapsed: outcome.elapsed,
            event_count: outcome.event_count,
            fingerprint: outcome.fingerprint,
            events: outcome.events,
            choices: outcome.choices.into_iter().filter(Taken::is_fault).collect(),
        }
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Run({:?}, {:?}, {:?})", self.test, self.implementation, self.spec)
    }
}

/// Runs one test once, on a thread of its own, in this process: what it runs is trusted.
pub fn run_test(
    test: &'static Test,
    implementation: Implementation,
    spec: RunSpec,
    record: bool,
) -> RunReport {
    Run::new(test, implementation, spec).record(record).run()
}

fn from_trouble(trouble: Trouble, at: Duration) -> Failure {
    let server = trouble.node().and_then(|node| node.as_server());
    Failure::new(Reason::Trouble(Box::new(trouble)), at, server)
}
