//! The functions that replace those of the C library.
//!
//! Each of them asks first whether this thread runs a simulation. If it does not, or if what is
//! asked for is the same in every run, the C library's function is called as this one was.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicPtr, Ordering};

use libc::{
    c_char, c_int, c_long, c_uint, c_void, clockid_t, mode_t, size_t, ssize_t, time_t, timespec,
    timeval, timezone,
};

use super::offence::Offence;
use super::thread::{fill_with_entropy, is_simulation, is_used_by, note, read_clock};

/// The files whose content is the kernel's entropy or its clock.
const FORBIDDEN_FILES: [&[u8]; 4] =
    [b"/dev/random", b"/dev/urandom", b"/dev/hwrng", b"/proc/uptime"];
/// A folder of such files, such as `uuid`.
const FORBIDDEN_FOLDER: &[u8] = b"/proc/sys/kernel/random/";

/// Checks whether the standard library, and code that calls the kernel through the C library, use
/// this crate's clock and entropy in this program.
pub fn is_guarded() -> bool {
    fn by_function() -> [u8; 8] {
        let mut bytes = [0; 8];
        // SAFETY: the pointer and the length are those of `bytes`.
        unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        bytes
    }
    fn by_system_call() -> [u8; 8] {
        let mut bytes = [0; 8];
        // SAFETY: the pointer and the length are those of `bytes`.
        unsafe { libc::syscall(libc::SYS_getrandom, bytes.as_mut_ptr(), bytes.len(), 0) };
        bytes
    }
    is_used_by(&[by_function, by_system_call])
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
            // SAFETY: `name` is a C string, and RTLD_NEXT looks up the definition that this file
            // replaces. Two threads that do this at the same time find the same address.
            found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
            self.found.store(found, Ordering::Relaxed);
        }
        found
    }
}

/// Calls the C library's function of this name, type and arguments.
///
/// The expansion must stand in the function that replaces it, and pass on that function's own
/// arguments: then the caller's promises are those that the C library's function needs.
macro_rules! call_real {
    ($name:literal as $Type:ty, $($argument:expr),*) => {{
        static REAL: Real = Real::new($name);
        // SAFETY: this is the C library's function of that name and type, called as we were.
        unsafe {
            let real: $Type = std::mem::transmute(REAL.get());
            real($($argument),*)
        }
    }};
}

/// Fails a call in the way of the C library: sets `errno` and returns -1.
fn fail(error: c_int) -> c_int {
    // SAFETY: this is the address of the thread's own `errno`.
    unsafe { *libc::__errno_location() = error };
    -1
}

/// Writes a value through a C pointer, if it is not null.
///
/// # Safety
/// `place` is null or valid for writes.
unsafe fn write_unless_null<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: `place` is not null, so the caller guarantees that it is valid for writes.
        unsafe { place.write(value) };
    }
}

/// Replaces the C library's function; shows virtual time in a simulation.
///
/// # Safety
/// The same as for the C library's function: `time` is null or valid for writes.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    if is_simulation()
        && !time.is_null()
        && let Some(now) = read_clock(clock)
    {
        // SAFETY: the caller guarantees that `time` can be written.
        unsafe { write_unless_null(time, now) };
        return 0;
    }
    type Function = unsafe extern "C" fn(clockid_t, *mut timespec) -> c_int;
    call_real!(c"clock_gettime" as Function, clock, time)
}

/// Replaces the C library's function; shows virtual time in a simulation.
///
/// # Safety
/// The same as for the C library's function: `time` is null or valid for writes.
#[unsafe(no_mangle)]
unsafe extern "C" fn gettimeofday(time: *mut timeval, zone: *mut timezone) -> c_int {
    if is_simulation()
        && let Some(now) = read_clock(libc::CLOCK_REALTIME)
    {
        let now = timeval { tv_sec: now.tv_sec, tv_usec: (now.tv_nsec / 1000) as _ };
        // SAFETY: the caller guarantees that `time` is null or valid for writes. The zone is
        // obsolete: the C library's function clears it as well.
        unsafe { write_unless_null(time, now) };
        return 0;
    }
    type Function = unsafe extern "C" fn(*mut timeval, *mut timezone) -> c_int;
    call_real!(c"gettimeofday" as Function, time, zone)
}

/// Replaces the C library's function; shows virtual time in a simulation.
///
/// # Safety
/// The same as for the C library's function: `time` is null or valid for writes.
#[unsafe(no_mangle)]
unsafe extern "C" fn time(time: *mut time_t) -> time_t {
    if is_simulation()
        && let Some(now) = read_clock(libc::CLOCK_REALTIME)
    {
        // SAFETY: the caller guarantees that `time` is null or valid for writes.
        unsafe { write_unless_null(time, now.tv_sec) };
        return now.tv_sec;
    }
    type Function = unsafe extern "C" fn(*mut time_t) -> time_t;
    call_real!(c"time" as Function, time)
}

