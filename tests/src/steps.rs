//! Steps and checks that the tests of several parts share.

use std::future::pending;
use std::time::Duration;

use labraft::{Checked, Cluster, Command, Config, Expectation, Reason, Threshold, expectation};
use labrpc::JoinHandle;

/// The number of values of Go's `rand.Int()`, which has 63 bits.
pub(crate) const RANDOM_INTS: u64 = 1 << 63;

/// A random command. With 63 bits it is unique for all practical purposes.
pub(crate) fn random(cfg: &Config) -> u64 {
    cfg.dice().below(RANDOM_INTS)
}

/// The number in a command, or `None` if the command is not a number.
pub(crate) fn as_int(command: &[u8]) -> Option<u64> {
    Command::from_bytes(command)?.as_int()
}

/// Fails the test with the expectation that `otherwise` returns, unless `holds` is true.
pub(crate) fn check(
    cfg: &Cluster,
    holds: bool,
    otherwise: impl FnOnce() -> Expectation,
) -> Checked<()> {
    if holds { Ok(()) } else { Err(cfg.expected(otherwise())) }
}

/// Fails the test if a threshold is exceeded, unless the run is made without this threshold.
pub(crate) fn check_threshold(
    cfg: &Cluster,
    threshold: Threshold,
    holds: bool,
    otherwise: impl FnOnce() -> Expectation,
) -> Checked<()> {
    check(cfg, holds || !cfg.lab().without().has_threshold(threshold), otherwise)
}

/// The saved state may be this many times as large as the snapshot threshold.
const LOG_SIZE_FACTOR: usize = 8;

/// Checks that snapshots have kept the saved state small, or, in a test without snapshots, that
/// there is no snapshot: the course's `checklogs`.
pub(crate) fn check_sizes(cluster: &Cluster, max_raft_state: Option<usize>) -> Checked<()> {
    let log = cluster.log_size();
    let snapshot = cluster.snapshot_size();
    match max_raft_state {
        Some(max) => {
            let is_small = log <= LOG_SIZE_FACTOR * max;
            check_threshold(cluster, Threshold::SavedSize, is_small, || {
                expectation!("logs were not trimmed ({log} > {LOG_SIZE_FACTOR}*{max})")
            })
        }
        None => check(cluster, snapshot == 0, || {
            expectation!("snapshot too large ({snapshot}), should not be used")
        }),
    }
}

/// How often a test looks for a leader.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(25);
/// How long it looks for one: as long as the course's tests do.
const LONGEST_ELECTION: Duration = Duration::from_secs(5);

/// The leader of the highest term among the servers that `is_asked` accepts, and that term, as soon as there is one
/// in a term that is not below `first_term`.
pub(crate) async fn find_leader(
    cfg: &Config,
    is_asked: impl Fn(usize) -> bool,
    first_term: u64,
) -> Checked<(usize, u64)> {
    let end = cfg.tester().now() + LONGEST_ELECTION;
    while cfg.tester().now() < end {
        let asked = (0..cfg.n()).filter(|&i| is_asked(i));
        let states = asked.filter_map(|i| Some((i, cfg.state(i)?)));
        let leaders = states.filter(|(_, state)| state.is_leader && state.term >= first_term);
        if let Some((leader, state)) = leaders.max_by_key(|(_, state)| state.term) {
            return Ok((leader, state.term));
        }
        cfg.sleep(LOOK_EVERY).await;
    }
    Err(cfg.failure(None, Reason::NoLeader))
}

/// The index that the next command must get after one at `last`. The course expects exact indexes,
/// which a Raft with internal entries cannot give: there, only the order counts.
pub(crate) fn next_index(cfg: &Config, last: u64, in_course: u64) -> u64 {
    if cfg.lab().implementation().has_internal_entries { last + 1 } else { in_course }
}

/// Checks the index of a command against what [`next_index`] returned, and returns it.
pub(crate) fn check_index(
    cfg: &Config,
    index: u64,
    expected: u64,
    otherwise: impl FnOnce() -> Expectation,
) -> Checked<u64> {
    let is_later = index > expected && cfg.lab().implementation().has_internal_entries;
    check(cfg, index == expected || is_later, otherwise)?;
    Ok(index)
}

/// The number of RPCs: the requests that all servers have received.
pub(crate) fn rpcs(cfg: &Config) -> u64 {
    per_rpc(cfg, (0..cfg.n()).map(|i| cfg.rpc_count(i)).sum())
}

/// The number of RPCs that so many requests are. An RPC of a Raft with one-way messages is two of them,
/// because its answer is a request as well.
pub(crate) fn per_rpc(cfg: &Config, requests: u64) -> u64 {
    if cfg.lab().implementation().has_one_way_messages { requests / 2 } else { requests }
}

/// Starts a server from its saved state and connects it. A server that is running crashes first.
pub(crate) fn restart(cfg: &Config, i: usize) {
    cfg.start1(i);
    cfg.connect(i);
}

/// Runs a client in parallel with the test. A failure that the client finds ends the run at once,
/// so the client's task then stays pending.
#[track_caller]
pub(crate) fn spawn_client<T: 'static>(
    cfg: &Cluster,
    name: &'static str,
    client: impl Future<Output = Checked<T>> + 'static,
) -> JoinHandle<T> {
    let lab = cfg.lab().clone();
    cfg.tester().spawn(name, async move {
        match client.await {
            Ok(value) => value,
            Err(failure) => {
                lab.fail_with(failure);
                pending().await
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use labraft::{Lab, Part, Steps, Test, expectation, run_test};
    use labrpc::RunSpec;

    use super::*;

    fn client_fails(lab: Lab) -> Steps {
        Box::pin(async move {
            let cfg = lab.make_config(3, false, false);
            let inside = cfg.clone();
            drop(spawn_client(&cfg, "client", async move {
                inside.sleep(Duration::from_secs(1)).await;
                check(&inside, false, || expectation!("it fails"))
            }));
            pending().await
        })
    }

    static CLIENT_FAILS: Test = Test {
        name: "ClientFails",
        part: Part::Beyond,
        title: "a client fails",
        points: 0,
        cost: 1,
        run: client_fails,
    };

    #[test]
    fn a_failure_of_a_client_tells_what_the_servers_are_at() {
        let report = run_test(&CLIENT_FAILS, raft::REFERENCE, RunSpec::seed(0), false);
        let failure = report.result.expect_err("the client fails");
        let is_told = failure.situation.iter().any(|line| line.starts_with("server 0: "));
        assert!(is_told, "{:#?}", failure.situation);
    }
}
