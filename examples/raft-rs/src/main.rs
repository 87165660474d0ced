//! tikv's raft-rs in the lab.
//!
//! raft-rs is a Raft without I/O of its own: it is told what arrived and that time has passed, and
//! says what to save, send and apply. This program gives it the lab's disk, network and clock, and
//! has the whole `lab` command.
//!
//! Start with `storage`, then `node`, then one of the two ways to carry messages.
//!
//! | module | contents |
//! |---|---|
//! | `storage` | raft-rs's `Storage` on the lab's `Persister` |
//! | `node` | the state of a server: raft-rs's `RawNode`, and what happens to each `Ready` |
//! | `peer` | what both ways to carry messages share: tasks, and labraft's `Raft` |
//! | `paired` | each message is a call, and what it makes the receiver answer is the reply |
//! | `one_way` | each message is a call with an empty reply; a task handles `Ready` |
//! | `reads` | reads without log entries: who waits for which round |
//! | `wire` | raft-rs's messages as arguments of calls |
//! | `probe` | what the lab's checks may see |
//! | `describe` | what raft-rs's messages say, for the rules of figure 2 |
//! | `logging` | raft-rs's log lines in the log of a run |

use std::process::ExitCode;

use labraft::{Implementation, Offer};

mod describe;
mod logging;
mod node;
mod one_way;
mod paired;
mod peer;
mod probe;
mod reads;
mod storage;
mod wire;

/// raft-rs has pre-vote, check-quorum and the voters' lease, and `node` turns them on.
const STABLE_LEADER: Offer = Offer::StableLeader { election_timeout: node::ELECTION_TIMEOUT };
/// A leader of raft-rs gives up a transfer after an election time-out.
const TRANSFER: Offer = Offer::LeaderTransfer { longest: node::ELECTION_TIMEOUT };

/// The first is the default; `--implementation` names another.
const ALL: [Implementation; 4] = [
    Implementation::new("raft-rs", paired::make)
        .with_internal_entries()
        .with_messages(describe::describe)
        .offering(STABLE_LEADER)
        .offering(TRANSFER)
        .offering(Offer::ReadIndex),
    Implementation::new("raft-rs-one-way", one_way::make)
        .with_internal_entries()
        .with_one_way_messages()
        .with_messages(describe::describe)
        .offering(STABLE_LEADER)
        .offering(TRANSFER)
        .offering(Offer::ReadIndex),
    Implementation::new("raft-rs-batch-append", one_way::make_batching)
        .with_internal_entries()
        .with_one_way_messages()
        .with_messages(describe::describe)
        // Nothing else: its runs are recorded, and transfers and reads would be part of them.
        .offering(STABLE_LEADER),
    Implementation::new("raft-rs-lease-based", paired::make_with_leases)
        .with_internal_entries()
        .with_messages(describe::describe)
        .offering(STABLE_LEADER)
        .offering(TRANSFER)
        .offering(Offer::ReadIndex)
        // No clock is fast here, and that does not suffice.
        .offering(Offer::LeaseReads { clock_drift_percent: 0 }),
];

fn main() -> ExitCode {
    tests::lab_main(&ALL)
}
