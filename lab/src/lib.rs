//! What the `lab` command does: runs tests under many seeds, and replays, shrinks and displays runs.
//!
//! Start here: [`main`] is the whole command line of a [`Program`], `commands` has a file for each command,
//! and [`workers`] make the runs.
//!
//! | module | subject |
//! |---|---|
//! | `cli` | parsing and dispatching commands |
//! | `commands` | one file for each command |
//! | `conditions` | what a result depends on besides test, seed and program: faults, and what is left out |
//! | `damage` | damaged copies of files, for tests |
//! | `session` | what all commands share: options, implementations, how to start the program again |
//! | [`outcome`] | how a command ends, and its exit code |
//! | [`workers`] | worker processes, which make the runs and may die |
//! | `failure_record` | why a run did not pass, as files and reports keep it |
//! | [`records`] | the file with the results of runs |
//! | [`report`] | reports of results for people and other programs |
//! | `outputs` | where the summary of many runs goes |
//! | [`plain`] | showing text that the code under test may have made |
//! | `seeds` | the seeds of a sweep, and how it is divided into shares |
//! | `selector` | finding the run that a command refers to |
//! | `shorten` | bounding the length of texts that the code under test has a say in |
//! | `self_check` | checking that a seed always gives the same run |
//! | `repetitions` | repeating one run of each test during a sweep |
//! | `failures` | repro files and pages for the failures of a sweep |
//! | `format` | the versions of repro files and recordings |
//! | `offered` | which tests are for the Raft under test |
//! | [`recording`] | saving a recorded run to a file |
//! | [`repro`] | the repro file of a failing run |
//! | [`shrink`] | the fewest decisions with which a run still fails |
//! | [`search`] | all runs of a test with at most a few faults |
//! | [`explain`] | when a failure became inevitable |
//! | [`view`] | a recorded run as a log, as a page, or for other viewers |
//! | `unpredictable` | numbers that nobody can predict |
//! | `show`, `views` | the options that select a view |
//! | `open` | `lab open`: a run in the browser that can be touched |
//! | [`submit`] | `lab submit`, and the rules by which the grader reads a submission |

mod cli;
mod commands;
pub mod conditions;
#[doc(hidden)]
pub mod damage;
pub mod explain;
pub mod failure_record;
mod failures;
mod format;
mod offered;
mod open;
pub mod outcome;
mod outputs;
pub mod plain;
pub mod recording;
pub mod records;
mod repetitions;
pub mod report;
pub mod repro;
pub mod search;
mod seeds;
mod selector;
mod self_check;
pub mod session;
mod shorten;
mod show;
pub mod shrink;
mod shrinkable;
pub mod submit;
mod unpredictable;
pub mod view;
mod views;
pub mod workers;

pub use cli::{grammar, main};
pub use session::Program;
