//! The lab harness: what a Raft must offer, and how it is tested. It knows no particular Raft and no
//! particular test.
//!
//! Start here: [`Raft`] and [`Env`] are the contract, [`Config`] is the course's harness, [`Test`] is
//! one test of a suite, [`run_test`] runs it.
//!
//! | module | what it is |
//! |---|---|
//! | `raft` | the contract: what an implementation is given and must offer |
//! | `persister` | what survives a crash |
//! | `cluster` | servers that are started, crashed, cut off and counted |
//! | `config` | the Raft tests' cluster: connect, start1, crash1, one, check_one_leader, ... |
//! | `lab` | what one run of a test is given |
//! | `event_kind` | the kinds of events |
//! | `harness_event` | what the harness records of a run for programs |
//! | `state_recorder` | what to record of a Raft's state |
//! | `property` | the properties of Raft that are checked, by name |
//! | `invariants` | the checks of them, at every moment of every run |
//! | `situation` | what a cluster is at, for reports of runs in which nothing goes on |
//! | [`linearizability`] | whether what clients were answered fits one order of their operations |
//! | `reason` | what can be wrong, with the evidence, and the sentences for people |
//! | `cause` | the cause of a failure as data, for programs |
//! | `failure` | the first thing that was wrong in a run |
//! | `verdict` | how a run is judged, and under which faults |
//! | `part` | the parts of the course's labs |
//! | `suite` | tests as values, and patterns that choose among them |
//! | `runner` | one run |
//! | `missing` | what an unfinished implementation does not do yet |
//! | `command` | the commands of the course's tests |
//!
//! ```
//! use labraft::Command;
//! // Commands are bytes to a Raft, and numbers or texts to a test.
//! assert_eq!(Command::from_bytes(&Command::from(17).to_bytes()), Some(Command::Int(17)));
//! ```

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
mod missing;
mod part;
mod persister;
mod property;
mod raft;
mod reason;
mod role;
mod runner;
mod situation;
mod state_recorder;
mod suite;
mod verdict;

pub use cause::{Cause, CauseKind, Crash, Limit};
pub use cluster::{Cluster, NewServer, WeakCluster};
pub use command::{Command, show};
pub use config::{Config, MAX_LOG_SIZE_BYTES, RAFT_ELECTION_TIMEOUT, SNAPSHOT_INTERVAL};
pub use event_kind::EventKind;
pub use failure::{Checked, Failure};
pub use harness_event::{HarnessEvent, ServerState, WrittenEntry};
pub use lab::{Lab, Passed};
pub use missing::{MissingPiece, not_yet};
pub use part::Part;
pub use persister::{Persister, Pieces};
pub use property::{Property, Violation};
pub use raft::{
    ApplyMsg, ApplyReceiver, ApplySender, EntryProbe, Env, FollowerProbe, Implementation, Probe,
    Raft, RaftState, ReadSaved, Role, SavedState, Started, apply_channel,
};
pub use reason::{Expectation, Reason};
pub use runner::{Run, RunReport, run_test};
pub use state_recorder::ShowCommand;
pub use suite::{NoSuchTest, Steps, Test, select};
pub use verdict::{Profile, Verdict};
