//! The course's tests as one registry, and the lab's program for any Raft.
//!
//! Start here: [`SUITE`] holds every test; [`lab_main`] is the whole `lab` command for any set of
//! implementations, so that another crate needs no more than this:
//!
//! ```no_run
//! # const MINE: labraft::Implementation = raft::REFERENCE;
//! fn main() -> std::process::ExitCode {
//!     tests::lab_main(&[MINE])
//! }
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | `suite` | the registry |
//! | `parts` | which parts of it a handout has |
//! | `raft_2a` ... `raft_2d` | the tests of each part |
//! | `kv_3a`, `kv_3b` | the tests of the key/value service |
//! | `kv_generic` | the test that most of these are, with other parameters |
//! | `kv` | their cluster, clients and history |
//! | `beyond` | tests beyond the course's, of elections and of bytes |
//! | `scenarios` | generated scenarios, beyond the course's tests as well |
//! | `steps` | what the tests of several parts share |

use std::process::ExitCode;

use lab::Program;
use lab::records::Build;
use labraft::Implementation;

mod beyond;
mod kv;
mod kv_3a;
mod kv_3b;
mod kv_generic;
mod parts;
mod raft_2a;
mod raft_2b;
mod raft_2c;
mod raft_2d;
mod scenarios;
mod steps;
mod suite;

pub use suite::SUITE;

/// The whole command line, for these implementations; the first one is the default. See [`lab::main`].
///
/// ```no_run
/// # const MINE: labraft::Implementation = raft::REFERENCE;
/// fn main() -> std::process::ExitCode {
///     tests::lab_main(&[MINE])
/// }
/// ```
pub fn lab_main(implementations: &[Implementation]) -> ExitCode {
    lab::main(&Program { suite: SUITE, implementations, build: build() })
}

/// What this was built from, as its build script saw it.
pub fn build() -> Build {
    Build {
        program: String::new(),
        commit: env!("LAB_COMMIT").into(),
        lock: format!("{:016x}", labrpc::hash_bytes(include_bytes!("../../Cargo.lock"))),
        compiler: env!("LAB_COMPILER").into(),
        profile: env!("LAB_PROFILE").into(),
    }
}
