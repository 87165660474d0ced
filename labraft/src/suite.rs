//! Tests as values, shared by the command line, `cargo test` and the reports.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use labrpc::Limits;

use crate::failure::Checked;
use crate::lab::Lab;
use crate::part::Part;

/// The future that a test's function returns. It carries out the test's steps.
pub type Steps = Pin<Box<dyn Future<Output = Checked<()>>>>;

/// One test of a suite.
#[derive(Copy, Clone)]
pub struct Test {
    /// The course's name without `Test`, such as `Backup2B`. It is unique within a suite.
    pub name: &'static str,
    /// The part of the labs that the test belongs to.
    pub part: Part,
    /// The title that the course prints when the test begins.
    pub title: &'static str,
    /// The number of points that the test is worth in a grade.
    pub points: u32,
    /// The typical CPU time of a run, in milliseconds. It is only used to divide work evenly
    /// between machines and processes, so only the ratios between tests matter.
    pub cost: u32,
    /// The function that starts the test's steps.
    pub run: fn(Lab) -> Steps,
}

/// The limits beyond which a run of a test is aborted. No verdict should depend on these limits: every wait in a test has a
/// bound of its own, and a test that took more than 120 s of virtual time fails when it ends.
///
/// The course allows 600 s for all tests together. No test takes the reference Raft more than 0.2
/// million events (ReliableChurn2C takes the most), so 5 million leave room for a Raft that ticks
/// every millisecond and sends far too much, yet end a runaway run within seconds.
pub fn test_limits() -> Limits {
    Limits { virtual_time: Duration::from_secs(600), events: 5_000_000, ..Limits::default() }
}

impl fmt::Debug for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Test({})", self.name)
    }
}

/// Selects the tests of `suite` that match a pattern, in the suite's order. Case does not matter.
///
/// The first of these rules that matches any test applies:
///
/// 1. The pattern is a part: `2C` or `beyond`, or `2` for all parts of lab 2.
/// 2. The pattern is a test's name.
/// 3. The pattern is contained in a test's name.
///
/// # Errors
/// Fails if no test matches. The error suggests the most similar name.
pub fn select(suite: &'static [Test], pattern: &str) -> Result<Vec<&'static Test>, NoSuchTest> {
    let wanted = pattern.to_lowercase();
    let such = |is_such: &dyn Fn(&Test) -> bool| -> Vec<&'static Test> {
        suite.iter().filter(|test| is_such(test)).collect()
    };
    let is_lab = wanted.starts_with(|first: char| first.is_ascii_digit());
    let by_part = such(&|test| {
        let part = test.part.name().to_lowercase();
        part == wanted || is_lab && part.starts_with(&wanted)
    });
    let by_name = such(&|test| test.name.to_lowercase() == wanted);
    let by_substring =
        such(&|test| !wanted.is_empty() && test.name.to_lowercase().contains(&wanted));
    [by_part, by_name, by_substring].into_iter().find(|found| !found.is_empty()).ok_or_else(|| {
        NoSuchTest { pattern: pattern.to_string(), nearest: nearest(suite, &wanted) }
    })
}

fn nearest(suite: &[Test], wanted: &str) -> Option<&'static str> {
    let likeness = |test: &&Test| strsim::jaro_winkler(&test.name.to_lowercase(), wanted);
    let best = suite.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(&best) > 0.6).then_some(best.name)
}

/// The error for a pattern that matches no test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSuchTest {
    /// The pattern as given.
    pub pattern: String,
    /// The test name most similar to the pattern, if any is similar enough.
    pub nearest: Option<&'static str>,
}

impl fmt::Display for NoSuchTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no test matches {:?}", self.pattern)?;
        match self.nearest {
            Some(name) => write!(f, "; did you mean {name}?"),
            None => f.write_str("; `lab list` shows all tests"),
        }
    }
}

impl std::error::Error for NoSuchTest {}
