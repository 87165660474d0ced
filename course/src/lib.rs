//! The lab as a course: the handout, the grader, and known bugs with what finds them.
//!
//! Start here: [`main`] is the command line.
//!
//! | module | subject |
//! |---|---|
//! | `handout` | `course handout`: the lab's sources without the solution |
//! | `grade` | `course grade`: building and running submissions in a sandbox, and their points |
//! | `mutants` | `course mutants`: known bugs, applied to the reference one at a time |
//! | `place` | places that one command writes to at a time |
//! | `processes` | processes that commands start and wait for |

mod grade;
mod handout;
mod mutants;
mod place;
mod processes;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use grade::GradeArgs;
use graded::sandbox::Confined;
use handout::command::HandoutArgs;
use lab::outcome::{self, CommandError, Outcome, listen_to_signals};
use mutants::MutantsArgs;

/// Hand the lab out as a course, grade what comes back, and try known bugs.
#[derive(Parser)]
#[command(name = "course", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make the handout for students from the lab's sources, without the solution.
    Handout(HandoutArgs),
    /// Grade what students handed in.
    Grade(GradeArgs),
    /// Apply known bugs to the reference, one at a time, and report what finds each.
    Mutants(MutantsArgs),
    /// Run a program with fewer rights; used by `course grade`.
    #[command(hide = true)]
    Confined(Confined),
}

/// Runs the command line. The exit codes have the same meaning as those of [`lab::main`].
pub fn main() -> ExitCode {
    outcome::report("course", run(Cli::parse().command))
}

fn run(command: Command) -> Result<Outcome, CommandError> {
    if let Command::Confined(confined) = command {
        return confined.run();
    }
    listen_to_signals("course");
    match command {
        Command::Handout(handout) => handout.run(),
        Command::Grade(grade) => grade.run(),
        Command::Mutants(mutants) => mutants.run(),
        Command::Confined(_) => unreachable!("handled above"),
    }
}

/// The definition of the command line, for tests and documentation.
pub fn grammar() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod unit {
    #[test]
    fn the_command_line_is_well_formed() {
        super::grammar().debug_assert();
    }
}
