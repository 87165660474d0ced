//! `course handout`: makes the students' workspace from the lab's sources.
//!
//! | module | subject |
//! |---|---|
//! | `command` | the command |
//! | `scope` | which parts are handed out, and which crates solved |
//! | `contents` | which files are handed out |
//! | `readme` | the handout's `README.md` |
//! | `markers` | markers in the reference around what is not handed out |
//! | `leaks` | the check that no line of the solution is in the handout |
//! | `lock` | the handout's `Cargo.lock` |
//! | `links` | links in pages to files that are not handed out |
//! | `proof` | the check that the handout builds, and that every test fails with a hint |
//! | `gradescope` | the autograder kit for Gradescope |

pub(crate) mod command;
pub(crate) mod contents;
mod gradescope;
mod leaks;
mod links;
mod lock;
mod markers;
mod proof;
mod readme;
pub(crate) mod scope;
