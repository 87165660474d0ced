//! Writes the summary of many runs for people, for other programs, and for GitHub.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use labraft::{Test, Verdict};

use crate::records::RunRecord;
use crate::report::{self, Summary};

use crate::outcome::CommandError;

/// Options for the format of results.
#[derive(Args)]
pub(crate) struct OutputArgs {
    /// What to print on standard output: text, or one JSON object per test.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Write a JUnit report.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// List the situations in which bugs show, and how many runs came to each; needs a Raft with a probe.
    #[arg(long)]
    coverage: bool,
}

impl OutputArgs {
    /// What these options ask for: which formats to write, and where.
    /// `left_out` is a line about tests that are not run, or empty.
    pub(crate) fn outputs(self, suite: &'static [Test], left_out: String) -> Outputs {
        let OutputArgs { format, junit, coverage } = self;
        Outputs { suite, json: format == Format::Json, junit, coverage, left_out }
    }
}

#[derive(Copy, Clone, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// The maximum number of causes that are shown.
pub(crate) const REASONS_SHOWN: usize = 5;

/// The outputs to write, and the tests that they cover.
pub(crate) struct Outputs {
    /// The tests in the order in which they are shown.
    suite: &'static [Test],
    /// Whether standard output is JSON, for another program.
    pub(crate) json: bool,
    /// Where to write a JUnit report.
    pub(crate) junit: Option<PathBuf>,
    /// Whether to list how many runs came to each waypoint.
    coverage: bool,
    /// A line about tests that are not run, because the Raft does not offer what they test; or empty.
    left_out: String,
}

impl Outputs {
    /// Prints text for people: on standard error if standard output is JSON.
    pub(crate) fn say(&self, text: &str) -> Result<(), CommandError> {
        match self.json {
            true => eprint!("{text}"),
            false => io::stdout().write_all(text.as_bytes())?,
        }
        Ok(())
    }

    /// Writes all outputs. People get the table only `with_table`.
    pub(crate) fn write(
        &self,
        summary: &Summary,
        with_table: bool,
        replay: impl Fn(&RunRecord) -> String,
    ) -> Result<(), CommandError> {
        if self.json {
            write!(io::stdout(), "{}", report::json_lines(summary, self.suite, &replay))?;
        }
        if with_table {
            self.say(&(summary.table(self.suite) + &summary.reasons(REASONS_SHOWN, &replay)))?;
        }
        if self.coverage {
            self.say(&summary.coverage(self.suite))?;
        } else if with_table && summary.worst() <= Verdict::Missed {
            self.say(&summary.never_reached(self.suite))?;
        }
        self.say(&self.left_out)?;
        if let Some(path) = &self.junit {
            std::fs::write(path, report::junit(summary, self.suite, &replay)).map_err(|error| {
                CommandError::Usage(format!("{} cannot be written: {error}", path.display()))
            })?;
        }
        if std::env::var_os("GITHUB_ACTIONS").is_some() {
            self.say(&report::github_annotations(summary, self.suite, &replay))?;
            if let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY") {
                let page = report::github_summary(summary, self.suite, &replay);
                let file = OpenOptions::new().create(true).append(true).open(&path);
                let written = file.and_then(|mut file| file.write_all(page.as_bytes()));
                if let Err(error) = written {
                    eprintln!("lab: cannot write the step summary {path:?}: {error}");
                }
            }
        }
        Ok(())
    }
}
