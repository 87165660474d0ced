//! The registry: every test of the course in the course's order, and the tests beyond the course.
//! The command line, `cargo test`, the grader and the reports are views of this table.

use labraft::{Checked, Config, Lab, Part, Steps, Test};

use crate::kv::kv_servers;
use crate::kv_generic::clients;
use crate::{beyond, kv_3a, kv_3b, parts, raft_2a, raft_2b, raft_2c, raft_2d, scenarios};

/// Every test of the parts that this lab has.
///
/// Lab 2 is worth 100 points: 20 for 2A, 30 each for 2B and 2C, 20 for 2D. Lab 3 is worth 100 as
/// well: 60 for 3A and 40 for 3B. Lab 4 is worth 100, too: 30 for 4A, 50 for 4B and 20 for 4C. Within a part, tests that take more understanding are worth more.
/// Costs were measured with the reference Raft in a release build.
pub static SUITE: &[Test] = between(ALL, parts::FIRST, parts::LAST);

/// The tests of all parts, in the order of the parts.
static ALL: &[Test] =
    &joined::<{ COURSE.len() + SHARDED.len() + MORE.len() }>([COURSE, SHARDED, MORE]);

// BEGIN SOLUTION 4A
//stub: /// The tests of lab 4, which this lab does not have.
//stub: const SHARDED: &[Test] = &[];
#[cfg(feature = "lab4")]
use crate::shards::TESTS as SHARDED;

/// The tests of lab 4, which this lab does not have.
#[cfg(not(feature = "lab4"))]
const SHARDED: &[Test] = &[];
// END SOLUTION

