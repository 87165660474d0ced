//! The side that tells workers what to run: starts them, waits for answers, ends and replaces those
//! that give none.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, PipeReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use labrpc::RunSpec;
use rustix::process::{Pid, Signal, kill_process_group};

use super::{Answer, Bounds, Job, Keep, watch};
use crate::records::{Build, FailureRecord, RunRecord};
use labraft::{CauseKind, Crash, Implementation, Profile, Test, Verdict};

/// How often a wait looks whether it is to go on.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// A run that is watched is over when it leaves no more traces for so long.
const SILENCE: Duration = Duration::from_secs(3);
/// How much a run may print.
const MAX_OUTPUT_BYTES: u64 = 64 << 20;
/// How much of it is kept: what a process says when it dies comes last.
const KEPT_OUTPUT_BYTES: usize = 8 << 10;
/// How long an answer may be: that of a recorded run has all of its events.
const MAX_ANSWER_BYTES: u64 = 1 << 30;
/// How many lines of it are shown.
const LAST_WORDS: usize = 6;

/// A test and a seed to run it under.
pub type Pair = (&'static Test, u64);

/// What workers are started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which Raft they run.
    pub implementation: Implementation,
    /// The program and its arguments that make it call [`serve`](super::serve), with these settings.
    pub command: Vec<String>,
    /// Which faults runs have.
    pub profile: Profile,
    /// How much memory a worker may use, in bytes: the command's own business, and for reports.
    pub memory_bytes: u64,
    /// How long a run may take before it counts as hung. It only ends code that never comes back to
    /// the executor, so it is far more than any run takes.
    pub wall_limit: Duration,
    /// Where traces of runs are left that did not come to an end.
    pub traces: PathBuf,
    /// Whether what the code under test prints is to be seen.
    pub show_output: bool,
    /// What the workers are built from.
    pub build: Build,
    /// Whether the code under test may want to deceive: then each run has a process of its own, which
    /// sees no environment, and a run that did not come to an end is not run again to be examined.
    pub is_distrusted: bool,
}

/// Workers for runs.
#[derive(Debug)]
pub struct Pool<'a> {
    settings: Settings,
    /// Set by anyone to end everything as soon as possible.
    stop: &'a AtomicBool,
}

