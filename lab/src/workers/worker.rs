//! The worker process: makes one run after the other, until the parent closes the connection.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::Duration;

use labrpc::Limits;
use rustix::io::Errno;
use rustix::process::{
    Resource, Rlimit, Signal, WaitId, WaitIdOptions, kill_current_process_group, setrlimit, waitid,
};
use rustix::time::{ClockId, clock_gettime};

use super::explore;
use super::proc_stat;
use super::watch::Traces;
use super::{Answer, Bounds, Job, Keep, Reply, Skipped};
use crate::records::{Build, RunRecord};
use labraft::Implementation;
use labraft::Run;
use labraft::Test;
use labraft::test_limits;
use labraft::test_or_world;

/// How long a job of a search may take: a tenth of the shortest sensible limit on one run.
const EXPLORING_TIME: Duration = Duration::from_millis(500);
/// How much of its memory a worker does not try to reserve, for what it needs itself meanwhile.
const SPARE_BYTES: u64 = 8 << 20;
/// How many events are sent at once.
const EVENTS_AT_ONCE: usize = 5000;

/// Reads jobs from standard input, which must be a socket, runs them, and writes the answers back
/// to it. What the machine refuses is told there too, because it is no fault of the run.
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
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let served = make_runs(suite, implementation, memory_bytes, build, confine, &mut socket);
    if let Err(error) = &served {
        // If this fails too, the parent sees how this process ends.
        _ = send(&mut socket, &Reply::Broken(format!("a worker cannot go on: {error}")));
    }
    served
}

fn make_runs(
    suite: &'static [Test],
    implementation: Implementation,
    memory_bytes: u64,
    build: &Build,
    confine: impl FnOnce() -> io::Result<()>,
    socket: &mut UnixStream,
) -> io::Result<()> {
    // Code under test that reads its standard input must not swallow jobs.
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    // If the system runs out of memory, it should rather kill a worker than the lab. Not every system can
    // be told so.
    _ = std::fs::write("/proc/self/oom_score_adj", "500");
    let limit = Some(memory_bytes);
    setrlimit(Resource::As, Rlimit { current: limit, maximum: limit })?;
    check_memory(memory_bytes)?;
    confine()?;

    let jobs = jobs_of(socket.try_clone()?)?;
    // A run needs a thread of its own. Whether there can be one is found out before it is blamed.
    std::thread::Builder::new().spawn(|| ())?.join().map_err(|_| io::Error::other("no threads"))?;
    let threads = running_threads();
    send(socket, &Reply::Ready)?;
    for job in jobs {
        let job = job?;
        let test = test_or_world(suite, &job.test);
        let test = test.ok_or_else(|| io::Error::other(format!("unknown test {:?}", job.test)))?;
        let mut answer = Box::new(answer(test, implementation, &job, build)?);
        send_events(socket, &mut answer)?;
        let is_clean = job.is_last || is_clean(threads);
        send(socket, &Reply::Done { answer, is_clean })?;
    }
    Ok(())
}

/// Sends the events of an answer before the answer itself.
fn send_events(socket: &mut UnixStream, answer: &mut Answer) -> io::Result<()> {
    let mut rest = std::mem::take(&mut answer.events).into_iter();
    while rest.len() > 0 {
        let events = rest.by_ref().take(EVENTS_AT_ONCE).collect();
        send(socket, &Reply::Events { nonce: answer.nonce.clone(), events })?;
    }
    Ok(())
}

fn send(socket: &mut UnixStream, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_string(reply)?;
    line.push('\n');
    socket.write_all(line.as_bytes())
}

/// Checks that the machine can give this process all the memory that it may use. It reserves that much
/// and returns it without ever touching it.
fn check_memory(memory_bytes: u64) -> io::Result<()> {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').next().and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
    let used = pages.saturating_mul(rustix::param::page_size() as u64);
    let rest = memory_bytes.saturating_sub(used).saturating_sub(SPARE_BYTES);
    let mut reserve = Vec::<u8>::new();
    let reserved = reserve.try_reserve_exact(usize::try_from(rest).unwrap_or(usize::MAX));
    std::hint::black_box(&mut reserve);
    reserved.map_err(|_| {
        let limit = memory_bytes >> 20;
        io::Error::other(format!("the machine has no {limit} MiB of memory for it (--memory)"))
    })
}

/// Whether the last run has left nothing behind: no thread besides the `threads` of the worker, and no
/// process.
fn is_clean(threads: usize) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let has_no_children = matches!(waitid(WaitId::All, options), Err(Errno::CHILD));
    // The first of these is quick, and nearly always enough.
    let listed = proc_stat::of_process("self").map_or(0, |process| process.threads);
    (listed <= threads as u64 || running_threads() <= threads) && has_no_children
}

/// How many threads this process has, without those that are about to end: one that was joined may be
/// listed a little longer.
fn running_threads() -> usize {
    proc_stat::of_threads("self").iter().filter(|thread| !thread.is_exiting).count()
}

/// The jobs as they arrive. They are read by a thread of their own, which notices that the parent
/// is gone even while a run hangs.
fn jobs_of(socket: UnixStream) -> io::Result<mpsc::IntoIter<io::Result<Job>>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new().spawn(move || {
        for line in BufReader::new(socket).lines() {
            let job = line.and_then(|line| Ok(serde_json::from_str(&line)?));
            if sender.send(job).is_err() {
                return;
            }
        }
        _ = kill_current_process_group(Signal::KILL);
    })?;
    Ok(receiver.into_iter())
}

/// Makes the run of a job, or the runs that have one fault more.
fn answer(
    test: &'static Test,
    implementation: Implementation,
    job: &Job,
    build: &Build,
) -> io::Result<Answer> {
    let Some(plan) = job.explore else { return run(test, implementation, job, build) };
    let begun = cpu_time();
    let explored = explore::explore(
        &job.spec,
        plan,
        &mut |spec, keeps_all| {
            let keep = if keeps_all { Keep::AllDecisions } else { Keep::Result };
            let job = Job { spec: spec.clone(), keep, ..job.clone() };
            let Answer { record, decisions, .. } = run(test, implementation, &job, build)?;
            Ok(Some((record, decisions)))
        },
        &mut || cpu_time().saturating_sub(begun) >= EXPLORING_TIME,
    )?;
    let (record, explored) = explored.ok_or_else(|| io::Error::other("a search has no runs"))?;
    Ok(Answer { explored: Some(explored), ..Answer::new(record, &job.nonce) })
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
        .record_choices(job.keep != Keep::Result)
        .record_all_choices(job.keep == Keep::AllDecisions);
    if let Some(Bounds { virtual_time, events }) = job.bounds {
        run = run.limits(Limits { virtual_time, events, ..test_limits() });
    }
    if let Some(path) = &job.watch {
        run = run.watch(Box::new(Traces::begin(path)?));
    }
    let before = cpu_time();
    let mut report = run.run();
    let cpu = cpu_time().saturating_sub(before);
    let record = RunRecord::new(&report, implementation.name, cpu, build);
    let skipped = (job.skip > 0).then(|| Skipped::from_start(&mut report.events, job.skip));
    Ok(Answer { skipped, ..Answer::of(report, record, &job.nonce) })
}

/// The CPU time that this process has used so far.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
