//! The parent's side of the worker processes: hands out jobs, replaces workers that do not answer, and
//! repeats their runs to find out who is to blame.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use labraft::{CauseKind, Crash, Profile, Test, Verdict};
use labrpc::RunSpec;

use super::judge::Machine;
use super::process::{Answered, End, How, MAX_OUTPUT_BYTES, Worker};
use super::progress::Spent;
use super::settings::Settings;
use super::{Answer, Explore, Explored, Job, Keep, RunOptions, explore, watch};
use crate::failure_record::FailureRecord;
use crate::records::RunRecord;
use crate::unpredictable;

/// A run that hung is given up when its repetition leaves no new traces for this long.
const SILENCE: Duration = Duration::from_secs(3);
/// How long a worker may be held up, as a multiple of the limit on a run's work.
const HELD_UP_LIMITS: u32 = 5;
/// How often to repeat a run whose worker was ended by something other than the lab.
const MOST_REPETITIONS: usize = 10;
/// How many lines of output are shown in a failure's details.
const LAST_WORDS: usize = 6;

/// A test, and the seed to run it with.
pub type Pair = (&'static Test, u64);

/// A pool of worker processes.
#[derive(Debug)]
pub struct Pool<'a> {
    settings: Settings,
    /// Once set, by any thread, all runs end as soon as possible.
    stop: &'a AtomicBool,
    machine: Machine,
    /// How often runs had to be made again that are not to blame for it, by what happened.
    disturbances: Mutex<BTreeMap<String, u64>>,
}

impl<'a> Pool<'a> {
    /// Creates a pool. Workers are not started until they are needed.
    pub fn new(settings: Settings, stop: &'a AtomicBool) -> Pool<'a> {
        Pool { settings, stop, machine: Machine::now(), disturbances: Mutex::default() }
    }

    /// Runs all pairs in `jobs` workers at once, and calls `on_answer` with each answer as it
    /// arrives. When the stop flag is set, it returns early and drops the runs in progress.
    ///
    /// # Errors
    /// If a worker cannot be started, or a run has no result because its workers are ended by
    /// something other than the code under test. Whatever a run itself does is an answer, not an
    /// error.
    pub fn run(
        &self,
        pairs: impl Iterator<Item = Pair> + Send,
        jobs: usize,
        on_answer: impl FnMut(Answer),
    ) -> io::Result<()> {
        let make = |runs: &mut Runs<'_>, (test, seed): Pair| {
            runs.run(test, RunSpec::seed(seed), Keep::Result)
        };
        self.each(pairs, jobs, make, on_answer)
    }

    /// Does something with all items in `jobs` workers at once, and calls `on_done` with each result as it
    /// arrives. When the stop flag is set, or `make` returns `None`, it returns early.
    ///
    /// # Errors
    /// The first error of `make`, or if a thread cannot be started.
    pub fn each<Item: Send, Done: Send>(
        &self,
        items: impl Iterator<Item = Item> + Send,
        jobs: usize,
        make: impl Fn(&mut Runs<'_>, Item) -> io::Result<Option<Done>> + Sync,
        mut on_done: impl FnMut(Done),
    ) -> io::Result<()> {
        let items = Mutex::new(items);
        let next = || match self.is_stopped() {
            true => None,
            false => items.lock().unwrap_or_else(PoisonError::into_inner).next(),
        };
        let (sender, receiver) = mpsc::sync_channel(2 * jobs);
        std::thread::scope(|scope| {
            let mut result = Ok(());
            for _ in 0..jobs.max(1) {
                let sender = sender.clone();
                let next = &next;
                let make = &make;
                let thread = std::thread::Builder::new().spawn_scoped(scope, move || {
                    let mut runs = self.runs();
                    while let Some(item) = next() {
                        let Some(done) = make(&mut runs, item).transpose() else { return };
                        let is_error = done.is_err();
                        if sender.send(done).is_err() || is_error {
                            return;
                        }
                    }
                });
                if let Err(error) = thread {
                    self.stop.store(true, Ordering::Relaxed);
                    result = Err(error);
                    break;
                }
            }
            drop(sender);
            for done in receiver {
                match done {
                    Ok(done) => on_done(done),
                    Err(error) => {
                        // The other workers would fail in the same way.
                        self.stop.store(true, Ordering::Relaxed);
                        result = Err(error);
                    }
                }
            }
            result
        })
    }

    /// Makes runs one after the other, in a single worker.
    pub fn runs(&self) -> Runs<'_> {
        Runs { pool: self, worker: None, options: RunOptions::default() }
    }

