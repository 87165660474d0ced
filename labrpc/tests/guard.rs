//! The standard library's clock, entropy, sleep and threads inside a simulation.
//!
//! The guard exists on Linux only, and so do these tests.
#![cfg(target_os = "linux")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is what the guard replaces"
)]

use std::collections::HashMap;
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use labrpc::{Limits, Offence, Outcome, RunSpec, Simulation, Trouble, World, is_guarded};

fn run<T, Main, Future_>(seed: u64, main: Main) -> Outcome<T>
where
    T: Send + 'static,
    Main: FnOnce(World) -> Future_ + Send + 'static,
    Future_: Future<Output = T> + 'static,
{
    Simulation::new(RunSpec::seed(seed)).run(main)
}

#[test]
fn the_guard_is_linked_into_this_program() {
    assert!(is_guarded());
}

#[test]
fn the_standard_clocks_show_virtual_time_in_a_simulation_and_real_time_elsewhere() {
    let outcome = run(1, |world| async move {
        let (instant, system) = (Instant::now(), SystemTime::now());
        assert_eq!(instant.elapsed(), Duration::ZERO, "time stands still while a task runs");
        world.tester().sleep(Duration::from_millis(1234)).await;
        assert!(
            instant.checked_sub(Duration::from_millis(500)).is_some(),
            "there are times before the start"
        );
        (instant.elapsed(), system.elapsed().unwrap(), SystemTime::now())
    });
    let span = Duration::from_millis(1234);
    let (instant, system, date) = outcome.result.unwrap();
    assert_eq!((instant, system), (span, span));
    let year_2020 = SystemTime::UNIX_EPOCH + Duration::from_secs(1_577_836_800);
    assert_eq!(date, year_2020 + span);

    let real = SystemTime::now();
    assert!(real > year_2020 + Duration::from_secs(86_400 * 365), "the real time is {real:?}");
    std::thread::sleep(Duration::from_millis(2));
    assert!(real.elapsed().unwrap() >= Duration::from_millis(1));
}

#[test]
fn cpu_time_stays_real() {
    let outcome = run(1, |_| async {
        let mut time = libc::timespec { tv_sec: -1, tv_nsec: -1 };
        // The standard library has no safe function for this clock.
        #[allow(unsafe_code)]
        // SAFETY: `time` can be written.
        let code = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
        (code, time.tv_sec, time.tv_nsec)
    });
    let (code, seconds, nanoseconds) = outcome.result.unwrap();
    assert_eq!((code, seconds), (0, 0));
    assert!(nanoseconds > 0, "a running thread has used some CPU time");
}

