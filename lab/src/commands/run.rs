//! `lab run`: runs tests under seeds in worker processes, stores the results, and reports on them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::records::{self, RunRecord};
use crate::report::{self, Summary};
use crate::workers::{Answer, Audited, Pair, Pool, Settings};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use labraft::{Test, Verdict};

use crate::outcome::{CommandError, INTERRUPT, Outcome};
use crate::outputs::OutputArgs;
use crate::outputs::Outputs;
use crate::repetitions::{Repetitions, Taken};
use crate::seeds::{Seeds, Shard, pairs, parse_span};
use crate::self_check::{self, OtherProcess, cannot_compare};
use crate::session::{Common, Program, Session, default_jobs, parse_jobs};
use crate::{failures, offered};

/// The interval between progress lines when standard error is not a terminal.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// The arguments of `lab run`.
#[derive(Args)]
pub(crate) struct RunArgs {
    /// Which tests: a part (2, 2C, beyond), a name (Backup2B) or part of a name [default: all tests].
    patterns: Vec<String>,
    /// Which seeds: N for the first N, from 0; A..B, without B; or @FILE, with one seed per line.
    #[arg(long, conflicts_with = "seed", value_name = "N|A..B|@FILE")]
    seeds: Option<Seeds>,
    /// One seed. The default is seed 0.
    #[arg(long)]
    seed: Option<u64>,
    /// Run as many seeds as possible within a time such as 90s, 10m or 2h; every test gets the same seeds.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_span, conflicts_with_all = ["seed", "shard"])]
    time: Option<Duration>,
    /// How many worker processes to run at a time [default: one per processor].
    #[arg(long, value_parser = parse_jobs)]
    jobs: Option<usize>,
    /// Start no new runs after the first failure.
    #[arg(long, conflicts_with = "max_failures")]
    fail_fast: bool,
    /// Start no new runs after this many failures.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_failures: Option<u64>,
    /// Start with the runs that did not pass last time, the quickest first.
    #[arg(long, conflicts_with_all = ["shard", "time"])]
    failed_first: bool,
    /// Make only the runs that the results directory does not have yet.
    #[arg(long)]
    resume: bool,
    /// Run the Kth of N shares of the work, such as 2/4. By default the share is taken from the
    /// environment of a job array (Slurm, Kubernetes, AWS Batch, GitLab, CircleCI, Buildkite).
    #[arg(long, value_name = "K/N")]
    shard: Option<Shard>,
    #[command(flatten)]
    output: OutputArgs,
    /// Do not shrink failures: write no repro files and no pages.
    #[arg(long)]
    no_shrink: bool,
    /// Run each seed in a second process as well, and compare the fingerprints.
    #[arg(long, conflicts_with_all = ["resume", "time", "shard"])]
    check_determinism: bool,
    /// Look for servers and clients that know more than they were told, because they share memory.
    /// This copies all messages. What is found is shown, and is not a failure.
    #[arg(long, conflicts_with = "resume")]
    audit: bool,
    /// Start with the last seed, as the second process of a determinism check does.
    #[arg(long, hide = true)]
    last_seed_first: bool,
    #[command(flatten)]
    common: Common,
}

impl RunArgs {
    /// Runs the selected tests under the selected seeds.
    pub(crate) fn run(self, program: &Program<'_>) -> Result<Outcome, CommandError> {
        let RunArgs { output, common, .. } = self;
        let seeds = match (self.seeds, self.seed, self.time) {
            (Some(seeds), ..) => seeds,
            (None, None, Some(_)) => Seeds::Range(0..u64::MAX),
            (None, seed, _) => Seeds::one(seed.unwrap_or(0)).map_err(CommandError::Usage)?,
        };
        let shard = match self.shard {
            Some(shard) => Some(shard),
            // This process serves another sweep, which has been divided already.
            None if self.last_seed_first => None,
            None => Shard::from_environment(|name| std::env::var(name).ok())
                .map_err(CommandError::Usage)?,
        };
        if let Some(shard) = shard
            && (self.time.is_some() || self.check_determinism)
        {
            return Err(CommandError::Usage(format!(
                "the variables of a job array say that this is share {shard}, but --for and \
                 --check-determinism cannot be divided into shares; unset them, or give --seeds"
            )));
        }
        let session = Session::new(common.clone(), program)?;
        let (tests, left_out) = offered::chosen(program, &self.patterns, &session.implementation)?;
        Sweep {
            tests,
            seeds,
            shard: shard.unwrap_or(Shard::WHOLE),
            out: common.out,
            session,
            jobs: self.jobs.unwrap_or_else(default_jobs),
            resume: self.resume,
            failed_first: self.failed_first,
            max_failures: if self.fail_fast { Some(1) } else { self.max_failures },
            time: self.time,
            check_determinism: self.check_determinism,
            audit: self.audit,
            last_seed_first: self.last_seed_first,
            no_shrink: self.no_shrink,
            outputs: output.outputs(program.suite, left_out),
        }
        .run()
    }
}

