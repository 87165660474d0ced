//! What the system says about a process and its threads, in `/proc`. On systems without it nothing is
//! known.

use std::path::Path;

/// The bit of `flags` that a thread has from the moment on at which it begins to end.
const IS_EXITING: u64 = 4;

/// A process, or one of its threads, at one moment.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) state: State,
    /// Whether it has begun to end. A thread that was joined may be listed a little longer.
    pub(super) is_exiting: bool,
    /// How many threads the process has, with those that are about to end.
    pub(super) threads: u64,
    /// The CPU time that it has used, in ticks of the system's clock.
    pub(super) ticks: u64,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It computes, or would if it had a processor.
    Runnable,
    /// It waits for an event, such as the release of a lock.
    Waiting,
    /// It waits for a disk, or for memory that was swapped out.
    WaitingForDisk,
    /// Somebody has stopped it.
    Stopped,
    /// It has ended.
    Ended,
}

/// A process as a whole; its state is that of its first thread.
pub(super) fn of_process(pid: &str) -> Option<Stat> {
    read(&Path::new("/proc").join(pid).join("stat"))
}

/// All threads of a process.
pub(super) fn of_threads(pid: &str) -> Vec<Stat> {
    let tasks = std::fs::read_dir(Path::new("/proc").join(pid).join("task"));
    let tasks = tasks.into_iter().flatten().flatten();
    tasks.filter_map(|task| read(&task.path().join("stat"))).collect()
}

/// How many processes the system has killed since its start because memory had run out.
pub(super) fn kills_for_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/vmstat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

fn read(path: &Path) -> Option<Stat> {
    parse(&std::fs::read_to_string(path).ok()?)
}

/// Reads the text of a `stat` file. The name of the program stands in parentheses and may contain
/// anything, also parentheses.
fn parse(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let state = match *fields.first()? {
        "R" => State::Runnable,
        "D" => State::WaitingForDisk,
        "T" | "t" => State::Stopped,
        "Z" | "X" | "x" => State::Ended,
        _ => State::Waiting,
    };
    let is_exiting = number(6)? & IS_EXITING != 0;
    let ticks = number(11)?.saturating_add(number(12)?);
    Some(Stat { state, is_exiting, threads: number(17)?, ticks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_the_program_is_called() {
        let line = "71 (a) R (b) T 1 71 71 0 -1 4194564 9 0 0 0 300 45 0 0 20 0 3 0 77 5 6\n";
        let stat = parse(line).unwrap();
        assert_eq!(stat, Stat { state: State::Stopped, is_exiting: true, threads: 3, ticks: 345 });
        assert_eq!(parse(&line.replace("4194564", "4194560")).map(|it| it.is_exiting), Some(false));
        assert_eq!(parse("71 (cut off) R 1"), None);
        assert_eq!(parse(""), None);
    }
}
