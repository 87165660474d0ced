//! The faults that the course's network does not have, one kind at a time.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use labrpc::{Chaos, ClientEnd, Method, Node, Ratio, RunSpec, Service, Simulation, World};

const ECHO: Method<u64, u64> = Method::new("Test.Echo");

/// Runs a test on a reliable network with only these faults. Client 0 can call server 0.
fn with<T: Send + 'static>(
    chaos: Chaos,
    test: impl AsyncFnOnce(World, ClientEnd, Rc<Cell<u64>>) -> T + Send + 'static,
) -> T {
    let outcome = Simulation::new(RunSpec::seed(4)).run(move |world| async move {
        world.set_chaos(Some(chaos));
        let server = world.server(0);
        let handled = Rc::new(Cell::new(0));
        let count = handled.clone();
        server.add_service(Service::new().method(ECHO, move |args| {
            count.set(count.get() + 1);
            std::future::ready(args)
        }));
        let network = world.network().clone();
        network.add_server(Node::server(0), &server);
        let end = network.make_end(Node::client(0));
        network.connect(end.id(), Node::server(0));
        network.enable(end.id(), true);
        test(world, end, handled).await
    });
    outcome.result.expect("the run completes")
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn each_fault_is_off_in_half_of_the_runs() {
    let mut on = Vec::new();
    for seed in 0..1000 {
        let outcome = Simulation::new(RunSpec::seed(seed))
            .chaos(true)
            .run(|world| std::future::ready(world.chaos().expect("chaos was asked for")));
        let chaos = outcome.result.unwrap();
        for (place, rate) in chaos.rates().enumerate() {
            assert!(rate.cases() <= 200, "{chaos:?}");
            on.resize(on.len().max(place + 1), 0);
            on[place] += u64::from(!rate.is_zero());
        }
    }
    assert!(on.iter().all(|count| (430..570).contains(count)), "{on:?}");
}

#[test]
fn held_requests_arrive_late() {
    with(
        Chaos { held_requests: Ratio::per_thousand(1000), ..Chaos::default() },
        async |world, end, _| {
            for i in 0..50 {
                let before = world.tester().now();
                assert_eq!(end.call(ECHO, &i).await, Some(i));
                let took = world.tester().now() - before;
                assert!((ms(200)..ms(2300)).contains(&took), "{took:?}");
            }
        },
    );
}

#[test]
fn copied_requests_are_handled_twice_and_answered_once() {
    with(
        Chaos { copied_requests: Ratio::per_thousand(1000), ..Chaos::default() },
        async |world, end, handled| {
            for i in 0..50 {
                assert_eq!(end.call(ECHO, &i).await, Some(i));
            }
            assert!(handled.get() < 100, "copies arrive later");
            world.tester().sleep(ms(3000)).await;
            assert_eq!(handled.get(), 100);
            assert_eq!(world.network().total_count(), 50, "a copy does not count as a call");
        },
    );
}

#[test]
fn links_are_cut_in_one_direction_for_some_time() {
    with(
        Chaos { one_way_cuts: Ratio::per_thousand(400), ..Chaos::default() },
        async |world, end, handled| {
            let (mut answered, mut lost_there, mut lost_back) = (0, 0, 0);
            for i in 0..400 {
                let before = handled.get();
                let answer = end.call(ECHO, &i).await;
                match (answer.is_some(), handled.get() > before) {
                    (true, _) => answered += 1,
                    (false, false) => lost_there += 1,
                    (false, true) => lost_back += 1,
                }
                world.tester().sleep(ms(250)).await;
            }
            assert!(
                answered > 50 && lost_there > 50 && lost_back > 20,
                "{answered} {lost_there} {lost_back}"
            );
        },
    );
}

#[test]
fn a_clogged_link_delivers_everything_when_it_opens() {
    with(Chaos { clogs: Ratio::per_thousand(1000), ..Chaos::default() }, async |world, end, _| {
        for i in 0..10 {
            world.tester().sleep(ms(70)).await;
            let second = world.tester().now().as_secs();
            assert_eq!(end.call(ECHO, &i).await, Some(i));
            // Both the request and the reply wait for the next second.
            assert_eq!(world.tester().now().as_secs(), second + 2);
        }
    });
}

#[test]
fn a_pause_delays_a_server_but_not_the_tester() {
    with(Chaos { pauses: Ratio::per_thousand(1000), ..Chaos::default() }, async |world, end, _| {
        let server = world.server(1).runtime().clone();
        let mut late = 0;
        for i in 0..40 {
            let before = world.tester().now();
            world.tester().sleep(ms(130)).await;
            assert_eq!(world.tester().now() - before, ms(130), "the tester never pauses");
            let before = world.tester().now();
            server.sleep(ms(10)).await;
            late += u64::from(world.tester().now() - before > ms(10));
            assert_eq!(end.call(ECHO, &i).await, Some(i));
        }
        assert!(late > 10, "{late} of 40 timers were late");
    });
}

#[test]
fn a_servers_clock_is_fast_or_slow_and_its_sleeps_agree_with_it() {
    with(
        Chaos { clock_skew: Ratio::per_thousand(200), ..Chaos::default() },
        async |world, _, _| {
            let mut rates = Vec::new();
            for i in 1..20 {
                let server = world.server(i).runtime().clone();
                let (before, shown) = (world.tester().now(), server.now());
                server.sleep(ms(1000)).await;
                let took = world.tester().now() - before;
                let shown = server.now() - shown;
                assert!(shown >= ms(1000) && shown < ms(1001), "{shown:?}");
                assert!(took > ms(800) && took < ms(1260), "{took:?}");
                rates.push(took);
            }
            assert!(rates.iter().any(|&took| took < ms(980)), "{rates:?}");
            assert!(rates.iter().any(|&took| took > ms(1020)), "{rates:?}");
        },
    );
}

#[test]
fn a_server_cannot_send_after_it_has_crashed_at_a_save() {
    with(
        Chaos { crashes_at_save: Ratio::new(1, 1), ..Chaos::default() },
        async |world, _, handled| {
            let server = world.server(1);
            let rt = server.runtime().clone();
            let end = world.network().make_end(Node::server(1));
            world.network().connect(end.id(), Node::server(0));
            world.network().enable(end.id(), true);
            let (of_task, world_there) = (rt.clone(), world.clone());
            rt.spawn_detached("saves", async move {
                let before = end.call(ECHO, &1);
                assert!(world_there.crashes_at_save(&of_task));
                let after = end.call(ECHO, &2);
                drop((before, after));
                of_task.sleep(ms(1)).await;
                panic!("a crashed server is still running");
            });
            world.tester().sleep(ms(100)).await;
            assert!(!rt.is_alive());
            assert_eq!(handled.get(), 1, "only the request sent before the save arrives");
        },
    );
}

#[test]
fn the_same_seed_gives_the_same_chaos() {
    let run = |seed| {
        let simulation = Simulation::new(RunSpec::seed(seed)).chaos(true);
        let outcome = simulation.run(|world| async move {
            let rt = world.server(0).runtime().clone();
            for _ in 0..100 {
                rt.sleep(ms(77)).await;
            }
        });
        (outcome.fingerprint, outcome.elapsed)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
