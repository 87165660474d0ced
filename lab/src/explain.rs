//! Finds when a failure became inevitable.
//!
//! All decisions up to a time are kept, and the rest are redrawn many times: how often does the run
//! still fail the same way? Before the decisive moment it rarely does, after it nearly always.

use std::io;
use std::time::Duration;

use labrpc::RunSpec;

use crate::failure_record::FailureRecord;
use crate::shrink::MakeRun;
use crate::workers::Keep;

/// How many equally spaced moments are tried first.
const FIRST_TIMES: u32 = 8;
/// The precision to which the jump is located.
const CLOSE: Duration = Duration::from_micros(20);

/// How often the run fails when everything up to a time is kept.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Decisions before this time are kept.
    pub at: Duration,
    /// How often it failed the same way.
    pub failed: u64,
    /// The number of tries.
    pub of: u64,
}

impl Point {
    /// Whether the run fails in most of the tries.
    pub fn is_likely(&self) -> bool {
        2 * self.failed >= self.of
    }
}

/// The chances of failure at different times, and where they jump.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The chances, sorted by time.
    pub curve: Vec<Point>,
    /// The two times between which failure becomes likely; `None` if it is likely from the beginning.
    pub jump: Option<(Duration, Duration)>,
}

/// Finds the moment. `failed_at` is when the run of `spec` failed. Returns `None` if interrupted.
///
/// # Errors
/// When a worker cannot be used.
pub fn explain(
    spec: &RunSpec,
    failure: &FailureRecord,
    failed_at: Duration,
    tries: u64,
    make_run: MakeRun<'_>,
    progress: &mut dyn FnMut(&Point),
) -> io::Result<Option<Explained>> {
    let mut curve: Vec<Point> = Vec::new();
    let mut chance = |at: Duration| -> io::Result<Option<Point>> {
        let mut point = Point { at, failed: 0, of: tries };
        for n in 0..tries {
            // Seeds that no person would choose, and the same ones for each time.
            let redraw = Some((at, labrpc::derived_seed(spec.seed, n)));
            let answer = make_run(&RunSpec { redraw, ..spec.clone() }, Keep::Result)?;
            let Some(answer) = answer else { return Ok(None) };
            let found = answer.record.failure.as_ref();
            point.failed += u64::from(found.is_some_and(|found| found.is_same(failure)));
        }
        progress(&point);
        Ok(Some(point))
    };
    for step in 0..=FIRST_TIMES {
        let Some(point) = chance(failed_at * step / FIRST_TIMES)? else { return Ok(None) };
        curve.push(point);
    }
    // The last rise: from there on failure is likely.
    let rise = curve.iter().rposition(|point| !point.is_likely());
    let mut jump = rise.map(|place| {
        let after = curve.get(place + 1).map_or(failed_at, |point| point.at);
        (curve[place].at, after)
    });
    while let Some((before, after)) = jump
        && after - before > CLOSE
    {
        let Some(point) = chance(before + (after - before) / 2)? else { return Ok(None) };
        curve.push(point);
        jump = Some(if point.is_likely() { (before, point.at) } else { (point.at, after) });
    }
    curve.sort_by_key(|point| point.at);
    Ok(Some(Explained { curve, jump }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{Build, RunRecord};
    use crate::workers::Answer;
    use labraft::{CauseKind, Verdict};

    /// A run that fails if all decisions up to `decisive` are kept, and otherwise in one case of `luck`.
    fn explained(decisive: Duration, luck: u64) -> Explained {
        let mut make_run = |spec: &RunSpec, _: Keep| {
            let (kept_until, seed) = spec.redraw.unwrap();
            let fails = kept_until > decisive || seed.rotate_left(17).is_multiple_of(luck);
            let reason = if fails { "it broke" } else { "it broke otherwise" };
            let record = RunRecord::ended(
                ("Test", 0),
                "reference",
                Verdict::Failed,
                FailureRecord::new(reason, CauseKind::expectation(reason)),
                &Build::default(),
            );
            Ok(Some(Answer::new(record, "")))
        };
        let (spec, failure) =
            (RunSpec::seed(5), FailureRecord::new("it broke", CauseKind::expectation("it broke")));
        let second = Duration::from_secs(1);
        let found = explain(&spec, &failure, second, 30, &mut make_run, &mut |_| {});
        found.unwrap().expect("it is not interrupted")
    }

    #[test]
    fn the_moment_that_decides_is_found() {
        for micros in [300, 123_456, 999_000] {
            let decisive = Duration::from_micros(micros);
            let found = explained(decisive, 7);
            let (before, after) = found.jump.expect("it is not likely at first");
            assert!(
                before <= decisive && decisive <= after && after - before <= CLOSE,
                "{found:?}"
            );
            assert!(found.curve.is_sorted_by_key(|point| point.at));
        }
    }

    #[test]
    fn a_failure_that_is_likely_from_the_beginning_has_no_moment() {
        let found = explained(Duration::MAX, 1);
        assert_eq!(found.jump, None);
        assert!(found.curve.iter().all(|point| point.failed == point.of));
    }
}
