//! Worlds without a test's script: servers that are started and connected, and nothing else.
//!
//! What happens in them is done by the [acts](labrpc::Act) of a run. They are no tests, so no sweep runs them.

use std::time::Duration;

use labrpc::Deed;

use crate::lab::Lab;
use crate::part::Part;
use crate::suite::{Steps, Test};

/// How long a world goes on at least: long enough for its first election.
const SHORTEST: Duration = Duration::from_millis(1500);
/// How long it goes on after the last act.
const AFTERWARDS: Duration = Duration::from_secs(1);

/// The worlds with 1 to 9 servers.
static WORLDS: [Test; 9] = [
    world("World1", |lab| steps(lab, 1)),
    world("World2", |lab| steps(lab, 2)),
    world("World3", |lab| steps(lab, 3)),
    world("World4", |lab| steps(lab, 4)),
    world("World5", |lab| steps(lab, 5)),
    world("World6", |lab| steps(lab, 6)),
    world("World7", |lab| steps(lab, 7)),
    world("World8", |lab| steps(lab, 8)),
    world("World9", |lab| steps(lab, 9)),
];

/// The world with this name, such as `World3`.
pub fn world_named(name: &str) -> Option<&'static Test> {
    WORLDS.iter().find(|world| world.name.eq_ignore_ascii_case(name))
}

/// The test of a suite with this name, or the world.
pub fn test_or_world(suite: &'static [Test], name: &str) -> Option<&'static Test> {
    suite.iter().find(|test| test.name == name).or_else(|| world_named(name))
}

/// The world with this number of servers; there are none with 0 and with more than 9.
pub fn world_of(servers: usize) -> Option<&'static Test> {
    WORLDS.get(servers.checked_sub(1)?)
}

const fn world(name: &'static str, run: fn(Lab) -> Steps) -> Test {
    // Part 2B, so that a Raft that does not save anything yet has a world, too.
    Test { name, part: Part::Raft2B, title: "a world without a script", points: 0, cost: 1, run }
}

fn steps(lab: Lab, servers: usize) -> Steps {
    Box::pin(async move {
        let config = lab.make_config(servers, false, false);
        config.begin(lab.test().title);
        config.propose_from_acts();
        let last = lab.world().acts().last();
        let end = last.map_or(Duration::ZERO, |act| match act.deed {
            Deed::Wait => act.at,
            _ => act.at + AFTERWARDS,
        });
        lab.world().tester().sleep_until(end.max(SHORTEST)).await;
        config.end()?;
        config.cleanup()
    })
}
