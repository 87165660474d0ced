//! `lab search` makes each run with at most a few faults once, and finds what is wrong with a Raft.
//!
//! This program is two things: the lab, with Rafts that forget and a scenario so small that its runs can
//! be counted by hand; and the test, which runs itself as that lab.

mod common;

use std::future::ready;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::rc::Rc;
use std::time::Duration;

use labraft::{Env, Implementation, Lab, Part, Raft, Steps, Test};
use labrpc::{Method, Node, Service};
use libtest_mimic::{Arguments, Failed, Trial};
use raft::log::{PersistentState, decode_state, encode_state};

use common::{HookedReference, scratch, show};

/// A client makes two calls to a server that has nothing else to do, one after the other.
static TWO_CALLS: Test = Test {
    name: "TwoCalls",
    part: Part::Search,
    title: "two calls",
    points: 0,
    cost: 1,
    run: two_calls,
};

/// The runs of `TWO_CALLS` with no fault, with one, and with two.
///
/// *One fault.* A call has eleven, in this order: the request is lost (1), held back for one of three spans
/// (3), copied after one of two spans (2); the reply is lost (1), or held back (3); the server crashes after
/// the poll in which it has answered (1). Nobody restarts the server. There are two calls, so 22.
///
/// *Two faults.* How many can be put behind the first one, if it is in the first call and
///
/// - the request is lost: the second call is made at once, with all its 11;
/// - the request is held back: the 2 copies, the 4 faults of the reply, the crash, then the second call:
///   7 + 11 = 18, for each of three spans;
/// - the request is copied: without the 2 copies, 5 + 11 = 16, for each of two spans. The copy itself would
///   arrive when the test is over;
/// - the reply is lost: it cannot be held back, but the server can crash, 1 + 11 = 12;
/// - the reply is held back: the same 12, for each of three spans;
/// - the server crashes: the second call is made to a server that is gone, so its request has 6 faults, but
///   there is no reply.
///
/// 11 + 3 * 18 + 2 * 16 + 12 + 3 * 12 + 6 = 151. If the first one is in the second call, these are, without
/// the 11: 0 + 3 * 7 + 2 * 5 + 1 + 3 * 1 + 0 = 35.
const RUNS_OF_TWO_CALLS: [u64; 3] = [1, 22, 186];

fn two_calls(lab: Lab) -> Steps {
    const ECHO: Method<u64, u64> = Method::new("Server.Echo");
    Box::pin(async move {
        let world = lab.world().clone();
        let server = world.server(0);
        server.add_service(Service::new().method(ECHO, ready));
        world.network().add_server(Node::server(0), &server);
        let client = world.client(0);
        let end = world.network().make_end(client.node());
        world.network().connect(end.id(), Node::server(0));
        world.network().enable(end.id(), true);
        for number in 0..2 {
            // A server that has crashed gives no answer.
            client.timeout(Duration::from_secs(10), end.call(ECHO, &number)).await;
        }
        Ok(())
    })
}

/// The reference without its probe. `forget` removes something from what it finds on its disk when it
/// starts.
fn forgetful(env: Env, forget: fn(&mut PersistentState)) -> Rc<dyn Raft> {
    let state = env.persister.read_state();
    if !state.is_empty() {
        let mut saved = decode_state(&state).unwrap();
        forget(&mut saved);
        let PersistentState { current_term, voted_for, log } = saved;
        let snapshot = env.persister.read_snapshot();
        env.persister.save(encode_state(current_term, voted_for, &log), snapshot);
    }
    HookedReference::new(env, |raft| raft.kill(), || ())
}

/// A Raft that has forgotten its vote when it restarts.
fn forgets_vote(env: Env) -> Rc<dyn Raft> {
    forgetful(env, |saved| saved.voted_for = None)
}

