//! The lab harness: the interface that a Raft implementation provides, and the tools that test it. The
//! harness does not depend on any particular implementation or test.
//!
//! Start here: [`Raft`] and [`Env`] are the contract, [`Config`] is the course's harness, [`Test`] is
//! one test of a suite, and [`run_test`] runs a test.
//!
//! | module | contents |
//! |---|---|
//! | `raft` | the contract: what an implementation receives and must provide |
//! | `message` | what a Raft's messages say, for the rules of figure 2 |
//! | `persister` | storage for a server's state that survives crashes |
//! | `cluster` | a group of servers that tests start, crash and disconnect, with message and byte counts |
//! | `config` | the Raft tests' cluster: connect, start1, crash1, one, check_one_leader, ... |
// BEGIN LAB 4
//! | `directory` | servers by their names: how those of one cluster reach those of another |
//! | `shard_probe` | what a server of the sharded service shows of itself |
//! | `shard_state` | what a group of lab 4 does with its shards, as recordings have it |
// END LAB 4
//! | `lab` | the environment of one test run: its world, its implementation and its results |
//! | `event_kind` | the event kinds that recordings, filters and views share |
//! | `harness_event` | machine-readable events that the harness records during a run |
//! | `server_names` | the names by which people know the servers of a run with several clusters |
//! | `state_recorder` | detects changes in a server's Raft state and records them |
//! | `property` | the names of the Raft properties that the harness checks |
//! | `invariants` | checks of these properties after every step of a run |
//! | `waypoint` | the situations that sweeps count, and sets of them; noticed by `invariants` |
//! | `situation` | a summary of the cluster's state, for reports of runs that have stalled |
//! | [`linearizability`] | checks whether key/value histories are linearizable |
//! | `reason` | the reasons why a run can fail, with evidence and readable messages |
//! | `cause` | the cause of a failure in machine-readable form |
//! | `failure` | the first failure of a run |
//! | `verdict` | fault profiles, and the verdict on a run |
//! | `without` | the properties and thresholds by which a run is not judged |
//! | `part` | the parts of the course's labs |
//! | `offer` | what a Raft offers beyond the course |
//! | `role` | a server's role: follower, candidate or leader |
//! | `audit` | finds servers and clients that know more than they were told |
//! | `suite` | test definitions, and patterns that select tests by name |
//! | `runner` | runs a test once and reports the outcome |
//! | `missing` | reports parts of an implementation that are not written yet |
//! | `command` | the integer and string commands that the course's tests propose |
//!
//! ```
//! use labraft::Command;
//! // A Raft sees commands as bytes; tests use integers and strings.
//! assert_eq!(Command::from_bytes(&Command::from(17).to_bytes()), Some(Command::Int(17)));
//! ```

// BEGIN LAB 4
mod directory;
mod shard_probe;
mod shard_state;

pub use directory::{Directory, NamedEnds};
pub use shard_probe::{ShardProbe, ShardSet};
pub use shard_state::{GroupChange, ShardState, shard_list, shard_row};
// END LAB 4

mod audit;
mod cause;
mod cluster;
mod command;
mod config;
mod event_kind;
mod failure;
mod harness_event;
mod invariants;
mod lab;
pub mod linearizability;
mod message;
mod missing;
mod offer;
mod open_world;
mod part;
mod persister;
mod property;
mod raft;
mod read;
mod reason;
mod role;
mod runner;
mod server_names;
mod situation;
mod state_recorder;
mod suite;
mod verdict;
mod waypoint;
mod without;

pub use audit::{Finding, FindingKind};
pub use cause::{Cause, CauseKind, Crash, Limit};
pub use cluster::{Cluster, NewServer, WeakCluster};
pub use command::{Command, show};
pub use config::{Config, MAX_LOG_SIZE_BYTES, RAFT_ELECTION_TIMEOUT, SNAPSHOT_INTERVAL};
pub use event_kind::EventKind;
pub use failure::{Checked, Failure};
pub use harness_event::{HarnessEvent, ServerState, WrittenEntry};
pub use lab::{Lab, Passed};
pub use message::{Describe, RaftMessage};
pub use missing::{MissingPiece, not_yet};
pub use offer::{Offer, Offers};
pub use open_world::{test_or_world, world_named, world_of};
pub use part::Part;
pub use persister::{Persister, Pieces};
pub use property::{Property, Severity, Violation};
pub use raft::{
    ApplyMsg, ApplyReceiver, ApplySender, EntryProbe, Env, FollowerProbe, HandedUp, Implementation,
    Probe, Raft, RaftState, Role, Started, apply_channel,
};
pub use read::PendingRead;
pub use reason::{Accepted, Expectation, Reason};
pub use runner::{Run, RunReport, run_test};
pub use server_names::{NamedCluster, ServerNames};
pub use state_recorder::ShowCommand;
pub use suite::{NoSuchTest, Steps, Test, select, test_limits};
pub use verdict::{Profile, Verdict};
pub use waypoint::{Waypoint, Waypoints};
pub use without::{Threshold, Without};
