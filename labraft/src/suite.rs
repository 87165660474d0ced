//! Tests as values: what the command line, `cargo test` and the reports are views of.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use labrpc::Limits;

use crate::failure::Checked;
use crate::lab::Lab;
use crate::part::Part;

/// What a test's function returns: its steps, to be run.
pub type Steps = Pin<Box<dyn Future<Output = Checked<()>>>>;

/// One test of a suite.
#[derive(Copy, Clone)]
pub struct Test {
    /// The course's name without `Test`, such as `Backup2B`. Unique.
    pub name: &'static str,
    /// The part of the lab that it belongs to.
    pub part: Part,
    /// What the course prints when it begins.
    pub title: &'static str,
    /// What it is worth in a grade.
    pub points: u32,
    /// How long a run takes, in milliseconds of CPU time of some machine: to share work out evenly.
    pub cost: u32,
    /// When a run is given up.
    pub limits: fn() -> Limits,
    /// The test.
    pub run: fn(Lab) -> Steps,
}

impl fmt::Debug for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Test({})", self.name)
    }
}

/// The tests of `suite` that a pattern means, in the suite's order: those of the part (`2C`, or `2`
/// for all parts of lab 2), else the one of that name, else those whose name contains the pattern,
/// in whatever case.
///
/// # Errors
/// When there is none: with the name that is most like it.
pub fn select(suite: &'static [Test], pattern: &str) -> Result<Vec<&'static Test>, NoSuchTest> {
    let wanted = pattern.to_lowercase();
    let such = |is_such: &dyn Fn(&Test) -> bool| -> Vec<&'static Test> {
        suite.iter().filter(|test| is_such(test)).collect()
    };
    let is_part = wanted.starts_with(|first: char| first.is_ascii_digit());
    let by_part = such(&|test| is_part && test.part.name().to_lowercase().starts_with(&wanted));
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

/// A pattern that means no test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSuchTest {
    /// The pattern.
    pub pattern: String,
    /// A name that is like it.
    pub nearest: Option<&'static str>,
}

impl fmt::Display for NoSuchTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no test is called {:?}", self.pattern)?;
        match self.nearest {
            Some(name) => write!(f, "; did you mean {name}?"),
            None => f.write_str("; `lab list` shows them all"),
        }
    }
}

impl std::error::Error for NoSuchTest {}