/// Replaces the C library's function; in a simulation, the bytes come from the seed.
///
/// # Safety
/// The same as for the C library's function: `buffer` is valid for writes of `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut c_void, length: size_t, flags: c_uint) -> ssize_t {
    if is_simulation() && !buffer.is_null() {
        // SAFETY: the caller guarantees that these bytes can be written. They may be uninitialized,
        // so they are never read.
        let bytes =
            unsafe { std::slice::from_raw_parts_mut(buffer.cast::<MaybeUninit<u8>>(), length) };
        fill_with_entropy(bytes);
        return length as ssize_t;
    }
    type Function = unsafe extern "C" fn(*mut c_void, size_t, c_uint) -> ssize_t;
    call_real!(c"getrandom" as Function, buffer, length, flags)
}

/// Replaces the C library's function; in a simulation, the bytes come from the seed.
///
/// # Safety
/// The same as for the C library's function: `buffer` is valid for writes of `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn getentropy(buffer: *mut c_void, length: size_t) -> c_int {
    const MOST: size_t = 256;
    if is_simulation() && length <= MOST {
        // SAFETY: the caller promises what `getrandom` needs.
        unsafe { getrandom(buffer, length, 0) };
        return 0;
    }
    type Function = unsafe extern "C" fn(*mut c_void, size_t) -> c_int;
    call_real!(c"getentropy" as Function, buffer, length)
}

/// An offence in a simulation.
///
/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn nanosleep(span: *const timespec, rest: *mut timespec) -> c_int {
    if is_simulation() {
        note(Offence::Sleep);
        return 0;
    }
    type Function = unsafe extern "C" fn(*const timespec, *mut timespec) -> c_int;
    call_real!(c"nanosleep" as Function, span, rest)
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
    if is_simulation() {
        note(Offence::Sleep);
        return 0;
    }
    type Function = unsafe extern "C" fn(clockid_t, c_int, *const timespec, *mut timespec) -> c_int;
    call_real!(c"clock_nanosleep" as Function, clock, flags, span, rest)
}

/// An offence in a simulation.
#[unsafe(no_mangle)]
extern "C" fn sleep(seconds: c_uint) -> c_uint {
    if is_simulation() {
        note(Offence::Sleep);
        return 0;
    }
    call_real!(c"sleep" as unsafe extern "C" fn(c_uint) -> c_uint, seconds)
}

/// An offence in a simulation.
#[unsafe(no_mangle)]
extern "C" fn usleep(microseconds: c_uint) -> c_int {
    if is_simulation() {
        note(Offence::Sleep);
        return 0;
    }
    call_real!(c"usleep" as unsafe extern "C" fn(c_uint) -> c_int, microseconds)
}

type ThreadMain = extern "C" fn(*mut c_void) -> *mut c_void;

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
    if is_simulation() {
        note(Offence::Thread);
        return libc::EAGAIN;
    }
    type Function = unsafe extern "C" fn(
        *mut libc::pthread_t,
        *const libc::pthread_attr_t,
        ThreadMain,
        *mut c_void,
    ) -> c_int;
    call_real!(c"pthread_create" as Function, thread, attributes, main, argument)
}

/// Replaces C functions with a variable number of arguments by Rust functions with the largest
/// number of arguments.
///
/// Rust cannot define such a function itself. On these two processors a C function finds its
/// arguments, as long as they are integers and pointers, in the same places whether their number is
/// fixed or variable: in the first registers for arguments (six on x86-64, eight on aarch64), then
/// on the stack. (On x86-64 the caller of a variadic function also sets the register `al`, which
/// nobody has to read.) So the Rust function can be jumped to with everything left as it is. What
/// the caller did not pass is whatever its place holds, a register or a word of the caller's stack
/// frame, and is only ever passed on, to the C library's function, which ignores it. The C library
/// on Linux does the same: its `syscall` always loads six arguments. The jump is in assembly so that
/// the compiler never sees a call with fewer arguments than the function has.
macro_rules! replace_variadic {
    ($($name:ident by $fixed:ident;)*) => {$(
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            // SAFETY: the function has the C calling convention, finds the arguments where the
            // caller put them, and returns to the caller.
            #[cfg(target_arch = "x86_64")]
            std::arch::naked_asm!("jmp {}", sym $fixed);
            #[cfg(target_arch = "aarch64")]
            std::arch::naked_asm!("b {}", sym $fixed);
        }
    )*};
}

