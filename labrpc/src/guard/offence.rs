//! What code in a simulation must not do.

use std::fmt;

/// Something that code in a simulation must not do, because it depends on real time, real threads
/// or the kernel's entropy.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Offence {
    /// It slept in real time.
    Sleep,
    /// It started a thread.
    Thread,
    /// It waited for the clock to advance, which never happens while a task runs.
    Clock,
    /// It opened a file whose content is the kernel's entropy or its clock.
    File,
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Offence::Sleep => "slept in real time (std::thread::sleep); use Runtime::sleep",
            Offence::Thread => "started a thread (std::thread::spawn); use Runtime::spawn",
            Offence::Clock => {
                "waited for the clock, which stands still while a task runs (recv_timeout, \
                 park_timeout, wait_timeout, or a loop around Instant::now); await Runtime::sleep"
            }
            Offence::File => {
                "opened a file that differs from run to run (/dev/urandom, /dev/random, \
                 /dev/hwrng, /proc/uptime, or one in /proc/sys/kernel/random); use the Runtime's \
                 dice and clock"
            }
        })
    }
}