impl<'a> Pool<'a> {
    /// A pool that has not started any worker yet.
    pub fn new(settings: Settings, stop: &'a AtomicBool) -> Pool<'a> {
        Pool { settings, stop }
    }

    /// Runs all pairs, `jobs` at a time, and hands over each answer as it comes. Ends early, without
    /// the answers under way, when the stop flag is set.
    ///
    /// # Errors
    /// When workers cannot be started: nothing of what they run is an error.
    pub fn run(
        &self,
        pairs: impl Iterator<Item = Pair> + Send,
        jobs: usize,
        mut on_answer: impl FnMut(Answer),
    ) -> io::Result<()> {
        let pairs = Mutex::new(pairs);
        let next = || match self.is_stopped() {
            true => None,
            false => pairs.lock().unwrap_or_else(PoisonError::into_inner).next(),
        };
        let (sender, receiver) = mpsc::sync_channel(2 * jobs);
        std::thread::scope(|scope| {
            for _ in 0..jobs.max(1) {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    let mut runs = self.runs();
                    while let Some((test, seed)) = next() {
                        let answer = runs.run(test, RunSpec::seed(seed), Keep::Result).transpose();
                        let Some(answer) = answer else { return };
                        let is_error = answer.is_err();
                        if sender.send(answer).is_err() || is_error {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            let mut result = Ok(());
            for answer in receiver {
                match answer {
                    Ok(answer) => on_answer(answer),
                    Err(error) => {
                        // The others need not try.
                        self.stop.store(true, Ordering::Relaxed);
                        result = Err(error);
                    }
                }
            }
            result
        })
    }

    /// For runs one after the other in one worker.
    pub fn runs(&self) -> Runs<'_> {
        Runs { pool: self, worker: None, bounds: None }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Runs a pair that did not come to an end once more, and watches it.
    fn examine(&self, job: &Job, end: &End) -> io::Result<Option<Answer>> {
        let traces = self.settings.traces.join(format!("{}-{}.jsonl", job.test, job.spec.seed));
        let job = Job { watch: Some(traces.clone()), ..job.clone() };
        let mut worker = Worker::start(&self.settings)?;
        let mut silence = Limit::after(SILENCE.min(self.settings.wall_limit));
        // What leaves traces for ever has left enough of them by then.
        let mut limit = Limit::after(self.settings.wall_limit);
        let mut size = 0;
        let give_up = || {
            let now = watch::size(&traces);
            if now != std::mem::replace(&mut size, now) {
                silence = Limit::after(SILENCE.min(self.settings.wall_limit));
            }
            self.is_stopped() || silence.is_over() || limit.is_over()
        };
        let again = worker.ask(&job, give_up)?;
        if self.is_stopped() {
            return Ok(None);
        }
        let (mut details, mut at) = (Vec::new(), None);
        match again {
            Ok(answer) => details.push(format!(
                "run again, it {}: something in it is not deterministic",
                answer.record.verdict.name()
            )),
            Err(_) => (details, at) = watch::tell(&traces),
        }
        let events = match job.keep {
            Keep::Events => watch::events(&traces),
            _ => Vec::new(),
        };
        Ok(Some(Answer { events, ..self.ended(&job, end, details, at) }))
    }

    /// What there is to say of a run that did not come to an end.
    fn ended(&self, job: &Job, end: &End, mut details: Vec<String>, at: Option<f64>) -> Answer {
        let (verdict, kind, reason) = self.judge(end);
        let said: Vec<&str> = end.output.lines().filter(|line| !line.trim().is_empty()).collect();
        if !said.is_empty() {
            let last = &said[said.len().saturating_sub(LAST_WORDS)..];
            details.push("its last words:".into());
            details.extend(last.iter().map(|line| format!("  {line}")));
        }
        let failure = FailureRecord { at, details, ..FailureRecord::new(reason, kind) };
        let name = self.settings.implementation.name;
        let build = &self.settings.build;
        let record = RunRecord::ended((&job.test, job.spec.seed), name, verdict, failure, build);
        let record = RunRecord { profile: job.profile, ..record };
        Answer::new(record, &job.nonce)
    }

    /// How a process that ended like this is judged: the verdict, the kind of cause, and a sentence.
    fn judge(&self, end: &End) -> (Verdict, CauseKind, String) {
        if let How::GaveUp = end.how {
            let limit = self.settings.wall_limit.as_secs_f64();
            let reason = format!("a task did not return within {limit} s of real time");
            return (Verdict::Hung, CauseKind::Hang, reason);
        }
        let crash = end.crash();
        let reason = match crash {
            Crash::Memory => {
                let limit = self.settings.memory_bytes >> 20;
                format!("it needs more than {limit} MiB of memory (--memory)")
            }
            Crash::Output => format!("it printed more than {} MiB", MAX_OUTPUT_BYTES >> 20),
            crash => crash.to_string(),
        };
        (Verdict::Crashed, CauseKind::Crash { crash }, reason)
    }
}

impl Answer {
    fn is_to(&self, job: &Job) -> bool {
        let record = &self.record;
        (&self.nonce, &record.test, record.seed) == (&job.nonce, &job.test, job.spec.seed)
    }
}

/// 128 bits that nobody can know before.
fn nonce() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Runs one after the other in one worker, which is replaced when a run costs it.
#[derive(Debug)]
pub struct Runs<'a> {
    pool: &'a Pool<'a>,
    worker: Option<Worker>,
    bounds: Option<Bounds>,
}

impl Runs<'_> {
    /// Gives up what gets further than so, from now on.
    pub fn set_bounds(&mut self, bounds: Option<Bounds>) {
        self.bounds = bounds;
    }

    /// What became of a run; `None` when the stop flag was set.
    ///
    /// # Errors
    /// As [`Pool::run`].
    pub fn run(&mut self, test: &Test, spec: RunSpec, keep: Keep) -> io::Result<Option<Answer>> {
        let Settings { profile, wall_limit, .. } = self.pool.settings;
        let job = Job {
            test: test.name.into(),
            spec,
            profile,
            keep,
            bounds: self.bounds,
            watch: None,
            nonce: nonce()?,
        };
        let worker = match &mut self.worker {
            Some(worker) => worker,
            None => self.worker.insert(Worker::start(&self.pool.settings)?),
        };
        let mut limit = Limit::after(wall_limit);
        let end = match worker.ask(&job, || self.pool.is_stopped() || limit.is_over())? {
            Ok(answer) => {
                if self.pool.settings.is_distrusted {
                    self.worker = None;
                }
                return Ok(Some(*answer));
            }
            Err(end) => end,
        };
        self.worker = None;
        if self.pool.is_stopped() {
            return Ok(None);
        }
        match self.pool.settings.is_distrusted {
            true => Ok(Some(self.pool.ended(&job, &end, Vec::new(), None))),
            false => self.pool.examine(&job, &end),
        }
    }
}

/// A moment of real time after which something is given up. It never decides about a run that
/// comes back.
struct Limit(Instant);

impl Limit {
    #[expect(clippy::disallowed_methods, reason = "real time, outside of any simulation")]
    fn after(span: Duration) -> Limit {
        Limit(Instant::now() + span)
    }

    #[expect(clippy::disallowed_methods, reason = "real time, outside of any simulation")]
    fn is_over(&mut self) -> bool {
        Instant::now() >= self.0
    }
}

#[expect(clippy::disallowed_methods, reason = "real time, outside of any simulation")]
fn pause(span: Duration) {
    std::thread::sleep(span);
}

/// How a worker came to its end.
struct End {
    how: How,
    status: ExitStatus,
    /// The last of what it printed.
    output: String,
}

impl End {
    /// What the code under test did to its process. The texts are those of Rust's runtime, which
    /// aborts without saying why in any other way.
    fn crash(&self) -> Crash {
        match self.how {
            How::Flood => Crash::Output,
            How::Garbled => Crash::Garbled,
            _ if self.output.contains("memory allocation of") => Crash::Memory,
            _ if self.output.contains("has overflowed its stack") => Crash::Stack,
            _ => match (self.status.code(), self.status.signal()) {
                (Some(code), _) => Crash::Exit(code),
                (_, Some(signal)) => Crash::Signal(signal),
                _ => Crash::Unknown,
            },
        }
    }
}

enum How {
    /// It was there no more.
    Gone,
    /// It took too long.
    GaveUp,
    /// It printed too much.
    Flood,
    /// It answered, but not what was asked.
    Garbled,
}

/// A worker process. Dropping it ends it, and all that it started.
#[derive(Debug)]
struct Worker {
    /// None when it has come to its end.
    child: Option<Child>,
    socket: BufReader<UnixStream>,
    output: Arc<Mutex<Output>>,
}

/// What a worker prints.
#[derive(Debug, Default)]
struct Output {
    last: VecDeque<u8>,
    /// Bytes since the last job began.
    count: u64,
}

impl Worker {
    #[expect(clippy::disallowed_methods, reason = "a thread outside of any simulation")]
    fn start(settings: &Settings) -> io::Result<Worker> {
        let (ours, theirs) = UnixStream::pair()?;
        let (reader, writer) = io::pipe()?;
        let [program, arguments @ ..] = &settings.command[..] else {
            return Err(io::Error::other("there is no command to start workers with"));
        };
        let mut command = Command::new(program);
        if settings.is_distrusted {
            command.env_clear();
        }
        let child = command
            .args(arguments)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(writer.try_clone()?)
            .stderr(writer)
            // So that it and all that it starts can be ended together; and a Ctrl-C is ours alone.
            .process_group(0)
            .spawn()
            .map_err(|error| io::Error::other(format!("{program} cannot be started: {error}")))?;
        ours.set_read_timeout(Some(LOOK_INTERVAL))?;
        let output = Arc::new(Mutex::new(Output::default()));
        let (kept, show) = (output.clone(), settings.show_output);
        std::thread::spawn(move || drain(reader, &kept, show));
        Ok(Worker { child: Some(child), socket: BufReader::new(ours), output })
    }

    /// Has a job done. It is given up when `give_up` says so; then, and when the worker is gone, this
    /// is the worker's end.
    fn ask(
        &mut self,
        job: &Job,
        give_up: impl FnMut() -> bool,
    ) -> io::Result<Result<Box<Answer>, End>> {
        self.output().count = 0;
        let mut line = serde_json::to_string(job)?;
        line.push('\n');
        let how = match self.socket.get_mut().write_all(line.as_bytes()) {
            Err(_) => How::Gone,
            Ok(()) => match self.wait(give_up) {
                Ok(answer) if answer.is_to(job) => return Ok(Ok(answer)),
                Ok(_) => How::Garbled,
                Err(how) => how,
            },
        };
        let status = self.end()?;
        // What it said last is on its way: the other end of the pipe is closed now.
        for _ in 0..20 {
            if Arc::strong_count(&self.output) == 1 {
                break;
            }
            pause(LOOK_INTERVAL / 10);
        }
        let last: Vec<u8> = self.output().last.iter().copied().collect();
        Ok(Err(End { how, status, output: String::from_utf8_lossy(&last).into_owned() }))
    }

    fn wait(&mut self, mut give_up: impl FnMut() -> bool) -> Result<Box<Answer>, How> {
        let mut line = Vec::new();
        loop {
            let room = MAX_ANSWER_BYTES.saturating_sub(line.len() as u64);
            match (&mut self.socket).take(room).read_until(b'\n', &mut line) {
                Ok(0) if room == 0 => return Err(How::Garbled),
                Ok(0) => return Err(How::Gone),
                Ok(_) if line.ends_with(b"\n") => {
                    return serde_json::from_slice(&line).map_err(|_| How::Garbled);
                }
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {}
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(How::Gone),
                },
            }
            if self.output().count > MAX_OUTPUT_BYTES {
                return Err(How::Flood);
            }
            if give_up() {
                return Err(How::GaveUp);
            }
        }
    }

    fn output(&self) -> MutexGuard<'_, Output> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the process and all that it started.
    fn end(&mut self) -> io::Result<ExitStatus> {
        let mut child = self.child.take().ok_or_else(|| io::Error::other("it has ended before"))?;
        if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            // It may be gone already.
            _ = kill_process_group(group, Signal::KILL);
        }
        child.wait()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        _ = self.end();
    }
}

/// Keeps the last of what a worker prints, until nobody can print any more.
fn drain(mut reader: PipeReader, output: &Mutex<Output>, show: bool) {
    let mut buffer = [0; 64 << 10];
    while let Ok(count @ 1..) = reader.read(&mut buffer) {
        if show {
            _ = io::stderr().write_all(&buffer[..count]);
        }
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        output.count += count as u64;
        output.last.extend(&buffer[..count]);
        let excess = output.last.len().saturating_sub(KEPT_OUTPUT_BYTES);
        output.last.drain(..excess);
    }
}
