//! Lab 4: the tests of the shard controller and of the sharded key/value service, with several clusters in a
//! run.
//!
//! | module | contents |
//! |---|---|
//! | `part_4a` | the tests of the controller |
//! | `part_4b`, `part_4c` | the tests of the sharded service, and of the challenges |
//! | `controllers` | the cluster of the tests of 4A, and its clerks |
//! | `groups` | controllers, groups and clients of the other tests |
//! | `work` | keys and values of those tests, and clients that work beside them |
//! | `chaos` | `ChaosShards`, a generated scenario |
//! | `short` | `ShortShards`, for searches |
//! | `single_server` | the Raft of that scenario: a cluster of one server |
//! | `configurations` | what must hold for the configurations of a controller |
//! | `checks` | the properties of the sharded service |
//! | `admin` | a client of the controllers |
//! | `agreement` | that the servers of a group agree |
//! | `states` | what groups do with their shards, for recordings and reports |
//! | `watch` | has controllers and groups checked, and groups recorded, after each poll of their tasks |

mod admin;
mod agreement;
mod chaos;
mod checks;
mod configurations;
mod controllers;
mod groups;
mod part_4a;
mod part_4b;
mod part_4c;
mod short;
mod single_server;
mod states;
mod watch;
mod work;

use labraft::{Part, Test};

use controllers::Controllers;
use groups::groups;

/// The tests of lab 4, and a generated scenario, which the course does not have.
pub(crate) const TESTS: &[Test] = &[
    // Part 4A: the shard controller.
    Test {
        name: "Basic4A",
        part: Part::Shard4A,
        title: "basic leave/join",
        points: 18,
        cost: 5,
        run: |lab| Controllers::run(lab, part_4a::basic),
    },
    Test {
        name: "Multi4A",
        part: Part::Shard4A,
        title: "multi-group join/leave",
        points: 12,
        cost: 5,
        run: |lab| Controllers::run(lab, part_4a::multi),
    },
    // Part 4B: the sharded key/value service.
    Test {
        name: "StaticShards4B",
        part: Part::Shard4B,
        title: "static shards",
        points: 4,
        cost: 30,
        run: |lab| groups().run(lab, part_4b::static_shards),
    },
    Test {
        name: "Rejection4B",
        part: Part::Shard4B,
        title: "shards of other groups are refused",
        points: 3,
        cost: 30,
        run: |lab| groups().run(lab, part_4b::rejection),
    },
    Test {
        name: "JoinLeave4B",
        part: Part::Shard4B,
        title: "join then leave",
        points: 4,
        cost: 30,
        run: |lab| groups().run(lab, part_4b::join_leave),
    },
    Test {
        name: "Snapshot4B",
        part: Part::Shard4B,
        title: "snapshots, join, and leave",
        points: 5,
        cost: 30,
        run: |lab| groups().snapshots(1000).run(lab, part_4b::snapshot),
    },
    Test {
        name: "MissChange4B",
        part: Part::Shard4B,
        title: "servers miss configuration changes",
        points: 5,
        cost: 30,
        run: |lab| groups().snapshots(1000).run(lab, part_4b::miss_change),
    },
    Test {
        name: "Concurrent14B",
        part: Part::Shard4B,
        title: "concurrent puts and configuration changes",
        points: 5,
        cost: 30,
        run: |lab| groups().snapshots(100).run(lab, part_4b::concurrent1),
    },
    Test {
        name: "Concurrent24B",
        part: Part::Shard4B,
        title: "more concurrent puts and configuration changes",
        points: 4,
        cost: 30,
        run: |lab| groups().run(lab, part_4b::concurrent2),
    },
    Test {
        name: "Concurrent34B",
        part: Part::Shard4B,
        title: "concurrent configuration change and restart",
        points: 5,
        cost: 30,
        run: |lab| groups().snapshots(300).run(lab, part_4b::concurrent3),
    },
    Test {
        name: "Unreliable14B",
        part: Part::Shard4B,
        title: "unreliable 1",
        points: 5,
        cost: 30,
        run: |lab| groups().unreliable().snapshots(100).run(lab, part_4b::unreliable1),
    },
    Test {
        name: "Unreliable24B",
        part: Part::Shard4B,
        title: "unreliable 2",
        points: 5,
        cost: 30,
        run: |lab| groups().unreliable().snapshots(100).run(lab, part_4b::unreliable2),
    },
    Test {
        name: "Unreliable34B",
        part: Part::Shard4B,
        title: "unreliable 3",
        points: 5,
        cost: 30,
        run: |lab| groups().unreliable().snapshots(100).run(lab, part_4b::unreliable3),
    },
    // Part 4C: its challenges.
    Test {
        name: "Delete4C",
        part: Part::Shard4C,
        title: "shard deletion",
        points: 8,
        cost: 30,
        run: |lab| groups().snapshots(1).run(lab, part_4c::delete),
    },
    Test {
        name: "Unaffected4C",
        part: Part::Shard4C,
        title: "unaffected shard access",
        points: 6,
        cost: 30,
        run: |lab| groups().unreliable().snapshots(100).run(lab, part_4c::unaffected),
    },
    Test {
        name: "Partial4C",
        part: Part::Shard4C,
        title: "partial migration shard access",
        points: 6,
        cost: 30,
        run: |lab| groups().unreliable().snapshots(100).run(lab, part_4c::partial),
    },
    // Beyond the course.
    Test {
        name: "ChaosShards",
        part: Part::Beyond,
        title: "random faults, and shards that move",
        points: 0,
        cost: 40,
        run: chaos::chaos_shards,
    },
];

/// A short scenario, for searches.
pub(crate) const SHORT: &[Test] = &[Test {
    name: "ShortShards",
    part: Part::Search,
    title: "shards that move between groups that restart",
    points: 0,
    cost: 1,
    run: short::short_shards,
}];