/// The tests of labs 2 and 3.
const COURSE: &[Test] = &[
    // Part 2A: election.
    Test {
        name: "InitialElection2A",
        part: Part::Raft2A,
        title: "initial election",
        points: 6,
        cost: 1,
        run: |lab| servers(3).run(lab, raft_2a::initial_election),
    },
    Test {
        name: "ReElection2A",
        part: Part::Raft2A,
        title: "election after network failure",
        points: 7,
        cost: 1,
        run: |lab| servers(3).run(lab, raft_2a::re_election),
    },
    Test {
        name: "ManyElections2A",
        part: Part::Raft2A,
        title: "multiple elections",
        points: 7,
        cost: 1,
        run: |lab| servers(7).run(lab, raft_2a::many_elections),
    },
    // Part 2B: log.
    Test {
        name: "BasicAgree2B",
        part: Part::Raft2B,
        title: "basic agreement",
        points: 2,
        cost: 1,
        run: |lab| servers(3).run(lab, raft_2b::basic_agree),
    },
    Test {
        name: "RPCBytes2B",
        part: Part::Raft2B,
        title: "RPC byte count",
        points: 2,
        cost: 1,
        run: |lab| servers(3).run(lab, raft_2b::rpc_bytes),
    },
    Test {
        name: "FollowerFailure2B",
        part: Part::Raft2B,
        title: "test progressive failure of followers",
        points: 3,
        cost: 1,
        run: |lab| servers(3).run(lab, raft_2b::follower_failure),
    },
    Test {
        name: "LeaderFailure2B",
        part: Part::Raft2B,
        title: "test failure of leaders",
        points: 3,
        cost: 1,
        run: |lab| servers(3).run(lab, raft_2b::leader_failure),
    },
    Test {
        name: "FailAgree2B",
        part: Part::Raft2B,
        title: "agreement after follower reconnects",
        points: 3,
        cost: 1,
        run: |lab| servers(3).run(lab, raft_2b::fail_agree),
    },
    Test {
        name: "FailNoAgree2B",
        part: Part::Raft2B,
        title: "no agreement if too many followers disconnect",
        points: 3,
        cost: 1,
        run: |lab| servers(5).run(lab, raft_2b::fail_no_agree),
    },
    Test {
        name: "ConcurrentStarts2B",
        part: Part::Raft2B,
        title: "concurrent Start()s",
        points: 3,
        cost: 1,
        run: |lab| servers(3).run(lab, raft_2b::concurrent_starts),
    },
    Test {
        name: "Rejoin2B",
        part: Part::Raft2B,
        title: "rejoin of partitioned leader",
        points: 4,
        cost: 1,
        run: |lab| servers(3).run(lab, raft_2b::rejoin),
    },
    Test {
        name: "Backup2B",
        part: Part::Raft2B,
        title: "leader backs up quickly over incorrect follower logs",
        points: 4,
        cost: 2,
        run: |lab| servers(5).run(lab, raft_2b::backup),
    },
    Test {
        name: "Count2B",
        part: Part::Raft2B,
        title: "RPC counts aren't too high",
        points: 3,
        cost: 1,
        run: |lab| servers(3).run(lab, raft_2b::count),
    },
    // Part 2C: persistence.
    Test {
        name: "Persist12C",
        part: Part::Raft2C,
        title: "basic persistence",
        points: 3,
        cost: 1,
        run: |lab| servers(3).run(lab, raft_2c::persist1),
    },
    Test {
        name: "Persist22C",
        part: Part::Raft2C,
        title: "more persistence",
        points: 3,
        cost: 1,
        run: |lab| servers(5).run(lab, raft_2c::persist2),
    },
    Test {
        name: "Persist32C",
        part: Part::Raft2C,
        title: "partitioned leader and one follower crash, leader restarts",
        points: 3,
        cost: 1,
        run: |lab| servers(3).run(lab, raft_2c::persist3),
    },
    Test {
        name: "Figure82C",
        part: Part::Raft2C,
        title: "Figure 8",
        points: 5,
        cost: 2,
        run: |lab| servers(5).run(lab, raft_2c::figure8),
    },
    Test {
        name: "UnreliableAgree2C",
        part: Part::Raft2C,
        title: "unreliable agreement",
        points: 3,
        cost: 1,
        run: |lab| servers(5).unreliable().run(lab, raft_2c::unreliable_agree),
    },
    Test {
        name: "Figure8Unreliable2C",
        part: Part::Raft2C,
        title: "Figure 8 (unreliable)",
        points: 5,
        cost: 8,
        run: |lab| servers(5).unreliable().run(lab, raft_2c::figure8_unreliable),
    },
    Test {
        name: "ReliableChurn2C",
        part: Part::Raft2C,
        title: "churn",
        points: 4,
        cost: 17,
        run: |lab| servers(5).run(lab, raft_2c::churn),
    },
    Test {
        name: "UnreliableChurn2C",
        part: Part::Raft2C,
        title: "unreliable churn",
        points: 4,
        cost: 9,
        run: |lab| servers(5).unreliable().run(lab, raft_2c::churn),
    },
    // Part 2D: snapshots.
    Test {
        name: "SnapshotBasic2D",
        part: Part::Raft2D,
        title: "snapshots basic",
        points: 3,
        cost: 1,
        run: |lab| servers(3).snapshot().run(lab, raft_2d::snapshot_basic),
    },
    Test {
        name: "SnapshotInstall2D",
        part: Part::Raft2D,
        title: "install snapshots (disconnect)",
        points: 3,
        cost: 2,
        run: |lab| servers(3).snapshot().run(lab, raft_2d::snapshot_install),
    },
    Test {
        name: "SnapshotInstallUnreliable2D",
        part: Part::Raft2D,
        title: "install snapshots (disconnect+unreliable)",
        points: 3,
        cost: 2,
        run: |lab| servers(3).snapshot().unreliable().run(lab, raft_2d::snapshot_install),
    },
    Test {
        name: "SnapshotInstallCrash2D",
        part: Part::Raft2D,
        title: "install snapshots (crash)",
        points: 3,
        cost: 2,
        run: |lab| servers(3).snapshot().run(lab, raft_2d::snapshot_install_crash),
    },
    Test {
        name: "SnapshotInstallUnCrash2D",
        part: Part::Raft2D,
        title: "install snapshots (unreliable+crash)",
        points: 3,
        cost: 2,
        run: |lab| servers(3).snapshot().unreliable().run(lab, raft_2d::snapshot_install_crash),
    },
    Test {
        name: "SnapshotAllCrash2D",
        part: Part::Raft2D,
        title: "crash and restart all servers",
        points: 3,
        cost: 1,
        run: |lab| servers(3).snapshot().run(lab, raft_2d::snapshot_all_crash),
    },
    Test {
        name: "SnapshotInit2D",
        part: Part::Raft2D,
        title: "snapshot initialization after crash",
        points: 2,
        cost: 1,
        run: |lab| servers(3).snapshot().run(lab, raft_2d::snapshot_init),
    },
    // Part 3A: the key/value service.
    Test {
        name: "Basic3A",
        part: Part::Kv3A,
        title: "one client",
        points: 3,
        cost: 15,
        run: |lab| clients(1).run(lab),
    },
    Test {
        name: "Speed3A",
        part: Part::Kv3A,
        title: "ops complete fast enough",
        points: 3,
        cost: 5,
        run: |lab| kv_servers(3).run(lab, kv_3a::speed),
    },
    Test {
        name: "Concurrent3A",
        part: Part::Kv3A,
        title: "many clients",
        points: 4,
        cost: 16,
        run: |lab| clients(5).run(lab),
    },
    Test {
        name: "Unreliable3A",
        part: Part::Kv3A,
        title: "unreliable net, many clients",
        points: 4,
        cost: 12,
        run: |lab| clients(5).unreliable().run(lab),
    },
    Test {
        name: "UnreliableOneKey3A",
        part: Part::Kv3A,
        title: "concurrent append to same key, unreliable",
        points: 4,
        cost: 1,
        run: |lab| kv_servers(3).unreliable().run(lab, kv_3a::unreliable_one_key),
    },
    Test {
        name: "OnePartition3A",
        part: Part::Kv3A,
        title: "progress in majority",
        points: 5,
        cost: 1,
        run: |lab| kv_servers(5).run(lab, kv_3a::one_partition),
    },
    Test {
        name: "ManyPartitionsOneClient3A",
        part: Part::Kv3A,
        title: "partitions, one client",
        points: 4,
        cost: 17,
        run: |lab| clients(1).partitions().run(lab),
    },
    Test {
        name: "ManyPartitionsManyClients3A",
        part: Part::Kv3A,
        title: "partitions, many clients",
        points: 4,
        cost: 19,
        run: |lab| clients(5).partitions().run(lab),
    },
    Test {
        name: "PersistOneClient3A",
        part: Part::Kv3A,
        title: "restarts, one client",
        points: 4,
        cost: 23,
        run: |lab| clients(1).crash().run(lab),
    },
    Test {
        name: "PersistConcurrent3A",
        part: Part::Kv3A,
        title: "restarts, many clients",
        points: 4,
        cost: 25,
        run: |lab| clients(5).crash().run(lab),
    },
    Test {
        name: "PersistConcurrentUnreliable3A",
        part: Part::Kv3A,
        title: "unreliable net, restarts, many clients",
        points: 5,
        cost: 18,
        run: |lab| clients(5).unreliable().crash().run(lab),
    },
    Test {
        name: "PersistPartition3A",
        part: Part::Kv3A,
        title: "restarts, partitions, many clients",
        points: 5,
        cost: 28,
        run: |lab| clients(5).crash().partitions().run(lab),
    },
    Test {
        name: "PersistPartitionUnreliable3A",
        part: Part::Kv3A,
        title: "unreliable net, restarts, partitions, many clients",
        points: 5,
        cost: 17,
        run: |lab| clients(5).unreliable().crash().partitions().run(lab),
    },
    Test {
        name: "PersistPartitionUnreliableLinearizable3A",
        part: Part::Kv3A,
        title: "unreliable net, restarts, partitions, random keys, many clients",
        points: 6,
        cost: 54,
        run: |lab| clients(15).unreliable().crash().partitions().random_keys().run(lab),
    },
    // Part 3B: its snapshots.
    Test {
        name: "SnapshotRPC3B",
        part: Part::Kv3B,
        title: "InstallSnapshot RPC",
        points: 5,
        cost: 1,
        run: |lab| kv_servers(3).snapshots().run(lab, kv_3b::snapshot_rpc),
    },
    Test {
        name: "SnapshotSize3B",
        part: Part::Kv3B,
        title: "snapshot size is reasonable",
        points: 4,
        cost: 4,
        run: |lab| kv_servers(3).snapshots().run(lab, kv_3b::snapshot_size),
    },
    Test {
        name: "Speed3B",
        part: Part::Kv3B,
        title: "ops complete fast enough",
        points: 3,
        cost: 5,
        run: |lab| kv_servers(3).snapshots().run(lab, kv_3a::speed),
    },
    Test {
        name: "SnapshotRecover3B",
        part: Part::Kv3B,
        title: "restarts, snapshots, one client",
        points: 4,
        cost: 50,
        run: |lab| clients(1).crash().snapshots().busy().run(lab),
    },
    Test {
        name: "SnapshotRecoverManyClients3B",
        part: Part::Kv3B,
        title: "restarts, snapshots, many clients",
        points: 4,
        cost: 48,
        run: |lab| clients(20).crash().snapshots().busy().run(lab),
    },
    Test {
        name: "SnapshotUnreliable3B",
        part: Part::Kv3B,
        title: "unreliable net, snapshots, many clients",
        points: 4,
        cost: 12,
        run: |lab| clients(5).unreliable().snapshots().run(lab),
    },
    Test {
        name: "SnapshotUnreliableRecover3B",
        part: Part::Kv3B,
        title: "unreliable net, restarts, snapshots, many clients",
        points: 5,
        cost: 13,
        run: |lab| clients(5).unreliable().crash().snapshots().run(lab),
    },
    Test {
        name: "SnapshotUnreliableRecoverConcurrentPartition3B",
        part: Part::Kv3B,
        title: "unreliable net, restarts, partitions, snapshots, many clients",
        points: 5,
        cost: 11,
        run: |lab| clients(5).unreliable().crash().partitions().snapshots().run(lab),
    },
    Test {
        name: "SnapshotUnreliableRecoverConcurrentPartitionLinearizable3B",
        part: Part::Kv3B,
        title: "unreliable net, restarts, partitions, snapshots, random keys, many clients",
        points: 6,
        cost: 32,
        run: |lab| clients(15).unreliable().crash().partitions().snapshots().random_keys().run(lab),
    },
];

