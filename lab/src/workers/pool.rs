//! The parent's side of the worker processes: starts them, hands out jobs, waits for answers, and
//! kills and replaces workers that do not give one.

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
use crate::conditions::Conditions;
use crate::records::{Build, FailureRecord, RunRecord};
use labraft::{CauseKind, Crash, Implementation, Test, Verdict};

/// How often a wait for an answer checks whether to give up.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// A run under observation is given up when it has left no new traces for this long.
const SILENCE: Duration = Duration::from_secs(3);
/// The most that a run may print.
const MAX_OUTPUT_BYTES: u64 = 64 << 20;
/// How much of the output is kept: the end, because that is where a dying process explains itself.
const KEPT_OUTPUT_BYTES: usize = 8 << 10;
/// The longest answer that is accepted. The answer for a recorded run contains all of its events.
const MAX_ANSWER_BYTES: u64 = 1 << 30;
/// How many lines of output are shown in a failure's details.
const LAST_WORDS: usize = 6;

/// A test, and the seed to run it with.
pub type Pair = (&'static Test, u64);

/// How workers are started, and what applies to all of their runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The Raft under test.
    pub implementation: Implementation,
    /// The program to start, and the arguments that make it call [`serve`](super::serve) with these
    /// settings.
    pub command: Vec<String>,
    /// The faults that runs meet, and what they are judged by.
    pub conditions: Conditions,
    /// The memory limit of a worker in bytes, for reports only: `command` has to enforce it.
    pub memory_bytes: u64,
    /// The real time after which a run counts as hung. It exists to end code that never returns to
    /// the executor, so it should be far longer than any run takes.
    pub wall_limit: Duration,
    /// The folder for the traces of runs that had to be repeated under observation.
    pub traces: PathBuf,
    /// Whether to pass the output of the code under test on to standard error.
    pub show_output: bool,
    /// The build of the workers.
    pub build: Build,
    /// Whether the code under test may try to deceive the lab. If so, each run gets a process of
    /// its own without environment variables, and a run that did not end is not repeated under
    /// observation.
    pub is_distrusted: bool,
}

/// A pool of worker processes.
#[derive(Debug)]
pub struct Pool<'a> {
    settings: Settings,
    /// Once set, by any thread, all runs end as soon as possible.
    stop: &'a AtomicBool,
}

