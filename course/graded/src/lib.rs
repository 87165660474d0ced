//! The program that runs a submission: a worker like the lab's own, which gives up its rights
//! before any code of the submission runs.
//!
//! The grader builds this crate with the submission's `raft` and `kvraft` in place of the lab's,
//! and starts it like any other worker. It is a separate crate, so that no part of the grader has
//! to be rebuilt for each submission.
//!
//! Start here: [`main`] is the program; [`sandbox`] has the rights that it gives up.

pub mod sandbox;

use std::process::ExitCode;

use clap::Parser;
use lab::outcome::{self, CommandError, Outcome};
use lab::records::Build;
use lab::workers;
use labraft::{Implementation, Test, Verdict};
use sandbox::WorkerRights;

/// Runs tests for the grader, in a sandbox.
#[derive(Parser)]
struct Graded {
    /// The implementation to run [default: the first one].
    #[arg(long, value_name = "NAME")]
    implementation: Option<String>,
    /// Limit on the memory of the process, in MiB.
    #[arg(long, value_name = "MIB")]
    memory: u64,
    #[command(flatten)]
    rights: WorkerRights,
}

/// Runs the program with these tests and implementations, of which the first is the default.
pub fn main(suite: &'static [Test], implementations: &[Implementation]) -> ExitCode {
    outcome::report("graded", Graded::parse().run(suite, implementations))
}

impl Graded {
    fn run(
        self,
        suite: &'static [Test],
        known: &[Implementation],
    ) -> Result<Outcome, CommandError> {
        let name = self.implementation.as_deref().unwrap_or(known[0].name);
        let found = known.iter().find(|implementation| implementation.name == name);
        let implementation = *found.ok_or_else(|| {
            CommandError::Usage(format!("this program has no implementation called {name:?}"))
        })?;
        let build = Build { program: "graded".into(), ..Build::default() };
        let confine = || self.rights.give_up();
        match workers::serve(suite, implementation, self.memory << 20, &build, confine) {
            Ok(()) => Ok(Outcome::Judged(Verdict::Passed)),
            Err(error) => {
                Err(CommandError::Internal(format!("the worker process failed: {error}")))
            }
        }
    }
}
