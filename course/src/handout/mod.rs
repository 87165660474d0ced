//! `course handout`: what is handed out to a class.
//!
//! | module | subject |
//! |---|---|
//! | `command` | the command |
//! | `handout` | which files a student gets |
//! | `markers` | what of the reference is left out |
//! | `lock` | the lock file without what is not handed out |
//! | `links` | links of pages to what is not handed out |
//! | `proof` | that a handout builds, and fails as it should |
//! | `gradescope` | what Gradescope grades with |

pub(crate) mod command;
mod gradescope;
pub(crate) mod handout;
mod links;
mod lock;
mod markers;
mod proof;