/// The tests that the course does not have.
const MORE: &[Test] = &[
    // Beyond the course: tests of time and bytes, and generated scenarios.
    Test {
        name: "Elections",
        part: Part::Beyond,
        title: "many leader changes",
        points: 0,
        cost: 10,
        run: |lab| servers(7).run(lab, beyond::elections),
    },
    Test {
        name: "RejoinBytes",
        part: Part::Beyond,
        title: "bytes to bring a server back",
        points: 0,
        cost: 3,
        run: |lab| servers(3).run(lab, beyond::rejoin_bytes),
    },
    Test {
        name: "SnapshotSpeed",
        part: Part::Beyond,
        title: "speed after snapshots",
        points: 0,
        cost: 1,
        run: |lab| servers(3).snapshot().run(lab, beyond::snapshot_speed),
    },
    Test {
        name: "ChaosRaft",
        part: Part::Beyond,
        title: "generated faults",
        points: 0,
        cost: 6,
        run: scenarios::chaos_raft,
    },
    Test {
        name: "ChaosKv",
        part: Part::Beyond,
        title: "generated faults, key/value service",
        points: 0,
        cost: 4,
        run: scenarios::chaos_kv,
    },
    Test {
        name: "RestartedVoters",
        part: Part::Beyond,
        title: "restarts after votes",
        points: 0,
        cost: 6,
        run: scenarios::restarted_voters,
    },
    Test {
        name: "RestartedFollowers",
        part: Part::Beyond,
        title: "restarts after acknowledgements",
        points: 0,
        cost: 6,
        run: scenarios::restarted_followers,
    },
    // Short scenarios, for searches.
    Test {
        name: "ShortElections",
        part: Part::Search,
        title: "elections in which not everybody hears of everybody",
        points: 0,
        cost: 1,
        run: |lab| servers(3).run(lab, scenarios::short_elections),
    },
    Test {
        name: "ShortReplication",
        part: Part::Search,
        title: "leaders that are cut off with an entry of their own",
        points: 0,
        cost: 1,
        run: |lab| servers(3).run(lab, scenarios::short_replication),
    },
    Test {
        name: "ShortRestarts",
        part: Part::Search,
        title: "a snapshot and two restarts",
        points: 0,
        cost: 1,
        run: |lab| servers(3).snapshot().run(lab, scenarios::short_restarts),
    },
    Test {
        name: "ShortVotes",
        part: Part::Search,
        title: "two sides that need the same vote",
        points: 0,
        cost: 1,
        run: |lab| servers(5).run(lab, scenarios::short_votes),
    },
];

