//! Runs that end before their main task does: each reason is reported with the tasks concerned.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{CALLER, Lab, TRANSIT, WORK, WORKER, exact, ms, recorded};
use labrpc::sync::{Notify, rendezvous};
use labrpc::{
    Address, Kind, Limits, Method, Node, RunSpec, Service, Simulation, TaskInfo, Trouble,
};

/// A line of this file, as shown in reports.
fn place(line: u32) -> String {
    format!("{}:{line}", file!())
}

/// The only task with that name.
fn named<'a>(tasks: &'a [TaskInfo], name: &str) -> &'a TaskInfo {
    let mut found = tasks.iter().filter(|task| task.name == name);
    match (found.next(), found.next()) {
        (Some(task), None) => task,
        _ => panic!("expected exactly one task named {name:?}: {tasks:#?}"),
    }
}

#[test]
fn a_stuck_run_names_every_task_with_its_place_and_what_it_waits_for() {
    const STALL: Method<(), ()> = Method::new("Worker.Stall");
    let lines = Arc::new(Mutex::new(Vec::new()));
    let lines_there = lines.clone();
    let outcome = recorded(exact(1), move |world| async move {
        let note = |line| lines_there.lock().unwrap().push(place(line));
        let lab = Lab::new(&world);
        // Each `note` refers to a line that the report must show.
        note(line!() + 1);
        lab.worker.add_service(Service::new().method(STALL, |()| pending()));
        let (end, client) = (lab.end.clone(), world.client(3));
        note(line!() + 1);
        let caller = client.spawn("asks", async move { end.call(STALL, &()).await });
        note(line!() - 1);
        let (mut sender, receiver) = rendezvous::<u8>();
        note(line!() + 1);
        drop(world.tester().spawn("sends", async move {
            sender.send(1).await;
        }));
        let (unsent, mut reader) = rendezvous::<u8>();
        drop(world.tester().spawn("reads", async move { reader.receive().await }));
        drop(world.tester().spawn("joins", caller));
        lab.sleep(ms(5)).await;
        note(line!() + 1);
        Notify::new().notified().await;
        drop((receiver, unsent));
    });
    let Err(trouble @ Trouble::Stuck { waiting }) = &outcome.result else {
        panic!("{:?}", outcome.result);
    };
    assert_eq!(outcome.elapsed, ms(5), "nothing was due after that");
    assert_eq!(waiting.len(), 6, "{waiting:#?}");
    let lines = lines.lock().unwrap();
    let [stall_at, asks_at, call_at, sends_at, main_waits_at] = &lines[..] else {
        panic!("{lines:?}");
    };

    let handler = named(waiting, "Worker.Stall");
    assert_eq!((handler.node, &handler.spawned_at), (WORKER, stall_at));
    assert_eq!(handler.waiting, "waits for something that the lab cannot identify");
    let asks = named(waiting, "asks");
    assert_eq!((asks.node, &asks.spawned_at), (Node::client(3), asks_at));
    let answer = format!("waits at {call_at} for the reply to Worker.Stall");
    assert_eq!(asks.waiting, answer);
    let main = named(waiting, "main");
    assert_eq!(main.node, Node::TESTER);
    let notification = format!("waits at {main_waits_at} for a notification");
    assert_eq!(main.waiting, notification);
    assert_eq!(&named(waiting, "sends").spawned_at, sends_at);

    let waits_for = |name: &str, what: &str| {
        let waiting = &named(waiting, name).waiting;
        assert!(waiting.ends_with(what), "{name} {waiting}");
    };
    waits_for("sends", "for the receiver to take the value it sent");
    waits_for("reads", "for a value to be sent");
    waits_for("joins", "for the end of task asks");
    let details = trouble.details().join("\n");
    for text in [&handler.spawned_at, &answer, &notification, "client 3", "server 1", "\"reads\""] {
        assert!(details.contains(text), "{text} is missing in:\n{details}");
    }
}

#[test]
fn the_time_limit_ends_a_run_before_the_first_step_beyond_it() {
    let limits = Limits { virtual_time: ms(1000), ..Limits::default() };
    let run = |step: Duration, steps: u32| {
        Simulation::new(exact(1)).limits(limits.clone()).run(move |world| async move {
            for _ in 0..steps {
                world.tester().sleep(step).await;
            }
        })
    };
    assert_eq!(run(ms(100), 10).result, Ok(()), "the limit itself is allowed");
    let outcome = run(ms(300), 10);
    assert_eq!(outcome.elapsed, ms(900));
    let Err(Trouble::TimeLimit { limit, main: Some(main) }) = &outcome.result else {
        panic!("{:?}", outcome.result);
    };
    assert_eq!((*limit, main.name, main.node), (ms(1000), "main", Node::TESTER));
    let waiting = &main.waiting;
    assert!(waiting.contains(file!()) && waiting.ends_with("for a timer"), "{waiting}");
}

