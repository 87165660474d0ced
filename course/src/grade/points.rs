//! Points of tests and of submissions.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use lab::records::RunRecord;
use labraft::{CauseKind, Part, Property, Test, Verdict};

use super::config::Course;
use super::runs::{NO_PROBE, SeedResult};
use super::seeds::SeedKind;

/// Points, counted in hundredths. Integers make sums and comparisons exact.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Points(pub(super) u64);

impl Points {
    pub(super) fn whole(points: u32) -> Points {
        Points(u64::from(points) * 100)
    }

    /// The number of points, for reports that programs read.
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

/// Whose Raft a test of a service ran on.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum RaftOf {
    Student,
    Lab,
}

/// The results of a test, and the points for them.
#[derive(Clone, Debug)]
pub(super) struct TestGrade {
    pub(super) test: &'static Test,
    /// The points for passing under all seeds.
    pub(super) most: Points,
    pub(super) points: Points,
    pub(super) results: Vec<SeedResult>,
    /// For a test of a service: whose Raft gave the better result, or the only one.
    pub(super) on: Option<RaftOf>,
    /// Why the test was not run at all.
    pub(super) missing: Option<String>,
    /// The safety property whose violation took all points.
    pub(super) zeroed_by: Option<Property>,
}

impl TestGrade {
    /// Grades a test that is worth `most` points by its results under all seeds.
    pub(super) fn of(
        course: &Course,
        test: &'static Test,
        most: u32,
        results: Vec<SeedResult>,
    ) -> TestGrade {
        let passed = results.iter().filter(|result| result.has_passed()).count();
        let violation = results.iter().find_map(|result| safety(result.record.as_ref()?));
        let zeroed_by = violation.filter(|_| course.zero_on_safety);
        let points = if zeroed_by.is_some() {
            Points(0)
        } else {
            points(&course.steps, most, passed as u64, results.len() as u64)
        };
        let most = Points::whole(most);
        TestGrade { test, most, points, results, on: None, missing: None, zeroed_by }
    }

    /// A grade of 0 points for a test that was not run; `why` is the reason.
    pub(super) fn missing(test: &'static Test, most: u32, why: String) -> TestGrade {
        TestGrade {
            test,
            most: Points::whole(most),
            points: Points(0),
            results: Vec::new(),
            on: None,
            missing: Some(why),
            zeroed_by: None,
        }
    }

    /// The better of two grades, or the one on the student's own Raft if they are equal.
    pub(super) fn better(own: TestGrade, lab: TestGrade) -> TestGrade {
        let own = TestGrade { on: Some(RaftOf::Student), ..own };
        let lab = TestGrade { on: Some(RaftOf::Lab), ..lab };
        let value = |grade: &TestGrade| (grade.points, grade.passed(), grade.missing.is_none());
        if value(&lab) > value(&own) { lab } else { own }
    }

    /// The number of seeds that passed, of both kinds together.
    fn passed(&self) -> usize {
        self.results.iter().filter(|result| result.has_passed()).count()
    }

    /// The results under the public or the hidden seeds.
    pub(super) fn of_kind(&self, kind: SeedKind) -> impl Iterator<Item = &SeedResult> {
        self.results.iter().filter(move |result| result.seed.kind == kind)
    }

    /// The results under the public or the hidden seeds that did not pass.
    pub(super) fn failed(&self, kind: SeedKind) -> impl Iterator<Item = &SeedResult> {
        self.of_kind(kind).filter(|result| !result.has_passed())
    }

    /// Whether the test was given all of its points.
    pub(super) fn is_full(&self) -> bool {
        self.points == self.most && self.missing.is_none()
    }

    /// What went wrong under these seeds, and how often, the most frequent first.
    pub(super) fn reasons(&self, kind: SeedKind) -> Vec<(String, usize)> {
        sorted_by_count(self.failed(kind).map(|result| reason(result.record.as_ref())))
    }

