//! What a simulation's thread has of its own: its clock, its entropy, and its first offence.

use std::cell::Cell;
use std::mem::{ManuallyDrop, MaybeUninit};

use libc::{clockid_t, timespec};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::offence::Offence;

/// The Unix time at which virtual time starts, in seconds: 2020-01-01.
const EPOCH: u64 = 1_577_836_800;
/// The monotonic clock's value at the start, in seconds. It is above zero, so that there are times
/// before the start.
const MONOTONIC_START: u64 = 1;
/// The number of times that a task may read the clock in one poll. One that does so more often is
/// waiting for the clock to advance.
const MOST_READS: u32 = 10_000;

type Generator = ManuallyDrop<ChaCha8Rng>;

fn generator(seed: u64) -> Generator {
    ManuallyDrop::new(ChaCha8Rng::seed_from_u64(seed))
}

// These have constant initial values and no destructors. Reading them therefore never allocates,
// and is allowed at any time, even while a thread starts or ends.
thread_local! {
    static IS_SIMULATION: Cell<bool> = const { Cell::new(false) };
    static NOW: Cell<u64> = const { Cell::new(0) };
    static READS: Cell<u32> = const { Cell::new(0) };
    // `ManuallyDrop`, because a generator's destructor has no effect that matters here.
    static ENTROPY: Cell<Option<Generator>> = const { Cell::new(None) };
    static OFFENCE: Cell<Option<Offence>> = const { Cell::new(None) };
}

/// Makes this thread a simulation's thread until the returned guard is dropped. `entropy` is the
/// seed of the ChaCha8 generator that all random bytes come from.
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

/// Whether this thread runs a simulation.
pub(super) fn is_simulation() -> bool {
    IS_SIMULATION.get()
}

/// Notes an offence, unless there is one already.
pub(super) fn note(offence: Offence) {
    if OFFENCE.get().is_none() {
        OFFENCE.set(Some(offence));
    }
}

/// The time that a clock shows in a simulation, or `None` if the clock stays real.
pub(super) fn read_clock(clock: clockid_t) -> Option<timespec> {
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

/// Fills a buffer with the next bytes of this thread's entropy.
pub(super) fn fill_with_entropy(bytes: &mut [MaybeUninit<u8>]) {
    // A simulation's thread always has a generator, but nothing here may panic.
    let mut generator = ENTROPY.take().unwrap_or_else(|| generator(0));
    for chunk in bytes.chunks_mut(8) {
        let word = generator.next_u64().to_le_bytes();
        for (byte, value) in chunk.iter_mut().zip(word) {
            byte.write(value);
        }
    }
    ENTROPY.set(Some(generator));
}

/// Checks whether, in a simulation, the standard library's clock is this thread's, and the 8 bytes
/// that each of these functions returns are its entropy.
pub(super) fn is_used_by(sources: &[fn() -> [u8; 8]]) -> bool {
    let outside = IS_SIMULATION.replace(true);
    let now = NOW.replace(123_456_789);
    let is_virtual = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .is_ok_and(|since| since.as_secs() == EPOCH && since.subsec_nanos() == 123_456_789);
    let mut expected = [0; 8];
    generator(7).fill_bytes(&mut expected);
    let entropy = ENTROPY.take();
    let is_ours = sources.iter().all(|source| {
        ENTROPY.set(Some(generator(7)));
        source() == expected
    });
    ENTROPY.set(entropy);
    NOW.set(now);
    IS_SIMULATION.set(outside);
    is_virtual && is_ours
}