/// A sweep: tests, each under the same seeds.
struct Sweep<'a> {
    tests: Vec<&'static Test>,
    seeds: Seeds,
    shard: Shard,
    session: Session<'a>,
    jobs: usize,
    /// The results directory.
    out: PathBuf,
    resume: bool,
    /// Whether to start with the runs that did not pass last time.
    failed_first: bool,
    /// The number of failures after which no new runs are started.
    max_failures: Option<u64>,
    /// The time after which no new runs are started.
    time: Option<Duration>,
    check_determinism: bool,
    audit: bool,
    last_seed_first: bool,
    /// Whether to leave failures unshrunk.
    no_shrink: bool,
    outputs: Outputs,
}

impl Sweep<'_> {
    /// Makes all runs, reports on them, and returns the worst verdict. A run that is not
    /// deterministic counts as failed.
    fn run(self) -> Result<Outcome, CommandError> {
        let mut summary = Summary::default();
        let mut done = BTreeSet::new();
        let first = self.failed_last_time();
        let mut results = self.begin(&mut done, &mut summary)?;

        if self.shard != Shard::WHOLE {
            eprintln!("lab: this is share {} of the work", self.shard);
        }
        let mut display = Display::new(&self, done.len() as u64);
        let (mut failures, mut kept) = (summary.totals().1, Ok(()));
        let mut fingerprints = BTreeMap::new();
        let audited = if self.audit { Audited::Everything } else { Audited::Nothing };
        let settings = self.session.settings(&self.out, self.is_single());
        let pool = Pool::new(Settings { audited, ..settings }, &INTERRUPT);
        let begun: BTreeSet<_> = first.iter().map(|(test, seed)| (test.name, *seed)).collect();
        let others = self.pairs().filter(|(test, seed)| !begun.contains(&(test.name, *seed)));
        let pairs = first.into_iter().chain(others);
        let pairs = pairs.filter(|(test, seed)| !done.contains(&(test.name, *seed)));
        let mut repetitions = Repetitions::new(&self.session, &self.outputs, self.repeated());
        let ran = pool.run(repetitions.among(pairs), self.jobs, |answer| {
            let record = &answer.record;
            if let Taken::Repetition(difference) = repetitions.take(record) {
                let difference = difference.iter();
                return difference.for_each(|found| display.pause(|| repetitions.tell(found)));
            }
            if kept.is_ok() {
                kept = results.add(record);
                if kept.is_err() {
                    INTERRUPT.store(true, Ordering::Relaxed);
                }
            }
            failures += u64::from(record.verdict >= Verdict::Failed);
            if self.max_failures.is_some_and(|most| failures >= most) {
                display.note("failure limit reached: no new runs will be started");
                ENOUGH.store(true, Ordering::Relaxed);
            }
            if self.check_determinism {
                fingerprints.insert((record.test.clone(), record.seed), record.fingerprint.clone());
            }
            summary.add(record);
            display.add(answer, failures);
        });
        display.end()?;
        if let Some(what) = pool.disturbances() {
            eprintln!("lab: {what}");
        }
        let kept = kept.and_then(|()| results.check()).map_err(|error| self.cannot_keep(&error));
        let ran = ran.map_err(|error| self.cannot_go_on(&error));
        if let Err(error) = kept.and(ran) {
            self.report(&summary)?;
            return Err(error);
        }

        let interrupted = INTERRUPT.load(Ordering::Relaxed);
        let same = interrupted
            || (repetitions.end(&pool, self.jobs)? & self.compare(&summary, &fingerprints)?);
        self.report(&summary)?;
        if !(interrupted || self.no_shrink || self.last_seed_first || self.is_single()) {
            self.outputs.say(&failures::leave(&summary, &self.session, &self.out)?)?;
        }
        Ok(match interrupted {
            true => Outcome::Interrupted,
            false if !same => Outcome::Judged(Verdict::Failed),
            false => Outcome::Judged(summary.worst()),
        })
    }

    /// Opens the results. With `--resume`, takes up those that exist.
    fn begin(
        &self,
        done: &mut BTreeSet<(&'static str, u64)>,
        summary: &mut Summary,
    ) -> Result<records::Writer, CommandError> {
        if !self.resume {
            return records::Writer::begin(&self.out).map_err(|error| self.cannot_keep(&error));
        }
        let resumed = records::Writer::resume(&self.out);
        let (writer, records) = resumed.map_err(|error| self.cannot_keep(&error))?;
        if let Some(bytes) = records.torn {
            eprintln!(
                "lab: the last result is cut off after {bytes} bytes; its run will be repeated"
            );
        }
        self.take_up(&records.all, done, summary)?;
        Ok(writer)
    }

    fn cannot_keep(&self, error: &io::Error) -> CommandError {
        let out = self.out.display();
        let what = format!("results cannot be kept in {out}: {error}; see --out");
        match error.kind() {
            io::ErrorKind::InvalidData => CommandError::Usage(what),
            // The disk is full, or another lab is writing there: the same command may work later.
            _ => CommandError::Internal(what),
        }
    }

    /// The error for a sweep that a worker or the machine has ended.
    fn cannot_go_on(&self, error: &io::Error) -> CommandError {
        CommandError::Internal(format!(
            "{error}\nThe results so far are kept in {}; to make the remaining runs, give the \
             same command with --resume",
            self.out.display()
        ))
    }

    /// Reports on the results so far.
    fn report(&self, summary: &Summary) -> Result<(), CommandError> {
        let replay = |record: &RunRecord| self.session.replay_of(record);
        self.outputs.write(summary, !self.is_single(), replay)?;
        if self.audit {
            self.outputs.say(&summary.audit())?;
        }
        Ok(())
    }

    /// Whether each test runs only once. Results are then printed as the course prints them.
    fn is_single(&self) -> bool {
        self.seeds.count() == 1 && self.time.is_none()
    }

    /// The tests of which one run that passes is repeated: all tests of a sweep, unless every run is
    /// compared with one of another process.
    fn repeated(&self) -> &[&'static Test] {
        let is_compared = self.check_determinism || self.last_seed_first;
        if self.is_single() || is_compared { &[] } else { &self.tests }
    }

    /// Accepts the results of an earlier sweep, if the same program made them.
    fn take_up(
        &self,
        records: &[RunRecord],
        done: &mut BTreeSet<(&'static str, u64)>,
        summary: &mut Summary,
    ) -> Result<(), CommandError> {
        for record in records {
            let is_same = record.conditions() == self.session.conditions()
                && record.implementation == self.session.implementation.name;
            if !is_same || !record.build.is_same_source(&self.session.build) {
                return Err(CommandError::Usage(format!(
                    "the results in {} were made with a different build, implementation, profile or \
                     --without setting ({}, {}); run without --resume, or with another --out",
                    self.out.display(),
                    record.build.commit,
                    record.implementation
                )));
            }
            let test = self.tests.iter().find(|test| test.name == record.test);
            if let Some(test) = test
                && self.seeds.contains(record.seed)
                && done.insert((test.name, record.seed))
            {
                summary.add(record);
            }
        }
        Ok(())
    }

    /// The runs that did not pass last time, those that took the least CPU time first. Empty
    /// without `--failed-first`.
    fn failed_last_time(&self) -> Vec<Pair> {
        let path = records::path(&self.out);
        if !self.failed_first || !path.exists() {
            return Vec::new();
        }
        let mut failed = match records::read(&path) {
            Ok(records) => records.all,
            Err(error) => {
                eprintln!("lab: cannot tell what failed last time: {error}");
                return Vec::new();
            }
        };
        failed.retain(|record| record.verdict > Verdict::Missed);
        failed.sort_by(|a, b| a.cpu_ms.total_cmp(&b.cpu_ms));
        let test = |name: &str| self.tests.iter().copied().find(|test| test.name == name);
        failed.iter().filter_map(|record| Some((test(&record.test)?, record.seed))).collect()
    }

    fn pairs(&self) -> Box<dyn Iterator<Item = Pair> + Send> {
        let is_open = || !ENOUGH.load(Ordering::Relaxed);
        if let Some(time) = self.time {
            let end = now() + time;
            let tests = self.tests.clone();
            let seeds = self.seeds.iter();
            let all = seeds.flat_map(move |seed| tests.clone().into_iter().map(move |t| (t, seed)));
            return Box::new(all.take_while(move |_| is_open() && now() < end));
        }
        if self.last_seed_first {
            let (tests, seeds) = (self.tests.clone(), self.seeds.clone());
            let of_test = move |test| seeds.iter().rev().map(move |seed| (test, seed));
            return Box::new(tests.into_iter().flat_map(of_test));
        }
        Box::new(pairs(&self.tests, &self.seeds, self.shard).take_while(move |_| is_open()))
    }

    /// Repeats runs to check that they are deterministic: all of them in a second process with
    /// `--check-determinism`, otherwise the first failures of each test. Returns whether all agreed.
    fn compare(
        &self,
        summary: &Summary,
        fingerprints: &BTreeMap<(String, u64), String>,
    ) -> Result<bool, CommandError> {
        let other = OtherProcess::new(&self.session);
        let differences = if self.check_determinism {
            other
                .compare(&self.tests, &self.seeds, self.jobs, fingerprints)
                .map_err(cannot_compare)?
        } else {
            let pool = Pool::new(self.session.settings(&self.out, false), &INTERRUPT);
            let tests = summary
                .tests(self.session.suite())
                .into_iter()
                .flat_map(|(_, test)| &test.not_passed);
            let failed: Vec<&RunRecord> = tests.map(|(_, record)| record).collect();
            self_check::run_again(&pool, self.session.suite(), self.jobs, &failed)
                .map_err(cannot_compare)?
        };
        let mut text = String::new();
        for test in &self.tests {
            let mut of_test = differences.iter().filter(|difference| difference.test == test.name);
            if let Some(first) = of_test.next() {
                text += &other.explain(first).map_err(cannot_compare)?;
                let more = of_test.count();
                if more > 0 {
                    let seeds = if more == 1 { "seed" } else { "seeds" };
                    text += &format!("    and {more} more {seeds} of this test\n");
                }
            }
        }
        if self.check_determinism {
            let runs = fingerprints.len();
            let same = runs - differences.len();
            text += &format!("{same} of {runs} runs were the same in a second process\n");
        }
        self.outputs.say(&text)?;
        Ok(differences.is_empty())
    }
}

/// Set when the failure limit is reached.
static ENOUGH: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

#[expect(clippy::disallowed_methods, reason = "real time, outside of any simulation")]
fn now() -> Instant {
    Instant::now()
}

/// The progress bar and messages shown during a sweep.
struct Display<'a> {
    sweep: &'a Sweep<'a>,
    bar: ProgressBar,
    began: Instant,
    said: Instant,
    runs: u64,
    failures: u64,
    last_note: &'static str,
    /// Single runs that are not printed yet, by the index of their test.
    waiting: BTreeMap<usize, Answer>,
    printed: usize,
    closed: Result<(), io::Error>,
}

