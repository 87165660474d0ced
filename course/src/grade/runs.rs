//! Runs a program's tests, each under all of its seeds and every run in a process of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lab::conditions::Conditions;
use lab::failure_record::FailureRecord;
use lab::records::{Build, RunRecord};
use lab::workers::{Audited, Pair, Pool, Settings};
use labraft::{CauseKind, Test, Verdict, Without};

use super::config::{Course, Limits, ProbeRule};
use super::seeds::{Seed, SeedKind};
use graded::sandbox::WorkerRights;
use lab::outcome::{CommandError, INTERRUPT};

/// The cause of a run that did not pass only because its Raft does not show its inside.
pub(super) const NO_PROBE: &str = "a server does not answer `probe`";

/// The result of a test with one seed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SeedResult {
    pub(super) seed: Seed,
    /// `None` if the test was not run with this seed; that counts as a failure.
    pub(super) record: Option<RunRecord>,
}

impl SeedResult {
    /// Whether the test was run and did not fail.
    pub(super) fn has_passed(&self) -> bool {
        let verdict = self.record.as_ref().map(|record| record.verdict);
        verdict.is_some_and(|verdict| matches!(verdict, Verdict::Passed | Verdict::Missed))
    }
}

/// Tests with their seeds, in the order in which to run them.
pub(super) type Plan = Vec<(&'static Test, Vec<Seed>)>;
/// The results of each test in the order of its seeds, by the test's name.
pub(super) type ResultsByTest = BTreeMap<&'static str, Vec<SeedResult>>;

/// How many runs of each test have hung.
#[derive(Default)]
struct HungRuns(Mutex<BTreeMap<String, usize>>);

impl HungRuns {
    fn count(&self, test: &str) -> usize {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(test).copied().unwrap_or(0)
    }

    fn add(&self, test: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(test.to_string()).or_default() += 1;
    }
}

/// Carries out a plan with a program, in `jobs` processes at a time.
///
/// The rest of a test's seeds are skipped once too many of its runs have hung, and the rest of the
/// plan once the time is up or the user interrupts.
pub(super) fn run(
    program: &Path,
    plan: &Plan,
    course: &Course,
    jobs: usize,
) -> Result<ResultsByTest, CommandError> {
    let limits = course.limits;
    let deadline = now() + Duration::from_secs(60 * limits.total_minutes);
    let hung = HungRuns::default();
    let hung = &hung;
    let pairs = plan.iter().flat_map(|(test, seeds)| {
        let pairs = seeds.iter().map(|seed| (*test, seed.value));
        pairs.take_while(move |_| hung.count(test.name) < limits.hung_runs)
    });
    let pairs = pairs.take_while(|_: &Pair| now() < deadline && !INTERRUPT.load(Ordering::Relaxed));
    // Not `INTERRUPT`: the pool sets this flag if a worker cannot be started, which should not end
    // the whole command.
    let stop = AtomicBool::new(false);
    let audited = Audited::Only(plan.iter().filter_map(audited_run).collect());
    let settings = Settings { audited, ..settings(program, course) };
    let pool = Pool::new(settings, &stop);
    let mut records: BTreeMap<(String, u64), RunRecord> = BTreeMap::new();
    let ran = pool.run(pairs, jobs, |answer| {
        let record = judged(answer.record, course.probe);
        if record.verdict == Verdict::Hung {
            hung.add(&record.test);
        }
        records.insert((record.test.clone(), record.seed), record);
    });
    ran.map_err(|error| CommandError::Internal(format!("cannot run the tests: {error}")))?;
    let mut results = ResultsByTest::new();
    for (test, seeds) in plan {
        results.insert(test.name, in_order(test, seeds, &mut records, limits));
    }
    Ok(results)
}

/// The run of a test that is audited: the first one with a hidden seed, if there is any.
fn audited_run((test, seeds): &(&'static Test, Vec<Seed>)) -> Option<(&'static str, u64)> {
    let hidden = seeds.iter().find(|seed| seed.kind == SeedKind::Hidden);
    Some((test.name, hidden.or(seeds.first())?.value))
}

/// A run's record as the grader takes it. What a worker says of a failure is bounded here too, because
/// a worker may be in the hands of a submission.
pub(super) fn judged(record: RunRecord, rule: ProbeRule) -> RunRecord {
    let failure = record.failure.map(FailureRecord::bounded);
    let has_passed = matches!(record.verdict, Verdict::Passed | Verdict::Missed);
    if rule == ProbeRule::Required && record.is_probe_missing && has_passed {
        let reason = format!("{NO_PROBE}, so that its inside could not be checked");
        let failure = FailureRecord::new(reason, CauseKind::expectation(NO_PROBE));
        return RunRecord { verdict: Verdict::Failed, failure: Some(failure), ..record };
    }
    RunRecord { failure, ..record }
}

/// What runs are judged by.
fn conditions(rule: ProbeRule) -> Conditions {
    let without = match rule {
        ProbeRule::Required => Without::NOTHING,
        ProbeRule::Ignored => Without::probe(),
    };
    Conditions { without, ..Conditions::default() }
}

/// A test's results in the order of its seeds. Seeds after too many hung runs count as not run even
/// if they were, because how many had been started by then depends on the machine.
fn in_order(
    test: &Test,
    seeds: &[Seed],
    records: &mut BTreeMap<(String, u64), RunRecord>,
    limits: Limits,
) -> Vec<SeedResult> {
    let mut hung = 0;
    let mut results = Vec::new();
    for &seed in seeds {
        let record = records.remove(&(test.name.to_string(), seed.value));
        let record = record.filter(|_| hung < limits.hung_runs);
        if record.as_ref().is_some_and(|record| record.verdict == Verdict::Hung) {
            hung += 1;
        }
        results.push(SeedResult { seed, record });
    }
    results
}

/// How the workers of a submission's program are started.
pub(super) fn settings(program: &Path, course: &Course) -> Settings {
    let Course { limits, isolation, .. } = course;
    let memory = limits.run_memory_mib.to_string();
    let mut command = vec![program.to_string_lossy().into_owned(), "--memory".into(), memory];
    command.extend(WorkerRights::arguments(
        isolation.user,
        &isolation.require,
        2 * limits.run_seconds,
    ));
    Settings {
        // Only its name is used, in records: the worker runs the implementation built into it.
        implementation: raft::REFERENCE,
        command,
        conditions: conditions(course.probe),
        audited: Audited::Nothing,
        memory_bytes: limits.run_memory_mib << 20,
        wall_limit: Duration::from_secs(limits.run_seconds),
        traces: std::path::PathBuf::new(),
        show_output: false,
        build: Build::default(),
        is_distrusted: true,
    }
}

#[expect(clippy::disallowed_methods, reason = "real time, outside of any simulation")]
pub(super) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::SUITE;

    #[test]
    fn a_run_without_a_probe_gains_nothing_by_either_rule() {
        let stuck = FailureRecord::new("", CauseKind::Stuck);
        let failed =
            RunRecord::ended((SUITE[0].name, 0), "", Verdict::Failed, stuck, &Build::default());
        let passed = RunRecord { verdict: Verdict::Passed, failure: None, ..failed.clone() };
        let blind = RunRecord { is_probe_missing: true, ..passed.clone() };
        // Required: what no check could see into has not passed.
        let required = |record: &RunRecord| judged(record.clone(), ProbeRule::Required);
        assert_eq!(required(&passed), passed);
        assert_eq!(required(&failed), failed);
        let record = required(&blind);
        assert_eq!(record.verdict, Verdict::Failed);
        assert_eq!(record.failure.unwrap().cause.kind, CauseKind::expectation(NO_PROBE));
        let crashed = RunRecord { is_probe_missing: true, ..failed.clone() };
        assert_eq!(required(&crashed), crashed);
        // Ignored: all runs are judged without.
        assert_eq!(judged(blind.clone(), ProbeRule::Ignored), blind);
        assert!(!conditions(ProbeRule::Ignored).without.has_probes());
        assert!(conditions(ProbeRule::Required).without.is_empty());
    }

    #[test]
    fn what_a_worker_says_is_bounded_by_the_grader() {
        let flood = FailureRecord::new("x".repeat(20 << 20), CauseKind::Stuck);
        let record =
            RunRecord::ended((SUITE[0].name, 0), "", Verdict::Failed, flood, &Build::default());
        let record = judged(record, ProbeRule::Required);
        assert!(record.failure.unwrap().reason.len() < 5 << 10);
    }

    #[test]
    fn seeds_not_run_and_seeds_after_too_many_hung_runs_have_failed() {
        let test = &SUITE[0];
        let record = |seed, verdict| {
            let failure = FailureRecord::new("", CauseKind::Stuck);
            RunRecord::ended((test.name, seed), "", verdict, failure, &Build::default())
        };
        let verdicts = [
            Some(Verdict::Passed),
            Some(Verdict::Hung),
            None,
            Some(Verdict::Unknown),
            Some(Verdict::Passed),
            Some(Verdict::Hung),
            // Started before it was known that too many had hung.
            Some(Verdict::Passed),
            Some(Verdict::Hung),
        ];
        let mut found = BTreeMap::new();
        for (seed, verdict) in (0..).zip(verdicts) {
            if let Some(verdict) = verdict {
                found.insert((test.name.to_string(), seed), record(seed, verdict));
            }
        }
        let seeds: Vec<Seed> = (0..8).map(|value| Seed { value, kind: SeedKind::Public }).collect();
        let limits = Limits { hung_runs: 2, ..Limits::default() };
        let results = in_order(test, &seeds, &mut found, limits);
        let passed: Vec<bool> = results.iter().map(SeedResult::has_passed).collect();
        assert_eq!(passed, [true, false, false, false, true, false, false, false]);
        assert!(results[6].record.is_none() && results[7].record.is_none());
    }
}
