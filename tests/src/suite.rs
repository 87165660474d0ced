//! The registry: every test of the course, in the course's order. The command line, `cargo test`,
//! the grader and the reports are views of this table.

use std::future::pending;
use std::time::Duration;

use labraft::{Checked, Command, Config, Failure, Lab, Part, Steps, Test};
use labrpc::{JoinHandle, Limits};

use crate::{raft_2a, raft_2b, raft_2c, raft_2d};

/// Every test.
///
/// Points: lab 2 is worth 100, of which 20 for 2A, 30 each for 2B and 2C, 20 for 2D. Within a part
/// the tests that take more understanding weigh more.
pub static SUITE: &[Test] = &[
    // Part 2A: election.
    {
        const TITLE: &str = "initial election";
        Test {
            name: "InitialElection2A",
            part: Part::Raft2A,
            title: TITLE,
            points: 6,
            cost: 5,
            limits,
            run: |lab| servers(3).run(lab, TITLE, raft_2a::initial_election),
        }
    },
    {
        const TITLE: &str = "election after network failure";
        Test {
            name: "ReElection2A",
            part: Part::Raft2A,
            title: TITLE,
            points: 7,
            cost: 5,
            limits,
            run: |lab| servers(3).run(lab, TITLE, raft_2a::re_election),
        }
    },
    {
        const TITLE: &str = "multiple elections";
        Test {
            name: "ManyElections2A",
            part: Part::Raft2A,
            title: TITLE,
            points: 7,
            cost: 10,
            limits,
            run: |lab| servers(7).run(lab, TITLE, raft_2a::many_elections),
        }
    },
    // Part 2B: log.
    {
        const TITLE: &str = "basic agreement";
        Test {
            name: "BasicAgree2B",
            part: Part::Raft2B,
            title: TITLE,
            points: 2,
            cost: 5,
            limits,
            run: |lab| servers(3).run(lab, TITLE, raft_2b::basic_agree),
        }
    },
    {
        const TITLE: &str = "RPC byte count";
        Test {
            name: "RPCBytes2B",
            part: Part::Raft2B,
            title: TITLE,
            points: 2,
            cost: 5,
            limits,
            run: |lab| servers(3).run(lab, TITLE, raft_2b::rpc_bytes),
        }
    },
    {
        const TITLE: &str = "test progressive failure of followers";
        Test {
            name: "FollowerFailure2B",
            part: Part::Raft2B,
            title: TITLE,
            points: 3,
            cost: 5,
            limits,
            run: |lab| servers(3).run(lab, TITLE, raft_2b::follower_failure),
        }
    },
    {
        const TITLE: &str = "test failure of leaders";
        Test {
            name: "LeaderFailure2B",
            part: Part::Raft2B,
            title: TITLE,
            points: 3,
            cost: 5,
            limits,
            run: |lab| servers(3).run(lab, TITLE, raft_2b::leader_failure),
        }
    },
    {
        const TITLE: &str = "agreement after follower reconnects";
        Test {
            name: "FailAgree2B",
            part: Part::Raft2B,
            title: TITLE,
            points: 3,
            cost: 5,
            limits,
            run: |lab| servers(3).run(lab, TITLE, raft_2b::fail_agree),
        }
    },
    {
        const TITLE: &str = "no agreement if too many followers disconnect";
        Test {
            name: "FailNoAgree2B",
            part: Part::Raft2B,
            title: TITLE,
            points: 3,
            cost: 5,
            limits,
            run: |lab| servers(5).run(lab, TITLE, raft_2b::fail_no_agree),
        }
    },
    {
        const TITLE: &str = "concurrent Start()s";
        Test {
            name: "ConcurrentStarts2B",
            part: Part::Raft2B,
            title: TITLE,
            points: 3,
            cost: 5,
            limits,
            run: |lab| servers(3).run(lab, TITLE, raft_2b::concurrent_starts),
        }
    },
    {
        const TITLE: &str = "rejoin of partitioned leader";
        Test {
            name: "Rejoin2B",
            part: Part::Raft2B,
            title: TITLE,
            points: 4,
            cost: 5,
            limits,
            run: |lab| servers(3).run(lab, TITLE, raft_2b::rejoin),
        }
    },
    {
        const TITLE: &str = "leader backs up quickly over incorrect follower logs";
        Test {
            name: "Backup2B",
            part: Part::Raft2B,
            title: TITLE,
            points: 4,
            cost: 20,
            limits,
            run: |lab| servers(5).run(lab, TITLE, raft_2b::backup),
        }
    },
    {
        const TITLE: &str = "RPC counts aren't too high";
        Test {
            name: "Count2B",
            part: Part::Raft2B,
            title: TITLE,
            points: 3,
            cost: 5,
            limits,
            run: |lab| servers(3).run(lab, TITLE, raft_2b::count),
        }
    },
    // Part 2C: persistence.
    {
        const TITLE: &str = "basic persistence";
        Test {
            name: "Persist12C",
            part: Part::Raft2C,
            title: TITLE,
            points: 3,
            cost: 5,
            limits,
            run: |lab| servers(3).run(lab, TITLE, raft_2c::persist1),
        }
    },
    {
        const TITLE: &str = "more persistence";
        Test {
            name: "Persist22C",
            part: Part::Raft2C,
            title: TITLE,
            points: 3,
            cost: 10,
            limits,
            run: |lab| servers(5).run(lab, TITLE, raft_2c::persist2),
        }
    },
    {
        const TITLE: &str = "partitioned leader and one follower crash, leader restarts";
        Test {
            name: "Persist32C",
            part: Part::Raft2C,
            title: TITLE,
            points: 3,
            cost: 5,
            limits,
            run: |lab| servers(3).run(lab, TITLE, raft_2c::persist3),
        }
    },
    {
        const TITLE: &str = "Figure 8";
        Test {
            name: "Figure82C",
            part: Part::Raft2C,
            title: TITLE,
            points: 5,
            cost: 20,
            limits,
            run: |lab| servers(5).run(lab, TITLE, raft_2c::figure8),
        }
    },
    {
        const TITLE: &str = "unreliable agreement";
        Test {
            name: "UnreliableAgree2C",
            part: Part::Raft2C,
            title: TITLE,
            points: 3,
            cost: 20,
            limits,
            run: |lab| servers(5).unreliable().run(lab, TITLE, raft_2c::unreliable_agree),
        }
    },
    {
        const TITLE: &str = "Figure 8 (unreliable)";
        Test {
            name: "Figure8Unreliable2C",
            part: Part::Raft2C,
            title: TITLE,
            points: 5,
            cost: 200,
            limits,
            run: |lab| servers(5).unreliable().run(lab, TITLE, raft_2c::figure8_unreliable),
        }
    },
    {
        const TITLE: &str = "churn";
        Test {
            name: "ReliableChurn2C",
            part: Part::Raft2C,
            title: TITLE,
            points: 4,
            cost: 200,
            limits,
            run: |lab| servers(5).run(lab, TITLE, raft_2c::churn),
        }
    },
    {
        const TITLE: &str = "unreliable churn";
        Test {
            name: "UnreliableChurn2C",
            part: Part::Raft2C,
            title: TITLE,
            points: 4,
            cost: 200,
            limits,
            run: |lab| servers(5).unreliable().run(lab, TITLE, raft_2c::churn),
        }
    },
    // Part 2D: snapshots.
    {
        const TITLE: &str = "snapshots basic";
        Test {
            name: "SnapshotBasic2D",
            part: Part::Raft2D,
            title: TITLE,
            points: 3,
            cost: 10,
            limits,
            run: |lab| servers(3).snapshot().run(lab, TITLE, raft_2d::snapshot_basic),
        }
    },
    {
        const TITLE: &str = "install snapshots (disconnect)";
        Test {
            name: "SnapshotInstall2D",
            part: Part::Raft2D,
            title: TITLE,
            points: 3,
            cost: 20,
            limits,
            run: |lab| servers(3).snapshot().run(lab, TITLE, raft_2d::snapshot_install),
        }
    },
    {
        const TITLE: &str = "install snapshots (disconnect+unreliable)";
        Test {
            name: "SnapshotInstallUnreliable2D",
            part: Part::Raft2D,
            title: TITLE,
            points: 3,
            cost: 20,
            limits,
            run: |lab| {
                servers(3).snapshot().unreliable().run(lab, TITLE, raft_2d::snapshot_install)
            },
        }
    },
    {
        const TITLE: &str = "install snapshots (crash)";
        Test {
            name: "SnapshotInstallCrash2D",
            part: Part::Raft2D,
            title: TITLE,
            points: 3,
            cost: 20,
            limits,
            run: |lab| servers(3).snapshot().run(lab, TITLE, raft_2d::snapshot_install_crash),
        }
    },
    {
        const TITLE: &str = "install snapshots (unreliable+crash)";
        Test {
            name: "SnapshotInstallUnCrash2D",
            part: Part::Raft2D,
            title: TITLE,
            points: 3,
            cost: 20,
            limits,
            run: |lab| {
                servers(3).snapshot().unreliable().run(lab, TITLE, raft_2d::snapshot_install_crash)
            },
        }
    },
    {
        const TITLE: &str = "crash and restart all servers";
        Test {
            name: "SnapshotAllCrash2D",
            part: Part::Raft2D,
            title: TITLE,
            points: 3,
            cost: 10,
            limits,
            run: |lab| servers(3).snapshot().run(lab, TITLE, raft_2d::snapshot_all_crash),
        }
    },
    {
        const TITLE: &str = "snapshot initialization after crash";
        Test {
            name: "SnapshotInit2D",
            part: Part::Raft2D,
            title: TITLE,
            points: 2,
            cost: 5,
            limits,
            run: |lab| servers(3).snapshot().run(lab, TITLE, raft_2d::snapshot_init),
        }
    },
];