    /// The most frequent kind of failure under hidden seeds, in one of [`class`]'s fixed texts. This
    /// is all that students are told about how hidden runs failed: docs/course/grading.md counts the
    /// bits.
    pub(super) fn hidden_class(&self) -> Option<&'static str> {
        let classes = self.failed(SeedKind::Hidden).map(|result| class(result.record.as_ref()));
        sorted_by_count(classes).first().map(|&(class, _)| class)
    }
}

/// The different values with their numbers, the most frequent first, and equally frequent ones in
/// their order.
fn sorted_by_count<T: Ord>(values: impl Iterator<Item = T>) -> Vec<(T, usize)> {
    let mut counts = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    let mut counts: Vec<(T, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|&(_, count)| Reverse(count));
    counts
}

/// The points for `passed` of `all` seeds, by the course's steps.
fn points(steps: &[(f64, f64)], most: u32, passed: u64, all: u64) -> Points {
    let most = Points::whole(most).0;
    if all == 0 {
        return Points(0);
    }
    if steps.is_empty() {
        return Points(most * passed / all);
    }
    let share = passed as f64 / all as f64;
    // With the tolerance, 0.9 of 10 seeds are 9 seeds, although a float cannot represent 0.9
    // exactly.
    let step = steps.iter().rev().find(|&&(seeds, _)| share >= seeds - 1e-9);
    Points(step.map_or(0, |&(_, points)| (most as f64 * points).round() as u64))
}

/// The property that a run violated.
fn property(record: &RunRecord) -> Option<Property> {
    let failure = record.failure.as_ref().filter(|_| record.verdict == Verdict::Failed)?;
    failure.cause.kind.property()
}

/// The safety property that a run violated.
fn safety(record: &RunRecord) -> Option<Property> {
    property(record).filter(|property| property.is_safety())
}

/// Why a run did not pass, without its numbers and values. It may contain text from the submission,
/// such as the place of a panic.
fn reason(record: Option<&RunRecord>) -> String {
    let Some(record) = record else { return "not run".into() };
    match (record.verdict, property(record), &record.failure) {
        (_, Some(property), _) => property.title().into(),
        (Verdict::Failed | Verdict::Unknown, _, Some(failure)) => failure.cause.kind.to_string(),
        (verdict, ..) => verdict.name().into(),
    }
}

/// The kind of failure of a run that did not pass: the title of a property, or one of the texts
/// below. It has no text, number or place that the code under test could have chosen.
fn class(record: Option<&RunRecord>) -> &'static str {
    let Some(record) = record else { return "not run" };
    let kind = record.failure.as_ref().map(|failure| &failure.cause.kind);
    match (record.verdict, kind) {
        (Verdict::Failed | Verdict::Unknown, Some(kind)) => kind_class(kind),
        (verdict, _) => verdict.name(),
    }
}

/// The title of a property, or one text for all rules of figure 2: a submission can choose which of them
/// it breaks, and so tell what it knows of a hidden seed.
pub(super) fn class_title(property: Property) -> &'static str {
    if property.is_rule() { "a step that figure 2 does not allow" } else { property.title() }
}

fn kind_class(kind: &CauseKind) -> &'static str {
    match kind {
        CauseKind::Property { property } => class_title(*property),
        CauseKind::Expectation { expectation } if expectation == NO_PROBE => NO_PROBE,
        CauseKind::Expectation { .. } | CauseKind::Standstill => {
            "an expectation of the test was not met"
        }
        CauseKind::Panic { .. } => "panicked",
        CauseKind::Limit { .. } => "a limit of the run was reached",
        CauseKind::Stuck => "stuck",
        CauseKind::Stopped => "stopped",
        CauseKind::Forbidden { .. } => "did something that a simulation cannot repeat",
        CauseKind::UnknownMethod { .. } => "called a method that the server does not have",
        CauseKind::Undecided => "undecided",
        CauseKind::Crash { .. } => "crashed",
        CauseKind::Hang => "hung",
    }
}

