//! The lab's program: tests under many seeds, and everything that is done with a run.
//!
//! Start here: [`main`] is the whole command line of a [`Program`]; `commands` has a file for each command;
//! [`workers`] make the runs.
//!
//! | module | subject |
//! |---|---|
//! | `cli` | which commands there are |
//! | `commands` | each command |
//! | `session` | what all commands share: options, implementations, how to start the program again |
//! | [`outcome`] | how a command ends, and its exit code |
//! | [`workers`] | runs in processes of their own, which may die |
//! | [`records`] | the results of runs, kept in a file |
//! | [`report`] | results as people and other programs read them |
//! | `outputs` | where the summary of many runs goes |
//! | `seeds` | which runs: seeds, and shares of a sweep |
//! | `selector` | which run a command means |
//! | `self_check` | whether the same seed is the same run |
//! | `failures` | what a sweep leaves of its failures |
//! | [`recording`] | a recorded run in a file |
//! | [`repro`] | a failing run as a file |
//! | [`shrink`] | the fewest decisions with which a run still fails |
//! | [`explain`] | when a failure became inevitable |
//! | [`view`] | a recorded run as a log, as a page, for other viewers |
//! | `show`, `views` | which of these a command shows |
//! | [`submit`] | `lab submit`, and what the grader takes of a submission |

mod cli;
mod commands;
pub mod explain;
mod failures;
pub mod outcome;
mod outputs;
pub mod recording;
pub mod records;
pub mod report;
pub mod repro;
mod seeds;
mod selector;
mod self_check;
pub mod session;
mod show;
pub mod shrink;
pub mod submit;
pub mod view;
mod views;
pub mod workers;

pub use cli::{grammar, main};
pub use session::Program;
