//! Scenarios beyond the course's tests, generated from the seed: the size of the cluster, the
//! workload, the network's faults, and a schedule of crashes and cut links.
//!
//! Each scenario has two phases. In the first, anything may happen, and only safety is checked:
//! Raft's properties, agreement, linearizability. In the second, a majority of the servers runs on
//! a healed network while every other server is down or cut off in both directions, and now
//! progress is required too. One-way cuts, clogged links and paused servers are confined to the
//! first phase, because they can rightly stop a Raft without pre-vote and check-quorum: a server
//! that receives nothing keeps starting elections and disturbs the servers that do receive its
//! messages.
//!
//! | file | what it holds |
//! |---|---|
//! | `schedule` | what is drawn: the mix of faults, their order, their times |
//! | `fault_target` | how a step of the schedule is carried out on a cluster |
//! | `chaos_raft` | the scenario for a Raft alone |
//! | `chaos_kv` | the scenario for the key/value service |

use labraft::{Cluster, Failure, Reason};

mod chaos_kv;
mod chaos_raft;
mod fault_target;
mod schedule;

pub(crate) use chaos_kv::chaos_kv;
pub(crate) use chaos_raft::chaos_raft;

/// Ends the network's faults: from here on it is the course's network, and reliable.
fn heal_network(cluster: &Cluster) {
    cluster.step(|| "no more faults".into());
    cluster.lab().world().set_chaos(None);
    cluster.network().reliable(true);
    cluster.network().long_reordering(false);
}

/// The failure of a run whose healthy majority makes no progress.
fn standstill(cluster: &Cluster, majority: &[usize], what: impl std::fmt::Display) -> Failure {
    let (majority, what) = (majority.to_vec(), what.to_string());
    cluster.failure(None, Reason::Standstill { majority, what })
}