#[test]
fn the_time_limit_reports_the_main_task_even_if_it_was_not_spawned_first() {
    let outcome = recorded(exact(1), |world| {
        drop(world.tester().spawn("first", pending::<()>()));
        async move { world.tester().sleep(Duration::MAX).await }
    });
    let Err(Trouble::TimeLimit { main: Some(main), .. }) = &outcome.result else {
        panic!("{:?}", outcome.result);
    };
    assert_eq!(main.name, "main");
}

#[test]
fn the_event_limit_counts_polls_and_messages_and_reports_the_last_task() {
    let run = |events: u64| {
        let limits = Limits { events, ..Limits::default() };
        Simulation::new(exact(1)).limits(limits).run(|world| async move {
            let lab = Lab::new(&world);
            for _ in 0..1000 {
                assert_eq!(lab.end.call(WORK, &0).await, Some(0));
            }
        })
    };
    // For each call: the request, the handler's poll, the reply, the caller's poll. And the first
    // poll.
    let whole = run(1_000_000);
    assert_eq!((whole.result, whole.event_count), (Ok(()), 4001));
    let outcome = run(2000);
    assert!((2001..2010).contains(&outcome.event_count), "{}", outcome.event_count);
    let Err(Trouble::EventLimit { limit: 2000, last: Some(last) }) = &outcome.result else {
        panic!("{:?}", outcome.result);
    };
    assert!(["main", "Worker.Work"].contains(&last.name), "{last}");
}

#[test]
fn a_task_that_keeps_waking_itself_is_reported_without_waiting_tasks() {
    let outcome = recorded(exact(1), |world| async move {
        let server = world.server(2);
        drop(server.runtime().spawn("innocent", pending::<()>()));
        let runtime = server.runtime().clone();
        drop(server.runtime().spawn("spinner", async move {
            loop {
                runtime.yield_now().await;
            }
        }));
        world.tester().sleep(ms(1)).await;
    });
    let Err(trouble @ Trouble::Spinning { polls: 10_000, tasks }) = &outcome.result else {
        panic!("{:?}", outcome.result);
    };
    assert_eq!(outcome.elapsed, Duration::ZERO);
    let names: Vec<&str> = tasks.iter().map(|task| task.name).collect();
    assert_eq!(names, ["spinner"]);
    assert_eq!(trouble.node(), Some(Node::server(2)));
}

#[test]
fn tasks_that_keep_waking_each_other_are_spinning_too() {
    let outcome = recorded(exact(1), |world| async move {
        let signals = [Notify::new(), Notify::new()];
        for (name, i) in [("ping", 0), ("pong", 1)] {
            let (mine, other) = (signals[i].clone(), signals[1 - i].clone());
            drop(world.tester().spawn(name, async move {
                loop {
                    mine.notified().await;
                    other.notify();
                }
            }));
        }
        signals[0].notify();
        pending::<()>().await;
    });
    let Err(Trouble::Spinning { tasks, .. }) = &outcome.result else {
        panic!("{:?}", outcome.result);
    };
    let names: std::collections::BTreeSet<&str> = tasks.iter().map(|task| task.name).collect();
    assert_eq!(names, ["ping", "pong"].into());
}

/// The end of a run in which a task of server 2 loops without ever waiting.
fn never_waits(looping: impl AsyncFnOnce(labrpc::Runtime) + Send + 'static) -> TaskInfo {
    let outcome = recorded(exact(1), |world| async move {
        let runtime = world.server(2).runtime().clone();
        drop(runtime.spawn("looping", looping(runtime.clone())));
        world.tester().sleep(ms(1)).await;
    });
    assert_eq!(outcome.elapsed, Duration::ZERO);
    let result: Result<(), Trouble> = outcome.result;
    let Err(trouble @ Trouble::NeverWaits { awaits: 10_000, task: Some(task) }) = &result else {
        panic!("{result:?}");
    };
    assert_eq!((task.name, trouble.node()), ("looping", Some(Node::server(2))));
    assert!(trouble.details()[0].contains(file!()), "{:?}", trouble.details());
    task.clone()
}

#[test]
fn a_loop_of_sleeps_without_length_ends_after_a_number_of_awaits() {
    let task = never_waits(async |runtime| {
        loop {
            runtime.sleep(Duration::ZERO).await;
        }
    });
    assert!(task.waiting.ends_with("for a timer"), "{task}");
}

#[test]
fn a_loop_of_receives_from_a_closed_channel_ends_after_a_number_of_awaits() {
    let task = never_waits(async |_| {
        let (sender, mut receiver) = rendezvous::<u8>();
        drop(sender);
        while receiver.receive().await.is_none() {}
    });
    assert!(task.waiting.ends_with("for a value to be sent"), "{task}");
}

