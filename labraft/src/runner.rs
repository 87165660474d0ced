//! Runs tests: one of them once, or many under many seeds at a time.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use labrpc::{RunSpec, Simulation, Timed, Trouble};

use crate::failure::{Failure, Reason, Verdict};
use crate::lab::{Lab, Passed, Results};
use crate::raft::Implementation;
use crate::suite::Test;

/// What one run of one test came to.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// The test.
    pub test: &'static Test,
    /// What the run was made of.
    pub spec: RunSpec,
    /// Whether it passed, or the first thing that was wrong.
    pub result: Result<(), Failure>,
    /// The figures of each part that passed.
    pub passed: Vec<Passed>,
    /// What was odd but not wrong.
    pub warnings: Vec<String>,
    /// Virtual time at the end.
    pub elapsed: Duration,
    /// Polls of tasks and arrivals of messages.
    pub events: u64,
    /// Tells this run from any other.
    pub fingerprint: u64,
    /// What happened, if it was recorded.
    pub record: Vec<Timed>,
}

impl RunReport {
    /// How this run is judged.
    pub fn verdict(&self) -> Verdict {
        self.result.as_ref().map_or_else(Failure::verdict, |()| Verdict::Passed)
    }
}

/// Runs one test once, on a thread of its own.
pub fn run_test(
    test: &'static Test,
    implementation: Implementation,
    spec: RunSpec,
    record: bool,
) -> RunReport {
    let results = Arc::new(Mutex::new(Results::default()));
    let results_inside = results.clone();
    let simulation = Simulation::new(spec.clone()).limits((test.limits)()).record(record);
    let outcome = simulation.run(move |world| {
        let lab = Lab::new(world, test, implementation, results_inside);
        (test.run)(lab)
    });
    let found = std::mem::take(&mut *results.lock().unwrap_or_else(PoisonError::into_inner));
    let result = match (found.failure, outcome.result) {
        (Some(failure), _) => Err(failure),
        (None, Ok(result)) => result,
        (None, Err(trouble)) => Err(from_trouble(trouble, outcome.elapsed)),
    };
    RunReport {
        test,
        spec,
        result,
        passed: found.passed,
        warnings: found.warnings,
        elapsed: outcome.elapsed,
        events: outcome.events,
        fingerprint: outcome.fingerprint,
        record: outcome.record,
    }
}

fn from_trouble(trouble: Trouble, at: Duration) -> Failure {
    let server = trouble.node().and_then(|node| node.as_server());
    Failure { reason: Reason::Trouble(trouble), at, server }
}

/// Runs a test under each of the seeds, `jobs` at a time, and hands over each report as it comes.
pub fn sweep(
    test: &'static Test,
    seeds: impl Iterator<Item = u64> + Send,
    implementation: Implementation,
    jobs: usize,
    mut on_report: impl FnMut(RunReport),
) {
    let seeds = Mutex::new(seeds);
    let next = || seeds.lock().unwrap_or_else(PoisonError::into_inner).next();
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            let sender = sender.clone();
            scope.spawn(|| {
                let sender = sender;
                while let Some(seed) = next() {
                    let report = run_test(test, implementation, RunSpec::seed(seed), false);
                    if sender.send(report).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        receiver.iter().for_each(&mut on_report);
    });
}
