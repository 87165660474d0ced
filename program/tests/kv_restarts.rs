//! The restarts in the key/value tests hit operations that are in progress, which is their purpose.

use std::collections::BTreeMap;

use labraft::{HarnessEvent, run_test};
use labrpc::RunSpec;

use crate::common::test_named;

/// The number of operations that took so long that all servers must have crashed during them.
fn spanning_a_crash(name: &str, seed: u64) -> usize {
    let run = run_test(test_named(name), raft::REFERENCE, RunSpec::seed(seed), true);
    assert_eq!(run.result, Ok(()));
    let mut called = BTreeMap::new();
    let mut waits = Vec::new();
    for timed in &run.events {
        match HarnessEvent::of(timed) {
            Some(HarnessEvent::Called { call, .. }) => drop(called.insert(call, timed.at)),
            Some(HarnessEvent::Answered { call, .. }) => waits.push(timed.at - called[&call]),
            _ => {}
        }
    }
    // Servers are down for one second.
    waits.iter().filter(|wait| wait.as_secs_f64() > 1.0).count()
}

#[test]
fn operations_are_in_progress_when_servers_crash() {
    for name in ["PersistOneClient3A", "PersistConcurrent3A", "SnapshotRecoverManyClients3B"] {
        let counts: Vec<usize> = (0..5).map(|seed| spanning_a_crash(name, seed)).collect();
        let runs = counts.iter().filter(|&&count| count > 0).count();
        assert!(runs >= 4, "{name}: {counts:?}");
    }
}
