//! A worker process as its parent sees it: starts it, sends it a job, waits for the answer, and kills it.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead, BufReader, PipeReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use labraft::Crash;
use rustix::process::{Pid, Signal, kill_process_group};

use super::progress::{Meter, Spent};
use super::settings::Settings;
use super::{Answer, Job, Reply};
use crate::plain::Marked;
use labrpc::Timed;

/// How often a wait for an answer checks whether to give up.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// How long a worker may take to accept a job. It does so even while a run hangs, unless it is stopped.
const SEND_LIMIT: Duration = Duration::from_secs(30);
/// The most that a run may print.
pub(super) const MAX_OUTPUT_BYTES: u64 = 64 << 20;
/// How much of the output is kept: the end, because that is where a dying process explains itself.
const KEPT_OUTPUT_BYTES: usize = 8 << 10;
/// The longest answer that is accepted. The answer for a recorded run contains all of its events.
const MAX_ANSWER_BYTES: u64 = 1 << 30;
/// How much is read from a worker at once, if it is there: about as much as a socket holds.
const PIECE: usize = 256 << 10;

/// How a worker process ended.
pub(super) struct End {
    pub(super) how: How,
    pub(super) status: ExitStatus,
    /// The end of what it printed.
    pub(super) output: String,
    /// Whether it had been set up, so that code under test could run.
    pub(super) was_ready: bool,
    /// The place in the run, if the run was observed and had begun.
    pub(super) place: Option<String>,
}

impl End {
    /// What happened to the process. Rust's runtime reports exhausted memory and stack overflows only
    /// by printing these texts before it aborts.
    pub(super) fn crash(&self) -> Crash {
        let signal = self.status.signal();
        let has_aborted = signal == Some(Signal::ABORT.as_raw());
        match self.how {
            How::Flood => Crash::Output,
            How::Garbled => Crash::Garbled,
            _ if has_aborted && self.output.contains("memory allocation of") => Crash::Memory,
            _ if has_aborted && self.output.contains("has overflowed its stack") => Crash::Stack,
            _ => match (self.status.code(), signal) {
                (Some(code), _) => Crash::Exit(code),
                (_, Some(signal)) => Crash::Signal(signal),
                _ => Crash::Unknown,
            },
        }
    }

    /// Whether both ended in the same way, at whatever place.
    pub(super) fn is_like(&self, other: &End) -> bool {
        match (&self.how, &other.how) {
            (How::Hung, How::Hung) => true,
            (How::Gone | How::Flood | How::Garbled, How::Gone | How::Flood | How::Garbled) => {
                self.crash() == other.crash()
            }
            _ => false,
        }
    }

    /// The last lines that the process printed.
    pub(super) fn last_words(&self, count: usize) -> Vec<&str> {
        let said: Vec<&str> = self.output.lines().filter(|line| !line.trim().is_empty()).collect();
        said[said.len().saturating_sub(count)..].to_vec()
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.how {
            How::HeldUp => f.write_str("it was stopped, or was given no CPU time"),
            How::Hung => f.write_str("it made no progress"),
            How::Stopped => f.write_str("the lab was stopped"),
            How::Broken(what) => f.write_str(what),
            How::Gone | How::Flood | How::Garbled => match self.crash() {
                Crash::Exit(code) => write!(f, "it ended with exit code {code}"),
                Crash::Memory => f.write_str("it reached its limit of memory (--memory)"),
                crash => write!(f, "{crash}"),
            },
        }
    }
}

/// Why a worker did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// The process exited, or closed its socket.
    Gone,
    /// The run worked for too long, or was silent for too long.
    Hung,
    /// Somebody has stopped the process, or the machine gave it no time to work.
    HeldUp,
    /// The pool was stopped.
    Stopped,
    /// The run printed more than [`MAX_OUTPUT_BYTES`].
    Flood,
    /// The process sent something that is not a valid answer.
    Garbled,
    /// The machine refuses what the worker needs, as it says itself.
    Broken(String),
}

/// An answer to a job, and what it says about the worker.
pub(super) struct Answered {
    pub(super) answer: Box<Answer>,
    /// Whether the run has left nothing behind, so that the worker can make further runs.
    pub(super) is_clean: bool,
}

/// A worker process. Dropping it kills the process and everything that it started.
#[derive(Debug)]
pub(super) struct Worker {
    /// `None` once the process has been killed.
    child: Option<Child>,
    socket: BufReader<UnixStream>,
    output: Arc<Mutex<Output>>,
    /// Whether it has said that it is set up.
    is_ready: bool,
}

/// The output of a worker.
#[derive(Debug, Default)]
struct Output {
    /// The end of the current job's output, at most [`KEPT_OUTPUT_BYTES`] long.
    last: VecDeque<u8>,
    /// Bytes printed since the current job began.
    count: u64,
}

/// How much unused memory glibc may keep in a worker. Every run frees nearly all that it has used, and the next one
/// takes as much again: with glibc's 128 KiB the kernel takes it back in between, and clears it for each run. Other C
/// libraries do not read this.
const KEPT_MEMORY: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=33554432");

