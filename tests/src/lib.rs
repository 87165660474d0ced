//! The course's tests as one registry, and the `lab` command for any Raft.
//!
//! Start here: [`SUITE`] holds every test, and [`lab_main`] is the whole `lab` command for any set
//! of implementations. Another crate needs only this:
//!
//! ```no_run
//! # const MINE: labraft::Implementation = raft::REFERENCE;
//! fn main() -> std::process::ExitCode {
//!     tests::lab_main(&[MINE])
//! }
//! ```
//!
//! | module | contents |
//! |---|---|
//! | `suite` | the registry: every test with its title, points and cluster |
//! | `parts` | which parts of the registry this lab has; a handout has fewer |
//! | `raft_2a` to `raft_2d` | the course's tests of lab 2, one file per part |
//! | `raft_2e`, `raft_2f`, `raft_2g` | the tests of parts 2E to 2G, which are optional |
//! | `reigns`, `reads` | what they have in common: leaders and their terms; reads that a test begins |
//! | `kv_3a`, `kv_3b` | the tests of lab 3 with steps of their own |
//! | `kv_generic` | the test with parameters from which all other tests of lab 3 are made |
//! | `service` | a cluster with a service and its clients, for labs 3 and 4 |
//! | `clients` | clients of a key/value service, and the history of what they did |
//! | `kv` | the cluster of the key/value tests, and its partitions |
// BEGIN LAB 4
//! | `shards` | lab 4: the tests of the shard controller and of the sharded service |
// END LAB 4
//! | `beyond` | tests of election time-outs, of bytes sent, and of speed after snapshots |
//! | `scenarios` | `ChaosRaft`, `ChaosKv`, `RestartedVoters` and `RestartedFollowers`: faults and workloads drawn from the seed; and short scenarios for searches |
//! | `kept` | runs that were kept in files, as tests |
//! | `steps` | steps and checks that tests of several parts share |

use std::process::ExitCode;

use lab::Program;
use lab::records::Build;
use labraft::Implementation;

mod beyond;
mod clients;
mod kept;
mod kv;
mod kv_3a;
mod kv_3b;
mod kv_generic;
mod parts;
mod raft_2a;
mod raft_2b;
mod raft_2c;
mod raft_2d;
mod raft_2e;
mod raft_2f;
mod raft_2g;
mod reads;
mod reigns;
mod scenarios;
mod service;
// BEGIN LAB 4
#[cfg(feature = "lab4")]
mod shards;
// END LAB 4
mod steps;
mod suite;

pub use kept::{Kept, kept};
pub use suite::{SUITE, is_of_lab_4};

/// The whole `lab` command for these implementations, of which the first is the default. Returns
/// the exit code of the program. See [`lab::main`], which also takes the commit that the program is built from.
pub fn lab_main(implementations: &[Implementation]) -> ExitCode {
    lab::main(&Program { suite: SUITE, implementations, build: build() })
}

/// Identifies this build in stored results: lock file, compiler and profile. The digest of the program is left empty
/// for [`lab::main`] to fill in, and so is the commit: the tests do not know the Raft.
pub fn build() -> Build {
    Build {
        lock: format!("{:016x}", labrpc::hash_bytes(include_bytes!("../../Cargo.lock"))),
        compiler: env!("LAB_COMPILER").into(),
        profile: env!("LAB_PROFILE").into(),
        ..Build::default()
    }
}