impl<'a> Pool<'a> {
    /// Creates a pool. Workers are not started until they are needed.
    pub fn new(settings: Settings, stop: &'a AtomicBool) -> Pool<'a> {
        Pool { settings, stop }
    }

    /// Runs all pairs in `jobs` workers at once, and calls `on_answer` with each answer as it
    /// arrives. When the stop flag is set, it returns early and drops the runs in progress.
    ///
    /// # Errors
    /// If a worker cannot be started. Whatever happens inside a run is an answer, not an error.
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
        Runs { pool: self, worker: None, bounds: None }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Repeats a run that did not end, under observation.
    fn examine(&self, job: &Job, end: &End) -> io::Result<Option<Answer>> {
        let traces = self.settings.traces.join(format!("{}-{}.jsonl", job.test, job.spec.seed));
        let job = Job { watch: Some(traces.clone()), ..job.clone() };
        let mut worker = Worker::start(&self.settings)?;
        let mut silence = Limit::after(SILENCE.min(self.settings.wall_limit));
        // A run that leaves traces forever has left enough of them by then.
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
                "the repeated run's verdict is \"{}\": something in it is not deterministic",
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

    /// The answer for a run that did not end by itself, with the output of its process.
    fn ended(&self, job: &Job, end: &End, mut details: Vec<String>, at: Option<f64>) -> Answer {
        let (verdict, kind, reason) = self.judge(end);
        let said: Vec<&str> = end.output.lines().filter(|line| !line.trim().is_empty()).collect();
        if !said.is_empty() {
            let last = &said[said.len().saturating_sub(LAST_WORDS)..];
            details.push("the end of its output:".into());
            details.extend(last.iter().map(|line| format!("  {line}")));
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
        if let How::GaveUp = end.how {
            let limit = self.settings.wall_limit.as_secs_f64();
            let reason = format!("a task did not return within {limit} s of real time");
            return (Verdict::Hung, CauseKind::Hang, reason);
        }
        let crash = end.crash();
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

impl Answer {
    fn is_to(&self, job: &Job) -> bool {
        let record = &self.record;
        (&self.nonce, &record.test, record.seed) == (&job.nonce, &job.test, job.spec.seed)
    }
}

/// Returns 128 unpredictable bits, in hexadecimal.
fn nonce() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Makes runs one after the other in one worker, which is replaced when a run destroys it.
#[derive(Debug)]
pub struct Runs<'a> {
    pool: &'a Pool<'a>,
    worker: Option<Worker>,
    bounds: Option<Bounds>,
}

impl Runs<'_> {
    /// Sets the limits for all further runs.
    pub fn set_bounds(&mut self, bounds: Option<Bounds>) {
        self.bounds = bounds;
    }

    /// Makes one run and returns its outcome, or `None` if the stop flag was set.
    ///
    /// # Errors
    /// If a worker cannot be started.
    pub fn run(&mut self, test: &Test, spec: RunSpec, keep: Keep) -> io::Result<Option<Answer>> {
        let Settings { conditions, wall_limit, .. } = self.pool.settings;
        let job = Job {
            test: test.name.into(),
            spec,
            conditions,
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

/// A deadline in real time. It never affects the result of a run that returns.
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

/// How a worker process ended.
struct End {
    how: How,
    status: ExitStatus,
    /// The end of what it printed.
    output: String,
}

impl End {
    /// What the code under test did to its process. Rust's runtime reports exhausted memory and
    /// stack overflows only by printing these texts before it aborts.
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
    /// The process exited, or closed its socket.
    Gone,
    /// The run took too long, or the pool was stopped.
    GaveUp,
    /// The run printed more than [`MAX_OUTPUT_BYTES`].
    Flood,
    /// The process sent something other than an answer to its job.
    Garbled,
}

/// A worker process. Dropping it kills the process and everything that it started.
#[derive(Debug)]
struct Worker {
    /// `None` once the process has been killed.
    child: Option<Child>,
    socket: BufReader<UnixStream>,
    output: Arc<Mutex<Output>>,
}

/// The output of a worker.
#[derive(Debug, Default)]
struct Output {
    /// The end of the output, at most [`KEPT_OUTPUT_BYTES`] long.
    last: VecDeque<u8>,
    /// Bytes printed since the current job began.
    count: u64,
}

impl Worker {
    #[expect(clippy::disallowed_methods, reason = "a thread outside of any simulation")]
    fn start(settings: &Settings) -> io::Result<Worker> {
        let (ours, theirs) = UnixStream::pair()?;
        let (reader, writer) = io::pipe()?;
        let [program, arguments @ ..] = &settings.command[..] else {
            return Err(io::Error::other("the command that starts workers is empty"));
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
            // A process group can be killed as a whole, and Ctrl-C in the terminal does not reach
            // it.
            .process_group(0)
            .spawn()
            .map_err(|error| io::Error::other(format!("cannot start {program}: {error}")))?;
        ours.set_read_timeout(Some(LOOK_INTERVAL))?;
        let output = Arc::new(Mutex::new(Output::default()));
        let (kept, show) = (output.clone(), settings.show_output);
        std::thread::spawn(move || drain(reader, &kept, show));
        Ok(Worker { child: Some(child), socket: BufReader::new(ours), output })
    }

    /// Sends a job and waits for its answer. If the worker dies, sends something else, or `give_up`
    /// returns true, kills the worker and returns how it ended.
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
        // The pipe's other end is closed now. Give the thread that drains it time to read the rest.
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

    /// Kills the process and everything that it started, and returns its exit status.
    fn end(&mut self) -> io::Result<ExitStatus> {
        let mut child =
            self.child.take().ok_or_else(|| io::Error::other("the worker has already ended"))?;
        if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            // This fails if the group no longer exists, which is just as well.
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

/// Reads a worker's output and keeps the end of it, until the pipe is closed.
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