    /// Says in one line how many runs had to be made again so far through no fault of their own, and
    /// why; `None` if there were none.
    pub fn disturbances(&self) -> Option<String> {
        let disturbances = self.disturbances.lock().unwrap_or_else(PoisonError::into_inner);
        let count: u64 = disturbances.values().sum();
        let what: Vec<String> =
            disturbances.iter().map(|(what, count)| format!("{what} ({count})")).collect();
        let runs = if count == 1 { "a run was" } else { "runs were" };
        let count = if count == 1 { String::new() } else { format!("{count} ") };
        (!what.is_empty()).then(|| {
            format!(
                "{count}{runs} made again in a new worker, because something ended the first one that \
                 did not come again: {}",
                what.join(", ")
            )
        })
    }

    fn start(&self) -> io::Result<Worker> {
        self.machine
            .memory_limit
            .map_or(Ok(()), |limit| limit.check(self.settings.memory_bytes))?;
        Worker::start(&self.settings)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether to give up a run that has spent this much time.
    fn give_up(&self, spent: Spent) -> Option<How> {
        let limit = self.settings.wall_limit;
        let most_held_up = if self.settings.is_distrusted { 1 } else { HELD_UP_LIMITS };
        match spent {
            _ if self.is_stopped() => Some(How::Stopped),
            Spent { working, .. } if working >= limit => Some(How::Hung),
            Spent { held_up, .. } if held_up >= limit.saturating_mul(most_held_up) => {
                Some(How::HeldUp)
            }
            _ => None,
        }
    }

    /// Repeats a run that did not end in fresh workers, until it ends or it is clear that it has ended
    /// its worker itself.
    fn examine(&self, job: &Job, first: End) -> io::Result<Option<Answer>> {
        let traces = self.settings.traces.join(format!("{}-{}.jsonl", job.test, job.spec.seed));
        let job = Job { is_last: true, ..job.clone() };
        let observed = Job { watch: Some(traces.clone()), ..job.clone() };
        let mut ends = vec![first];
        for _ in 0..MOST_REPETITIONS {
            let last = &ends[ends.len() - 1];
            if let Some(what) = cannot_start(last) {
                return Err(io::Error::other(what));
            }
            // Observation slows a run down. It is of no use if the first end was somebody else's doing.
            let is_observed = ends.len() > 1 || self.machine.is_suspicious(last);
            let job = if is_observed { &observed } else { &job };
            let repeated = self.repeat(job, &traces, last)?;
            if self.is_stopped() {
                return Ok(None);
            }
            match repeated {
                Ok(answered) => {
                    watch::remove(&traces);
                    return Ok(Some(self.accept(job, &ends, *answered.answer)));
                }
                Err(end) if self.machine.is_own_doing(&ends, &end) => {
                    let (details, at) = watch::tell(&traces);
                    let events = match job.keep {
                        Keep::Events => watch::events(&traces),
                        _ => Vec::new(),
                    };
                    return Ok(Some(Answer { events, ..self.ended(job, &end, details, at) }));
                }
                Err(end) => ends.push(end),
            }
        }
        Err(io::Error::other(self.machine.without_result(&job.test, job.spec.seed, &ends)))
    }

    /// Makes a run in a fresh worker. `before` is how its last worker ended.
    fn repeat(&self, job: &Job, traces: &Path, before: &End) -> io::Result<Result<Answered, End>> {
        watch::remove(traces);
        let mut size = 0;
        let mut heard = Duration::ZERO;
        let has_hung = before.how == How::Hung;
        let answered = self.start()?.ask(job, |spent| {
            if size != std::mem::replace(&mut size, watch::size(traces)) {
                heard = spent.working;
            }
            let is_silent = has_hung && spent.working.saturating_sub(heard) >= SILENCE;
            // A run that leaves traces forever has left enough of them by the end of its limit.
            self.give_up(spent).or(is_silent.then_some(How::Hung))
        })?;
        Ok(answered.map_err(|end| End { place: watch::place(traces), ..end }))
    }

    /// The answer for a run of which a repetition has ended by itself. That is its result, unless the
    /// code under test has certainly ended a worker before.
    fn accept(&self, job: &Job, ends: &[End], answer: Answer) -> Answer {
        if let Some(end) = self.machine.certain(ends) {
            let verdict = answer.record.verdict.name();
            let details = vec![format!(
                "the repeated run's verdict is \"{verdict}\": something in it is not deterministic"
            )];
            return self.ended(job, end, details, None);
        }
        let mut disturbances = self.disturbances.lock().unwrap_or_else(PoisonError::into_inner);
        *disturbances.entry(ends[0].to_string()).or_default() += 1;
        answer
    }

    /// The answer for a run that did not end by itself, with the output of its process.
    fn ended(&self, job: &Job, end: &End, mut details: Vec<String>, at: Option<f64>) -> Answer {
        let (verdict, kind, reason) = self.judge(end);
        if let How::Broken(what) = &end.how {
            details.push(what.clone());
        }
        let said = end.last_words(LAST_WORDS);
        if !said.is_empty() {
            details.push("the end of its output:".into());
            details.extend(said.iter().map(|line| format!("  {line}")));
        }
        let failure = FailureRecord { at, details, ..FailureRecord::new(reason, kind) }.bounded();
        let name = self.settings.implementation.name;
        let build = &self.settings.build;
        let record = RunRecord::ended((&job.test, job.spec.seed), name, verdict, failure, build);
        let record = record.under(job.conditions);
        Answer::new(record, &job.nonce)
    }

    /// Judges a process that ended in this way: the verdict, the kind of cause, and the reason as a
    /// sentence.
    fn judge(&self, end: &End) -> (Verdict, CauseKind, String) {
        if let How::Hung | How::HeldUp = end.how {
            let limit = self.settings.wall_limit.as_secs_f64();
            let reason = format!("a task did not return within {limit} s (--wall-limit)");
            return (Verdict::Hung, CauseKind::Hang, reason);
        }
        let crash = match end.how {
            // Only code under test that wants to deceive the lab gets here with it.
            How::Broken(_) => Crash::Garbled,
            _ => end.crash(),
        };
        let reason = match crash {
            Crash::Memory => {
                let limit = self.settings.memory_bytes >> 20;
                format!("the code under test needs more than {limit} MiB of memory (--memory)")
            }
            Crash::Output => {
                format!("the code under test printed more than {} MiB", MAX_OUTPUT_BYTES >> 20)
            }
            crash => crash.to_string(),
        };
        (Verdict::Crashed, CauseKind::Crash { crash }, reason)
    }
}

/// Says why no worker can be started, if that is how this one ended: it failed before any code under
/// test could run, and nobody killed it, or the machine refused what it needs.
fn cannot_start(end: &End) -> Option<String> {
    match (&end.how, end.crash()) {
        (How::Broken(what), _) => Some(what.clone()),
        (How::Gone, Crash::Signal(_)) => None,
        (How::Gone, _) if !end.was_ready => {
            let said = end.last_words(LAST_WORDS).join("\n  ");
            Some(format!("a worker cannot be started: {end}\n  {said}"))
        }
        _ => None,
    }
}

/// Makes runs one after the other in one worker, which is replaced when a run destroys it or leaves
/// something behind in it.
#[derive(Debug)]
pub struct Runs<'a> {
    pool: &'a Pool<'a>,
    worker: Option<Worker>,
    options: RunOptions,
}

