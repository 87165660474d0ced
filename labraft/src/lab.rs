//! What one run of a test is given: a world, an implementation, and a place for its results.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use labrpc::{Event, World};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::raft::Implementation;
use crate::reason::Reason;
use crate::suite::Test;

/// The figures that the course prints after a test has passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// The title printed at the beginning.
    pub title: String,
    /// Virtual time from beginning to end.
    pub took: Duration,
    /// The number of servers.
    pub servers: usize,
    /// Calls handed to the network.
    pub rpcs: u64,
    /// Bytes of all arguments, and of the replies that arrived.
    pub bytes: u64,
    /// Raft tests: by how much the highest index applied anywhere grew. Key/value tests: how many
    /// operations were done through the counting helpers.
    pub commands: u64,
}

/// One run of one test.
#[derive(Clone)]
pub struct Lab {
    world: World,
    test: &'static Test,
    implementation: Implementation,
    /// Read by the runner when the simulation's thread has ended.
    results: Arc<Mutex<Results>>,
}

/// What a run leaves behind, beside its steps' own result.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// The faults beyond the course's network, in words.
    pub(crate) chaos: Option<String>,
    /// The title of the part that was begun last.
    pub(crate) begun: Option<String>,
    pub(crate) passed: Vec<Passed>,
    pub(crate) warnings: Vec<String>,
    /// A failure that a task other than the test itself found.
    pub(crate) failure: Option<Failure>,
}

impl Lab {
    pub(crate) fn new(
        world: World,
        test: &'static Test,
        implementation: Implementation,
        results: Arc<Mutex<Results>>,
    ) -> Lab {
        let lab = Lab { world, test, implementation, results };
        lab.note_chaos();
        lab
    }

    /// Has the reports begin with the faults there are beyond the course's network.
    fn note_chaos(&self) {
        if let Some(chaos) = self.world.chaos() {
            let text = chaos.to_string();
            self.results().chaos = Some(text.clone());
            self.world.tester().record(|| Event::custom("chaos", text));
        }
    }

    /// Draws faults beyond the course's network, if there are none yet: for tests that want them in any
    /// profile.
    pub fn draw_chaos(&self) {
        if self.world.chaos().is_none() {
            self.world.draw_chaos();
            self.note_chaos();
        }
    }

    /// The simulated world.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The test that is being run.
    pub fn test(&self) -> &'static Test {
        self.test
    }

    /// The Raft that is being tested.
    pub fn implementation(&self) -> &Implementation {
        &self.implementation
    }

    /// A failure at the current time.
    pub fn failure(&self, server: Option<usize>, reason: Reason) -> Failure {
        Failure::new(reason, self.world.tester().now(), server)
    }

    /// Ends the run with a failure, from any task. The first one counts.
    pub fn fail(&self, server: Option<usize>, reason: Reason) {
        let failure = self.failure(server, reason);
        self.results().failure.get_or_insert(failure);
        self.world.tester().stop();
    }

    /// Notes something that is odd but not wrong.
    pub fn warn(&self, warning: String) {
        self.results().warnings.push(warning);
    }

    pub(crate) fn begun(&self, title: &str) {
        self.results().begun = Some(title.into());
    }

    pub(crate) fn passed(&self, figures: Passed) {
        self.results().passed.push(figures);
    }

    fn results(&self) -> MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lab({:?})", self.implementation)
    }
}