/// When a run is given up. No verdict is meant to depend on these: each wait of a test has its own
/// bound, and 120 s of virtual time fail a test at its end.
///
/// 600 s is what the course allows for all tests together. The longest tests of a correct Raft take
/// well under a million events, so 20 million leave room for one that ticks every millisecond and
/// sends far too much, and still end a run that has gone wild within seconds.
fn limits() -> Limits {
    Limits { virtual_time: Duration::from_secs(600), events: 20_000_000, ..Limits::default() }
}

/// The cluster that a test is run on: what the course's `make_config` is told.
#[derive(Copy, Clone)]
struct Cluster {
    servers: usize,
    unreliable: bool,
    snapshot: bool,
}

/// So many servers on a reliable network, with the plain applier.
fn servers(servers: usize) -> Cluster {
    Cluster { servers, unreliable: false, snapshot: false }
}

impl Cluster {
    /// The same on an unreliable network.
    fn unreliable(self) -> Cluster {
        Cluster { unreliable: true, ..self }
    }

    /// The same with the applier that makes snapshots.
    fn snapshot(self) -> Cluster {
        Cluster { snapshot: true, ..self }
    }

    /// A whole test: makes the cluster, begins, takes the test's steps, ends and cleans up. After a
    /// failure there is nothing to clean up: the run ends, and its world with it.
    fn run<Body>(self, lab: Lab, title: &'static str, body: Body) -> Steps
    where
        Body: AsyncFnOnce(&Config) -> Checked<()> + 'static,
    {
        Box::pin(async move {
            let cfg = lab.make_config(self.servers, self.unreliable, self.snapshot);
            cfg.begin(title);
            body(&cfg).await?;
            cfg.end()?;
            cfg.cleanup()
        })
    }
}

// What tests of several parts share.

/// How many values Go's `rand.Int()` has: it is a number of 63 bits.
pub(crate) const RANDOM_INTS: u64 = 1 << 63;

/// A random number as a command: as good as unique.
pub(crate) fn random(cfg: &Config) -> u64 {
    cfg.dice().below(RANDOM_INTS)
}

/// The number that a command is, if it is one.
pub(crate) fn as_int(command: &[u8]) -> Option<u64> {
    Command::from_bytes(command)?.as_int()
}

/// Fails the test in its own words unless `holds`.
pub(crate) fn check(cfg: &Config, holds: bool, otherwise: impl FnOnce() -> String) -> Checked<()> {
    if holds { Ok(()) } else { Err(cfg.expected(otherwise())) }
}

/// Starts a server from what it had saved, crashing it first if it runs, and connects it.
pub(crate) fn restart(cfg: &Config, i: usize) {
    cfg.start1(i);
    cfg.connect(i);
}

/// Runs a client of the test beside it. What the client finds wrong ends the run at that moment.
#[track_caller]
pub(crate) fn spawn_client<T: 'static>(
    cfg: &Config,
    name: &'static str,
    client: impl Future<Output = Checked<T>> + 'static,
) -> JoinHandle<T> {
    let lab = cfg.lab().clone();
    cfg.tester().spawn(name, async move {
        match client.await {
            Ok(value) => value,
            Err(Failure { reason, server, .. }) => {
                lab.fail(server, reason);
                pending().await
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_28_tests_with_names_and_titles_of_their_own_named_for_their_part() {
        let names: BTreeSet<&str> = SUITE.iter().map(|test| test.name).collect();
        let titles: BTreeSet<&str> = SUITE.iter().map(|test| test.title).collect();
        assert_eq!((SUITE.len(), names.len(), titles.len()), (28, 28, 28));
        for test in SUITE {
            assert!(test.name.ends_with(test.part.name()), "{test:?} is in part {}", test.part);
        }
        assert!(SUITE.is_sorted_by_key(|test| test.part), "the parts follow one another");
    }

    #[test]
    fn each_part_is_worth_what_the_table_says() {
        let parts = [Part::Raft2A, Part::Raft2B, Part::Raft2C, Part::Raft2D];
        let points = parts.map(|part| {
            SUITE.iter().filter(|test| test.part == part).map(|test| test.points).sum::<u32>()
        });
        assert_eq!(points, [20, 30, 30, 20]);
    }
}
