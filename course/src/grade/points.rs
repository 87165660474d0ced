//! What outcomes are worth.

use std::collections::BTreeMap;
use std::fmt;

use lab::records::Record;
use labraft::{Test, Verdict};

use super::config::Course;
use super::runs::SeedResult;

/// Points in hundredths: the same on every machine.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Points(pub(super) u64);

impl Points {
    pub(super) fn whole(points: u32) -> Points {
        Points(u64::from(points) * 100)
    }

    /// As programs read it.
    pub(super) fn value(self) -> f64 {
        self.0 as f64 / 100.0
    }
}

impl std::iter::Sum for Points {
    fn sum<I: Iterator<Item = Points>>(all: I) -> Points {
        Points(all.map(|points| points.0).sum())
    }
}

impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}"),
            (whole, part) if part % 10 == 0 => write!(f, "{whole}.{}", part / 10),
            (whole, part) => write!(f, "{whole}.{part:02}"),
        }
    }
}

/// Whose Raft a test of the service ran on.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum RaftOf {
    Student,
    Lab,
}

/// A test with what it is worth.
#[derive(Clone, Debug)]
pub(super) struct TestGrade {
    pub(super) test: &'static Test,
    pub(super) most: Points,
    pub(super) points: Points,
    pub(super) outcomes: Vec<SeedResult>,
    /// Of the key/value service, whose Raft gave the better result.
    pub(super) on: Option<RaftOf>,
    /// Why there was nothing to run.
    pub(super) missing: Option<String>,
    /// The safety property whose violation takes all points.
    pub(super) zeroed_by: Option<String>,
}

impl TestGrade {
    /// What outcomes are worth.
    pub(super) fn of(
        course: &Course,
        test: &'static Test,
        most: u32,
        outcomes: Vec<SeedResult>,
    ) -> TestGrade {
        let passed = outcomes.iter().filter(|outcome| outcome.has_passed()).count();
        let violation = outcomes.iter().find_map(|outcome| safety(outcome.record.as_ref()?));
        let zeroed_by = violation.filter(|_| course.zero_on_safety);
        let points = match &zeroed_by {
            Some(_) => Points(0),
            None => points(&course.steps, most, passed as u64, outcomes.len() as u64),
        };
        let most = Points::whole(most);
        TestGrade { test, most, points, outcomes, on: None, missing: None, zeroed_by }
    }

    /// Of a test that could not be run.
    pub(super) fn missing(test: &'static Test, most: u32, why: String) -> TestGrade {
        TestGrade {
            test,
            most: Points::whole(most),
            points: Points(0),
            outcomes: Vec::new(),
            on: None,
            missing: Some(why),
            zeroed_by: None,
        }
    }

    /// The better one of two; the student's own Raft when they are alike.
    pub(super) fn better(own: TestGrade, lab: TestGrade) -> TestGrade {
        let own = TestGrade { on: Some(RaftOf::Student), ..own };
        let lab = TestGrade { on: Some(RaftOf::Lab), ..lab };
        let value = |grade: &TestGrade| (grade.points, grade.passed(None), grade.missing.is_none());
        if value(&lab) > value(&own) { lab } else { own }
    }

    /// How many seeds passed, of those that are hidden or of those that are not, or of all.
    pub(super) fn passed(&self, is_hidden: Option<bool>) -> usize {
        self.of_kind(is_hidden).filter(|outcome| outcome.has_passed()).count()
    }

    /// The outcomes of one kind, or all.
    pub(super) fn of_kind(&self, is_hidden: Option<bool>) -> impl Iterator<Item = &SeedResult> {
        let is_such =
            move |outcome: &&SeedResult| is_hidden.is_none_or(|yes| outcome.seed.is_hidden == yes);
        self.outcomes.iter().filter(is_such)
    }

    /// What the seeds of one kind failed for, and how often: the property or the expectation, and
    /// nothing of the run.
    pub(super) fn reasons(&self, is_hidden: bool) -> BTreeMap<String, usize> {
        let mut reasons = BTreeMap::new();
        for outcome in self.of_kind(Some(is_hidden)).filter(|outcome| !outcome.has_passed()) {
            *reasons.entry(reason(outcome.record.as_ref())).or_default() += 1;
        }
        reasons
    }
}

/// Of so many points, for so many seeds passed.
fn points(steps: &[(f64, f64)], most: u32, passed: u64, all: u64) -> Points {
    let most = Points::whole(most).0;
    if all == 0 {
        return Points(0);
    }
    if steps.is_empty() {
        return Points(most * passed / all);
    }
    let share = passed as f64 / all as f64;
    let step = steps.iter().rev().find(|&&(seeds, _)| share >= seeds - 1e-9);
    Points(step.map_or(0, |&(_, points)| (most as f64 * points).round() as u64))
}

/// The safety property that a run broke.
fn safety(record: &Record) -> Option<String> {
    let problem = record.problem.as_ref().filter(|_| record.verdict == Verdict::Failed)?;
    problem.property_name().map(String::from)
}

/// Why a run has not passed, without anything that is of this run alone.
fn reason(record: Option<&Record>) -> String {
    let Some(record) = record else { return "not run".into() };
    match (record.verdict, safety(record), &record.problem) {
        (_, Some(property), _) => property,
        (Verdict::Failed | Verdict::Unknown, _, Some(problem)) => problem.group.clone(),
        (verdict, ..) => verdict.name().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_follow_the_share_of_seeds_or_its_steps() {
        assert_eq!(points(&[], 6, 199, 220), Points(542));
        assert_eq!(points(&[], 6, 220, 220), Points(600));
        assert_eq!(points(&[], 6, 0, 0), Points(0));
        let steps = [(0.5, 0.25), (0.9, 0.6), (1.0, 1.0)];
        let at = |passed| points(&steps, 10, passed, 10).0;
        assert_eq!([0, 4, 5, 8, 9, 10].map(at), [0, 0, 250, 250, 600, 1000]);
    }

    #[test]
    fn points_are_shown_without_needless_digits() {
        let shown = [0, 5, 50, 250, 600, 1234].map(|points| Points(points).to_string());
        assert_eq!(shown, ["0", "0.05", "0.5", "2.5", "6", "12.34"]);
    }
}
