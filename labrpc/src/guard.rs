//! The standard library's clock and entropy, inside a simulation.
//!
//! In a program that links this crate, the functions `clock_gettime`, `getrandom`, `nanosleep`,
//! `clock_nanosleep` and `pthread_create` of this file replace those of the C library. They call
//! the C library's functions, except on the thread of a simulation. There,
//!
//! - the real-time, monotonic and boot clocks show virtual time, so that `Instant::now` and
//!   `SystemTime::now` are deterministic; clocks of CPU time stay real;
//! - random bytes come from the seed, so that a `HashMap` has the same order in each run of a seed;
//! - sleeping, starting a thread, and reading the clock over and over until it advances (as
//!   `recv_timeout` does) are offences: the call returns at once, and when the poll ends, the
//!   executor ends the run with a report.
//!
//! All this works on Linux only. On other systems nothing is replaced, and [`is_guarded`] returns
//! false.
//!
//! This is the only file with `unsafe` code. All of it defines or calls C functions, with the types
//! that the `libc` crate gives them. None of the replacements can unwind, since none of them
//! panics.

#[cfg(not(target_os = "linux"))]
use absent as system;
#[cfg(target_os = "linux")]
use hooks as system;

pub use system::is_guarded;
pub(crate) use system::{end_of_poll, enter, set_now};

/// Something that code in a simulation must not do, because it depends on real time or real
/// threads.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Offence {
    /// It slept in real time.
    Sleep,
    /// It started a thread.
    Thread,
    /// It waited for the clock to advance, which never happens while a task runs.
    Clock,
}