replace_variadic! {
    syscall by fixed_syscall;
    open by fixed_open;
    open64 by fixed_open64;
    openat by fixed_openat;
    openat64 by fixed_openat64;
}

/// Notes an offence if this thread runs a simulation and the path is that of a file which differs
/// from run to run.
///
/// # Safety
/// `path` is null or a C string.
unsafe fn is_forbidden(path: *const c_char) -> bool {
    if !is_simulation() || path.is_null() {
        return false;
    }
    // SAFETY: the caller guarantees that it is a C string.
    let path = unsafe { CStr::from_ptr(path) }.to_bytes();
    let is_forbidden = FORBIDDEN_FILES.contains(&path) || path.starts_with(FORBIDDEN_FOLDER);
    if is_forbidden {
        note(Offence::File);
    }
    is_forbidden
}

type Open = unsafe extern "C" fn(*const c_char, c_int, ...) -> c_int;
type OpenAt = unsafe extern "C" fn(c_int, *const c_char, c_int, ...) -> c_int;

/// Defines functions that open files, except those that are an offence in a simulation.
macro_rules! open_files {
    ($($name:ident calls $real:literal as $Function:ident($($folder:ident)?);)*) => {$(
        /// # Safety
        /// As the C library's.
        unsafe extern "C" fn $name(
            $($folder: c_int,)?
            path: *const c_char,
            flags: c_int,
            mode: mode_t,
        ) -> c_int {
            // SAFETY: the caller guarantees that the path is a C string.
            if unsafe { is_forbidden(path) } {
                return fail(libc::EACCES);
            }
            call_real!($real as $Function, $($folder,)? path, flags, mode)
        }
    )*};
}

open_files! {
    fixed_open calls c"open" as Open();
    fixed_open64 calls c"open64" as Open();
    fixed_openat calls c"openat" as OpenAt(folder);
    fixed_openat64 calls c"openat64" as OpenAt(folder);
}

/// Makes a system call. In a simulation, those that have a function above do what it does.
///
/// # Safety
/// As the C library's: the kernel demands of the arguments what it demands of this system call.
unsafe extern "C" fn fixed_syscall(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    if is_simulation() {
        // SAFETY: the caller guarantees for this system call what its function needs.
        let answer = unsafe { answer_system_call(number, a, b, c, d) };
        if let Some(answer) = answer {
            return answer;
        }
    }
    type Function = unsafe extern "C" fn(c_long, ...) -> c_long;
    call_real!(c"syscall" as Function, number, a, b, c, d, e, f)
}

/// The answer to a system call in a simulation, or `None` if the kernel is to make it.
///
/// # Safety
/// The arguments are what the kernel demands for this system call.
unsafe fn answer_system_call(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
) -> Option<c_long> {
    // SAFETY (of all calls here): the C library's functions have the arguments of their system
    // calls, in the same order, and so have the functions that replace them.
    let answer = match number {
        libc::SYS_getrandom => unsafe {
            getrandom(a as *mut c_void, b as size_t, c as c_uint) as c_long
        },
        libc::SYS_clock_gettime => unsafe {
            c_long::from(clock_gettime(a as clockid_t, b as *mut timespec))
        },
        libc::SYS_gettimeofday => unsafe {
            c_long::from(gettimeofday(a as *mut timeval, b as *mut timezone))
        },
        #[cfg(target_arch = "x86_64")]
        libc::SYS_time => unsafe { time(a as *mut time_t) },
        libc::SYS_nanosleep | libc::SYS_clock_nanosleep => {
            note(Offence::Sleep);
            0
        }
        // A wait of limited length. One of unlimited length may be for a lock that another thread
        // of this process holds for a moment, such as that of the standard output.
        libc::SYS_futex if is_futex_wait(b as c_int) && d != 0 => {
            note(Offence::Clock);
            c_long::from(fail(libc::ETIMEDOUT))
        }
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open => refuse_or_none(unsafe { is_forbidden(a as *const c_char) })?,
        libc::SYS_openat => refuse_or_none(unsafe { is_forbidden(b as *const c_char) })?,
        _ => return None,
    };
    Some(answer)
}

fn refuse_or_none(is_forbidden: bool) -> Option<c_long> {
    is_forbidden.then(|| c_long::from(fail(libc::EACCES)))
}

/// Whether a futex operation waits, rather than wakes.
fn is_futex_wait(operation: c_int) -> bool {
    let flags = libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME;
    matches!(operation & !flags, libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET)
}
