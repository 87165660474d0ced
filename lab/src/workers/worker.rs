//! The worker process: makes one run after the other, until the parent closes the connection.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::Duration;

use labrpc::Limits;
use rustix::process::{Resource, Rlimit, Signal, kill_current_process_group, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::watch::Traces;
use super::{Answer, Bounds, Job, Keep};
use crate::records::{Build, RunRecord};
use labraft::Implementation;
use labraft::Run;
use labraft::Test;

/// Reads jobs from standard input, which must be a socket, runs them, and writes the answers back
/// to it.
///
/// The process must be the leader of its own process group. When the parent closes the connection,
/// even in the middle of a run, the whole group is killed.
///
/// `confine` is called once, before any code under test runs, to drop privileges. The process still
/// has a single thread then, and nothing more has to be opened, except the traces of a run under
/// observation.
///
/// # Errors
/// If standard input is not a socket, a job cannot be parsed or names an unknown test, or `confine`
/// fails.
pub fn serve(
    suite: &'static [Test],
    implementation: Implementation,
    memory_bytes: u64,
    build: &Build,
    confine: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Code under test that reads its standard input must not swallow jobs.
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    let limit = Some(memory_bytes);
    setrlimit(Resource::As, Rlimit { current: limit, maximum: limit })?;
    confine()?;

    let jobs = jobs_of(socket.try_clone()?);
    let mut answers = socket;
    for job in jobs {
        let job = job?;
        let test = suite.iter().find(|test| test.name == job.test);
        let test = test.ok_or_else(|| io::Error::other(format!("unknown test {:?}", job.test)))?;
        let mut line = serde_json::to_string(&run(test, implementation, &job, build)?)?;
        line.push('\n');
        answers.write_all(line.as_bytes())?;
    }
    Ok(())
}

/// The jobs as they arrive. They are read by a thread of their own, which notices that the parent
/// is gone even while a run hangs.
#[expect(clippy::disallowed_methods, reason = "a thread outside of any simulation")]
fn jobs_of(socket: UnixStream) -> mpsc::IntoIter<io::Result<Job>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(socket).lines() {
            let job = line.and_then(|line| Ok(serde_json::from_str(&line)?));
            if sender.send(job).is_err() {
                return;
            }
        }
        _ = kill_current_process_group(Signal::KILL);
    });
    receiver.into_iter()
}

fn run(
    test: &'static Test,
    implementation: Implementation,
    job: &Job,
    build: &Build,
) -> io::Result<Answer> {
    let mut run = Run::new(test, implementation, job.spec.clone())
        .profile(job.conditions.profile)
        .without(job.conditions.without)
        .audit(job.audit)
        .record(job.keep == Keep::Events)
        .record_choices(job.keep != Keep::Result);
    if let Some(Bounds { virtual_time, events }) = job.bounds {
        run = run.limits(Limits { virtual_time, events, ..(test.limits)() });
    }
    if let Some(path) = &job.watch {
        run = run.watch(Box::new(Traces::begin(path)?));
    }
    let before = cpu_time();
    let report = run.run();
    let cpu = cpu_time().saturating_sub(before);
    let record = RunRecord::new(&report, implementation.name, cpu, build);
    Ok(Answer::of(report, record, &job.nonce))
}

/// The CPU time that this process has used so far.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
