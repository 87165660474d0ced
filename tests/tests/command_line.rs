//! What `lab` says and how it ends, seen from outside.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn out() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("command_line")
}

fn lab(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.args(args);
    if !["list", "hint"].contains(&args[0]) {
        // Tests of this file run side by side, and each is about other tests of the suite.
        command.arg("--out").arg(out().join(args[1]));
    }
    command.output().unwrap()
}

/// Exit code, standard output, standard error.
fn said(args: &[&str]) -> (i32, String, String) {
    let output = lab(args);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_run_prints_the_course_words_and_the_seed() {
    let (code, out, _) = said(&["run", "InitialElection2A"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("Test (2A): initial election ...\n  ... Passed --"), "{out}");
    assert!(out.trim_end().ends_with("seed 0"), "{out}");
}

#[test]
fn a_sweep_prints_a_line_a_test() {
    let (code, out, _) = said(&["run", "2A", "--seeds", "3..5"]);
    assert_eq!(code, 0);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 4, "a head and three tests: {out}");
    let words: Vec<&str> = lines[1].split_whitespace().take(3).collect();
    assert_eq!(words, ["InitialElection2A", "2", "0"], "{out}");
}

#[test]
fn a_replay_knows_the_recorded_run() {
    // What an earlier `cargo test` has kept is not this build's.
    _ = std::fs::remove_dir_all(out().join("BasicAgree2B"));
    let (_, unknown, _) = said(&["replay", "BasicAgree2B", "--seed", "12345678"]);
    assert!(unknown.contains("no earlier run"), "{unknown}");
    said(&["run", "BasicAgree2B", "--seed", "12345678"]);
    let (code, out, _) = said(&["replay", "BasicAgree2B", "--seed", "12345678", "--log"]);
    assert_eq!(code, 0);
    assert!(out.contains("the same run as recorded, bit for bit"), "{out}");
    assert!(out.contains("Leader of term"), "the implementation's own lines are in the log");
    assert!(
        out.contains("<- 0: AppendEntries") || out.contains("<- 1: AppendEntries"),
        "and the messages"
    );
}

#[test]
fn what_is_wrong_with_a_command_is_said_with_exit_code_2() {
    for (args, hint) in [
        (&["run", "Backup2C"][..], "did you mean Backup2B?"),
        (&["run", "Figure9"], "did you mean Figure8"),
        (&["run", "2A", "--seeds", "7..7"], "the range is empty"),
        (&["run", "2A", "--seeds", "9..3"], "did you mean 3..9?"),
        (&["run", "2A", "--seeds", "many"], "not a number"),
        (&["run", "2A", "--jobs", "0"], "at least 1 job"),
        (&["run", "2A", "--jobs", "1000000"], "1024 are the most"),
        (&["run", "2A", "--implementation", "mine"], "there are: reference"),
        (&["run", "2A", "--seed", "18446744073709551615"], "largest seed"),
        (&["replay", "2A", "--seed", "1"], "means 3 tests"),
        (&["replay", "Backup2B"], "--seed"),
        (&["list", "nothing"], "no test is called"),
    ] {
        let (code, out, error) = said(args);
        assert_eq!(code, 2, "{args:?}: {out}{error}");
        assert!(error.contains(hint), "{args:?}: {error}");
        assert!(!error.contains("panicked"), "{args:?}: {error}");
    }
}

#[test]
fn hints_come_one_at_a_time() {
    let (code, out, _) = said(&["hint", "2b", "2"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.starts_with("Part 2B, hint 2 of ") && out.contains(" hint 2B 3\n"), "{out}");
    for wrong in [["hint", "2E", "1"], ["hint", "2A", "0"], ["hint", "2A", "two"]] {
        let (code, out, error) = said(&wrong);
        assert_eq!((code, out.as_str()), (2, ""), "{wrong:?}");
        assert!(error.starts_with("error: "), "{wrong:?}: {error}");
    }
}

#[test]
fn the_log_stays_within_its_width_and_shows_what_is_asked_for() {
    let log = |more: &[&str]| {
        let seed = ["replay", "Backup2B", "--seed", "3", "--log"];
        said(&[&seed[..], more].concat()).1
    };
    let all = log(&[]);
    assert!(all.lines().count() > 1000 && all.lines().all(|line| line.chars().count() <= 120));
    assert!(all.starts_with("       time  S0    S1    S2    S3    S4\n"), "{}", &all[..200]);
    let votes = log(&["--only", "vote", "--servers", "1", "--to", "1s"]);
    let events: Vec<&str> =
        votes.lines().skip(1).take_while(|line| line.starts_with(' ')).collect();
    assert!(!events.is_empty(), "{votes}");
    for event in events {
        // The column of server 1 begins at 19; its words follow what it is at.
        let is_of_server_1 = event[25..].starts_with("-> ") || event[25..].starts_with("<- ");
        assert!(is_of_server_1 && event.contains("RequestVote"), "{event}");
    }
    assert!(log(&["--grep", "accepted"]).lines().count() < all.lines().count() / 4);
}

#[test]
fn what_is_no_repro_file_is_said() {
    let path = out().join("repro.json");
    std::fs::create_dir_all(out()).unwrap();
    let name = path.to_str().unwrap();
    for (text, hint) in [
        ("{\"format\": \"lab repro 0\", \"test\": \"Backup2B\"}", "\"lab repro 0\""),
        ("{\"format\": \"lab repro 1\", \"test\": \"Backup2B\"}", "missing field"),
        ("{\"format\": \"lab re", "damaged"),
        ("anything", "line 1"),
    ] {
        std::fs::write(&path, text.to_string() + "\n").unwrap();
        for command in ["replay", "shrink"] {
            let output = Command::new(env!("CARGO_BIN_EXE_lab")).args([command, name]).output();
            let output = output.unwrap();
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{text}: {error}");
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}

#[test]
fn a_run_that_passes_cannot_be_shrunk_and_two_runs_can_be_compared() {
    let (code, _, error) = said(&["shrink", "BasicAgree2B", "--seed", "1"]);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("nothing to shrink"), "{error}");
    let saved = out().join("saved.run");
    let saved = saved.to_str().unwrap();
    said(&["replay", "InitialElection2A", "--seed", "1", "--save", saved]);
    let (code, same, _) = said(&["diff", saved, "InitialElection2A:1"]);
    assert!(code == 0 && same.contains("the two are the same"), "{same}");
    let (_, other, _) = said(&["diff", saved, "InitialElection2A:2"]);
    assert!(other.contains("the same up to event"), "{other}");
}

#[test]
fn patterns_choose_by_part_name_and_piece() {
    let count = |pattern: &str| said(&["list", pattern]).1.lines().count();
    let patterns = ["2", "3", "2a", "2C", "3B", "backup2b", "Snapshot", "Churn"];
    assert_eq!(patterns.map(count), [28, 23, 3, 8, 9, 1, 16, 2]);
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["replay", "Backup2B", "--seed", "1", "--log"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_run_is_written_for_viewers_and_the_files_are_named() {
    let directory = out().join("views");
    std::fs::create_dir_all(&directory).unwrap();
    let file = |name: &str| directory.join(name).to_string_lossy().into_owned();
    let (html, perfetto, shiviz) = (file("run.html"), file("run.json"), file("run.log"));
    let words = ["replay", "ReElection2A", "--seed", "0", "--html", &html, "--perfetto", &perfetto];
    let (code, out, _) = said(&[&words[..], &["--shiviz", &shiviz, "--only", "vote"]].concat());
    assert_eq!(code, 0);
    assert!(out.contains(&format!("page: {html}\n")), "{out}");
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    assert!(read(&html).starts_with("<!doctype html>"));
    let trace: serde_json::Value = serde_json::from_str(&read(&perfetto)).unwrap();
    assert!(trace["traceEvents"].as_array().is_some_and(|events| events.len() > 100));
    let log = read(&shiviz);
    assert!(log.contains("RequestVote") && !log.contains("AppendEntries"), "{log}");
    let (code, _, error) = said(&["replay", "ReElection2A", "--seed", "0", "--only", "vote"]);
    assert_eq!(code, 2);
    assert!(error.contains("--log"), "{error}");
}

#[test]
fn only_a_handout_can_be_submitted() {
    let workspace = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let outside = std::env::temp_dir();
    for (place, hint) in [(outside.as_path(), "not within a lab"), (workspace, "is no handout")] {
        let output = Command::new(env!("CARGO_BIN_EXE_lab"))
            .arg("submit")
            .current_dir(place)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && text.contains(hint), "{text}");
    }
}
