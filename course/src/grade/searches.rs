//! Searches the scenarios of the part `search`: all runs with at most a few faults, instead of some under many
//! seeds.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lab::outcome::{CommandError, INTERRUPT};
use lab::records::RunRecord;
use lab::search::journal::Journal;
use lab::search::{Found, Search};
use lab::workers::Pool;
use labraft::{Test, Verdict};

use super::config::Course;
use super::runs::{ResultsByTest, SeedResult, judged, now, settings};
use super::seeds::{Seed, SeedKind};

/// Searches scenarios with a program, in `jobs` processes at a time. The result of each counts as that of one
/// public seed, because anyone can make the same search.
///
/// The rest is skipped once the time is up or the user interrupts.
pub(super) fn run(
    program: &Path,
    scenarios: &[&'static Test],
    course: &Course,
    jobs: usize,
) -> Result<ResultsByTest, CommandError> {
    let deadline = now() + Duration::from_secs(60 * course.limits.total_minutes);
    let stop = AtomicBool::new(false);
    let pool = Pool::new(settings(program, course), &stop);
    let mut results = ResultsByTest::new();
    for test in scenarios {
        let search = Search::to_first_failure(&pool, test, course.search.faults, jobs);
        let found =
            search.search(&mut Journal::unwritten(), &mut |_| stop_in_time(&stop, deadline));
        let found =
            found.map_err(|error| CommandError::Internal(format!("cannot search: {error}")))?;
        let record = record_of(found).map(|record| judged(record, course.probe));
        let seed = Seed { value: 0, kind: SeedKind::Public };
        results.insert(test.name, vec![SeedResult { seed, record }]);
    }
    Ok(results)
}

fn stop_in_time(stop: &AtomicBool, deadline: Instant) {
    if now() >= deadline || INTERRUPT.load(Ordering::Relaxed) {
        stop.store(true, Ordering::Relaxed);
    }
}

/// The result of a search as that of one run: the first one that failed, or the one without faults if all have
/// passed. `None` if it is not complete.
fn record_of(found: Found) -> Option<RunRecord> {
    if let Some(first) = found.failures.into_iter().next() {
        return Some(first.record);
    }
    let record = found.without_faults.filter(|_| found.is_complete)?;
    let verdict = if found.unknown > 0 { Verdict::Unknown } else { record.verdict };
    Some(RunRecord { verdict, ..record })
}
