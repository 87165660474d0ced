//! Sweeps that are interrupted, killed, resumed, shared out and put together again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use lab::records;
use labraft::Verdict;
use rustix::process::{Pid, Signal, kill_process};

fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sweeps-{name}"));
    _ = std::fs::remove_dir_all(&directory);
    directory
}

fn lab(arguments: &[&str], out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.args(arguments).arg("--out").arg(out).stdin(Stdio::null());
    // Where these tests themselves are shared out, the runs inside of them are not.
    for variable in
        ["SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "CI_NODE_INDEX", "CI_NODE_TOTAL"]
    {
        command.env_remove(variable);
    }
    command
}

fn text(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{:?}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// What was found in each run; the same for each sweep of the same runs.
fn found(out: &Path) -> BTreeMap<(String, u64), (Verdict, String)> {
    let records = records::read(&records::path(out)).unwrap();
    assert_eq!(records.torn, None);
    let count = records.all.len();
    let found: BTreeMap<_, _> = records
        .all
        .into_iter()
        .map(|record| ((record.test, record.seed), (record.verdict, record.fingerprint)))
        .collect();
    assert_eq!(found.len(), count, "each run is there once");
    found
}

#[expect(clippy::disallowed_methods, reason = "real processes take real time")]
fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

/// Waits for something that is sure to come.
fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..6000 {
        if is_so() {
            return;
        }
        pause(10);
    }
    panic!("waited in vain: {what}");
}

/// The processes that a process has started.
fn children(parent: u32) -> Vec<u32> {
    let mut children = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten() {
        let list = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        children.extend(list.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    children
}

fn is_running(pid: u32) -> bool {
    // A zombie is none: it waits for its parent.
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
fn a_sweep_that_is_killed_ten_times_and_resumed_is_as_if_nothing_had_been() {
    let (whole, torn) = (directory("whole"), directory("torn"));
    assert_eq!(lab(&SWEEP, &whole).output().unwrap().status.code(), Some(0));
    let resume = [&SWEEP[..], &["--resume"]].concat();
    for time in 1..=10 {
        let mut child =
            lab(&resume, &torn).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        pause(time * 37 % 110);
        let workers = children(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        until("no orphan is left behind", || !workers.iter().copied().any(is_running));
    }
    let last = lab(&resume, &torn).output().unwrap();
    assert_eq!(last.status.code(), Some(0), "{}", text(&last));
    assert_eq!(found(&torn), found(&whole));
    // The table is of all runs, not of the last ones.
    let line = text(&last).lines().find(|line| line.starts_with("Backup2B")).unwrap().to_string();
    assert!(line.contains(" 40 "), "{line}");
}

#[test]
fn ctrl_c_ends_a_sweep_with_what_there_is() {
    let out = directory("interrupted");
    let child = lab(&["run", "2", "--seeds", "100000"], &out)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let results = records::path(&out);
    until("some results", || results.metadata().is_ok_and(|file| file.len() > 10_000));
    let workers = children(child.id());
    assert!(!workers.is_empty());
    signal(&child, Signal::INT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output));
    assert!(text(&output).contains("InitialElection2A"), "{}", text(&output));
    assert!(!found(&out).is_empty());
    until("no orphan is left behind", || !workers.iter().copied().any(is_running));
}

#[test]
fn shares_make_a_whole_again_and_nothing_else_does() {
    let whole = directory("unshared");
    let sweep = ["run", "2A", "3B", "--seeds", "5"];
    assert_eq!(lab(&sweep, &whole).output().unwrap().status.code(), Some(0));
    let shares: Vec<PathBuf> = (1..=3).map(|k| directory(&format!("share-{k}"))).collect();
    // One by the option, the others as schedulers do it.
    let mut commands = [1, 2, 3].map(|k| lab(&sweep, &shares[k - 1]));
    commands[0].args(["--shard", "1/3"]);
    commands[1].env("SLURM_ARRAY_TASK_ID", "8").env("SLURM_ARRAY_TASK_COUNT", "3");
    commands[1].env("SLURM_ARRAY_TASK_MIN", "7");
    commands[2].env("JOB_COMPLETION_INDEX", "2").env("JOB_COMPLETION_COUNT", "3");
    for mut command in commands {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    }
    let merge = |directories: &[&PathBuf], more: &[&str], name: &str| {
        let out = directory(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
        command.arg("merge").args(directories).args(more).arg("--out").arg(&out);
        let output = command.output().unwrap();
        (output.status.code(), text(&output), out)
    };
    let [one, two, three] = &shares[..] else { panic!("there are three shares") };
    let (code, said, out) = merge(&[one, two, three], &["--seeds", "5", "--test", "2A"], "merged");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(found(&out), found(&whole));

    let (code, said, _) = merge(&[one, two], &["--seeds", "5"], "missing");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("are missing: "), "{said}");
    let (code, said, _) = merge(&[one, two, three], &["--seeds", "6"], "more-seeds");
    assert_eq!(code, Some(2));
    assert!(said.contains("InitialElection2A seed 5"), "{said}");
    let (code, said, _) = merge(&[one, two, three, one], &[], "double");
    assert_eq!(code, Some(2));
    assert!(said.contains("there twice"), "{said}");

    let foreign = directory("foreign");
    std::fs::create_dir_all(&foreign).unwrap();
    let text = std::fs::read_to_string(records::path(one)).unwrap();
    let other = text.replace("\"implementation\":\"reference\"", "\"implementation\":\"mine\"");
    std::fs::write(records::path(&foreign), other).unwrap();
    let (code, said, _) = merge(&[&foreign, two, three], &[], "mixed");
    assert_eq!(code, Some(2));
    assert!(said.contains("differ in the implementation"), "{said}");
}

#[test]
fn a_half_set_share_is_no_whole() {
    let output =
        lab(&["run", "2A"], &directory("half")).env("CI_NODE_INDEX", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("CI_NODE_TOTAL is not"), "{}", text(&output));
}

#[test]
fn programs_get_json_and_junit() {
    let out = directory("formats");
    let junit = out.with_extension("xml");
    let mut command = lab(&["run", "2A", "3A", "--seeds", "2", "--format", "json"], &out);
    let output = command.arg("--junit").arg(&junit).env("GITHUB_ACTIONS", "true").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
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
fn a_sweep_for_a_time_ends() {
    let out = directory("for");
    let output = lab(&["run", "2A", "--for", "2s"], &out).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(!found(&out).is_empty(), "some run fits");
}

#[test]
fn results_of_another_build_are_not_resumed() {
    let out = directory("other-build");
    assert_eq!(lab(&["run", "2A"], &out).output().unwrap().status.code(), Some(0));
    let path = records::path(&out);
    let text_before = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text_before.replace("\"lock\":\"", "\"lock\":\"0")).unwrap();
    let output = lab(&["run", "2A", "--resume"], &out).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("of another build"), "{}", text(&output));
}

#[test]
fn a_record_or_a_file_of_records_can_be_replayed() {
    let out = directory("replayed");
    assert_eq!(
        lab(&["run", "ReElection2A", "--seed", "5"], &out).output().unwrap().status.code(),
        Some(0)
    );
    let path = records::path(&out);
    let line = std::fs::read_to_string(&path).unwrap();
    for what in [line.trim(), path.to_str().unwrap()] {
        let output = lab(&["replay", what], &directory("elsewhere")).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        assert!(
            text(&output).contains("the same run as recorded, bit for bit"),
            "{}",
            text(&output)
        );
    }
    std::fs::write(&path, line.replace("\"fingerprint\":\"", "\"fingerprint\":\"0")).unwrap();
    let output =
        lab(&["replay", path.to_str().unwrap()], &directory("elsewhere")).output().unwrap();
    assert!(text(&output).contains("NOT the recorded run"), "{}", text(&output));
}
