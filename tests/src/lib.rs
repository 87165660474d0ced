//! The course's tests as one registry, and the lab's command line.
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
//! | `beyond` | two tests beyond the course's, of elections and of bytes |
//! | `scenarios` | generated scenarios: two tests beyond the course's |
//! | `steps` | what the tests of several parts share |
//! | `cli` | the command line |
//! | `run` | `lab run`: tests under seeds |
//! | `replay` | `lab replay`: a run again |
//! | `watch` | `lab watch`: again, whenever a source changes |
//! | `merge` | `lab merge`: the results of several machines |
//! | `course` | what is handed out to a class, and what it hands in |
//! | `grade` | `lab grade`: submissions of students, which nobody trusts |
//! | `hint` | `lab hint`: the hints of the lab pages |
//! | `mutants` | `lab mutants`: known bugs, and what finds them |
//! | `seeds` | which runs: seeds, and shares of them |
//! | `outputs` | where summaries go |
//! | `self_check` | whether the same seed is the same run |

mod beyond;
mod cli;
mod course;
mod diff;
mod explain;
mod failures;
mod grade;
mod hint;
mod kv;
mod kv_3a;
mod kv_3b;
mod kv_generic;
mod merge;
mod mutants;
mod outputs;
mod parts;
mod raft_2a;
mod raft_2b;
mod raft_2c;
mod raft_2d;
mod replay;
mod run;
mod scenarios;
mod seeds;
mod self_check;
mod show;
mod shrink;
mod steps;
mod suite;
mod views;
mod watch;
mod which;

pub use cli::lab_main;
pub use suite::SUITE;
