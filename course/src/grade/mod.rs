//! `course grade`: builds and runs submissions in a sandbox, and gives them points.
//!
//! | module | subject |
//! |---|---|
//! | `command` | the command: options, and a report for each submission |
//! | `config` | `course.toml`: its keys, their defaults and checks |
//! | `names` | the names of submissions in reports |
//! | `grader` | one submission: read, checked, built, run, graded |
//! | `programs` | the programs of a submission: with the student's Raft, and with the lab's |
//! | `build` | building the lab with a submission in it |
//! | `build_sandbox` | the cargo for these builds: what it may read and write, and its environment |
//! | `compiler_output` | what the compiler says, without what it says about files of others |
//! | `isolation` | which sandbox layers this machine has, and where the secret may be |
//! | `seeds` | public and hidden seeds |
//! | `runs` | runs of every test under every seed, each in a process of its own |
//! | `searches` | all runs of the scenarios of the part `search` that have few faults |
//! | `points` | points of tests and of submissions |
//! | `report` | the contents of the reports |
//! | `output` | where the reports are written |
//! | `self_test` | `--self-test`: the check that grading tells right from wrong on this machine |
//!
//! Outside of this crate, `lab::submit::submission` reads submissions and limits their size,
//! `lab::submit::forbidden_words` lists the words that they may not use, and `graded::sandbox`
//! contains the sandbox layers around runs.

mod build;
mod build_sandbox;
mod command;
mod compiler_output;
mod config;
mod grader;
mod isolation;
mod names;
mod output;
mod points;
mod programs;
mod report;
mod runs;
mod searches;
mod seeds;
mod self_test;

pub(crate) use command::GradeArgs;

/// The directories of a submission, as prefixes of its paths.
const RAFT: &str = "raft/src/";
const KV: &str = "kvraft/src/";
const CONTROLLER: &str = "shardctrler/src/";
const SHARDS: &str = "shardkv/src/";

/// The directory with what a part is about.
fn directory(part: labraft::Part) -> &'static str {
    use labraft::Part;
    match part {
        Part::Kv3A | Part::Kv3B => KV,
        Part::Shard4A => CONTROLLER,
        Part::Shard4B | Part::Shard4C => SHARDS,
        _ => RAFT,
    }
}