impl Worker {
    pub(super) fn start(settings: &Settings) -> io::Result<Worker> {
        let (ours, theirs) = UnixStream::pair()?;
        let (reader, writer) = io::pipe()?;
        let [program, arguments @ ..] = &settings.command[..] else {
            return Err(io::Error::other("the command that starts workers is empty"));
        };
        let mut command = Command::new(program);
        if settings.is_distrusted {
            command.env_clear();
        }
        // A setting of the user's own wins.
        if settings.is_distrusted || std::env::var_os(KEPT_MEMORY.0).is_none() {
            command.env(KEPT_MEMORY.0, KEPT_MEMORY.1);
        }
        let output = Arc::new(Mutex::new(Output::default()));
        let (kept, show) = (output.clone(), settings.show_output);
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
        // From here on, dropping the worker kills the process.
        let worker = Worker {
            child: Some(child),
            socket: BufReader::with_capacity(PIECE, ours),
            output,
            is_ready: false,
        };
        // The command owns the pipe's other end, which only the process may keep open.
        drop(command);
        worker.socket.get_ref().set_read_timeout(Some(LOOK_INTERVAL))?;
        worker.socket.get_ref().set_write_timeout(Some(SEND_LIMIT))?;
        std::thread::Builder::new().spawn(move || drain(reader, &kept, show))?;
        Ok(worker)
    }

    /// Sends a job and waits for its answer. If the worker dies, sends something else, or `give_up`
    /// says so, kills the worker and returns how it ended.
    pub(super) fn ask(
        &mut self,
        job: &Job,
        give_up: impl FnMut(Spent) -> Option<How>,
    ) -> io::Result<Result<Answered, End>> {
        *self.output() = Output::default();
        let mut line = serde_json::to_string(job)?;
        line.push('\n');
        let how = match self.send(&line).and_then(|()| self.wait(job, give_up)) {
            Ok(answered) if answered.answer.is_to(job) => return Ok(Ok(answered)),
            Ok(_) => How::Garbled,
            Err(how) => how,
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
        let output = String::from_utf8_lossy(&last).into_owned();
        Ok(Err(End { how, status, output, was_ready: self.is_ready, place: None }))
    }

    fn send(&mut self, line: &str) -> Result<(), How> {
        match self.socket.get_mut().write_all(line.as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(How::HeldUp),
            // If the process is gone, what it has said before is still read.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn wait(
        &mut self,
        job: &Job,
        mut give_up: impl FnMut(Spent) -> Option<How>,
    ) -> Result<Answered, How> {
        let mut meter = Meter::start(self.child.as_ref().map_or(0, Child::id));
        let (mut line, mut events, mut received) = (Vec::new(), Vec::new(), 0);
        loop {
            let room = MAX_ANSWER_BYTES.saturating_sub(received + line.len() as u64);
            match (&mut self.socket).take(room).read_until(b'\n', &mut line) {
                Ok(0) if room == 0 => return Err(How::Garbled),
                Ok(0) => return Err(How::Gone),
                Ok(_) if line.ends_with(b"\n") => {
                    if let Some(answered) = self.receive(&line, job, &mut events)? {
                        return Ok(answered);
                    }
                    received += line.len() as u64;
                    line.clear();
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
            if let Some(how) = give_up(meter.look()) {
                return Err(how);
            }
        }
    }

    /// Takes one line from the worker: its answer to a job with all its events, or `None` if there is more to come.
    fn receive(
        &mut self,
        line: &[u8],
        job: &Job,
        events: &mut Vec<Timed>,
    ) -> Result<Option<Answered>, How> {
        match serde_json::from_slice(line) {
            Ok(Reply::Ready) if !self.is_ready => {
                self.is_ready = true;
                Ok(None)
            }
            Ok(Reply::Events { nonce, events: mut more })
                if self.is_ready && nonce == job.nonce =>
            {
                events.append(&mut more);
                Ok(None)
            }
            Ok(Reply::Done { mut answer, is_clean }) if self.is_ready => {
                answer.events = std::mem::take(events);
                Ok(Some(Answered { answer, is_clean }))
            }
            Ok(Reply::Broken(what)) => Err(How::Broken(what)),
            Ok(_) | Err(_) => Err(How::Garbled),
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

impl Answer {
    fn is_to(&self, job: &Job) -> bool {
        let record = &self.record;
        (&self.nonce, &record.test, record.seed) == (&job.nonce, &job.test, job.spec.seed)
    }
}

#[expect(clippy::disallowed_methods, reason = "real time, outside of any simulation")]
fn pause(span: Duration) {
    std::thread::sleep(span);
}

/// Reads a worker's output and keeps the end of it, until the pipe is closed.
fn drain(mut reader: PipeReader, output: &Mutex<Output>, show: bool) {
    let mut buffer = [0; 64 << 10];
    let mut shown = Marked::new(io::stderr());
    while let Ok(count @ 1..) = reader.read(&mut buffer) {
        if show {
            // Each line is marked, so that the worker's output cannot pass for the lab's own.
            _ = shown.add(&buffer[..count]);
        }
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        output.count += count as u64;
        output.last.extend(&buffer[..count]);
        let excess = output.last.len().saturating_sub(KEPT_OUTPUT_BYTES);
        output.last.drain(..excess);
    }
    _ = shown.end();
}
