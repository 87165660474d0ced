//! The lab as a course: what is handed out, and what is handed in.
//!
//! | module | what it is |
//! |---|---|
//! | `build` | builds and runs of other trees than the present one |
//! | `command` | `lab handout` |
//! | `gradescope` | what Gradescope grades with |
//! | `handout` | what a student gets |
//! | `links` | links of pages to what is not handed out |
//! | `manifest` | which files of a handout are frozen, and which a student may edit |
//! | `markers` | what of the reference is not handed out |
//! | `proof` | that a handout builds, and fails as it should |
//! | `repository` | a directory as a git repository with one commit |
//! | `submit` | `lab submit` |
//! | `tree` | a set of files in memory: the lab's sources, a handout, a submission |

mod build;
pub(crate) mod command;
mod gradescope;
pub(crate) mod handout;
mod links;
pub(crate) mod manifest;
mod markers;
mod proof;
mod repository;
pub(crate) mod submit;
pub(crate) mod tree;
