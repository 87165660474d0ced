//! Who ended a worker in the middle of a run: the code under test, the machine, or somebody else.
//!
//! Only what the code under test did is a failure of its run. A run is deterministic, so its repetition
//! in a fresh worker is the judge: what the run does to its process it does again, and at the same
//! place. Whatever does not come again was done by somebody else, or by what earlier runs had left
//! behind in the worker.

use std::collections::BTreeMap;

use labraft::Crash;
use rustix::process::{Resource, Signal, getrlimit};

use super::limits::MemoryLimit;
use super::proc_stat::kills_for_memory;
use super::process::{End, How};

/// The exit code of a Rust program whose main thread has panicked. The lab's own code does that too, if
/// the machine refuses it a thread, for example.
const PANIC_EXIT_CODE: i32 = 101;

/// What the end of a worker proves.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Proof {
    /// Nobody but the code under test can do this to its process.
    Enough,
    /// The run has done it if it comes again in a fresh worker.
    IfRepeated,
    /// It is what others do to processes. The run has done it only if it comes again at the very same
    /// place of the run.
    IfAtTheSamePlace,
    /// It is always the doing of somebody else.
    None,
}

/// What is known about the machine.
#[derive(Copy, Clone, Debug)]
pub(super) struct Machine {
    /// How many processes the system had killed for memory when the pool was made.
    kills_for_memory: Option<u64>,
    /// The seconds of CPU time after which the system kills a worker.
    cpu_limit: Option<u64>,
    pub(super) memory_limit: Option<MemoryLimit>,
}

impl Machine {
    pub(super) fn now() -> Machine {
        let limit = getrlimit(Resource::Cpu);
        let cpu_limit = limit.current.into_iter().chain(limit.maximum).min();
        let memory_limit = MemoryLimit::lowest();
        Machine { kills_for_memory: kills_for_memory(), cpu_limit, memory_limit }
    }

    fn was_short_of_memory(&self) -> bool {
        let (before, now) = (self.kills_for_memory, kills_for_memory());
        before.zip(now).is_some_and(|(before, now)| now > before)
    }

    /// Whether the run has ended its worker itself, in the last of these ways, which was in a fresh
    /// worker.
    pub(super) fn is_own_doing(&self, before: &[End], last: &End) -> bool {
        match self.proof(last) {
            Proof::Enough => true,
            Proof::IfRepeated => before.iter().any(|end| end.is_like(last)),
            Proof::IfAtTheSamePlace => before
                .iter()
                .any(|end| end.is_like(last) && last.place.is_some() && end.place == last.place),
            Proof::None => false,
        }
    }

