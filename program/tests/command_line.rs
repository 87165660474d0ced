//! The output and the exit codes of the `lab` program.

use std::path::PathBuf;
use std::process::{Output, Stdio};

use crate::common::{lab, scratch, show, workspace};

fn out() -> PathBuf {
    scratch("command_line")
}

/// Runs `lab`. Returns its exit code, standard output and standard error.
fn run_lab(args: &[&str]) -> (i32, String, String) {
    let mut command = lab();
    command.args(args);
    if !["list", "hint"].contains(&args[0]) {
        // The tests of this file run in parallel, and each uses other tests of the suite.
        command.arg("--out").arg(out().join(args[1]));
    }
    texts(command.output().unwrap())
}

/// Exit code, standard output and standard error.
fn texts(output: Output) -> (i32, String, String) {
    let code = output.status.code().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    (code, stdout, stderr)
}

/// The log of seed 3 of `Backup2B`.
fn log_of_backup(more: &[&str]) -> String {
    let replay = ["replay", "Backup2B", "--seed", "3", "--log"];
    let (_, log, _) = run_lab(&[&replay[..], more].concat());
    log
}

#[test]
fn a_run_prints_what_the_course_prints_and_the_seed() {
    let (code, out, _) = run_lab(&["run", "InitialElection2A"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("Test (2A): initial election ...\n  ... Passed --"), "{out}");
    assert!(out.trim_end().ends_with("seed 0"), "{out}");
}

#[test]
fn a_sweep_prints_a_line_for_each_test() {
    let (code, out, _) = run_lab(&["run", "2A", "--seeds", "3..5"]);
    assert_eq!(code, 0);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 5, "a heading, three tests, and what no run came to: {out}");
    let words: Vec<&str> = lines[1].split_whitespace().take(3).collect();
    assert_eq!(words, ["InitialElection2A", "2", "0"], "{out}");
}

#[test]
fn a_replay_recognises_the_recorded_run() {
    // Results left by an earlier `cargo test` may come from another build.
    _ = std::fs::remove_dir_all(out().join("BasicAgree2B"));
    let (_, unknown, _) = run_lab(&["replay", "BasicAgree2B", "--seed", "12345678"]);
    assert!(unknown.contains("no earlier run"), "{unknown}");
    run_lab(&["run", "BasicAgree2B", "--seed", "12345678"]);
    let (code, out, _) = run_lab(&["replay", "BasicAgree2B", "--seed", "12345678", "--log"]);
    assert_eq!(code, 0);
    assert!(out.contains("the same run as recorded, bit for bit"), "{out}");
    assert!(out.contains("Leader of term"), "the implementation's own lines are in the log");
    assert!(
        out.contains("<- 0: AppendEntries") || out.contains("<- 1: AppendEntries"),
        "and the messages"
    );
}

#[test]
fn a_wrong_command_is_explained_and_exits_with_code_2() {
    for (args, hint) in [
        (&["run", "Backup2C"][..], "did you mean Backup2B?"),
        (&["run", "Figure9"], "did you mean Figure8"),
        (&["run", "2A", "--seeds", "7..7"], "the range is empty"),
        (&["run", "2A", "--seeds", "9..3"], "did you mean 3..9?"),
        (&["run", "2A", "--seeds", "many"], "not a number"),
        (&["run", "2A", "--jobs", "0"], "must be at least 1"),
        (&["run", "2A", "--jobs", "1000000"], "at most 1024 are allowed"),
        (&["run", "2A", "--implementation", "mine"], "choose from reference"),
        (&["run", "2A", "--seed", "18446744073709551615"], "largest seed"),
        (&["run", "2A", "--wall-limit", "18446744073709551615"], "is not in 1..=31536000"),
        (&["run", "2A", "--memory", "18446744073709551615"], "is not in 128..=1099511627776"),
        (&["run", "2A", "--for", "9000000000000000000s"], "a year, 8760h"),
        (&["run", "2A", "--shard", "1/18446744073709551615"], "at most 1000000 shares"),
        (&["run", "2A", "--shard", "1/400000000"], "at most 1000000 shares"),
        (&["replay", "2A", "--seed", "1"], "matches 3 tests"),
        (&["replay", "Backup2B"], "--seed"),
        (&["list", "nothing"], "no test matches"),
    ] {
        let (code, out, error) = run_lab(args);
        assert_eq!(code, 2, "{args:?}: {out}{error}");
        assert!(error.contains(hint), "{args:?}: {error}");
        assert!(!error.contains("panicked"), "{args:?}: {error}");
    }
}

