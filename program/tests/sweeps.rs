//! Sweeps that are interrupted, killed, resumed, split into shares and merged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use lab::records;
use labraft::Verdict;
use rustix::process::{Pid, Signal, kill_process};

use crate::common::{scratch, show};

/// A directory that does not exist yet.
fn directory(name: &str) -> PathBuf {
    let directory = scratch(&format!("sweeps-{name}"));
    _ = std::fs::remove_dir_all(&directory);
    directory
}

fn lab(arguments: &[&str], out: &Path) -> Command {
    let mut command = crate::common::lab();
    command.args(arguments).arg("--out").arg(out).stdin(Stdio::null());
    // These tests may themselves run as one share of several, but the sweeps that they start do
    // not.
    for variable in
        ["SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "CI_NODE_INDEX", "CI_NODE_TOTAL"]
    {
        command.env_remove(variable);
    }
    command
}

/// Runs a sweep that must pass.
fn pass(arguments: &[&str], out: &Path) -> Output {
    let output = lab(arguments, out).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", show(&output));
    output
}

/// The verdict and the fingerprint of each run, which are the same in every sweep of the same runs.
fn found(out: &Path) -> BTreeMap<(String, u64), (Verdict, String)> {
    let records = records::read(&records::path(out)).unwrap();
    assert_eq!(records.torn, None);
    let count = records.all.len();
    let found: BTreeMap<_, _> = records
        .all
        .into_iter()
        .map(|record| ((record.test, record.seed), (record.verdict, record.fingerprint)))
        .collect();
    assert_eq!(found.len(), count, "each run has one record");
    found
}

#[expect(clippy::disallowed_methods, reason = "real processes take real time")]
fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

/// Waits up to a minute for something to become true.
fn wait_until(what: &str, is_true: impl Fn() -> bool) {
    for _ in 0..6000 {
        if is_true() {
            return;
        }
        pause(10);
    }
    panic!("gave up after waiting a minute until {what}");
}

/// Starts a sweep that takes minutes, and waits until it has results.
fn long_sweep(out: &Path) -> Child {
    let child = lab(&["run", "2", "--seeds", "100000"], out)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let results = records::path(out);
    wait_until("there are results", || results.metadata().is_ok_and(|file| file.len() > 10_000));
    child
}

/// The child processes of a process.
fn children(parent: u32) -> Vec<u32> {
    let mut children = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten() {
        let list = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        children.extend(list.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    children
}

fn is_running(pid: u32) -> bool {
    // A zombie has ended, and waits for its parent.
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = status.rsplit(") ").next().and_then(|rest| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

const SWEEP: [&str; 7] = ["run", "2A", "2B", "--seeds", "40", "--jobs", "2"];

#[test]
fn a_sweep_that_is_killed_ten_times_and_resumed_finds_the_same_as_an_undisturbed_one() {
    let whole = directory("whole");
    let torn = directory("torn");
    pass(&SWEEP, &whole);
    let resume = [&SWEEP[..], &["--resume"]].concat();
    for time in 1..=10 {
        let mut child =
            lab(&resume, &torn).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        pause(time * 37 % 110);
        let workers = children(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        wait_until("no worker is left", || !workers.iter().copied().any(is_running));
    }
    let last = show(&pass(&resume, &torn));
    assert_eq!(found(&torn), found(&whole));
    // The table counts all runs, not just those of the last attempt.
    let line = last.lines().find(|line| line.starts_with("Backup2B")).unwrap();
    assert!(line.contains(" 40 "), "{line}");
}

#[test]
fn ctrl_c_ends_a_sweep_and_keeps_its_results() {
    let out = directory("interrupted");
    let child = long_sweep(&out);
    let workers = children(child.id());
    assert!(!workers.is_empty());
    signal(&child, Signal::INT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", show(&output));
    assert!(show(&output).contains("InitialElection2A"), "{}", show(&output));
    assert!(!found(&out).is_empty());
    wait_until("no worker is left", || !workers.iter().copied().any(is_running));
}

#[test]
fn merge_accepts_all_shares_of_one_sweep_and_nothing_else() {
    let whole = directory("unshared");
    let sweep = ["run", "2A", "3B", "--seeds", "5"];
    pass(&sweep, &whole);
    let shares: Vec<PathBuf> = (1..=3).map(|k| directory(&format!("share-{k}"))).collect();
    // The option selects the first share, and environment variables the others, as in jobs of
    // Slurm and Kubernetes.
    let mut commands = [1, 2, 3].map(|k| lab(&sweep, &shares[k - 1]));
    commands[0].args(["--shard", "1/3"]);
    commands[1].env("SLURM_ARRAY_TASK_ID", "8").env("SLURM_ARRAY_TASK_COUNT", "3");
    commands[1].env("SLURM_ARRAY_TASK_MIN", "7");
    commands[2].env("JOB_COMPLETION_INDEX", "2").env("JOB_COMPLETION_COUNT", "3");
    for mut command in commands {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", show(&output));
    }
    let [one, two, three] = &shares[..] else { panic!("there are three shares") };
    let out = directory("merged");
    let merged = merge(&[one, two, three], &["--seeds", "5", "--test", "2A"], &out);
    assert_eq!(merged.status.code(), Some(0), "{}", show(&merged));
    assert_eq!(found(&out), found(&whole));

    expect_refusal(&[one, two], &["--seeds", "5"], "are missing: ");
    expect_refusal(&[one, two, three], &["--seeds", "6"], "InitialElection2A seed 5");
    expect_refusal(&[one, two, three, one], &[], "duplicated");

    let foreign = directory("foreign");
    std::fs::create_dir_all(&foreign).unwrap();
    let text = std::fs::read_to_string(records::path(one)).unwrap();
    let other = text.replace("\"implementation\":\"reference\"", "\"implementation\":\"mine\"");
    std::fs::write(records::path(&foreign), other).unwrap();
    expect_refusal(&[&foreign, two, three], &[], "differ in the implementation");
}

fn merge(shares: &[&PathBuf], more: &[&str], out: &Path) -> Output {
    crate::common::lab()
        .arg("merge")
        .args(shares)
        .args(more)
        .arg("--out")
        .arg(out)
        .output()
        .unwrap()
}

/// Checks that shares are not merged, and that `reason` is in the message.
fn expect_refusal(shares: &[&PathBuf], more: &[&str], reason: &str) {
    let output = merge(shares, more, &directory("refused"));
    let text = show(&output);
    assert!(output.status.code() == Some(2) && text.contains(reason), "{reason}: {text}");
}

#[test]
fn setting_only_one_of_the_two_variables_of_a_share_is_refused() {
    let output =
        lab(&["run", "2A"], &directory("half")).env("CI_NODE_INDEX", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(show(&output).contains("CI_NODE_TOTAL is not"), "{}", show(&output));
}

/// The end of a sweep on a machine that cannot give its workers what they need.
fn expect_exit_3(mut command: Command, reason: &str, out: &Path) {
    let output = command.output().unwrap();
    let text = show(&output);
    assert!(output.status.code() == Some(3) && text.contains(reason), "{reason}: {text}");
    let records = records::read(&records::path(out)).unwrap();
    assert_eq!(records.all, [], "nothing is blamed on a run");
}

#[test]
fn a_machine_with_less_memory_than_a_worker_may_use_is_not_blamed_on_the_runs() {
    let out = directory("limit-of-the-shell");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 900000; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_lab")]);
    command.args(["run", "2A", "--jobs", "1", "--out"]).arg(&out);
    expect_exit_3(command, "the limit of a process (ulimit -v) is 878 MiB", &out);

    // More than any machine has.
    let out = directory("limit-of-the-machine");
    let command = lab(&["run", "2A", "--memory", "100000000"], &out);
    expect_exit_3(command, "the machine has no 100000000 MiB of memory for it", &out);
}

#[test]
fn results_that_are_removed_during_a_sweep_end_it() {
    let out = directory("removed");
    let child = long_sweep(&out);
    std::fs::remove_dir_all(&out).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = show(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("somebody has removed or replaced"), "{text}");
    assert!(text.contains("InitialElection2A"), "the results so far are reported: {text}");
}

#[test]
fn a_line_torn_within_a_character_is_resumed() {
    let out = directory("torn-character");
    pass(&["run", "2A", "--seeds", "3"], &out);
    let whole = found(&out);
    let path = records::path(&out);
    let mut bytes = std::fs::read(&path).unwrap();
    let start = bytes[..bytes.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap();
    bytes.truncate(start + 40);
    bytes.extend(&"\u{20ac}".as_bytes()[..2]);
    std::fs::write(&path, bytes).unwrap();
    expect_refusal(&[&out], &[], "is incomplete");
    pass(&["run", "2A", "--seeds", "3", "--resume"], &out);
    assert_eq!(found(&out), whole);
}

#[test]
fn of_sweeps_that_begin_at_one_instant_one_is_let_in() {
    let out = directory("instant");
    let begin = || {
        let mut sweep = lab(&["run", "InitialElection2A", "--seeds", "50"], &out);
        sweep.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let sweeps: Vec<Child> = (0..6).map(|_| begin()).collect();
    let ended: Vec<Output> =
        sweeps.into_iter().map(|sweep| sweep.wait_with_output().unwrap()).collect();
    for output in &ended {
        // Whoever begins when all others have ended is let in as well.
        let is_refused = show(output).contains("another lab is writing to it");
        let expected = if is_refused { Some(3) } else { Some(0) };
        assert_eq!(output.status.code(), expected, "{}", show(output));
    }
    assert!(ended.iter().any(|output| output.status.success()));
    assert_eq!(found(&out).len(), 50);
}

#[test]
fn a_sweep_writes_json_and_junit_for_other_programs() {
    let out = directory("formats");
    let junit = out.with_extension("xml");
    let mut command = lab(&["run", "2A", "3A", "--seeds", "2", "--format", "json"], &out);
    let output = command.arg("--junit").arg(&junit).env("GITHUB_ACTIONS", "true").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", show(&output));
    let lines = String::from_utf8(output.stdout).unwrap();
    let objects: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 17);
    assert!(objects.iter().all(|object| object["seeds"] == 2 && object["passed"] == 2));
    let xml = std::fs::read_to_string(&junit).unwrap();
    assert_eq!(xml.matches("<testcase ").count(), 17, "{xml}");
    assert!(xml.contains("<testsuite name=\"2A\" tests=\"3\""), "{xml}");
}

#[test]
fn a_sweep_for_a_given_time_ends_and_has_results() {
    let out = directory("for");
    pass(&["run", "2A", "--for", "2s"], &out);
    assert!(!found(&out).is_empty(), "two seconds are enough for some runs");
}

#[test]
fn results_of_another_build_are_not_resumed() {
    let out = directory("other-build");
    pass(&["run", "2A"], &out);
    let path = records::path(&out);
    let text_before = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text_before.replace("\"lock\":\"", "\"lock\":\"0")).unwrap();
    let output = lab(&["run", "2A", "--resume"], &out).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(show(&output).contains("were made with a different build"), "{}", show(&output));
}

#[test]
fn a_record_or_a_file_of_records_can_be_replayed() {
    let out = directory("replayed");
    pass(&["run", "ReElection2A", "--seed", "5"], &out);
    let path = records::path(&out);
    let line = std::fs::read_to_string(&path).unwrap();
    for what in [line.trim(), path.to_str().unwrap()] {
        let text = show(&pass(&["replay", what], &directory("elsewhere")));
        assert!(text.contains("the same run as recorded, bit for bit"), "{text}");
    }
    let replay_changed = |from: &str, to: &str| {
        assert!(line.contains(from));
        std::fs::write(&path, line.replace(from, to)).unwrap();
        let replay = ["replay", path.to_str().unwrap()];
        show(&lab(&replay, &directory("elsewhere")).output().unwrap())
    };
    let text = replay_changed("\"fingerprint\":\"", "\"fingerprint\":\"0");
    assert!(text.contains("NOT the recorded run"), "{text}");
    // The same events, but another judgement.
    let failed = "\"verdict\":\"failed\",\"reason\":\"no leader\",\"cause\":{\"kind\":\"stuck\",\
                  \"servers\":[]},\"at\":null,\"server\":null,\"details\":[]";
    let text = replay_changed("\"verdict\":\"passed\"", failed);
    assert!(!text.contains("bit for bit"), "{text}");
    assert!(text.contains("it passed, and failed (no leader) when it was recorded"), "{text}");
}
