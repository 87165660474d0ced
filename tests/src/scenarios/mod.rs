//! Scenarios beyond the course's tests, generated from the seed: the size of the cluster, the
//! workload, the network's faults, and a schedule of crashes and cut links.
//!
//! `ChaosRaft` and `ChaosKv` have two phases. In the first, anything may happen, and only safety is checked:
//! Raft's properties, agreement, linearizability. In the second, a majority of the servers runs on
//! a healed network while every other server is down or cut off in both directions, and now
//! progress is required too. One-way cuts, clogged links and paused servers are confined to the
//! first phase, because they can rightly stop a Raft without pre-vote and check-quorum: a server
//! that receives nothing keeps starting elections and disturbs the servers that do receive its
//! messages. A Raft that offers part 2E has to make progress all the same, so for such a Raft the servers outside
//! the majority of `ChaosRaft` may be cut off in one direction only. One that offers part 2F is told to hand over
//! leadership again and again in the first phase of `ChaosRaft`. The scenarios of restarts go through two such
//! phases in each of their rounds.
//!
//! | file | what it holds |
//! |---|---|
//! | `schedule` | what is drawn: the mix of faults, their order, their times |
//! | `fault_target` | how a step of the schedule is carried out on a cluster |
//! | `chaos_raft` | the scenario for a Raft alone |
//! | `chaos_kv` | the scenario for the key/value service |
//! | `work` | what the clients of key/value services do |
//! | `restarts` | the scenarios for what a Raft must remember when it restarts |
//! | `short` | scenarios with nothing generated, for `lab search` |
//! | `quiet` | more of them, in which something has to happen while nothing more is started |
//! | `replaced` | one more, in which leaders are replaced without knowing it |

use labraft::{Checked, Cluster, Config, Failure, Reason};

use crate::steps::random;

mod chaos_kv;
mod chaos_raft;
mod fault_target;
mod quiet;
mod replaced;
mod restarts;
mod schedule;
mod short;
mod work;

pub(crate) use chaos_kv::chaos_kv;
pub(crate) use chaos_raft::chaos_raft;
pub(crate) use quiet::{short_log_ends, short_outage, short_slow_service};
pub(crate) use replaced::short_reads;
pub(crate) use restarts::{restarted_followers, restarted_voters};
pub(crate) use short::{
    short_conflicts, short_elections, short_halves, short_losses, short_replication,
    short_restarts, short_service, short_snapshots, short_votes,
};
// BEGIN LAB 4
#[cfg(feature = "lab4")]
pub(crate) use work::{Work, append_and_read, read_and_write};
// END LAB 4

/// Ends the network's faults: from here on it is the course's network, and reliable.
pub(crate) fn heal_network(cluster: &Cluster) {
    cluster.step(|| "no more faults".into());
    cluster.lab().world().set_chaos(None);
    cluster.network().reliable(true);
    cluster.network().long_reordering(false);
}

/// The failure of a run whose healthy majority makes no progress.
pub(crate) fn standstill(
    cluster: &Cluster,
    majority: &[usize],
    what: impl std::fmt::Display,
) -> Failure {
    let (majority, what) = (majority.to_vec(), what.to_string());
    cluster.failure(None, Reason::Standstill { majority, what })
}

/// Checks that these servers agree on one more command.
async fn agree(cfg: &Config, servers: &[usize]) -> Checked<()> {
    match cfg.one(random(cfg), servers.len(), true).await {
        Ok(_) => Ok(()),
        Err(failure) if matches!(failure.reason, Reason::NoAgreement { .. }) => {
            Err(standstill(cfg, servers, failure))
        }
        Err(failure) => Err(failure),
    }
}
