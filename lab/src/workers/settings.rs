//! How workers are started, and what applies to all of their runs.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use labraft::{Implementation, Test};

use crate::conditions::Conditions;
use crate::records::Build;

/// Which runs are audited: whether their servers and clients know more than they were told.
#[derive(Clone, Debug, Default)]
pub enum Audited {
    /// No run.
    #[default]
    Nothing,
    /// All runs.
    Everything,
    /// The runs of these tests, by name, with these seeds.
    Only(BTreeSet<(&'static str, u64)>),
}

impl Audited {
    pub(super) fn includes(&self, test: &Test, seed: u64) -> bool {
        match self {
            Audited::Nothing => false,
            Audited::Everything => true,
            Audited::Only(runs) => runs.contains(&(test.name, seed)),
        }
    }
}

/// How workers are started, and what applies to all of their runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The Raft under test.
    pub implementation: Implementation,
    /// The program to start, and the arguments that make it call [`serve`](super::serve) with these
    /// settings.
    pub command: Vec<String>,
    /// The faults that runs meet, and what they are judged by.
    pub conditions: Conditions,
    /// Which runs are audited.
    pub audited: Audited,
    /// The memory limit of a worker in bytes. `command` has to enforce it.
    pub memory_bytes: u64,
    /// How long a run may work before it counts as hung. Only time counts in which its process
    /// computes or waits for itself. It exists to end code that never returns to the executor, so it
    /// should be far longer than any run takes.
    pub wall_limit: Duration,
    /// The folder for the traces of runs that had to be repeated under observation.
    pub traces: PathBuf,
    /// Whether to pass the output of the code under test on to standard error.
    pub show_output: bool,
    /// The build of the workers.
    pub build: Build,
    /// Whether the code under test may try to deceive the lab. If so, each run gets a process of
    /// its own without environment variables, and a run that did not end is not repeated under
    /// observation.
    pub is_distrusted: bool,
}