#[test]
fn a_loop_around_a_signal_that_it_sets_itself_ends_after_a_number_of_awaits() {
    let task = never_waits(async |_| {
        let signal = Notify::new();
        loop {
            signal.notify();
            signal.notified().await;
        }
    });
    assert!(task.waiting.ends_with("for a notification"), "{task}");
}

#[test]
fn awaits_without_waiting_are_counted_in_each_poll_anew() {
    let outcome = recorded(exact(1), |world| async move {
        for _ in 0..10 {
            for _ in 0..9_000 {
                world.tester().sleep(Duration::ZERO).await;
            }
            world.tester().sleep(ms(1)).await;
        }
    });
    assert_eq!(outcome.result, Ok(()));
}

#[test]
fn a_task_that_panics_in_its_first_poll_is_not_said_not_to_have_run() {
    let outcome = recorded(exact(1), |_| async move { panic!("at once") });
    let result: Result<(), Trouble> = outcome.result;
    let Err(Trouble::Panicked { task: Some(task), .. }) = result else { panic!("{result:?}") };
    assert_eq!(task.waiting, "is in its first poll");
}

/// A call fails at the instant at which it is made if the drawn delay is 0 ms.
#[test]
fn a_task_that_keeps_calling_without_time_passing_is_spinning() {
    let mut at_once = exact(1);
    let fails_at_once = |n| (Address::of_call(Kind::Unreachable, CALLER, Node::TESTER, n), 0);
    at_once.overrides = (0..20_000).map(fails_at_once).collect();
    let outcome = recorded(at_once, |world| async move {
        let end = world.network().make_end(CALLER);
        loop {
            assert_eq!(end.call(WORK, &0).await, None);
        }
    });
    let result: Result<(), Trouble> = outcome.result;
    assert_eq!(outcome.elapsed, Duration::ZERO);
    assert!(matches!(result, Err(Trouble::Spinning { polls: 10_000, .. })), "{result:?}");
}

const PANICS_AT: u32 = line!() + 2;
fn lose(term: u32) {
    panic!("no leader in term {term}");
}

#[test]
fn a_panic_in_a_task_is_reported_with_task_node_message_and_place() {
    let outcome = recorded(exact(1), |world| async move {
        let server = world.server(2);
        drop(server.runtime().spawn("innocent", server.runtime().sleep(ms(50))));
        let nap = server.runtime().sleep(ms(7));
        let task = server.runtime().spawn("ticker", async move {
            nap.await;
            lose(3)
        });
        let never = task.await;
        panic!("the run continues after a panic: {never:?}");
    });
    let result: Result<(), Trouble> = outcome.result;
    let Err(trouble @ Trouble::Panicked { task: Some(task), message, at: Some(at), suspects }) =
        &result
    else {
        panic!("{result:?}");
    };
    assert_eq!((task.name, task.node), ("ticker", Node::server(2)));
    assert!(task.spawned_at.starts_with(file!()), "{}", task.spawned_at);
    assert_eq!(message, "no leader in term 3");
    assert!(at.starts_with(&format!("{}:", place(PANICS_AT))), "{at}");
    assert_eq!(suspects, &[]);
    assert_eq!((outcome.elapsed, trouble.node()), (ms(7), Some(Node::server(2))));
    assert!(trouble.to_string().contains("no leader in term 3"), "{trouble}");
}

#[test]
fn a_panic_in_a_handler_names_its_method() {
    let outcome = recorded(exact(1), |world| async move {
        let lab = Lab::new(&world);
        lab.worker.add_service(Service::new().method(WORK, |n| async move {
            assert_eq!(n, 0, "a number that no test sends");
            n
        }));
        lab.end.call(WORK, &5).await
    });
    let Err(Trouble::Panicked { task: Some(task), message, .. }) = &outcome.result else {
        panic!("{:?}", outcome.result);
    };
    assert_eq!((task.name, task.node), (WORK.name(), WORKER));
    assert!(message.contains("a number that no test sends"), "{message}");
    assert_eq!(outcome.elapsed, TRANSIT);
}

#[test]
fn a_panic_while_the_world_is_built_belongs_to_no_task() {
    let outcome = recorded(exact(1), |world| {
        assert_eq!(world.tester().now(), ms(1), "too early");
        pending::<()>()
    });
    let Err(Trouble::Panicked { task: None, message, at: Some(at), .. }) = &outcome.result else {
        panic!("{:?}", outcome.result);
    };
    assert!(message.contains("too early") && at.contains(file!()), "{message} at {at}");
}