#[test]
fn the_order_of_a_hash_map_comes_from_the_seed() {
    let order = |seed| {
        let map_order = |_| async { (0..50).map(|i| (i, ())).collect::<HashMap<i32, ()>>() };
        let map = run(seed, map_order).result.unwrap();
        map.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
}

fn offence(outcome: Outcome<()>) -> (Offence, String) {
    match outcome.result {
        Err(Trouble::Forbidden { offence, task }) => (offence, task.expect("a task").name.into()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_real_sleep_ends_the_run_at_once_and_is_reported_with_its_task() {
    let began = Instant::now();
    let outcome = run(1, |world| async move {
        let sleeper = world.server(2).runtime().spawn("sleeper", async {
            std::thread::sleep(Duration::from_secs(3600));
        });
        sleeper.await;
        world.tester().sleep(Duration::from_secs(1)).await;
    });
    assert_eq!(outcome.elapsed, Duration::ZERO);
    assert_eq!(offence(outcome), (Offence::Sleep, "sleeper".into()));
    assert!(began.elapsed() < Duration::from_secs(3600), "it did not sleep");
}

#[test]
fn a_run_whose_main_task_slept_is_not_a_success() {
    let outcome = run(1, |_| async { std::thread::sleep(Duration::from_millis(1)) });
    assert_eq!(offence(outcome), (Offence::Sleep, "main".into()));
}

#[test]
fn threads_cannot_be_started_in_a_simulation() {
    let unwrapped = run(1, |_| async { std::thread::spawn(|| ()).join().unwrap() });
    assert_eq!(offence(unwrapped), (Offence::Thread, "main".into()));
    let careful = run(1, |_| async {
        assert!(std::thread::Builder::new().spawn(|| ()).is_err());
    });
    assert_eq!(offence(careful), (Offence::Thread, "main".into()));
    assert!(std::thread::spawn(|| true).join().unwrap(), "threads can be started elsewhere");
}

#[test]
fn waiting_for_the_clock_to_advance_ends_the_run() {
    let channel = run(1, |_| async {
        let (_sender, receiver) = mpsc::channel::<()>();
        assert!(receiver.recv_timeout(Duration::from_secs(5)).is_err());
    });
    assert_eq!(offence(channel), (Offence::Clock, "main".into()));
    let spinning = run(1, |world| async move {
        let deadline = Instant::now() + Duration::from_secs(1);
        while Instant::now() < deadline {}
        world.tester().sleep(Duration::from_secs(1)).await;
    });
    assert_eq!(offence(spinning), (Offence::Clock, "main".into()));
}

#[test]
fn reading_the_clock_once_in_each_poll_is_allowed() {
    let limits = Limits { polls_per_instant: 1_000_000, ..Limits::default() };
    let outcome = Simulation::new(RunSpec::seed(1)).limits(limits).run(|world| async move {
        for _ in 0..200_000 {
            let _ = Instant::now();
            world.tester().yield_now().await;
        }
    });
    assert_eq!(outcome.result, Ok(()));
}

/// The ways in which code asks the C library for random bytes: `getrandom` 0.3 and later look the
/// function up by its name, 0.2 (which `rand` 0.8 uses) makes the system call.
#[allow(unsafe_code)]
fn random_bytes() -> [[u8; 16]; 4] {
    type Getrandom = unsafe extern "C" fn(*mut libc::c_void, usize, libc::c_uint) -> isize;
    let mut bytes = [[0; 16]; 4];
    let [by_function, by_entropy, by_name, by_system_call] = &mut bytes;
    // SAFETY: each call gets the pointer and the length of a buffer, and the symbol that is looked
    // up is that of a function of this type.
    unsafe {
        assert_eq!(libc::getrandom(by_function.as_mut_ptr().cast(), 16, 0), 16);
        assert_eq!(libc::getentropy(by_entropy.as_mut_ptr().cast(), 16), 0);
        let found = libc::dlsym(libc::RTLD_DEFAULT, c"getrandom".as_ptr());
        let getrandom: Getrandom = std::mem::transmute(found);
        assert_eq!(getrandom(by_name.as_mut_ptr().cast(), 16, 0), 16);
        assert_eq!(libc::syscall(libc::SYS_getrandom, by_system_call.as_mut_ptr(), 16, 0), 16);
    }
    bytes
}

#[test]
fn random_bytes_come_from_the_seed_whichever_way_they_are_asked_for() {
    let bytes = |seed| run(seed, |_| async { random_bytes() }).result.unwrap();
    assert_eq!(bytes(1), bytes(1));
    for (one, other) in bytes(1).into_iter().zip(bytes(2)) {
        assert_ne!(one, other);
    }
    for (one, other) in random_bytes().into_iter().zip(random_bytes()) {
        assert_ne!(one, other, "they are the kernel's elsewhere");
    }
}

/// The Unix time in whole seconds, as each of the C library's functions for it tells it.
#[allow(unsafe_code)]
fn unix_times() -> [i64; 5] {
    let mut precise = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let mut coarse = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let mut called = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let mut called_coarse = libc::timeval { tv_sec: 0, tv_usec: 0 };
    // SAFETY: each pointer is that of a variable, or null where the function allows it.
    let time = unsafe {
        libc::clock_gettime(libc::CLOCK_REALTIME, &mut precise);
        libc::gettimeofday(&mut coarse, std::ptr::null_mut());
        libc::syscall(libc::SYS_clock_gettime, libc::CLOCK_REALTIME, &raw mut called);
        libc::syscall(libc::SYS_gettimeofday, &raw mut called_coarse, 0);
        libc::time(std::ptr::null_mut())
    };
    [precise.tv_sec, coarse.tv_sec, called.tv_sec, called_coarse.tv_sec, time]
}

#[test]
fn the_clock_is_virtual_whichever_way_it_is_read() {
    let outcome = run(1, |world| async move {
        world.tester().sleep(Duration::from_secs(5)).await;
        unix_times()
    });
    assert_eq!(outcome.result.unwrap(), [1_577_836_805; 5]);
    let real = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
    // `time` reads a clock that is up to a tick of the kernel behind, perhaps in the second before.
    assert!(unix_times().into_iter().all(|time| (real - 1..real + 10).contains(&time)));
}

#[test]
#[allow(unsafe_code)]
fn sleeping_is_an_offence_whichever_way_it_is_done() {
    static HOUR: libc::timespec = libc::timespec { tv_sec: 3600, tv_nsec: 0 };
    // SAFETY: the pointer is that of a constant, and the second may be null.
    let ways: [fn(); 4] = [
        || unsafe {
            libc::syscall(libc::SYS_nanosleep, &raw const HOUR, 0usize);
        },
        || unsafe {
            libc::syscall(
                libc::SYS_clock_nanosleep,
                libc::CLOCK_MONOTONIC,
                0,
                &raw const HOUR,
                0usize,
            );
        },
        || _ = unsafe { libc::sleep(3600) },
        || _ = unsafe { libc::usleep(3_600_000_000) },
    ];
    for way in ways {
        let outcome = run(1, move |_| async move { way() });
        assert_eq!(offence(outcome), (Offence::Sleep, "main".into()));
    }
}

#[test]
fn a_wait_of_limited_length_is_an_offence_at_its_first_time() {
    let parked = run(1, |_| async { std::thread::park_timeout(Duration::from_secs(3600)) });
    assert_eq!(offence(parked), (Offence::Clock, "main".into()));
}

#[test]
#[allow(unsafe_code)]
fn opening_a_file_of_the_kernels_entropy_is_an_offence() {
    const PATH: &std::ffi::CStr = c"/dev/urandom";
    // SAFETY: the path is a C string, and the flags need no mode.
    let ways: [fn() -> bool; 7] = [
        || std::fs::File::open("/dev/urandom").is_ok(),
        || std::fs::read("/proc/sys/kernel/random/uuid").is_ok(),
        || unsafe { libc::open(PATH.as_ptr(), libc::O_RDONLY) >= 0 },
        || unsafe { libc::open64(PATH.as_ptr(), libc::O_RDONLY) >= 0 },
        || unsafe { libc::openat(libc::AT_FDCWD, PATH.as_ptr(), libc::O_RDONLY) >= 0 },
        || unsafe { libc::openat64(libc::AT_FDCWD, PATH.as_ptr(), libc::O_RDONLY) >= 0 },
        || unsafe {
            libc::syscall(libc::SYS_openat, libc::AT_FDCWD, PATH.as_ptr(), libc::O_RDONLY) >= 0
        },
    ];
    for way in ways {
        let outcome = run(1, move |_| async move { assert!(!way()) });
        assert_eq!(offence(outcome), (Offence::File, "main".into()));
        assert!(way(), "it can be opened elsewhere");
    }
}

#[test]
#[allow(unsafe_code)]
fn other_files_and_system_calls_are_left_alone_in_a_simulation() {
    let path = std::env::temp_dir().join(format!("labrpc-guard-{}", std::process::id()));
    let page = 65536;
    let mut content = vec![b'a'; page];
    content.extend(vec![b'b'; page]);
    let written = path.clone();
    let outcome = run(1, move |_| async move {
        std::fs::write(&written, content).unwrap();
        let file = std::fs::File::open(&written).unwrap();
        let file = std::os::fd::AsRawFd::as_raw_fd(&file);
        // SAFETY: the kernel chooses where to map the second page of the file, which is then read
        // and left mapped.
        unsafe {
            // Six arguments, the last of which is passed on the stack on x86-64.
            let mapped = libc::syscall(
                libc::SYS_mmap,
                0usize,
                page,
                libc::PROT_READ,
                libc::MAP_PRIVATE,
                file,
                page,
            );
            assert!(mapped > 0, "{}", std::io::Error::last_os_error());
            *(mapped as *const u8)
        }
    });
    std::fs::remove_file(path).unwrap();
    assert_eq!(outcome.result, Ok(b'b'));
}
