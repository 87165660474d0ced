//! The `course` command, with the lab's own sources.

use std::process::ExitCode;

fn main() -> ExitCode {
    course::main()
}