/// The reference, but the process aborts 100 ms after a server has restarted.
fn aborts_late(env: Env) -> Rc<dyn Raft> {
    let rt = env.rt.clone();
    let is_restarted = !env.persister.read_state().is_empty();
    let raft = (raft::REFERENCE.make)(env);
    if is_restarted {
        rt.clone().spawn_detached("abort", async move {
            rt.sleep(Duration::from_millis(100)).await;
            std::process::abort();
        });
    }
    raft
}

const IMPLEMENTATIONS: [Implementation; 3] = [
    raft::REFERENCE,
    Implementation::new("forgets-vote", forgets_vote),
    Implementation::new("aborts", aborts_late),
];

/// This program as the lab.
fn search(out: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(arguments).arg("--out").arg(out).output().unwrap()
}

/// A directory for results, without those of an earlier `cargo test`.
fn empty(name: &str) -> PathBuf {
    let out = scratch(&format!("search-{name}"));
    _ = std::fs::remove_dir_all(&out);
    out
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn check(holds: bool, output: &Output) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(show(output).into()) }
}

/// How many runs with no fault, with one and so on the answer names: `(1 without faults, 22 with 1 ...`.
fn counts(answer: &str) -> Vec<u64> {
    let levels = answer.rsplit_once('(').map_or("", |(_, levels)| levels);
    let counts = levels.split(", ").filter_map(|level| level.split(' ').next());
    counts.map(|count| count.replace(',', "").parse().unwrap()).collect()
}

fn each_run_is_made_once() -> Result<(), Failed> {
    let output = search(&empty("counted"), &["search", "TwoCalls", "--faults", "2"]);
    let is_right = stdout(&output)
        == "TwoCalls: all 209 runs with at most 2 faults pass (1 without faults, 22 with 1 fault, \
            186 with 2 faults; seed 0)\n";
    check(output.status.code() == Some(0) && is_right, &output)
}

fn shares_have_all_runs_between_them() -> Result<(), Failed> {
    let mut sums = [0; 3];
    for share in ["1/3", "2/3", "3/3"] {
        let output = search(&empty("share"), &["search", "TwoCalls", "--shard", share]);
        let found = counts(stdout(&output).trim_end().trim_end_matches("; seed 0)"));
        check(found.len() == 3, &output)?;
        sums.iter_mut().zip(found).for_each(|(sum, count)| *sum += count);
    }
    let [_, one, two] = RUNS_OF_TWO_CALLS;
    match sums {
        [3, all_one, all_two] if [all_one, all_two] == [one, two] => Ok(()),
        _ => Err(format!("{sums:?}").into()),
    }
}

/// A search that is killed loses the parts under way, and the half of a line.
fn a_killed_search_goes_on() -> Result<(), Failed> {
    let out = empty("resumed");
    let whole = stdout(&search(&empty("whole"), &["search", "TwoCalls", "--faults", "3"]));
    search(&out, &["search", "TwoCalls", "--faults", "2"]);
    let journal = out.join("search.jsonl");
    let text = std::fs::read_to_string(&journal)?;
    let half = text.len() * 2 / 3;
    std::fs::write(&journal, &text[..half])?;
    let lines = text[..half].lines().count();
    let output = search(&out, &["search", "TwoCalls", "--faults", "3", "--resume"]);
    check(stdout(&output) == whole, &output)?;
    let resumed = std::fs::read_to_string(&journal)?;
    let kept: Vec<&str> = text.lines().take(lines - 1).collect();
    check(resumed.lines().take(lines - 1).eq(kept), &output)?;
    let other = search(&out, &["search", "TwoCalls", "--resume", "--seed", "1"]);
    let is_refused = other.status.code() == Some(2) && show(&other).contains("with another seed");
    check(is_refused, &other)
}

fn the_reference_passes_with_one_fault() -> Result<(), Failed> {
    let output = search(&empty("reference"), &["search", "Short", "--faults", "1"]);
    let answers = stdout(&output);
    let pass = answers.lines().filter(|line| line.contains(" with at most 1 fault pass ("));
    let scenarios = tests::SUITE.iter().filter(|test| test.part == Part::Search);
    check(output.status.code() == Some(0) && pass.count() == scenarios.count(), &output)
}