    /// The first end that the code under test has certainly brought about, even if it did not repeat it.
    pub(super) fn certain<'e>(&self, ends: &'e [End]) -> Option<&'e End> {
        ends.iter().find(|end| self.proof(end) == Proof::Enough)
    }

    /// Whether the run is more likely to have ended its worker in this way than somebody else.
    pub(super) fn is_suspicious(&self, end: &End) -> bool {
        matches!(self.proof(end), Proof::Enough | Proof::IfRepeated)
    }

    fn proof(&self, end: &End) -> Proof {
        if !end.was_ready {
            return Proof::None;
        }
        match end.how {
            How::Hung => return Proof::IfRepeated,
            How::HeldUp | How::Stopped | How::Broken(_) => return Proof::None,
            How::Gone | How::Flood | How::Garbled => {}
        }
        match end.crash() {
            Crash::Exit(PANIC_EXIT_CODE) | Crash::Memory | Crash::Unknown => Proof::IfRepeated,
            Crash::Exit(_) | Crash::Stack | Crash::Output | Crash::Garbled => Proof::Enough,
            Crash::Signal(signal) => self.proof_of_signal(signal),
        }
    }

    fn proof_of_signal(&self, signal: i32) -> Proof {
        let faults = [
            Signal::ILL,
            Signal::TRAP,
            Signal::ABORT,
            Signal::BUS,
            Signal::FPE,
            Signal::SEGV,
            Signal::SYS,
        ];
        if faults.iter().any(|fault| fault.as_raw() == signal) {
            return Proof::IfRepeated;
        }
        let is_limit = self.cpu_limit.is_some() || self.was_short_of_memory();
        match signal {
            _ if signal == Signal::XCPU.as_raw() => Proof::None,
            _ if signal == Signal::KILL.as_raw() && is_limit => Proof::None,
            _ => Proof::IfAtTheSamePlace,
        }
    }

    /// Says that a run has no result, because none of its workers reached the end of it.
    pub(super) fn without_result(&self, test: &str, seed: u64, ends: &[End]) -> String {
        let mut counts = BTreeMap::<String, u64>::new();
        for end in ends {
            *counts.entry(end.to_string()).or_default() += 1;
        }
        let times = |count: u64| if count == 1 { "once".into() } else { format!("{count} times") };
        let counts: Vec<String> =
            counts.iter().map(|(end, &count)| format!("{end} ({})", times(count))).collect();
        let mut text = format!(
            "{test}, seed {seed}, has no result: each of its {} workers was ended before the run was \
             over, by something other than the code under test: {}",
            ends.len(),
            counts.join(", ")
        );
        if self.was_short_of_memory() {
            text += "; the system has killed processes because memory had run out: give the workers \
                     less (--memory), or use fewer (--jobs)";
        }
        if let Some(seconds) = self.cpu_limit {
            text += &format!("; the limit of CPU time is {seconds} s here (ulimit -t)");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    const IDLE: Machine = Machine { kills_for_memory: None, cpu_limit: None, memory_limit: None };

    /// The end of a worker with this status, as `wait` reports it, at this place of the run.
    fn end(status: i32, place: &str) -> End {
        End {
            how: How::Gone,
            status: ExitStatus::from_raw(status),
            output: String::new(),
            was_ready: true,
            place: (!place.is_empty()).then(|| place.into()),
        }
    }

    fn is_own(before: End, last: &End) -> bool {
        IDLE.is_own_doing(&[before], last)
    }

    #[test]
    fn what_others_send_is_the_runs_own_only_at_the_same_place() {
        for signal in [1, 2, 9, 10, 15] {
            assert!(!is_own(end(signal, ""), &end(signal, "")), "{signal}, before the run began");
            assert!(!is_own(end(signal, ""), &end(signal, "a")), "{signal}, not observed before");
            assert!(!is_own(end(signal, "a"), &end(signal, "b")), "{signal}, at two places");
            assert!(!is_own(end(6, "a"), &end(signal, "a")), "{signal}, after another end");
            assert!(is_own(end(signal, "a"), &end(signal, "a")), "{signal}, twice at one place");
        }
    }

    #[test]
    fn faults_are_the_runs_own_if_they_come_again() {
        for signal in [4, 6, 7, 8, 11] {
            assert!(is_own(end(signal, ""), &end(signal, "b")));
            assert!(!is_own(end(9, ""), &end(signal, "b")));
        }
        // Nobody else makes a process exit, unless it never began.
        assert!(is_own(end(9, ""), &end(7 << 8, "a")));
        assert!(!is_own(end(9, ""), &end(101 << 8, "a")));
        assert!(!is_own(end(9, ""), &End { was_ready: false, ..end(7 << 8, "") }));
    }

    #[test]
    fn limits_of_the_machine_are_never_the_runs_own() {
        assert!(!is_own(end(24, "a"), &end(24, "a")), "SIGXCPU");
        let limited = Machine { cpu_limit: Some(60), ..IDLE };
        assert!(!limited.is_own_doing(&[end(9, "a")], &end(9, "a")));
        let held_up = || End { how: How::HeldUp, ..end(9, "a") };
        assert!(!is_own(held_up(), &held_up()));
        let text = limited.without_result("Backup2B", 5, &[end(9, ""), end(15, ""), end(9, "")]);
        assert!(text.contains("signal 9 (killed) ended the process (2 times)"), "{text}");
        assert!(
            text.contains("Backup2B, seed 5") && text.contains("60 s here (ulimit -t)"),
            "{text}"
        );
    }
}
