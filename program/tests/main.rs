//! Most tests of the suite and of the program, in one program, so that what they use is linked once and they
//! share the processors. Programs of their own are the tests whose processes are workers as well, and what sets the
//! subscriber of log lines of its process.

mod amnesia;
mod command_line;
mod common;
mod damaged_files;
mod determinism;
mod documents;
mod extended;
mod internal_entries;
mod kv_restarts;
mod leaks;
mod open;
mod other_raft;
mod outside_crate;
#[path = "common/page.rs"]
mod page;
mod standstill;
mod stories;
mod sweeps;
mod what_if;
