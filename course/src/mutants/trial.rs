//! Running the tests on a bug, under one profile, until something finds it.
//!
//! Results are kept, and runs whose results are there are not made again: a trial with more seeds goes
//! on where the last one ended, and so does one that was interrupted.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;

use ::tests::SUITE;
use lab::outcome::CommandError;
use lab::records::{self, RunRecord};
use labraft::{CauseKind, Profile, Test, Verdict};

use super::finding::{Finding, How};
use super::patch::Subject;
use super::program::Program;
use crate::processes::{Ended, run_logged};

/// The limit on the real time of a run, in seconds. It is short because some bugs make many runs
/// hang.
const WALL_LIMIT_SECONDS: u64 = 10;
/// The runs of the first seed stop after this many failures, which are enough to name tests that
/// find the bug. With several seeds, all failures are needed to know the first seed that finds it.
const MAX_FAILURES: usize = 10;
/// The tests that draw the faults of the chaos profile under every profile: a seed is the same run
/// under both.
const SAME_UNDER_BOTH: [&str; 3] = ["ChaosRaft", "ChaosKv", "ChaosShards"];

/// Which runs to make.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The tests, in stages: a stage is run where the one before it found nothing.
    pub(super) stages: Vec<Vec<&'static Test>>,
    /// The number of seeds, from 0.
    pub(super) seeds: u64,
    pub(super) jobs: usize,
}

