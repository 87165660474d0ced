//! The stories that come with the lab show what they say, with the reference Raft.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::common::workspace;
use labraft::{HarnessEvent, Run, RunReport, Verdict, world_named};
use labrpc::RunSpec;
use serde_json::Value;

/// The stories with their names.
fn stories() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(workspace().join("docs/stories")).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if let Some(name) = name.strip_suffix(".story.json") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((name.to_string(), serde_json::from_str(&text).unwrap()));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// The runs of a story's steps, each with the time that is shown last, if not all of it is shown.
fn steps(story: &Value) -> Vec<(RunReport, Option<f64>)> {
    let test = world_named(story["test"].as_str().unwrap()).unwrap();
    let mut spec = None;
    let steps = story["steps"].as_array().unwrap().iter().map(|step| {
        if !step["spec"].is_null() {
            spec = Some(serde_json::from_value::<RunSpec>(step["spec"].clone()).unwrap());
        }
        let report = Run::new(test, raft::REFERENCE, spec.clone().unwrap()).record(true).run();
        (report, step["show"][1].as_f64())
    });
    steps.collect()
}

/// The terms of each server's log at a time.
fn logs(report: &RunReport, at: f64) -> Vec<Vec<u64>> {
    let mut logs: Vec<Vec<u64>> = Vec::new();
    let at = Duration::from_secs_f64(at);
    for timed in report.events.iter().filter(|timed| timed.at <= at) {
        match (HarnessEvent::of(timed), timed.node.as_server()) {
            (Some(HarnessEvent::Cluster { servers, .. }), _) => logs = vec![Vec::new(); servers],
            (Some(HarnessEvent::State(state)), Some(server)) => {
                for (index, term, _) in &state.written {
                    logs[server].truncate(*index as usize - 1);
                    logs[server].push(*term);
                }
                logs[server].truncate(state.last_index as usize);
            }
            _ => {}
        }
    }
    logs
}

/// The logs at the end of what a step shows.
fn logs_of(story: &str, step: usize) -> Vec<Vec<u64>> {
    let all = stories();
    let (_, story) = all.iter().find(|(name, _)| name == story).unwrap();
    let (report, until) = &steps(story)[step];
    logs(report, until.unwrap_or(1e9))
}

#[test]
fn nothing_fails_in_a_story() {
    let all = stories();
    assert_eq!(all.len(), 5);
    for (name, story) in all {
        for (number, (report, _)) in (1..).zip(steps(&story)) {
            assert_eq!(
                report.verdict(),
                Verdict::Passed,
                "{name}, step {number}: {:?}",
                report.result
            );
        }
    }
}

#[test]
fn the_logs_of_figure_7_come_about() {
    let expected: [&[u64]; 7] = [
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6],
        &[1, 1, 1, 4],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        &[1, 1, 1, 4, 4, 4, 4],
        &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ];
    assert_eq!(logs_of("figure-7", 7), expected);
    let last = logs_of("figure-7", 8);
    assert!(last.iter().all(|log| *log == [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 8]), "{last:?}");
}

#[test]
fn an_entry_on_a_majority_is_overwritten_in_figure_8() {
    assert_eq!(logs_of("figure-8", 3)[..3], [[1, 2], [1, 2], [1, 2]]);
    assert_eq!(logs_of("figure-8", 4)[1..4], [[1, 3], [1, 3], [1, 3]]);
    assert_eq!(logs_of("figure-8", 6)[1..3], [[1, 2, 4], [1, 2, 4]]);
}

#[test]
fn an_old_leader_loses_what_was_never_committed() {
    assert_eq!(logs_of("partitioned-leader", 2)[..2], [[1, 1], [1, 1]]);
    assert_eq!(logs_of("partitioned-leader", 3)[2..], [[1, 2], [1, 2], [1, 2]]);
    assert!(logs_of("partitioned-leader", 4).iter().all(|log| *log == [1, 2]));
}
