//! The restarts of the key/value tests hit operations under way: what they are for.

use std::collections::BTreeMap;

use labraft::{HarnessEvent, run_test, select};
use labrpc::RunSpec;

/// How many answers came after so long that all servers had crashed meanwhile.
fn spanning_a_crash(name: &str, seed: u64) -> usize {
    let test = select(tests::SUITE, name).expect("the test is there")[0];
    let run = run_test(test, raft::REFERENCE, RunSpec::seed(seed), true);
    assert_eq!(run.result, Ok(()));
    let mut called = BTreeMap::new();
    let mut waits = Vec::new();
    for timed in &run.record {
        match HarnessEvent::of(timed) {
            Some(HarnessEvent::Called { call, .. }) => drop(called.insert(call, timed.at)),
            Some(HarnessEvent::Answered { call, .. }) => waits.push(timed.at - called[&call]),
            _ => {}
        }
    }
    // Between crash and restart there is a second.
    waits.iter().filter(|wait| wait.as_secs_f64() > 1.0).count()
}

#[test]
fn operations_are_under_way_when_servers_crash() {
    for name in ["PersistOneClient3A", "PersistConcurrent3A", "SnapshotRecoverManyClients3B"] {
        let counts: Vec<usize> = (0..5).map(|seed| spanning_a_crash(name, seed)).collect();
        let runs = counts.iter().filter(|&&count| count > 0).count();
        assert!(runs >= 4, "{name}: {counts:?}");
    }
}
