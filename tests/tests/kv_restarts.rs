//! The restarts of the key/value tests hit operations under way: what they are for.

use labraft::{run_test, select};
use labrpc::{Event, RunSpec};

/// How many answers came after so long that all servers had crashed meanwhile.
fn spanning_a_crash(name: &str, seed: u64) -> usize {
    let test = select(tests::SUITE, name).expect("the test is there")[0];
    let run = run_test(test, raft::REFERENCE, RunSpec::seed(seed), true);
    assert_eq!(run.result, Ok(()));
    let milliseconds = |text: &str| text.split(" after ").nth(1)?.split(' ').next()?.parse().ok();
    let waits = run.record.iter().filter_map(|timed| match &timed.event {
        Event::Custom { kind: "test", text } if text.starts_with("client ") => milliseconds(text),
        _ => None,
    });
    // Between crash and restart there is a second.
    waits.filter(|&wait: &f64| wait > 1000.0).count()
}

#[test]
fn operations_are_under_way_when_servers_crash() {
    for name in ["PersistOneClient3A", "PersistConcurrent3A", "SnapshotRecoverManyClients3B"] {
        let counts: Vec<usize> = (0..5).map(|seed| spanning_a_crash(name, seed)).collect();
        let runs = counts.iter().filter(|&&count| count > 0).count();
        assert!(runs >= 4, "{name}: {counts:?}");
    }
}
