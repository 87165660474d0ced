//! How a command ends: its outcome or error, and the exit code for each.

use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::plain;
use labraft::{NoSuchTest, Verdict};

/// Set by Ctrl-C. Everything then ends as soon as possible and reports the results so far.
pub static INTERRUPT: AtomicBool = AtomicBool::new(false);

/// The outcome of a command that was carried out.
pub enum Outcome {
    /// The worst verdict over everything that it ran.
    Judged(Verdict),
    /// The command was interrupted, and reported the results so far.
    Interrupted,
}

/// Why a command was not carried out.
#[derive(Debug)]
pub enum CommandError {
    /// The command or its input is wrong. The message says what would be right.
    Usage(String),
    /// Something broke that is the fault of neither the user nor the code under test.
    Internal(String),
    /// The reader of the output has gone, as in `lab list | head`.
    OutputClosed,
}

impl From<NoSuchTest> for CommandError {
    fn from(error: NoSuchTest) -> CommandError {
        CommandError::Usage(error.to_string())
    }
}

/// Converts errors of standard output and of workers.
impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> CommandError {
        match error.kind() {
            io::ErrorKind::BrokenPipe => CommandError::OutputClosed,
            _ => CommandError::Internal(error.to_string()),
        }
    }
}

/// Everything passed, or there was nothing that could fail.
const PASSED: u8 = 0;
/// A test failed.
const FAILED: u8 = 1;
/// The command was wrong.
const WRONG: u8 = 2;
/// The lab itself broke.
const BROKEN: u8 = 3;
/// Nothing failed, but the verdict of some runs is unknown.
const UNKNOWN: u8 = 4;
/// Ended by Ctrl-C or a signal, as shells count it.
const INTERRUPTED: u8 = 130;

/// Prints a command's error, if any, and returns its exit code. `program` is the name that the
/// program's own messages begin with.
pub fn report(program: &str, result: Result<Outcome, CommandError>) -> ExitCode {
    ExitCode::from(match result {
        Ok(ended) => exit_code(ended),
        Err(CommandError::OutputClosed) => PASSED,
        Err(CommandError::Usage(what)) => {
            eprintln!("error: {}", plain::lines(&what));
            WRONG
        }
        Err(CommandError::Internal(what)) => {
            let what = plain::lines(&what);
            eprintln!("{program}: this is a fault of the lab or of the machine: {what}");
            BROKEN
        }
    })
}

fn exit_code(ended: Outcome) -> u8 {
    match ended {
        Outcome::Judged(Verdict::Passed | Verdict::Missed) => PASSED,
        Outcome::Judged(Verdict::Unknown) => UNKNOWN,
        Outcome::Judged(Verdict::Failed | Verdict::Crashed | Verdict::Hung) => FAILED,
        Outcome::Interrupted => INTERRUPTED,
    }
}

/// Makes the first Ctrl-C set [`INTERRUPT`], and a second one end the process at once.
pub fn listen_to_signals(program: &str) {
    let listening = ctrlc::set_handler(|| {
        if INTERRUPT.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
    });
    if let Err(error) = listening {
        eprintln!("{program}: Ctrl-C will end the program without a report: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_no_success_and_no_failure() {
        let verdicts = [Verdict::Passed, Verdict::Unknown, Verdict::Failed, Verdict::Hung];
        assert_eq!(verdicts.map(|verdict| exit_code(Outcome::Judged(verdict))), [0, 4, 1, 1]);
        assert_eq!(exit_code(Outcome::Interrupted), 130);
    }
}
