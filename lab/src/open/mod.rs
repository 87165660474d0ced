//! `lab open`: a run in the browser that can be touched, and what becomes of it.
//!
//! | module | what it is |
//! |---|---|
//! | `touch` | what somebody does to a run, as a change of its specification |
//! | `desk` | the runs that were made, each from another by a touch |
//! | `runner` | makes them, in one worker |
//! | `kept` | a run as a file, as a test, and as a step of a story |
//! | `story` | a story: runs with a sentence each |
//! | `rebuilt` | notices that the program was built again |
//! | `server` | serves the page and its runs on the loopback address |

mod desk;
mod kept;
mod rebuilt;
mod runner;
mod server;
mod story;
mod touch;

pub(crate) use desk::{Desk, Opened};
pub(crate) use rebuilt::{pause, watch_program};
pub(crate) use runner::Runner;
pub(crate) use server::Server;
pub(crate) use story::Story;
