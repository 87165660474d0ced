//! Processes that commands start and wait for: cargo and the lab.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use lab::outcome::INTERRUPT;
use rustix::process::{Pid, Signal, kill_process_group};

/// How often to check whether a process has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A setting of the release profile that makes a build quick. The program runs a little slower; its
/// runs are the same.
pub(crate) const QUICK_RELEASE: (&str, &str) = ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "64");

/// How a process ended.
pub(crate) enum Ended {
    Exited(ExitStatus),
    /// It exceeded its time limit and was killed.
    TimedOut,
    /// The user interrupted the command. The process was killed if it was still running.
    Interrupted,
}

/// Runs a command and writes its output to the file `log`.
///
/// The command gets its own process group, which is killed as a whole when the user interrupts, or
/// after `limit` of real time.
pub(crate) fn run_logged(
    mut command: Command,
    log: &Path,
    limit: Option<Duration>,
) -> io::Result<Ended> {
    let log = File::create(log)?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    let mut child = command.spawn()?;
    let deadline = limit.map(|limit| now() + limit);
    loop {
        if INTERRUPT.load(Ordering::Relaxed) {
            kill_group(&mut child)?;
            return Ok(Ended::Interrupted);
        }
        if let Some(status) = child.try_wait()? {
            return Ok(Ended::Exited(status));
        }
        if deadline.is_some_and(|deadline| now() >= deadline) {
            kill_group(&mut child)?;
            return Ok(Ended::TimedOut);
        }
        pause();
    }
}

fn kill_group(child: &mut Child) -> io::Result<()> {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // This fails if the whole group has already ended, which is just as well.
        _ = kill_process_group(group, Signal::KILL);
    }
    child.wait()?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "real time, outside of any simulation")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "real time, outside of any simulation")]
fn pause() {
    std::thread::sleep(POLL_INTERVAL);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, limit: Duration) -> (Ended, String) {
        let log = std::env::temp_dir().join(format!("lab-processes-{}", std::process::id()));
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        let ended = run_logged(command, &log, Some(limit)).unwrap();
        let printed = std::fs::read_to_string(&log).unwrap();
        std::fs::remove_file(&log).unwrap();
        (ended, printed)
    }

    #[test]
    fn a_process_is_logged_and_killed_when_its_time_is_up() {
        let (ended, printed) = run("echo out; echo err >&2; exit 3", Duration::from_secs(60));
        assert!(matches!(ended, Ended::Exited(status) if status.code() == Some(3)));
        assert_eq!(printed, "out\nerr\n");
        let (ended, _) = run("sleep 1000 & wait", Duration::from_millis(50));
        assert!(matches!(ended, Ended::TimedOut));
    }
}
