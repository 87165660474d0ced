//! The program that the grader builds for each submission.

use std::process::ExitCode;

fn main() -> ExitCode {
    graded::main(tests::SUITE, &[raft::REFERENCE])
}