/// The cluster that a Raft test runs on: the parameters of the course's `make_config`.
#[derive(Copy, Clone)]
struct RaftSetup {
    servers: usize,
    unreliable: bool,
    snapshot: bool,
}

/// A cluster on a reliable network, whose applier takes no snapshots.
fn servers(servers: usize) -> RaftSetup {
    RaftSetup { servers, unreliable: false, snapshot: false }
}

impl RaftSetup {
    /// Makes the network lose and delay messages.
    fn unreliable(self) -> RaftSetup {
        RaftSetup { unreliable: true, ..self }
    }

    /// Makes the applier take a snapshot every [`labraft::SNAPSHOT_INTERVAL`] commands.
    fn snapshot(self) -> RaftSetup {
        RaftSetup { snapshot: true, ..self }
    }

    /// Runs a whole test: makes the cluster, announces the test, runs `body`, notes the statistics
    /// and cleans up. After a failure there is nothing to clean up: the world ends with the run.
    fn run<Body>(self, lab: Lab, body: Body) -> Steps
    where
        Body: AsyncFnOnce(&Config) -> Checked<()> + 'static,
    {
        Box::pin(async move {
            let cfg = lab.make_config(self.servers, self.unreliable, self.snapshot);
            cfg.begin(lab.test().title);
            body(&cfg).await?;
            cfg.end()?;
            cfg.cleanup()
        })
    }
}

