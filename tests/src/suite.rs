//! The registry: every test of the course in the course's order, and the tests beyond the course.
//! The command line, `cargo test`, the grader and the reports are views of this table.

mod kv;
mod raft;

use labraft::{Part, Test};

use crate::{beyond, parts, scenarios};
use raft::servers;

/// Every test of the parts that this lab has.
///
/// Lab 2 is worth 100 points: 20 for 2A, 30 each for 2B and 2C, 20 for 2D. Parts 2E to 2G are optional, and worth 20 more each. Lab 3 is worth 100 as
/// well: 60 for 3A and 40 for 3B. Lab 4 is worth 100, too: 30 for 4A, 50 for 4B and 20 for 4C. Within a
/// part, tests that take more understanding are worth more.
/// Costs were measured with the reference Raft in a release build.
pub static SUITE: &[Test] = between(ALL, parts::FIRST, parts::LAST);

/// The tests of all parts, in the order of the parts.
static ALL: &[Test] = &joined::<
    {
        raft::TESTS.len()
            + OPTIONAL.len()
            + kv::TESTS.len()
            + SHARDED.len()
            + MORE.len()
            + SHORT_SHARDED.len()
    },
>([raft::TESTS, OPTIONAL, kv::TESTS, SHARDED, MORE, SHORT_SHARDED]);

/// The tests of optional parts, if this lab has any.
const OPTIONAL: &[Test] = match parts::LAST_OPTIONAL {
    Some(last) => between(raft::OPTIONAL_TESTS, parts::FIRST, last),
    None => &[],
};

// BEGIN LAB 4
//stub: /// The tests of lab 4, which this lab does not have.
//stub: const SHARDED: &[Test] = &[];
//stub: const SHORT_SHARDED: &[Test] = &[];
#[cfg(feature = "lab4")]
use crate::shards::{SHORT as SHORT_SHARDED, TESTS as SHARDED};

/// The tests of lab 4, which this lab does not have.
#[cfg(not(feature = "lab4"))]
const SHARDED: &[Test] = &[];
#[cfg(not(feature = "lab4"))]
const SHORT_SHARDED: &[Test] = &[];
// END LAB 4

/// Whether a test is one of lab 4, also if it is not in one of its parts.
pub fn is_of_lab_4(test: &Test) -> bool {
    [SHARDED, SHORT_SHARDED].into_iter().flatten().any(|of_lab_4| of_lab_4.name == test.name)
}

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
        name: "ShortConflicts",
        part: Part::Search,
        title: "logs that differ by several entries of several terms",
        points: 0,
        cost: 1,
        run: |lab| servers(3).run(lab, scenarios::short_conflicts),
    },
    Test {
        name: "ShortSnapshots",
        part: Part::Search,
        title: "two snapshots in one reign, and one in place of other entries",
        points: 0,
        cost: 1,
        run: |lab| servers(3).snapshot().run(lab, scenarios::short_snapshots),
    },
    Test {
        name: "ShortVotes",
        part: Part::Search,
        title: "two sides that need the same vote",
        points: 0,
        cost: 1,
        run: |lab| servers(5).run(lab, scenarios::short_votes),
    },
    Test {
        name: "ShortHalves",
        part: Part::Search,
        title: "an even number of servers, cut into halves",
        points: 0,
        cost: 1,
        run: |lab| servers(4).run(lab, scenarios::short_halves),
    },
    Test {
        name: "ShortLogEnds",
        part: Part::Search,
        title: "logs that end where a snapshot does",
        points: 0,
        cost: 1,
        run: |lab| servers(3).snapshot().run(lab, scenarios::short_log_ends),
    },
    Test {
        name: "ShortSlowService",
        part: Part::Search,
        title: "snapshots while a slow service has much to apply",
        points: 0,
        cost: 1,
        run: |lab| servers(3).snapshot().run(lab, scenarios::short_slow_service),
    },
    Test {
        name: "ShortOutage",
        part: Part::Search,
        title: "no server reaches another for a long time",
        points: 0,
        cost: 1,
        run: |lab| servers(3).run(lab, scenarios::short_outage),
    },
    Test {
        name: "ShortLosses",
        part: Part::Search,
        title: "a follower that has lost much of what it was sent",
        points: 0,
        cost: 1,
        run: |lab| servers(3).run(lab, scenarios::short_losses),
    },
    Test {
        name: "ShortReads",
        part: Part::Search,
        title: "reads on leaders that are replaced without knowing it",
        points: 0,
        cost: 1,
        run: |lab| servers(3).run(lab, scenarios::short_reads),
    },
    Test {
        name: "ShortService",
        part: Part::Search,
        title: "clients of a leader that is cut off, and of servers that restart",
        points: 0,
        cost: 1,
        run: scenarios::short_service,
    },
];

/// These lists one after the other. All of them together have this many tests.
const fn joined<const COUNT: usize>(mut lists: [&[Test]; 6]) -> [Test; COUNT] {
    let mut all = [MORE[0]; COUNT];
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
        let expected = [
            (Part::Raft2A, 20),
            (Part::Raft2B, 30),
            (Part::Raft2C, 30),
            (Part::Raft2D, 20),
            (Part::Raft2E, 20),
            (Part::Raft2F, 20),
            (Part::Raft2G, 20),
            (Part::Kv3A, 60),
            (Part::Kv3B, 40),
            // BEGIN LAB 4
            #[cfg(feature = "lab4")]
            (Part::Shard4A, 30),
            #[cfg(feature = "lab4")]
            (Part::Shard4B, 50),
            #[cfg(feature = "lab4")]
            (Part::Shard4C, 20),
            // END LAB 4
            (Part::Beyond, 0),
            (Part::Search, 0),
        ];
        assert_eq!(points.into_iter().collect::<Vec<_>>(), expected);
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
