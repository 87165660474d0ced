//! The `lab` command with the reference Raft.

use std::process::ExitCode;

fn main() -> ExitCode {
    tests::lab_main(&[raft::REFERENCE])
}
