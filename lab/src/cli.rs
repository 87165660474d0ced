//! Parses the command line and dispatches to the commands.

use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use labraft::Verdict;

use crate::commands::diff::Diff;
use crate::commands::explain::Explain;
use crate::commands::hint::Hint;
use crate::commands::list::List;
use crate::commands::merge::MergeArgs;
use crate::commands::open::Open;
use crate::commands::replay::Replay;
use crate::commands::run::RunArgs;
use crate::commands::search::SearchArgs;
use crate::commands::shrink::Shrink;
use crate::commands::watch::Watch;
use crate::outcome::{self, CommandError, Outcome, listen_to_signals};
use crate::records::Build;
use crate::session::{Common, Program, Session};
use crate::submit::SubmitArgs;
use crate::workers;

/// A deterministic simulation lab for Raft: MIT 6.824's tests under a virtual clock.
#[derive(Parser)]
#[command(name = "lab", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run tests, each with one seed or many.
    Run(RunArgs),
    /// Make all runs of a test that have at most a few faults.
    Search(SearchArgs),
    /// Run one seed of one test again, bit for bit.
    Replay(Replay),
    /// Open a run in the browser, touch it and see what becomes of it.
    Open(Open),
    /// Find the fewest faults with which a run still fails the same way.
    Shrink(Shrink),
    /// Find the moment from which on failure was nearly certain.
    Explain(Explain),
    /// Show the first event in which two runs differ.
    Diff(Diff),
    /// List the tests.
    List(List),
    /// Merge the results of a sweep that several machines shared.
    Merge(MergeArgs),
    /// Build and run again whenever a source file changes, last failures first, until Ctrl-C.
    Watch(Watch),
    /// Show the hints for a part of the labs, one at a time.
    Hint(Hint),
    /// Check that your code builds, and pack it for handing in.
    Submit(SubmitArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell to print it for.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Manual,
    /// Execute the runs that the parent process requests on standard input.
    #[command(hide = true)]
    Worker(Worker),
}

/// Runs the command line of a program, and returns its exit code.
///
/// The exit code is 0 when all tests passed, 1 when one failed, 2 when the command was wrong, 3 when
/// the lab itself broke, 4 when no test failed but the verdict of some run is unknown, and 130 when
/// the command was interrupted.
///
/// Tests run in worker processes, which are further instances of this program. Call this function
/// before anything else in `main`.
pub fn main(program: &Program<'_>) -> ExitCode {
    outcome::report("lab", run(Cli::parse().command, program))
}

fn run(command: Command, program: &Program<'_>) -> Result<Outcome, CommandError> {
    if let Command::Worker(worker) = command {
        return worker.run(program);
    }
    if !labrpc::is_guarded() {
        eprintln!(
            "lab: on this system the standard library's clock and the order of its hash maps are not \
             simulated; runs of code that uses them cannot be repeated exactly"
        );
    }
    listen_to_signals("lab");
    let session = |common: &Common| Session::new(common.clone(), program);
    match command {
        Command::Run(args) => args.run(program),
        Command::Search(args) => args.run(program),
        Command::Replay(replay) => replay.run(&session(&replay.common)?),
        Command::Open(open) => open.run(&session(&open.common)?),
        Command::Shrink(shrink) => shrink.run(&session(&shrink.common)?),
        Command::Explain(explain) => explain.run(&session(&explain.common)?),
        Command::Diff(diff) => diff.run(&session(&diff.common)?),
        Command::List(list) => list.run(program),
        Command::Merge(args) => args.run(program),
        Command::Watch(watch) => watch.run(program),
        Command::Hint(hint) => hint.run(),
        Command::Submit(submit) => submit.run(),
        Command::Completions { shell } => completions(shell),
        Command::Manual => manual(),
        Command::Worker(_) => unreachable!("workers are handled above"),
    }
}

#[derive(Args)]
struct Worker {
    /// A digest of the program, passed on by the parent so that workers need not compute it again.
    #[arg(long)]
    program: String,
    #[command(flatten)]
    common: Common,
}

impl Worker {
    fn run(self, program: &Program<'_>) -> Result<Outcome, CommandError> {
        let implementation = program.implementation(self.common.implementation.as_deref())?;
        let build = Build { program: self.program, ..program.build.clone() };
        let memory_bytes = self.common.memory << 20;
        match workers::serve(program.suite, implementation, memory_bytes, &build, || Ok(())) {
            Ok(()) => Ok(Outcome::Judged(Verdict::Passed)),
            Err(error) => {
                Err(CommandError::Internal(format!("the worker process failed: {error}")))
            }
        }
    }
}

/// The commands and their options, as a clap command.
pub fn grammar() -> clap::Command {
    Cli::command()
}

fn completions(shell: clap_complete::Shell) -> Result<Outcome, CommandError> {
    clap_complete::generate(shell, &mut grammar(), "lab", &mut std::io::stdout());
    Ok(Outcome::Judged(Verdict::Passed))
}

fn manual() -> Result<Outcome, CommandError> {
    clap_mangen::Man::new(grammar()).render(&mut std::io::stdout())?;
    Ok(Outcome::Judged(Verdict::Passed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        grammar().debug_assert();
    }
}