impl<'a> Display<'a> {
    fn new(sweep: &'a Sweep<'a>, done: u64) -> Display<'a> {
        let total = (sweep.tests.len() as u64).saturating_mul(sweep.seeds.count());
        let total = total / sweep.shard.of() as u64;
        let bar = match (sweep.is_single(), sweep.time) {
            (true, _) => ProgressBar::hidden(),
            (_, Some(_)) => ProgressBar::no_length(),
            _ => ProgressBar::new(total),
        };
        let style = match sweep.time {
            Some(_) => "{elapsed} {pos} runs, {per_sec}, {msg}",
            None => "{elapsed} [{bar:30}] {pos}/{len} runs, {per_sec}, {msg}, {eta} left",
        };
        bar.set_style(ProgressStyle::with_template(style).unwrap_or(ProgressStyle::default_bar()));
        bar.set_message("0 failed");
        bar.set_position(done);
        Display {
            sweep,
            bar,
            began: now(),
            said: now(),
            runs: done,
            failures: 0,
            last_note: "",
            waiting: BTreeMap::new(),
            printed: 0,
            closed: Ok(()),
        }
    }

    fn add(&mut self, answer: Answer, failures: u64) {
        self.runs += 1;
        self.failures = failures;
        if self.sweep.is_single() && !self.sweep.outputs.json {
            let place = self.sweep.tests.iter().position(|test| test.name == answer.record.test);
            self.waiting.insert(place.unwrap_or(usize::MAX), answer);
            while let Some(answer) = self.waiting.remove(&self.printed) {
                self.print(&answer);
            }
            return;
        }
        self.bar.set_message(format!("{failures} failed"));
        self.bar.inc(1);
        if !io::stderr().is_terminal() && self.said.elapsed() > PROGRESS_INTERVAL {
            self.said = now();
            let (runs, seconds) = (self.runs, self.began.elapsed().as_secs());
            let rate = runs / seconds.max(1);
            eprintln!("lab: {runs} runs in {seconds} s, {rate} a second, {failures} failed");
        }
    }

    fn print(&mut self, answer: &Answer) {
        let test = self.sweep.tests[self.printed];
        let replay = self.sweep.session.replay_of(&answer.record);
        let text = report::course_words(test, answer, &replay);
        if self.closed.is_ok() {
            self.closed = io::stdout().write_all(text.as_bytes());
        }
        self.printed += 1;
    }

    /// Prints something while the progress bar is out of the way.
    fn pause(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    fn note(&mut self, text: &'static str) {
        if text != self.last_note {
            self.last_note = text;
            self.bar.suspend(|| eprintln!("lab: {text}"));
        }
    }

    fn end(mut self) -> Result<(), CommandError> {
        self.bar.finish_and_clear();
        // Results held back behind a test that was not run.
        let left = std::mem::take(&mut self.waiting);
        for (place, answer) in left {
            self.printed = place;
            self.print(&answer);
        }
        Ok(self.closed?)
    }
}