#[test]
fn hints_come_one_at_a_time() {
    let (code, out, _) = run_lab(&["hint", "2b", "2"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.starts_with("Part 2B, hint 2 of ") && out.contains(" hint 2B 3\n"), "{out}");
    for wrong in [["hint", "2X", "1"], ["hint", "2A", "0"], ["hint", "2A", "two"]] {
        let (code, out, error) = run_lab(&wrong);
        assert_eq!((code, out.as_str()), (2, ""), "{wrong:?}");
        assert!(error.starts_with("error: "), "{wrong:?}: {error}");
    }
}

#[test]
fn the_log_stays_within_its_width_and_shows_only_what_is_selected() {
    let all = log_of_backup(&[]);
    assert!(all.lines().count() > 1000 && all.lines().all(|line| line.chars().count() <= 120));
    assert!(all.starts_with("       time  S0    S1    S2    S3    S4\n"), "{}", &all[..200]);
    let votes = log_of_backup(&["--only", "vote", "--servers", "1", "--to", "1s"]);
    let events: Vec<&str> =
        votes.lines().skip(1).take_while(|line| line.starts_with(' ')).collect();
    assert!(!events.is_empty(), "{votes}");
    for event in events {
        // The column of server 1 begins at 19, and its text follows the server's role and term.
        let is_of_server_1 = event[25..].starts_with("-> ") || event[25..].starts_with("<- ");
        assert!(is_of_server_1 && event.contains("RequestVote"), "{event}");
    }
    assert!(log_of_backup(&["--grep", "accepted"]).lines().count() < all.lines().count() / 4);
}

#[test]
fn a_file_that_is_not_a_repro_file_is_explained() {
    let path = out().join("repro.json");
    std::fs::create_dir_all(out()).unwrap();
    let name = path.to_str().unwrap();
    for (text, hint) in [
        ("{\"format\": \"lab repro 0\", \"test\": \"Backup2B\"}", "\"lab repro 0\""),
        ("{\"format\": \"lab repro 2\", \"test\": \"Backup2B\"}", "missing field"),
        ("{\"format\": \"lab re", "damaged"),
        ("anything", "line 1"),
    ] {
        std::fs::write(&path, text.to_string() + "\n").unwrap();
        for command in ["replay", "shrink"] {
            let (code, _, error) = texts(lab().args([command, name]).output().unwrap());
            assert_eq!(code, 2, "{text}: {error}");
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}

#[test]
fn a_run_that_passes_cannot_be_shrunk_and_two_runs_can_be_compared() {
    let (code, _, error) = run_lab(&["shrink", "BasicAgree2B", "--seed", "1"]);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("nothing to shrink"), "{error}");
    let saved = out().join("saved.run");
    let saved = saved.to_str().unwrap();
    run_lab(&["replay", "InitialElection2A", "--seed", "1", "--save", saved]);
    let (code, same, _) = run_lab(&["diff", saved, "InitialElection2A:1"]);
    assert!(code == 0 && same.contains("the two runs are the same"), "{same}");
    let (_, other, _) = run_lab(&["diff", saved, "InitialElection2A:2"]);
    assert!(other.contains("the same up to event"), "{other}");
}

#[test]
fn a_saved_run_can_be_replayed() {
    let file = |name: &str| out().join(name).to_str().unwrap().to_string();
    let first = file("first.run");
    let second = file("second.run");
    run_lab(&["replay", "InitialElection2A", "--seed", "1", "--save", &first]);
    let (code, printed, error) = run_lab(&["replay", &first, "--save", &second]);
    assert_eq!(code, 0, "{error}");
    assert!(printed.contains("the same run as recorded, bit for bit"), "{printed}");
    let (code, same, _) = run_lab(&["diff", &first, &second]);
    assert!(code == 0 && same.contains("the two runs are the same"), "{same}");
}

#[test]
fn a_log_of_unknown_servers_is_refused() {
    for (test, server, all) in [
        ("InitialElection2A", "3", "its servers are 0 to 2\n"),
        ("InitialElection2A", "101/1", "its servers are 0 to 2\n"),
        ("StaticShards4B", "ctrl/3", "its servers are ctrl/0 to ctrl/2, 100/0 to 100/2, "),
    ] {
        let arguments = ["replay", test, "--seed", "1", "--log", "--servers", server];
        let (code, _, error) = run_lab(&arguments);
        assert_eq!(code, 2, "{error}");
        let what = format!("--servers: the run has no server {server:?}; {all}");
        assert!(error.contains(&what), "{error}");
    }
}

#[test]
fn a_pattern_selects_tests_by_part_by_name_or_by_a_piece_of_the_name() {
    for (pattern, count) in [
        ("2", 50),
        ("3", 23),
        ("4", 16),
        ("2a", 3),
        ("2C", 8),
        ("3B", 9),
        ("backup2b", 1),
        ("Snapshot", 19),
        ("Churn", 2),
        ("beyond", 8),
        ("search", 14),
        ("chaos", 3),
    ] {
        let (_, list, _) = run_lab(&["list", pattern]);
        assert_eq!(list.lines().count(), count, "{pattern}: {list}");
    }
}

#[test]
fn it_is_not_an_error_when_the_reader_of_the_output_closes_it() {
    let mut child = lab()
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
fn a_replay_writes_files_for_viewers_and_prints_their_names() {
    let directory = out().join("views");
    std::fs::create_dir_all(&directory).unwrap();
    let [html, perfetto, shiviz] = ["run.html", "run.json", "run.log"]
        .map(|name| directory.join(name).to_string_lossy().into_owned());
    let words = ["replay", "ReElection2A", "--seed", "0", "--html", &html, "--perfetto", &perfetto];
    let (code, out, _) = run_lab(&[&words[..], &["--shiviz", &shiviz, "--only", "vote"]].concat());
    assert_eq!(code, 0);
    assert!(out.contains(&format!("page: {html}\n")), "{out}");
    let page = std::fs::read_to_string(html).unwrap();
    assert!(page.starts_with("<!doctype html>"));
    let trace = std::fs::read_to_string(perfetto).unwrap();
    let trace: serde_json::Value = serde_json::from_str(&trace).unwrap();
    assert!(trace["traceEvents"].as_array().is_some_and(|events| events.len() > 100));
    let log = std::fs::read_to_string(shiviz).unwrap();
    assert!(log.contains("RequestVote") && !log.contains("AppendEntries"), "{log}");
    let (code, _, error) = run_lab(&["replay", "ReElection2A", "--seed", "0", "--only", "vote"]);
    assert_eq!(code, 2);
    assert!(error.contains("--log"), "{error}");
}

#[test]
fn only_a_handout_can_be_submitted() {
    let outside = std::env::temp_dir();
    for (directory, hint) in [(outside, "not within a lab"), (workspace(), "is not a handout")] {
        let output = lab().arg("submit").current_dir(directory).output().unwrap();
        let text = show(&output);
        assert!(output.status.code() == Some(2) && text.contains(hint), "{text}");
    }
}
