//! Files that a disk or an editor has damaged: whatever reads them takes them or refuses them, and never
//! panics.

use std::fs;
use std::path::PathBuf;

use lab::damage::damaged;
use lab::records::{self, Build, RunRecord, Writer};
use lab::report::{Summary, github_annotations, github_summary, json_lines, junit};
use lab::repro::Repro;
use lab::submit::manifest::Manifest;
use lab::workers::Answer;
use lab::{recording, view};
use labraft::{Run, RunReport};
use labrpc::{Limits, RunSpec, Taken};

use crate::common::{lab, scratch, show, test_named};

fn failed(spec: RunSpec) -> RunReport {
    let run = Run::new(test_named("InitialElection2A"), raft::REFERENCE, spec);
    // Too little time, so that it fails.
    let limits =
        Limits { virtual_time: std::time::Duration::from_millis(600), ..Limits::default() };
    run.limits(limits).record(true).record_choices(true).run()
}

fn record(report: &RunReport) -> RunRecord {
    RunRecord::new(report, "reference", std::time::Duration::from_millis(7), &Build::default())
}

/// A place for the copies of one test.
fn place(name: &str) -> PathBuf {
    let place = scratch("damaged_files").join(name);
    _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).unwrap();
    place
}

#[test]
fn results() {
    let place = place("results");
    let path = records::path(&place);
    let mut writer = Writer::begin(&place).unwrap();
    for seed in 0..3 {
        writer.add(&record(&failed(RunSpec::seed(seed)))).unwrap();
    }
    drop(writer);
    let whole = fs::read(&path).unwrap();
    let replay = |record: &RunRecord| format!("replay {}", record.seed);
    let mut taken = 0;
    for copy in damaged(&whole) {
        fs::write(&path, copy).unwrap();
        let Ok(records) = records::read(&path) else { continue };
        taken += 1;
        let mut summary = Summary::default();
        records.all.iter().for_each(|record| summary.add(record));
        _ = summary.table(tests::SUITE) + &summary.reasons(5, replay);
        for form in [json_lines, junit, github_annotations, github_summary] {
            form(&summary, tests::SUITE, replay);
        }
    }
    assert!(taken > 100, "{taken} copies were read");
}

#[test]
fn repro_files() {
    let report = failed(RunSpec::seed(5));
    let decisions = report.choices.iter().take(100).map(|taken| (taken.address, taken.value));
    let spec = RunSpec::only(5, decisions.collect());
    let mut repro = Repro::new(&record(&report), spec.clone()).unwrap();
    repro.failure.details.clear();
    let whole = serde_json::to_string_pretty(&repro).unwrap();
    // A decision may now have a value that it cannot have.
    let run = |spec| {
        let result = failed(spec).result;
        let why = result.err().map(|failure| failure.to_string()).unwrap_or_default();
        assert!(!why.contains("panicked"), "{why}");
    };
    let largest = |taken: &Taken| (taken.address, u64::MAX);
    run(RunSpec::only(5, report.choices.iter().map(largest).collect()));
    let mut taken = 0;
    for copy in damaged(whole.as_bytes()) {
        let text = String::from_utf8_lossy(&copy);
        _ = Repro::is_one(&text);
        let Ok(repro) = Repro::parse(&text) else { continue };
        if repro.spec == spec {
            continue;
        }
        taken += 1;
        run(repro.spec);
    }
    assert!(taken > 20, "{taken} copies were run");
}

#[test]
fn recordings() {
    let path = place("recordings").join("one.run");
    let report = failed(RunSpec::seed(5));
    let record = record(&report);
    let mut answer = Answer::of(report, record, "");
    answer.events.truncate(60);
    recording::save(&RunSpec::seed(5), &answer, &path).unwrap();
    let whole = fs::read(&path).unwrap();
    let mut taken = 0;
    for copy in damaged(&whole) {
        fs::write(&path, copy).unwrap();
        _ = recording::is_one(&path);
        let Ok((_, answer)) = recording::load(&path) else { continue };
        taken += 1;
        let (count, mut out) = (answer.events.len(), Vec::new());
        view::lines(&answer, 0..count + 8, 80, "+ ", &mut out).unwrap();
        view::columns(&answer, &view::Columns::default(), &mut out).unwrap();
        view::servers_at(&answer.events, std::time::Duration::MAX);
        view::page(&answer, "replay", &[]);
        view::perfetto(&answer);
        view::shiviz(&answer, &view::Filter::default(), 100);
    }
    assert!(taken > 100, "{taken} copies were read");
}

#[test]
fn manifests() {
    let hash = "0".repeat(64);
    let whole = format!(
        "{{\"format\": 1, \"parts\": [\"2A\", \"3B\"], \"editable\": [\"raft/src/**/*.rs\"], \
         \"frozen\": {{\"Cargo.lock\": \"{hash}\"}}}}"
    );
    Manifest::parse(whole.as_bytes()).unwrap();
    for copy in damaged(whole.as_bytes()) {
        if let Ok(manifest) = Manifest::parse(&copy) {
            _ = manifest.may_edit("raft/src/a/b.rs") || manifest.may_edit("");
        }
    }
}

/// A server's number in a recording is where the log's columns end.
#[test]
fn a_comparison_with_a_damaged_recording_names_what_is_wrong() {
    let path = place("diff").join("one.run");
    let path = path.to_str().unwrap();
    let saved = lab()
        .args(["replay", "ReElection2A", "--seed", "1", "--save", path, "--out"])
        .arg(scratch("damaged_files").join("diff"))
        .output()
        .unwrap();
    assert!(saved.status.success(), "{}", show(&saved));
    let text = fs::read_to_string(path).unwrap();
    for (from, to, code) in [
        ("\"fact\":\"started\",\"server\":2", "\"fact\":\"started\",\"server\":7", 0),
        ("\"fact\":\"cluster\",\"servers\":3", "\"fact\":\"cluster\",\"servers\":1", 0),
        ("\"fact\":\"cluster\",\"servers\":3", "\"fact\":\"cluster\",\"servers\":3000000000", 2),
    ] {
        assert!(text.contains(from), "{from}");
        fs::write(format!("{path}.hurt"), text.replacen(from, to, 1)).unwrap();
        let output = lab().args(["diff", path, &format!("{path}.hurt")]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{to}: {}", show(&output));
    }
}