/// These lists one after the other. All of them together have this many tests.
const fn joined<const COUNT: usize>(mut lists: [&[Test]; 3]) -> [Test; COUNT] {
    let mut all = [COURSE[0]; COUNT];
    let mut count = 0;
    let mut list = 0;
    while list < lists.len() {
        while let [test, rest @ ..] = lists[list] {
            all[count] = *test;
            count += 1;
            lists[list] = rest;
        }
        list += 1;
    }
    assert!(count == COUNT);
    all
}

/// The tests from the part `first` to the part `last`. The tests must be in the order of their
/// parts.
const fn between(mut tests: &'static [Test], first: Part, last: Part) -> &'static [Test] {
    while let [test, rest @ ..] = tests
        && (test.part as u8) < first as u8
    {
        tests = rest;
    }
    while let [rest @ .., test] = tests
        && test.part as u8 > last as u8
    {
        tests = rest;
    }
    tests
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn entries_have_distinct_names_and_titles_and_course_tests_are_named_after_their_part() {
        let names: BTreeSet<&str> = ALL.iter().map(|test| test.name).collect();
        // The course uses one title twice, once in each part of lab 3.
        let titles: BTreeSet<_> = ALL.iter().map(|test| (test.part, test.title)).collect();
        assert_eq!((names.len(), titles.len()), (ALL.len(), ALL.len()));
        for test in ALL.iter().filter(|test| Part::COURSE.contains(&test.part)) {
            assert!(test.name.ends_with(test.part.name()), "{test:?} is in part {}", test.part);
        }
        assert!(ALL.is_sorted_by_key(|test| test.part), "the tests are in the order of the parts");
        assert!(ALL.iter().all(|test| test.cost > 0), "every test has a cost");
    }

    #[test]
    fn the_name_of_a_part_selects_its_tests() {
        for part in Part::COURSE.into_iter().chain([Part::Beyond, Part::Search]) {
            let selected = labraft::select(ALL, part.name()).unwrap();
            let of_part = ALL.iter().filter(|test| test.part == part);
            assert!(
                selected.iter().map(|test| test.name).eq(of_part.map(|test| test.name)),
                "{part}"
            );
        }
    }

    #[test]
    fn the_points_of_each_part_are_those_of_the_course() {
        let mut points: BTreeMap<Part, u32> = BTreeMap::new();
        for test in ALL {
            *points.entry(test.part).or_default() += test.points;
        }
        let of_labs = |range: std::ops::RangeInclusive<Part>| -> u32 {
            points.range(range).map(|(_, points)| points).sum()
        };
        assert_eq!(points[&Part::Raft2A], 20);
        assert_eq!(points[&Part::Raft2D], 20);
        assert_eq!(points[&Part::Kv3A], 60);
        assert_eq!(of_labs(Part::Raft2A..=Part::Raft2D), 100);
        assert_eq!(of_labs(Part::Kv3A..=Part::Kv3B), 100);
        // BEGIN SOLUTION 4A
        #[cfg(feature = "lab4")]
        assert_eq!((points[&Part::Shard4A], of_labs(Part::Shard4A..=Part::Shard4C)), (30, 100));
        // END SOLUTION
        assert_eq!(of_labs(Part::Beyond..=Part::Search), 0);
    }

    #[test]
    fn a_range_of_parts_includes_its_first_and_its_last() {
        let parts = |first, last| -> Vec<Part> {
            let mut parts: Vec<_> = between(ALL, first, last).iter().map(|t| t.part).collect();
            parts.dedup();
            parts
        };
        assert_eq!(parts(Part::Raft2B, Part::Raft2C), [Part::Raft2B, Part::Raft2C]);
        assert_eq!(parts(Part::Kv3B, Part::Kv3B), [Part::Kv3B]);
        assert_eq!(between(ALL, Part::Raft2A, Part::Search).len(), ALL.len());
    }
}
