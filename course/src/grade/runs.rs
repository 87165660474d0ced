//! Runs what was built: every test under every one of its seeds, each in a process of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lab::records::{Build, Record};
use lab::workers::{Pair, Pool, Settings};
use labraft::{Profile, Test, Verdict};

use super::config::{Course, Limits};
use super::seeds::Seed;
use graded::confine::WorkerRights;
use lab::outcome::{CommandError, INTERRUPT};

/// What became of one seed of a test.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SeedResult {
    pub(super) seed: Seed,
    /// `None` when it was not run: it has failed.
    pub(super) record: Option<Record>,
}

impl Seed {
    pub(super) fn with(self, record: Option<Record>) -> SeedResult {
        SeedResult { seed: self, record }
    }
}

impl SeedResult {
    /// Only what was run and found to be right.
    pub(super) fn has_passed(&self) -> bool {
        let verdict = self.record.as_ref().map(|record| record.verdict);
        verdict.is_some_and(|verdict| matches!(verdict, Verdict::Passed | Verdict::Missed))
    }
}

/// A test and all of its seeds, in order.
pub(super) type Plan = Vec<(&'static Test, Vec<Seed>)>;

/// Runs all of a plan with a program; the outcomes of each test, in the order of its seeds.
pub(super) fn run(
    program: &Path,
    plan: &Plan,
    course: &Course,
    jobs: usize,
) -> Result<BTreeMap<&'static str, Vec<SeedResult>>, CommandError> {
    let limits = course.limits;
    let deadline = now() + Duration::from_secs(60 * limits.total_minutes);
    let mut found: BTreeMap<(String, u64), Record> = BTreeMap::new();
    let hung: Mutex<BTreeMap<String, usize>> = Mutex::default();
    let is_given_up = |test: &Test| {
        let hung = hung.lock().unwrap_or_else(PoisonError::into_inner);
        hung.get(test.name).is_some_and(|&count| count >= limits.hung_runs)
    };
    let pairs = plan.iter().flat_map(|(test, seeds)| {
        let is_given_up = &is_given_up;
        seeds.iter().map(|seed| (*test, seed.value)).take_while(move |_| !is_given_up(test))
    });
    let pairs = pairs.take_while(|_| now() < deadline);
    // Of its own: a worker that cannot be used ends this grading, and no other.
    let stop = AtomicBool::new(false);
    let pool = Pool::new(settings(program, course, limits), &stop);
    let pairs = pairs.take_while(|_: &Pair| !INTERRUPT.load(Ordering::Relaxed));
    let ran = pool.run(pairs, jobs, |answer| {
        let record = answer.record;
        if record.verdict == Verdict::Hung {
            let mut hung = hung.lock().unwrap_or_else(PoisonError::into_inner);
            *hung.entry(record.test.clone()).or_default() += 1;
        }
        let key = (record.test.clone(), record.seed);
        found.insert(key, record);
    });
    ran.map_err(|error| CommandError::Internal(format!("a worker cannot be used: {error}")))?;
    Ok(plan
        .iter()
        .map(|(test, seeds)| (test.name, outcomes(test, seeds, &mut found, limits)))
        .collect())
}

/// A test's outcomes in the order of its seeds. What comes after too many hung runs counts as not run,
/// whether it was or not: how many were begun by then is an accident.
fn outcomes(
    test: &Test,
    seeds: &[Seed],
    found: &mut BTreeMap<(String, u64), Record>,
    limits: Limits,
) -> Vec<SeedResult> {
    let mut hung = 0;
    seeds
        .iter()
        .map(|&seed| {
            let record = found.remove(&(test.name.to_string(), seed.value));
            let record = record.filter(|_| hung < limits.hung_runs);
            hung += usize::from(record.as_ref().is_some_and(|r| r.verdict == Verdict::Hung));
            seed.with(record)
        })
        .collect()
}

fn settings(program: &Path, course: &Course, limits: Limits) -> Settings {
    let isolation = &course.isolation;
    let memory = limits.run_memory_mib.to_string();
    let mut command = vec![program.to_string_lossy().into_owned(), "--memory".into(), memory];
    command.extend(WorkerRights::arguments(
        isolation.user,
        &isolation.require,
        2 * limits.run_seconds,
    ));
    Settings {
        // Its name is for reports only: which one a worker runs is the program's own business.
        implementation: raft::REFERENCE,
        command,
        profile: Profile::Go,
        memory_bytes: limits.run_memory_mib << 20,
        wall_limit: Duration::from_secs(limits.run_seconds),
        traces: std::path::PathBuf::new(),
        show_output: false,
        build: Build::default(),
        is_distrusted: true,
    }
}

#[expect(clippy::disallowed_methods, reason = "real time, outside of any simulation")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use lab::records::Problem;

    use super::*;
    use ::tests::SUITE;

    #[test]
    fn what_was_not_run_has_failed_and_so_has_what_comes_after_too_many_hung_runs() {
        let test = &SUITE[0];
        let record = |seed, verdict| {
            let problem = Problem::new("");
            Record::ended((test.name, seed), "", verdict, problem, &Build::default())
        };
        let verdicts = [
            Some(Verdict::Passed),
            Some(Verdict::Hung),
            None,
            Some(Verdict::Unknown),
            Some(Verdict::Passed),
            Some(Verdict::Hung),
            // Begun before it was known that there are enough.
            Some(Verdict::Passed),
            Some(Verdict::Hung),
        ];
        let mut found = BTreeMap::new();
        for (seed, verdict) in (0..).zip(verdicts) {
            if let Some(verdict) = verdict {
                found.insert((test.name.to_string(), seed), record(seed, verdict));
            }
        }
        let seeds: Vec<Seed> = (0..8).map(|value| Seed { value, is_hidden: false }).collect();
        let limits = Limits { hung_runs: 2, ..Limits::default() };
        let outcomes = outcomes(test, &seeds, &mut found, limits);
        let passed: Vec<bool> = outcomes.iter().map(SeedResult::has_passed).collect();
        assert_eq!(passed, [true, false, false, false, true, false, false, false]);
        assert!(outcomes[6].record.is_none() && outcomes[7].record.is_none());
    }
}
