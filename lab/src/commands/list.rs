//! `lab list`: the tests.

use std::io::{self, Write};

use clap::Args;
use labraft::{Test, Verdict};

use crate::offered;
use crate::outcome::{CommandError, Outcome};
use crate::report;
use crate::session::Program;

#[derive(Args)]
pub(crate) struct List {
    /// Which tests: a part (2, 2C, beyond), a name (Backup2B) or part of a name [default: all tests].
    patterns: Vec<String>,
}

impl List {
    /// Prints a line for each test: name, part, points and title.
    pub(crate) fn run(self, program: &Program<'_>) -> Result<Outcome, CommandError> {
        let mut out = io::stdout().lock();
        let tests = program.chosen(&self.patterns)?;
        let width = report::name_width(tests.iter().map(|test| test.name));
        let part_width = tests.iter().map(|test| test.part.name().len()).max().unwrap_or(0);
        for test in tests {
            let Test { name, part, points, title, .. } = test;
            let remark = offered::remark(*part);
            let part = part.name();
            writeln!(
                out,
                "{name:<width$}  {part:<part_width$}  {points:3} points  {title}{remark}"
            )?;
        }
        Ok(Outcome::Judged(Verdict::Passed))
    }
}