impl std::fmt::Display for Offence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Offence::Sleep => "slept in real time (std::thread::sleep); use Runtime::sleep",
            Offence::Thread => "started a thread (std::thread::spawn); use Runtime::spawn",
            Offence::Clock => {
                "waited for the clock, which stands still while a task runs (recv_timeout, \
                 park_timeout, wait_timeout, or a loop around Instant::now); await Runtime::sleep"
            }
        })
    }
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod hooks {
    use std::cell::Cell;
    use std::ffi::CStr;
    use std::mem::ManuallyDrop;
    use std::sync::atomic::{AtomicPtr, Ordering};

    use libc::{c_int, c_uint, c_void, clockid_t, size_t, ssize_t, timespec};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::Offence;

    /// The Unix time at which virtual time starts, in seconds: 2020-01-01.
    const EPOCH: u64 = 1_577_836_800;
    /// The monotonic clock's value at the start, in seconds. It is above zero, so that there are
    /// times before the start, and less than the uptime of any machine, so that a real wait until
    /// such a time ends at once.
    const MONOTONIC_START: u64 = 1;
    /// The number of times that a task may read the clock in one poll. One that does so more often
    /// is waiting for the clock to advance.
    const MOST_READS: u32 = 10_000;

    type Generator = ManuallyDrop<ChaCha8Rng>;

    fn generator(seed: u64) -> Generator {
        ManuallyDrop::new(ChaCha8Rng::seed_from_u64(seed))
    }

    // These have constant initial values and no destructors. Reading them therefore never
    // allocates, and is allowed at any time, even while a thread starts or ends.
    thread_local! {
        static IS_SIMULATION: Cell<bool> = const { Cell::new(false) };
        static NOW: Cell<u64> = const { Cell::new(0) };
        static READS: Cell<u32> = const { Cell::new(0) };
        // `ManuallyDrop`, because a generator's destructor has no effect that matters here.
        static ENTROPY: Cell<Option<Generator>> = const { Cell::new(None) };
        static OFFENCE: Cell<Option<Offence>> = const { Cell::new(None) };
    }

    /// Makes this thread a simulation's thread until the returned guard is dropped. `entropy` is
    /// the seed of the ChaCha8 generator that all random bytes come from.
    pub(crate) fn enter(entropy: u64) -> Inside {
        NOW.set(0);
        READS.set(0);
        ENTROPY.set(Some(generator(entropy)));
        OFFENCE.set(None);
        IS_SIMULATION.set(true);
        Inside
    }

    /// The guard that [`enter`] returns.
    pub(crate) struct Inside;

    impl Drop for Inside {
        fn drop(&mut self) {
            IS_SIMULATION.set(false);
        }
    }

    /// Sets the virtual time that clocks on this thread show, in nanoseconds since the start.
    #[inline]
    pub(crate) fn set_now(now: u64) {
        NOW.set(now);
    }

    /// Called when a poll has ended: returns its first offence, if there was one.
    #[inline]
    pub(crate) fn end_of_poll() -> Option<Offence> {
        READS.set(0);
        OFFENCE.take()
    }

    fn note(offence: Offence) {
        if OFFENCE.get().is_none() {
            OFFENCE.set(Some(offence));
        }
    }

    /// Checks whether the standard library uses this crate's clock and entropy in this program.
    pub fn is_guarded() -> bool {
        let outside = IS_SIMULATION.replace(true);
        let now = NOW.replace(123_456_789);
        let entropy = ENTROPY.replace(Some(generator(7)));
        let is_virtual = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .is_ok_and(|since| since.as_secs() == EPOCH && since.subsec_nanos() == 123_456_789);
        let mut expected = [0u8; 8];
        generator(7).fill_bytes(&mut expected);
        let mut bytes = [0u8; 8];
        // SAFETY: the pointer and the length are those of `bytes`.
        let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        let is_ours = filled == 8 && bytes == expected;
        NOW.set(now);
        ENTROPY.set(entropy);
        IS_SIMULATION.set(outside);
        is_virtual && is_ours
    }

    /// A function of the C library that this file replaces. It is looked up at the first call.
    struct Real {
        name: &'static CStr,
        found: AtomicPtr<c_void>,
    }

    impl Real {
        const fn new(name: &'static CStr) -> Real {
            Real { name, found: AtomicPtr::new(std::ptr::null_mut()) }
        }

        fn get(&self) -> *mut c_void {
            let mut found = self.found.load(Ordering::Relaxed);
            if found.is_null() {
                // SAFETY: `name` is a C string, and RTLD_NEXT looks up the definition that this
                // file replaces. Two threads that do this at the same time find the same address.
                found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
                self.found.store(found, Ordering::Relaxed);
            }
            found
        }
    }

    type ClockGettime = unsafe extern "C" fn(clockid_t, *mut timespec) -> c_int;
    type Getrandom = unsafe extern "C" fn(*mut c_void, size_t, c_uint) -> ssize_t;
    type Nanosleep = unsafe extern "C" fn(*const timespec, *mut timespec) -> c_int;
    type ClockNanosleep =
        unsafe extern "C" fn(clockid_t, c_int, *const timespec, *mut timespec) -> c_int;
    type ThreadMain = extern "C" fn(*mut c_void) -> *mut c_void;
    type PthreadCreate = unsafe extern "C" fn(
        *mut libc::pthread_t,
        *const libc::pthread_attr_t,
        ThreadMain,
        *mut c_void,
    ) -> c_int;

    static REAL_CLOCK_GETTIME: Real = Real::new(c"clock_gettime");
    static REAL_GETRANDOM: Real = Real::new(c"getrandom");
    static REAL_NANOSLEEP: Real = Real::new(c"nanosleep");
    static REAL_CLOCK_NANOSLEEP: Real = Real::new(c"clock_nanosleep");
    static REAL_PTHREAD_CREATE: Real = Real::new(c"pthread_create");

    /// The time that a clock shows in a simulation, or `None` if the clock stays real.
    fn virtual_clock(clock: clockid_t) -> Option<timespec> {
        let start = match clock {
            libc::CLOCK_REALTIME
            | libc::CLOCK_REALTIME_COARSE
            | libc::CLOCK_REALTIME_ALARM
            | libc::CLOCK_TAI => EPOCH,
            libc::CLOCK_MONOTONIC
            | libc::CLOCK_MONOTONIC_RAW
            | libc::CLOCK_MONOTONIC_COARSE
            | libc::CLOCK_BOOTTIME
            | libc::CLOCK_BOOTTIME_ALARM => MONOTONIC_START,
            _ => return None,
        };
        let reads = READS.get().saturating_add(1);
        READS.set(reads);
        let mut late = 0;
        if reads > MOST_READS {
            // Let the clock advance, so that the wait ends, then the poll, and with it the run.
            note(Offence::Clock);
            late = 1_000 * u64::from(reads - MOST_READS);
        }
        let now = NOW.get();
        Some(timespec {
            tv_sec: (start + now / 1_000_000_000 + late) as libc::time_t,
            tv_nsec: (now % 1_000_000_000) as _,
        })
    }

    /// Replaces the C library's function; shows virtual time in a simulation.
    ///
    /// # Safety
    /// The same as for the C library's function: `time` is null or can be written.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
        if IS_SIMULATION.get()
            && !time.is_null()
            && let Some(now) = virtual_clock(clock)
        {
            // SAFETY: `time` is not null, so the caller guarantees that it can be written.
            unsafe { time.write(now) };
            return 0;
        }
        // SAFETY: this is the C library's function of that name and type, called as we were.
        unsafe {
            let real: ClockGettime = std::mem::transmute(REAL_CLOCK_GETTIME.get());
            real(clock, time)
        }
    }

    /// Replaces the C library's function; in a simulation, the bytes come from the seed.
    ///
    /// # Safety
    /// The same as for the C library's function: `length` bytes at `buffer` can be written.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn getrandom(buffer: *mut c_void, length: size_t, flags: c_uint) -> ssize_t {
        if IS_SIMULATION.get() && !buffer.is_null() {
            // SAFETY: the caller guarantees that these bytes can be written. They may be
            // uninitialized, so they are never read.
            let bytes = unsafe {
                std::slice::from_raw_parts_mut(buffer.cast::<std::mem::MaybeUninit<u8>>(), length)
            };
            // A simulation's thread always has a generator, but nothing here may panic.
            let mut generator = ENTROPY.take().unwrap_or_else(|| generator(0));
            for chunk in bytes.chunks_mut(8) {
                let word = generator.next_u64().to_le_bytes();
                for (byte, value) in chunk.iter_mut().zip(word) {
                    byte.write(value);
                }
            }
            ENTROPY.set(Some(generator));
            return length as ssize_t;
        }
        // SAFETY: this is the C library's function of that name and type, called as we were.
        unsafe {
            let real: Getrandom = std::mem::transmute(REAL_GETRANDOM.get());
            real(buffer, length, flags)
        }
    }

    /// An offence in a simulation.
    ///
    /// # Safety
    /// As the C library's.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn nanosleep(span: *const timespec, rest: *mut timespec) -> c_int {
        if IS_SIMULATION.get() {
            note(Offence::Sleep);
            return 0;
        }
        // SAFETY: this is the C library's function of that name and type, called as we were.
        unsafe {
            let real: Nanosleep = std::mem::transmute(REAL_NANOSLEEP.get());
            real(span, rest)
        }
    }

    /// An offence in a simulation.
    ///
    /// # Safety
    /// As the C library's.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn clock_nanosleep(
        clock: clockid_t,
        flags: c_int,
        span: *const timespec,
        rest: *mut timespec,
    ) -> c_int {
        if IS_SIMULATION.get() {
            note(Offence::Sleep);
            return 0;
        }
        // SAFETY: this is the C library's function of that name and type, called as we were.
        unsafe {
            let real: ClockNanosleep = std::mem::transmute(REAL_CLOCK_NANOSLEEP.get());
            real(clock, flags, span, rest)
        }
    }

    /// An offence in a simulation.
    ///
    /// # Safety
    /// As the C library's.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn pthread_create(
        thread: *mut libc::pthread_t,
        attributes: *const libc::pthread_attr_t,
        main: ThreadMain,
        argument: *mut c_void,
    ) -> c_int {
        if IS_SIMULATION.get() {
            note(Offence::Thread);
            return libc::EAGAIN;
        }
        // SAFETY: this is the C library's function of that name and type, called as we were.
        unsafe {
            let real: PthreadCreate = std::mem::transmute(REAL_PTHREAD_CREATE.get());
            real(thread, attributes, main, argument)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod absent {
    use super::Offence;

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
