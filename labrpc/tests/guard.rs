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
