//! The `lab` command with the reference Raft, as it is in the course and with what goes beyond.

use std::process::ExitCode;

fn main() -> ExitCode {
    // BEGIN SOLUTION 2E
    //stub: tests::lab_main(&[raft::REFERENCE])
    tests::lab_main(&[raft::REFERENCE, raft::EXTENDED, raft::LEASES])
    // END SOLUTION
}