/// Where no tests are named, all that are not made for a search run without faults.
fn each_test_is_run_without_faults() -> Result<(), Failed> {
    let output = search(&empty("without-faults"), &["search", "--faults", "0"]);
    let others = tests::SUITE
        .iter()
        .filter(|test| test.part != Part::Search && !test.part.is_optional())
        .count();
    let sentence = format!("{others} tests of other parts pass without faults (seed 0)");
    check(output.status.code() == Some(0) && stdout(&output).contains(&sentence), &output)
}

/// Without a look at its inside, a Raft is found by what it does.
fn is_found(name: &str, test: &str, what: &str) -> Result<(), Failed> {
    let out = empty(name);
    let arguments = ["--implementation", name];
    let output = search(&out, &[&["search", test, "--faults", "2"], &arguments[..]].concat());
    let answer = stdout(&output);
    let first = answer.lines().nth(1).unwrap_or_default();
    check(output.status.code() == Some(1) && first.contains(what), &output)?;
    let file = out.join("search").join(format!("{test}-0-1.json"));
    let file = file.to_str().unwrap();
    check(answer.contains(&format!("replay {file} --implementation {name}")), &output)?;
    let replayed = search(&out, &[&["replay", file], &arguments[..]].concat());
    let is_same = stdout(&replayed).contains("the same run as recorded, bit for bit");
    check(replayed.status.code() == Some(1) && is_same, &replayed)
}

/// The run to blame is found among all those of a job.
fn a_run_that_ends_its_process_is_named() -> Result<(), Failed> {
    let out = empty("aborts");
    let arguments = [
        "search",
        "InitialElection2A",
        "--faults",
        "1",
        "--implementation",
        "aborts",
        "--fail-fast",
    ];
    let output = search(&out, &arguments);
    let answer = stdout(&output);
    let is_told = answer.contains("CRASHED: ") && answer.contains("signal 6 (abort)");
    check(output.status.code() == Some(1) && is_told, &output)?;
    check(answer.contains("crashes") || answer.contains("Crash"), &output)
}

/// How many workers there are decides only what was made in vain.
fn the_first_failure_is_the_same_with_any_number_of_workers() -> Result<(), Failed> {
    let answer = |jobs: &str| {
        let arguments = ["search", "ShortElections", "--implementation", "forgets-vote"];
        let options = ["--fail-fast", "--jobs", jobs];
        let output = search(&empty("first"), &[&arguments[..], &options].concat());
        check(output.status.code() == Some(1), &output).map(|()| stdout(&output))
    };
    let alone = answer("1")?;
    match alone.contains("that were made") && alone == answer("5")? {
        true => Ok(()),
        false => Err(alone.into()),
    }
}

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    if ["search", "replay", "worker"].contains(&command.as_str()) {
        let suite = tests::SUITE.iter().copied().chain([TWO_CALLS]).collect::<Vec<Test>>().leak();
        let implementations = &IMPLEMENTATIONS;
        return lab::main(&lab::Program { suite, implementations, build: tests::build() });
    }
    let trials = vec![
        Trial::test("each run is made once", each_run_is_made_once),
        Trial::test("shares have all runs between them", shares_have_all_runs_between_them),
        Trial::test("a killed search goes on", a_killed_search_goes_on),
        Trial::test("the reference passes with one fault", the_reference_passes_with_one_fault),
        Trial::test("each test is run without faults", each_test_is_run_without_faults),
        Trial::test("a forgotten vote is found", || {
            is_found("forgets-vote", "ShortElections", "Election Safety")
        }),
        Trial::test("a run that ends its process is named", a_run_that_ends_its_process_is_named),
        Trial::test(
            "the first failure is the same with any number of workers",
            the_first_failure_is_the_same_with_any_number_of_workers,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