/// Has a task of a server hold a borrow across the wait that `hold` returns. Another task, or the
/// tester acting for the server, then tries to borrow the same cell.
fn borrow_over_a_wait(by_tester: bool, hold: fn(&labrpc::Runtime) -> Wait) -> Trouble {
    let outcome = recorded(exact(1), move |world| async move {
        let (server, bystander) = (world.server(2), world.server(3));
        let state = Rc::new(RefCell::new(0));
        drop(bystander.runtime().spawn("elsewhere", world.tester().sleep(ms(50))));
        drop(server.runtime().spawn("harmless", server.runtime().sleep(ms(50))));
        let (held, runtime) = (state.clone(), server.runtime().clone());
        #[allow(clippy::await_holding_refcell_ref, reason = "the mistake that must be reported")]
        drop(server.runtime().spawn("holder", async move {
            let guard = held.borrow_mut();
            hold(&runtime).await;
            drop(guard);
        }));
        let nap = world.tester().sleep(ms(5));
        if by_tester {
            nap.await;
            server.runtime().act(|| *state.borrow_mut() += 1);
        } else {
            drop(server.runtime().spawn("victim", async move {
                nap.await;
                *state.borrow_mut() += 1;
            }));
        }
        pending::<()>().await;
    });
    outcome.result.expect_err("the cell is borrowed")
}

type Wait = Pin<Box<dyn Future<Output = ()>>>;

fn suspected(trouble: &Trouble) -> Vec<&'static str> {
    let Trouble::Panicked { message, suspects, .. } = trouble else { panic!("{trouble:?}") };
    assert!(message.contains("already borrowed"), "{message}");
    suspects.iter().map(|task| task.name).collect()
}

#[test]
fn a_borrow_held_across_an_await_is_reported_with_the_suspended_tasks_of_the_server() {
    for by_tester in [false, true] {
        let held_at = line!() + 1;
        let trouble = borrow_over_a_wait(by_tester, |runtime| Box::pin(runtime.sleep(ms(10))));
        assert_eq!(suspected(&trouble), ["harmless", "holder"]);
        let Trouble::Panicked { task: Some(task), suspects, .. } = &trouble else { unreachable!() };
        assert_eq!(task.name, if by_tester { "main" } else { "victim" });
        let waiting = format!("waits at {} for a timer", place(held_at));
        assert_eq!(named(suspects, "holder").waiting, waiting);
        let details = trouble.details().join("\n");
        assert!(details.contains("\"holder\"") && !details.contains("elsewhere"), "{details}");
    }
}

#[test]
fn a_holder_that_waits_for_an_unknown_future_is_a_suspect_too() {
    let trouble = borrow_over_a_wait(false, |_| Box::pin(pending()));
    assert_eq!(suspected(&trouble), ["harmless", "holder"]);
}

#[test]
fn calling_an_unknown_method_ends_the_run_and_lists_the_known_ones() {
    const MISSING: Method<u64, u64> = Method::new("Worker.Missing");
    let outcome =
        recorded(exact(1), |world| async move { Lab::new(&world).end.call(MISSING, &0).await });
    let trouble = outcome.result.expect_err("there is no such method");
    let expected =
        Trouble::UnknownMethod { server: WORKER, method: MISSING.name(), known: vec![WORK.name()] };
    assert_eq!(trouble, expected);
    assert_eq!(outcome.elapsed, TRANSIT, "detected when the request arrives");
    let text = trouble.to_string();
    assert!(text.contains("Worker.Missing") && text.contains("it has Worker.Work"), "{text}");
}

#[test]
fn stop_ends_the_run_when_the_poll_of_its_caller_returns() {
    let reached = Arc::new(AtomicU32::new(0));
    let reached_there = reached.clone();
    let outcome = Simulation::new(RunSpec::seed(1)).run(move |world| async move {
        world.tester().sleep(ms(5)).await;
        world.tester().stop();
        reached_there.fetch_add(1, Ordering::Relaxed);
        world.tester().yield_now().await;
        reached_there.fetch_add(10, Ordering::Relaxed);
    });
    assert_eq!((outcome.result, outcome.elapsed), (Err(Trouble::Stopped), ms(5)));
    assert_eq!(reached.load(Ordering::Relaxed), 1);
}

/// A panic in one simulation must not affect the next one.
#[test]
fn a_run_after_a_panic_is_like_any_other() {
    let run = |fails: bool| {
        recorded(RunSpec::seed(5), move |world| async move {
            let lab = Lab::new(&world);
            let polls = Rc::new(Cell::new(0));
            for n in 0..10 {
                assert_eq!(lab.end.call(WORK, &n).await, Some(n));
                polls.set(polls.get() + 1);
                assert!(!fails || n < 5, "the panic that this test needs");
            }
            polls.get()
        })
    };
    let before = run(false);
    assert!(matches!(run(true).result, Err(Trouble::Panicked { .. })));
    let after = run(false);
    assert_eq!((before.result, after.result), (Ok(10), Ok(10)));
    assert_eq!(before.fingerprint, after.fingerprint);
}