/// The grade of a submission: its tests, and everything else to report about it.
#[derive(Clone, Debug)]
pub(super) struct SubmissionGrade {
    pub(super) name: String,
    /// The SHA-256 that identifies the sources; empty when they could not be read.
    pub(super) digest: String,
    /// Why the grader could not grade it, which is not the submission's fault.
    pub(super) broken: Option<String>,
    /// Why it was not graded, with one reason per line.
    pub(super) refused: Vec<String>,
    /// The entries of the submission that are not used, one per line, with the reason.
    pub(super) ignored: Vec<String>,
    /// The lines of the compiler's output, if something does not build.
    pub(super) compiler: Vec<String>,
    /// The places in the sources with words that a teacher should look at.
    pub(super) suspicious: Vec<String>,
    /// What an audit found in the runs: how servers or clients knew more than they were told, one per
    /// line.
    pub(super) unexplained: Vec<String>,
    /// A line on the sandbox layers that were around the runs.
    pub(super) isolation: String,
    pub(super) tests: Vec<TestGrade>,
}

impl SubmissionGrade {
    /// An empty grade, to be filled in.
    pub(super) fn new(name: &str, isolation: String) -> SubmissionGrade {
        SubmissionGrade {
            name: name.into(),
            digest: String::new(),
            broken: None,
            refused: Vec::new(),
            ignored: Vec::new(),
            compiler: Vec::new(),
            suspicious: Vec::new(),
            unexplained: Vec::new(),
            isolation,
            tests: Vec::new(),
        }
    }

    pub(super) fn points(&self) -> Points {
        self.tests.iter().map(|test| test.points).sum()
    }

    /// The points of a submission that passes everything.
    pub(super) fn most(&self) -> Points {
        self.tests.iter().map(|test| test.most).sum()
    }

    /// The tests of each part, in order.
    pub(super) fn parts(&self) -> Vec<PartGrade<'_>> {
        let mut parts: Vec<PartGrade<'_>> = Vec::new();
        for test in &self.tests {
            match parts.last_mut() {
                Some(part) if part.part == test.test.part => part.tests.push(test),
                _ => parts.push(PartGrade { part: test.test.part, tests: vec![test] }),
            }
        }
        parts
    }

    /// In how many of the finished runs every server of the submission's own answered `probe`, and how many such
    /// runs there are. On the lab's Raft only services of lab 4 have something of their own to show.
    pub(super) fn probed_runs(&self) -> (usize, usize) {
        let is_own =
            |test: &&TestGrade| test.on != Some(RaftOf::Lab) || test.test.part.is_sharded();
        let own = self.tests.iter().filter(is_own);
        let records = own.flat_map(|test| &test.results).filter_map(|run| run.record.as_ref());
        // A run that ended its process said nothing about this.
        let finished = records.filter(|record| !record.fingerprint.is_empty());
        let missing: Vec<bool> = finished.map(|record| record.is_probe_missing).collect();
        (missing.iter().filter(|is_missing| !**is_missing).count(), missing.len())
    }

    /// The status in `class.csv`.
    pub(super) fn status(&self) -> &'static str {
        if self.broken.is_some() {
            "not graded"
        } else if !self.refused.is_empty() {
            "refused"
        } else if !self.compiler.is_empty() {
            "does not build"
        } else {
            "graded"
        }
    }
}

/// The tests of one part.
pub(super) struct PartGrade<'a> {
    pub(super) part: Part,
    pub(super) tests: Vec<&'a TestGrade>,
}

impl PartGrade<'_> {
    pub(super) fn points(&self) -> Points {
        self.tests.iter().map(|test| test.points).sum()
    }

    pub(super) fn most(&self) -> Points {
        self.tests.iter().map(|test| test.most).sum()
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