/// The tests that can find a bug, in stages: those of Raft, and those of the service. With
/// `chosen`, only these.
pub(super) fn stages(subject: Subject, chosen: &[&'static Test]) -> Vec<Vec<&'static Test>> {
    let is_chosen = |test: &Test| chosen.is_empty() || chosen.iter().any(|it| it.name == test.name);
    // The tests of Raft cannot find a bug in the service. Those of lab 4 look for bugs of their own.
    let wanted: &[Subject] = match subject {
        Subject::Shards => &[Subject::Shards],
        Subject::Extended | Subject::Leases => &[Subject::Extended, Subject::Raft],
        Subject::Kv if chosen.is_empty() => &[Subject::Kv],
        Subject::Kv | Subject::Raft => &[Subject::Raft, Subject::Kv],
    };
    let stage = |subject: &Subject| -> Vec<&'static Test> {
        let tests = SUITE.iter().filter(|test| subject_of(test) == *subject);
        tests.filter(|test| is_chosen(test)).collect()
    };
    wanted.iter().map(stage).filter(|stage| !stage.is_empty()).collect()
}

/// What a test is about.
fn subject_of(test: &Test) -> Subject {
    match test.name {
        "ChaosKv" => Subject::Kv,
        _ if test.part.is_optional() => Subject::Extended,
        _ if test.part.is_kv() => Subject::Kv,
        _ if ::tests::is_of_lab_4(test) => Subject::Shards,
        _ => Subject::Raft,
    }
}

/// What a trial ended with.
#[derive(Debug)]
pub(super) struct Tried {
    pub(super) finding: Finding,
    /// The results of all runs that were made, by then or earlier, and belong to the plan.
    pub(super) records: Vec<RunRecord>,
}

/// Runs the tests until one finds the bug; `None` if interrupted.
pub(super) fn try_out(
    program: &Program,
    plan: &Plan,
    profile: Profile,
) -> Result<Option<Tried>, CommandError> {
    for seeds in blocks(plan.seeds) {
        for tests in &plan.stages {
            let Some(records) = block(program, tests, &seeds, profile, plan.jobs)? else {
                return Ok(None);
            };
            let finding = Finding::of(&records);
            if finding != Finding::Survived {
                return Ok(Some(Tried { finding, records }));
            }
        }
    }
    let tests = plan.stages.concat();
    let records = known(program, &tests, &(0..plan.seeds), profile)?;
    Ok(Some(Tried { finding: Finding::Survived, records }))
}

/// The results of these tests under these seeds, after the runs that are missing were made.
fn block(
    program: &Program,
    tests: &[&'static Test],
    seeds: &Range<u64>,
    profile: Profile,
    jobs: usize,
) -> Result<Option<Vec<RunRecord>>, CommandError> {
    let before = known(program, tests, seeds, profile)?;
    let most = (*seeds == (0..1)).then_some(MAX_FAILURES);
    let failures = before.iter().filter(|record| How::of(record).is_some()).count();
    let missing = missing(&before, tests, seeds);
    if missing.is_empty() || most.is_some_and(|most| failures >= most) {
        return Ok(Some(before));
    }
    match run(program, &missing, seeds, profile, jobs, most)? {
        true => known(program, tests, seeds, profile).map(Some),
        false => Ok(None),
    }
}

/// The tests of which a run under one of these seeds is missing.
fn missing(
    records: &[RunRecord],
    tests: &[&'static Test],
    seeds: &Range<u64>,
) -> Vec<&'static Test> {
    let done: BTreeSet<(&str, u64)> =
        records.iter().map(|record| (record.test.as_str(), record.seed)).collect();
    let is_done = |test: &Test| seeds.clone().all(|seed| done.contains(&(test.name, seed)));
    tests.iter().copied().filter(|test| !is_done(test)).collect()
}

/// The results that a program has of these tests and seeds. The chaos profile has those of the course's
/// profile too, of tests that are the same under both.
fn known(
    program: &Program,
    tests: &[&'static Test],
    seeds: &Range<u64>,
    profile: Profile,
) -> Result<Vec<RunRecord>, CommandError> {
    let mut all = results(program, profile)?;
    if profile == Profile::Chaos {
        let done: BTreeSet<(String, u64)> =
            all.iter().map(|record| (record.test.clone(), record.seed)).collect();
        let of_go = results(program, Profile::Go)?.into_iter();
        all.extend(of_go.filter(|record| {
            is_same_under_chaos(record) && !done.contains(&(record.test.clone(), record.seed))
        }));
    }
    all.retain(|record| {
        seeds.contains(&record.seed) && tests.iter().any(|test| test.name == record.test)
    });
    Ok(all)
}

/// Whether a result under the course's profile is also that of the same seed under chaos. What missed a
/// bound of the test is judged differently there.
fn is_same_under_chaos(record: &RunRecord) -> bool {
    let cause = record.failure.as_ref().map(|failure| &failure.cause.kind);
    let is_expectation = matches!(cause, Some(CauseKind::Expectation { .. }));
    let is_judged_alike = record.verdict != Verdict::Failed || !is_expectation;
    SAME_UNDER_BOTH.contains(&record.test.as_str()) && is_judged_alike
}

/// All results that a program has under a profile.
pub(super) fn results(program: &Program, profile: Profile) -> Result<Vec<RunRecord>, CommandError> {
    let path = records::path(&program.results(profile));
    match path.exists() {
        false => Ok(Vec::new()),
        true => records::read(&path).map(|records| records.all).map_err(|error| {
            CommandError::Internal(format!(
                "cannot read {}: {error}; remove it to have these runs made again",
                path.display()
            ))
        }),
    }
}

/// Makes those runs of a program that its results do not have yet; `false` if interrupted.
pub(super) fn run(
    program: &Program,
    tests: &[&'static Test],
    seeds: &Range<u64>,
    profile: Profile,
    jobs: usize,
    max_failures: Option<usize>,
) -> Result<bool, CommandError> {
    let mut command = program.command();
    command.arg("run").args(tests.iter().map(|test| test.name));
    command.arg("--seeds").arg(format!("{}..{}", seeds.start, seeds.end));
    command.arg("--jobs").arg(jobs.to_string()).args(["--no-shrink", "--resume"]);
    // Within a job array the lab would otherwise take only its share of the runs.
    command.args(["--shard", "1/1"]).arg("--out").arg(program.results(profile));
    command.arg("--wall-limit").arg(WALL_LIMIT_SECONDS.to_string());
    command.arg("--profile").arg(profile.name());
    if let Some(name) = program.implementation() {
        command.arg("--implementation").arg(name);
    }
    if let Some(most) = max_failures {
        command.arg("--max-failures").arg(most.to_string());
    }
    let log = program.log();
    match run_logged(command, &log, None)? {
        Ended::Interrupted => Ok(false),
        // Everything passed, something failed, or something is unknown: see the results.
        Ended::Exited(status) if matches!(status.code(), Some(0 | 1 | 4)) => Ok(true),
        ended => {
            let output = fs::read_to_string(&log).unwrap_or_default();
            let how = match ended {
                Ended::Exited(status) => status.to_string(),
                Ended::TimedOut | Ended::Interrupted => "a timeout".into(),
            };
            let program = program.path();
            Err(CommandError::Internal(format!(
                "the tests of {} ended with {how}:\n{output}",
                program.display()
            )))
        }
    }
}

/// Splits the seeds into growing blocks: most bugs are found by the first seeds, and few need many.
fn blocks(seeds: u64) -> impl Iterator<Item = Range<u64>> {
    let ends = (0..19).flat_map(|exponent| [1, 2, 5].map(|digit| digit * 10u64.pow(exponent)));
    let mut begin = 0;
    ends.map_while(move |end| {
        let block = begin..end.min(seeds);
        begin = end;
        (!block.is_empty()).then_some(block)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lab::failure_record::FailureRecord;
    use lab::records::Build;
    use labraft::{Part, Property, Run, RunReport};

    use super::*;

    #[test]
    fn blocks_grow_and_cover_all_seeds() {
        let ends = |seeds| blocks(seeds).map(|block| block.end).collect::<Vec<_>>();
        assert_eq!(ends(20), [1, 2, 5, 10, 20]);
        assert_eq!(ends(30), [1, 2, 5, 10, 20, 30]);
        assert_eq!(ends(1), [1]);
        assert_eq!(blocks(200).map(|block| block.end - block.start).sum::<u64>(), 200);
    }

    #[test]
    fn tests_are_tried_in_stages_and_can_be_chosen() {
        let names = |stages: &[Vec<&Test>]| -> Vec<usize> { stages.iter().map(Vec::len).collect() };
        let [raft, service] = names(&stages(Subject::Raft, &[]))[..] else {
            panic!("not two stages")
        };
        assert!(raft + service < SUITE.len(), "lab 4 has tests of its own");
        let [extended, of_raft] = names(&stages(Subject::Extended, &[]))[..] else {
            panic!("not two stages")
        };
        assert_eq!(of_raft, raft);
        assert_eq!(names(&stages(Subject::Kv, &[])), [service]);
        assert_eq!(names(&stages(Subject::Shards, &[])), [SUITE.len() - raft - service - extended]);
        let chosen = labraft::select(SUITE, "Backup2B").unwrap();
        assert_eq!(names(&stages(Subject::Raft, &chosen)), [1]);
        // Whoever names tests gets them.
        assert_eq!(names(&stages(Subject::Kv, &chosen)), [1]);
    }

    fn record(test: &str, seed: u64, verdict: Verdict, kind: CauseKind) -> RunRecord {
        let failure = FailureRecord::new("it broke", kind);
        RunRecord::ended((test, seed), "reference", verdict, failure, &Build::default())
    }

    #[test]
    fn only_tests_with_a_missing_run_are_run_again() {
        let tests = labraft::select(SUITE, "2A").unwrap();
        let first = record(tests[0].name, 0, Verdict::Unknown, CauseKind::Undecided);
        let second = RunRecord { seed: 1, ..first.clone() };
        let missing = |records: &[RunRecord], seeds: Range<u64>| {
            super::missing(records, &tests[..2], &seeds)
                .iter()
                .map(|it| it.name)
                .collect::<Vec<_>>()
        };
        let a = tests[0].name;
        let b = tests[1].name;
        assert_eq!(missing(&[], 0..1), [a, b]);
        assert_eq!(missing(std::slice::from_ref(&first), 0..1), [b]);
        assert_eq!(missing(std::slice::from_ref(&first), 0..2), [a, b]);
        assert_eq!(missing(&[second, first], 0..2), [b]);
    }

    /// A program that makes no runs, but notes with which arguments it was started.
    fn noting(place: &Path, results: &[RunRecord]) -> Program {
        let program = Program::at(place.into());
        let directory = program.results(Profile::Go);
        fs::create_dir_all(&directory).unwrap();
        let lines = results.iter().map(|record| serde_json::to_string(record).unwrap() + "\n");
        fs::write(records::path(&directory), lines.collect::<String>()).unwrap();
        // A shell, for which the command `run` is the script that it is to read.
        std::os::unix::fs::symlink("/bin/sh", program.path()).unwrap();
        fs::write(place.join("run"), "echo \"$*\" >> started\n").unwrap();
        program
    }

    #[test]
    fn a_trial_goes_on_where_the_last_one_ended() {
        let place = std::env::temp_dir().join(format!("lab-trial-{}", std::process::id()));
        _ = fs::remove_dir_all(&place);
        let tests = labraft::select(SUITE, "BasicAgree2B").unwrap();
        let plan = |seeds| Plan { stages: vec![tests.clone()], seeds, jobs: 1 };
        let survived = |seed| record(tests[0].name, seed, Verdict::Unknown, CauseKind::Undecided);
        let known = [survived(0), survived(1)];
        let program = noting(&place.join("survivor"), &known);
        let started = || fs::read_to_string(place.join("survivor/started")).unwrap_or_default();
        let tried = try_out(&program, &plan(2), Profile::Go).unwrap().unwrap();
        assert_eq!((tried.finding, tried.records), (Finding::Survived, known.to_vec()));
        assert_eq!(started(), "", "everything was known");
        try_out(&program, &plan(4), Profile::Go).unwrap().unwrap();
        let started = started();
        assert!(started.starts_with("BasicAgree2B --seeds 2..4 "), "{started}");
        assert!(started.contains("--resume") && started.lines().count() == 1, "{started}");

        let failed = record(tests[0].name, 1, Verdict::Failed, CauseKind::Stuck);
        let program = noting(&place.join("found"), &[survived(0), failed]);
        let tried = try_out(&program, &plan(20), Profile::Go).unwrap().unwrap();
        assert!(matches!(tried.finding, Finding::Found { seeds: 2, .. }), "{:?}", tried.finding);
        assert!(!place.join("found/started").exists(), "it was found already");
        fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn results_of_the_same_runs_count_under_chaos_unless_they_are_judged_differently() {
        let failed = |test, kind| record(test, 0, Verdict::Failed, kind);
        let broken = CauseKind::Property { property: Property::ApplyOrder };
        assert!(is_same_under_chaos(&failed("ChaosRaft", broken.clone())));
        assert!(!is_same_under_chaos(&failed("ChaosRaft", CauseKind::expectation("in time"))));
        assert!(!is_same_under_chaos(&failed("Backup2B", broken)));
    }

    #[test]
    fn the_tests_with_faults_of_their_own_are_the_same_under_both_profiles() {
        let run = |test: &'static Test, profile| {
            let report = Run::new(test, raft::REFERENCE, Default::default()).profile(profile).run();
            let RunReport { elapsed, event_count, .. } = report;
            (elapsed, event_count, report.passed.iter().map(|it| it.bytes).collect::<Vec<_>>())
        };
        for test in SUITE.iter().filter(|test| test.part == Part::Beyond) {
            let is_same = run(test, Profile::Go) == run(test, Profile::Chaos);
            assert_eq!(is_same, SAME_UNDER_BOTH.contains(&test.name), "{}", test.name);
        }
    }
}
