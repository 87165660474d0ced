//! How much a worker has worked since its job began, which decides whether its run hangs.
//!
//! Real time does not decide that: a process that somebody has stopped, or that a busy machine lets
//! wait, does not hang. What counts is the CPU time that it uses, and the time in which all of its
//! threads wait for something that only this process itself could bring about.

use std::time::{Duration, Instant};

use super::proc_stat::{self, State};

/// The most that counts between two looks. If they are further apart, the lab itself was held up.
const MOST_BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// Where the time of a worker has gone.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spent {
    /// The time in which it computed, or waited for itself.
    pub(super) working: Duration,
    /// The time in which it could not: it was stopped, or waited for a processor or a disk.
    pub(super) held_up: Duration,
}

/// Measures the progress of one process.
pub(super) struct Meter {
    pid: String,
    looked: Instant,
    /// The CPU time used up to the last look; `None` before the first one.
    cpu: Option<Duration>,
    spent: Spent,
}

impl Meter {
    pub(super) fn start(pid: u32) -> Meter {
        Meter { pid: pid.to_string(), looked: now(), cpu: None, spent: Spent::default() }
    }

    /// Takes the time since the last look into account.
    pub(super) fn look(&mut self) -> Spent {
        let looked = now();
        let real = looked.duration_since(std::mem::replace(&mut self.looked, looked));
        let cpu = cpu_of(&self.pid);
        let used = match (self.cpu, cpu) {
            (Some(before), Some(now)) => now.saturating_sub(before),
            _ => Duration::ZERO,
        };
        self.cpu = cpu.or(self.cpu);
        let states: Vec<State> =
            proc_stat::of_threads(&self.pid).iter().map(|thread| thread.state).collect();
        let more = divide(real.min(MOST_BETWEEN_LOOKS), used, &states);
        self.spent.working += more.working;
        self.spent.held_up += more.held_up;
        self.spent
    }
}

/// Divides a span of real time, in which a process used that much CPU time, by what its threads are
/// doing at the end of it. If the system does not tell, all of it counts as work.
fn divide(real: Duration, used: Duration, threads: &[State]) -> Spent {
    let is_held_up =
        |state: &State| matches!(state, State::Runnable | State::Stopped | State::WaitingForDisk);
    let working = match threads.iter().any(is_held_up) {
        true => used.min(real),
        false => real,
    };
    Spent { working, held_up: real - working }
}

fn cpu_of(pid: &str) -> Option<Duration> {
    let ticks = proc_stat::of_process(pid)?.ticks;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Some(Duration::from_millis(ticks.saturating_mul(1000) / per_second))
}

#[expect(clippy::disallowed_methods, reason = "real time, outside of any simulation")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_in_which_a_process_can_work_counts() {
        let ms = Duration::from_millis;
        let spent = |working, held_up| Spent { working: ms(working), held_up: ms(held_up) };
        let divide = |used, threads: &[State]| divide(ms(50), ms(used), threads);
        // It spins, alone or among many; it waits for a lock; it is stopped; the disk is slow.
        assert_eq!(divide(50, &[State::Waiting, State::Runnable]), spent(50, 0));
        assert_eq!(divide(10, &[State::Waiting, State::Runnable]), spent(10, 40));
        assert_eq!(divide(0, &[State::Waiting, State::Waiting]), spent(50, 0));
        assert_eq!(divide(0, &[State::Stopped, State::Stopped]), spent(0, 50));
        assert_eq!(divide(0, &[State::Waiting, State::WaitingForDisk]), spent(0, 50));
        // Several threads can use more CPU time than real time.
        assert_eq!(divide(90, &[State::Runnable]), spent(50, 0));
        assert_eq!(divide(0, &[]), spent(50, 0));
    }
}
