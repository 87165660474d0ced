//! The lab as a course: what is handed out, how it is graded, and known bugs with what finds them.
//!
//! Start here: [`main`] is the command line.
//!
//! | module | subject |
//! |---|---|
//! | `handout` | `course handout`: the lab's sources without the solution |
//! | `grade` | `course grade`: submissions built, run where they can do no harm, and what they are worth |
//! | `mutants` | `course mutants`: known bugs, put into the reference one at a time |

mod grade;
mod handout;
mod mutants;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use grade::Grade;
use graded::confine::Confined;
use handout::command::HandoutArgs;
use lab::outcome::{self, CommandError, Outcome, listen_to_signals};
use mutants::Mutants;

/// Hand the lab out as a course, grade what comes back, and try known bugs.
#[derive(Parser)]
#[command(name = "course", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make from the lab's sources what students get: without the solution.
    Handout(HandoutArgs),
    /// Grade what students handed in.
    Grade(Grade),
    /// Put known bugs into the reference, one at a time, and say what finds each.
    Mutants(Mutants),
    /// Become a program with fewer rights: what grading starts.
    #[command(hide = true)]
    Confined(Confined),
}

/// The whole command line. The exit code is that of [`lab::main`].
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
        Command::Confined(_) => unreachable!("it was carried out above"),
    }
}

/// The commands and their options, as clap has them.
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
