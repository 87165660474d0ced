//! The `lab` command: the tests, and the Raft of this repository.

use std::process::ExitCode;

use lab::Program;
use lab::records::Build;

fn main() -> ExitCode {
    let build = Build { commit: env!("LAB_COMMIT").into(), ..tests::build() };
    lab::main(&Program {
        suite: tests::SUITE,
        // BEGIN SOLUTION 2E
        //stub: implementations: &[raft::REFERENCE],
        // As it is in the course, and with what goes beyond.
        implementations: &[raft::REFERENCE, raft::EXTENDED, raft::LEASES],
        // END SOLUTION
        build,
    })
}
