//! The tests of lab 2, and the clusters that they run on.

use labraft::{Checked, Config, Lab, Part, Steps, Test};

use crate::{raft_2a, raft_2b, raft_2c, raft_2d, raft_2e, raft_2f, raft_2g};

/// The tests of lab 2.
pub(super) const TESTS: &[Test] = &[
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
];

/// The tests of the optional parts, for Rafts that offer them.
pub(super) const OPTIONAL_TESTS: &[Test] = &[
    // Part 2E: a stable leader.
    Test {
        name: "ReturningServer2E",
        part: Part::Raft2E,
        title: "returning servers depose nobody",
        points: 3,
        cost: 2,
        run: |lab| servers(3).run(lab, raft_2e::returning_server),
    },
    Test {
        name: "DeafServer2E",
        part: Part::Raft2E,
        title: "a server that can send but hears nothing",
        points: 3,
        cost: 2,
        run: |lab| servers(5).run(lab, raft_2e::deaf_server),
    },
    Test {
        name: "LostMajority2E",
        part: Part::Raft2E,
        title: "a leader that loses its majority steps down",
        points: 4,
        cost: 2,
        run: |lab| servers(5).run(lab, raft_2e::lost_majority),
    },
    Test {
        name: "DeafLeader2E",
        part: Part::Raft2E,
        title: "a leader that can send but hears nothing",
        points: 4,
        cost: 2,
        run: |lab| servers(5).run(lab, raft_2e::deaf_leader),
    },
    Test {
        name: "Bridge2E",
        part: Part::Raft2E,
        title: "servers that reach each other only through another",
        points: 3,
        cost: 2,
        run: |lab| servers(5).run(lab, raft_2e::bridge),
    },
    Test {
        name: "OldLog2E",
        part: Part::Raft2E,
        title: "no election for a log that is behind",
        points: 2,
        cost: 2,
        run: |lab| servers(3).run(lab, raft_2e::old_log),
    },
    Test {
        name: "Restarts2E",
        part: Part::Raft2E,
        title: "restarted servers depose nobody",
        points: 1,
        cost: 2,
        run: |lab| servers(5).run(lab, raft_2e::restarts),
    },
    // Part 2F: leadership transfer.
    Test {
        name: "HandOver2F",
        part: Part::Raft2F,
        title: "leadership is handed to a server of choice",
        points: 4,
        cost: 2,
        run: |lab| servers(5).run(lab, raft_2f::hand_overs),
    },
    Test {
        name: "SlowTarget2F",
        part: Part::Raft2F,
        title: "leadership is handed to a server that lacks entries",
        points: 3,
        cost: 2,
        run: |lab| servers(5).run(lab, raft_2f::slow_target),
    },
    Test {
        name: "SnapshotTarget2F",
        part: Part::Raft2F,
        title: "leadership is handed to a server that needs a snapshot",
        points: 2,
        cost: 2,
        run: |lab| servers(3).snapshot().run(lab, raft_2f::snapshot_target),
    },
    Test {
        name: "DeadTarget2F",
        part: Part::Raft2F,
        title: "leadership cannot be handed over",
        points: 4,
        cost: 2,
        run: |lab| servers(5).run(lab, raft_2f::dead_target),
    },
    Test {
        name: "BusyLeader2F",
        part: Part::Raft2F,
        title: "no command is lost when leadership is handed over",
        points: 3,
        cost: 2,
        run: |lab| servers(5).run(lab, raft_2f::busy_leader),
    },
    Test {
        name: "SecondTransfer2F",
        part: Part::Raft2F,
        title: "leadership is handed over while it is handed over",
        points: 2,
        cost: 2,
        run: |lab| servers(5).run(lab, raft_2f::second_transfer),
    },
    Test {
        name: "OldTransfer2F",
        part: Part::Raft2F,
        title: "a leader is replaced while it hands over",
        points: 2,
        cost: 2,
        run: |lab| servers(5).run(lab, raft_2f::old_transfer),
    },
    // Part 2G: reads without the log.
    Test {
        name: "BasicReads2G",
        part: Part::Raft2G,
        title: "reads without log entries",
        points: 3,
        cost: 1,
        run: |lab| servers(3).run(lab, raft_2g::basic_reads),
    },
    Test {
        name: "SharedRounds2G",
        part: Part::Raft2G,
        title: "many reads share a round",
        points: 2,
        cost: 1,
        run: |lab| servers(5).run(lab, raft_2g::shared_rounds),
    },
    Test {
        name: "LostMajority2G",
        part: Part::Raft2G,
        title: "a leader without a majority confirms no reads",
        points: 3,
        cost: 2,
        run: |lab| servers(5).run(lab, raft_2g::lost_majority),
    },
    Test {
        name: "DeafLeader2G",
        part: Part::Raft2G,
        title: "a leader that hears nothing confirms no reads",
        points: 2,
        cost: 2,
        run: |lab| servers(5).run(lab, raft_2g::deaf_leader),
    },
    Test {
        name: "NewLeaders2G",
        part: Part::Raft2G,
        title: "new leaders know what is committed before they confirm",
        points: 4,
        cost: 2,
        run: |lab| servers(5).run(lab, raft_2g::new_leaders),
    },
    Test {
        name: "LateAnswers2G",
        part: Part::Raft2G,
        title: "answers that are lost, late or of another time",
        points: 3,
        cost: 2,
        run: |lab| servers(3).unreliable().run(lab, raft_2g::late_answers),
    },
    Test {
        name: "RestartedVoters2G",
        part: Part::Raft2G,
        title: "voters that restart while a leader confirms reads",
        points: 2,
        cost: 2,
        run: |lab| servers(3).run(lab, raft_2g::restarted_voters),
    },
    Test {
        name: "CostOfReads2G",
        part: Part::Raft2G,
        title: "reads cost a round, or nothing under a lease",
        points: 1,
        cost: 1,
        run: |lab| servers(3).run(lab, raft_2g::cost_of_reads),
    },
];

/// The cluster that a Raft test runs on: the parameters of the course's `make_config`.
#[derive(Copy, Clone)]
pub(super) struct RaftSetup {
    servers: usize,
    unreliable: bool,
    snapshot: bool,
}

/// A cluster on a reliable network, whose applier takes no snapshots.
pub(super) fn servers(servers: usize) -> RaftSetup {
    RaftSetup { servers, unreliable: false, snapshot: false }
}

impl RaftSetup {
    /// Makes the network lose and delay messages.
    pub(super) fn unreliable(self) -> RaftSetup {
        RaftSetup { unreliable: true, ..self }
    }

    /// Makes the applier take a snapshot every [`labraft::SNAPSHOT_INTERVAL`] commands.
    pub(super) fn snapshot(self) -> RaftSetup {
        RaftSetup { snapshot: true, ..self }
    }

    /// Runs a whole test: makes the cluster, announces the test, runs `body`, notes the statistics
    /// and cleans up. After a failure there is nothing to clean up: the world ends with the run.
    pub(super) fn run<Body>(self, lab: Lab, body: Body) -> Steps
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