impl Runs<'_> {
    /// Says what applies to all further runs.
    pub fn set_options(&mut self, options: RunOptions) {
        self.options = options;
    }

    /// Makes one run and returns its outcome, or `None` if the stop flag was set.
    ///
    /// # Errors
    /// If a worker cannot be started, or the run has no result because its workers are ended by
    /// something other than the code under test.
    pub fn run(&mut self, test: &Test, spec: RunSpec, keep: Keep) -> io::Result<Option<Answer>> {
        self.run_from(test, spec, keep, 0)
    }

    /// The same, but the answer leaves out this many of the first events, unless the run does not end by
    /// itself; see [`Answer::skipped`].
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_from(
        &mut self,
        test: &Test,
        spec: RunSpec,
        keep: Keep,
        skip: usize,
    ) -> io::Result<Option<Answer>> {
        let job = Job { skip, ..self.job(test, spec, keep)? };
        let end = match self.ask(&job)? {
            Ok(answer) => return Ok(Some(answer)),
            Err(end) => end,
        };
        match self.pool.settings.is_distrusted {
            _ if self.pool.is_stopped() => Ok(None),
            true => Ok(Some(self.pool.ended(&job, &end, Vec::new(), None))),
            false => self.pool.examine(&job, end),
        }
    }

    /// Makes runs of a search that have one fault more than the run of `spec`; returns `None` if the stop
    /// flag was set. If a run destroys the worker, each of them is made as [`run`](Self::run) makes it, so
    /// that it becomes known which one it was.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn explore(
        &mut self,
        test: &Test,
        spec: &RunSpec,
        plan: Explore,
    ) -> io::Result<Option<Explored>> {
        let job = self.job(test, spec.clone(), Keep::Result)?;
        let job = Job { explore: Some(plan), ..job };
        if let Ok(Answer { explored: Some(explored), .. }) = self.ask(&job)? {
            return Ok(Some(explored));
        }
        if self.pool.is_stopped() {
            return Ok(None);
        }
        let explored = explore::explore(
            spec,
            plan,
            &mut |spec, keeps_all| {
                let keep = if keeps_all { Keep::AllDecisions } else { Keep::Result };
                let answer = self.run(test, spec.clone(), keep)?;
                Ok(answer.map(|answer| (answer.record, answer.decisions)))
            },
            &mut || false,
        )?;
        Ok(explored.map(|(_, explored)| explored))
    }

    fn job(&self, test: &Test, spec: RunSpec, keep: Keep) -> io::Result<Job> {
        let Settings { mut conditions, is_distrusted, .. } = self.pool.settings;
        if self.options.is_chaos {
            conditions.profile = Profile::Chaos;
        }
        Ok(Job {
            test: test.name.into(),
            audit: self.pool.settings.audited.includes(test, spec.seed),
            spec,
            conditions,
            keep,
            skip: 0,
            explore: None,
            bounds: self.options.bounds,
            watch: None,
            is_last: is_distrusted,
            nonce: unpredictable::hexadecimal()?,
        })
    }

    /// Has the worker do a job, and returns its answer, or how it ended.
    fn ask(&mut self, job: &Job) -> io::Result<Result<Answer, End>> {
        let is_distrusted = self.pool.settings.is_distrusted;
        let worker = match &mut self.worker {
            Some(worker) => worker,
            None => self.worker.insert(self.pool.start()?),
        };
        let asked = worker.ask(job, |spent| self.pool.give_up(spent))?;
        if is_distrusted || asked.as_ref().map_or(true, |answered| !answered.is_clean) {
            self.worker = None;
        }
        Ok(asked.map(|Answered { answer, .. }| *answer))
    }
}
