//! The standard library's clock and entropy, inside a simulation.
//!
//! In a program that links this crate, the functions listed here replace those of the C library.
//! They call the C library's functions, except on the thread of a simulation.
//!
//! | functions | in a simulation |
//! |---|---|
//! | `clock_gettime`, `gettimeofday`, `time` | the real-time, monotonic and boot clocks show virtual time, so that `Instant::now` and `SystemTime::now` are deterministic; clocks of CPU time stay real |
//! | `getrandom`, `getentropy` | the bytes come from the seed, so that a `HashMap` has the same order in each run of a seed |
//! | `nanosleep`, `clock_nanosleep`, `sleep`, `usleep` | an offence |
//! | `pthread_create` | an offence |
//! | `open`, `open64`, `openat`, `openat64` | an offence if the file is one from which the kernel gives entropy or its clock, such as `/dev/urandom`; other files are opened |
//! | `syscall` | does what the function of this table would do, if the system call has one (`getrandom` 0.2, and with it `rand` 0.8, calls the kernel in this way); waiting for a futex with a time limit is an offence (`recv_timeout`, `park_timeout`); other system calls are made |
//!
//! Reading the clock over and over until it advances is an offence too. After an offence the call
//! returns at once, and when the poll ends, the executor ends the run with a report.
//!
//! What a program does without the C library is out of reach: the instructions `RDTSC` and
//! `RDRAND`, and system calls in assembly (those of `rustix`, and of `getrandom` if it was built
//! with the backend `linux_raw`). So is what differs without the kernel: addresses of memory, the
//! numbers of threads (`fastrand` takes its first seed from one) and statics (`uuid` keeps a counter
//! for its versions 1 and 7). The lab finds such code because its runs do not repeat.
//!
//! All this works on Linux only, and `syscall` and `open` are replaced on x86-64 and aarch64 only.
//! On other systems nothing is replaced, and [`is_guarded`] returns false.
//!
//! `hooks` is the only file with `unsafe` code. All of it defines or calls C functions, with the
//! types that the `libc` crate gives them. None of the replacements can unwind, since none of them
//! panics.
//!
//! | file | what it holds |
//! |---|---|
//! | `offence` | what code in a simulation must not do |
//! | `thread` | what a simulation's thread has of its own: its clock, its entropy, its first offence |
//! | `hooks` | the functions that replace those of the C library |

#[cfg(target_os = "linux")]
mod hooks;
mod offence;
#[cfg(target_os = "linux")]
mod thread;

#[cfg(not(target_os = "linux"))]
pub use absent::is_guarded;
#[cfg(not(target_os = "linux"))]
pub(crate) use absent::{end_of_poll, enter, set_now};
#[cfg(target_os = "linux")]
pub use hooks::is_guarded;
pub use offence::Offence;
#[cfg(target_os = "linux")]
pub(crate) use thread::{end_of_poll, enter, set_now};

#[cfg(not(target_os = "linux"))]
mod absent {
    use super::offence::Offence;

    pub(crate) struct Inside;

    pub(crate) fn enter(_: u64) -> Inside {
        Inside
    }

    pub(crate) fn set_now(_: u64) {}

    pub(crate) fn end_of_poll() -> Option<Offence> {
        None
    }

    /// Checks whether the standard library uses this crate's clock and entropy, which is not
    /// possible on this system.
    pub fn is_guarded() -> bool {
        false
    }
}
