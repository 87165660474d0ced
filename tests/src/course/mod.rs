//! The lab as a course: what is handed out, and what is handed in.
//!
//! | module | what it is |
//! |---|---|
//! | `links` | links of pages to what is not handed out |
//! | `manifest` | which files of a handout are frozen, and which a student may edit |
//! | `markers` | what of the reference is not handed out |
//! | `tree` | a set of files in memory: the lab's sources, a handout, a submission |

#![allow(dead_code, reason = "what uses it follows")]

mod links;
pub(crate) mod manifest;
mod markers;
pub(crate) mod tree;
