//! The same seed gives the same run, and a modified `RunSpec` changes only the decisions it names.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use crate::common::{CALLER, SEEDS, finish, ms, neutral, on_link, open_end, recorded};
use labrpc::{
    Address, Event, Kind, Method, Node, Outcome, RunSpec, Server, Service, Simulation, Taken,
    Timed, World,
};

/// Returns its argument.
const ECHO: Method<u64, u64> = Method::new("Peer.Echo");

thread_local! {
    /// State that code under test might keep in its thread, and that must be fresh in each run.
    static ECHOES: Cell<u64> = const { Cell::new(0) };
}

/// Starts a server that calls the other two at random times.
fn start_peer(world: &World, i: usize, answers: &Rc<RefCell<Vec<Option<u64>>>>) -> Server {
    let server = world.server(i);
    let runtime = server.runtime().clone();
    server.add_service(Service::new().method(ECHO, move |n| {
        let nap = runtime.sleep(ms(runtime.dice().below(150)));
        async move {
            nap.await;
            ECHOES.set(ECHOES.get() + 1);
            n + ECHOES.get()
        }
    }));
    world.network().add_server(Node::server(i), &server);
    for step in [1, 2] {
        let end = open_end(world.network(), Node::server(i), Node::server((i + step) % 3));
        let (runtime, answers) = (server.runtime().clone(), answers.clone());
        drop(server.runtime().spawn("caller", async move {
            for n in 0..20 {
                let answer = end.call(ECHO, &n).await;
                tracing::info!(?answer, "round {n}");
                answers.borrow_mut().push(answer);
                runtime.sleep(runtime.dice().span(ms(1), ms(30))).await;
            }
        }));
    }
    server
}

/// A world in which random decisions of many kinds come up.
async fn busy(world: World) -> Vec<Option<u64>> {
    let (network, tester) = (world.network(), world.tester());
    network.reliable(false);
    network.long_reordering(true);
    network.long_delays(true);
    let answers = Rc::default();
    let mut servers: Vec<Server> = (0..3).map(|i| start_peer(&world, i, &answers)).collect();
    let dice = tester.workload(0);
    for _ in 0..5 {
        tester.sleep(dice.span(ms(50), ms(500))).await;
        let victim = dice.below(3) as usize;
        network.delete_server(Node::server(victim));
        world.crash(&servers[victim]);
        tester.sleep(ms(dice.below(100))).await;
        servers[victim] = start_peer(&world, victim, &answers);
    }
    tester.sleep(Duration::from_secs(10)).await;
    answers.take()
}

/// The outcome of a run, without its result, decisions and fingerprint.
fn traces<T>(outcome: Outcome<T>) -> (Duration, u64, Vec<Timed>) {
    (outcome.elapsed, outcome.event_count, outcome.events)
}

#[test]
fn the_same_seed_gives_the_same_run_alone_or_after_others() {
    let first = recorded(RunSpec::seed(7), busy);
    for seed in SEEDS {
        recorded(RunSpec::seed(seed), busy).result.expect("the run completes");
    }
    let again = recorded(RunSpec::seed(7), busy);
    assert!(first.events.len() > 500, "a busy world has many events: {}", first.events.len());
    assert_eq!(first.fingerprint, again.fingerprint);
    assert_eq!(first.choices, again.choices);
    assert_eq!(first.result, again.result);
    assert_eq!(traces(first), traces(again));
}

#[test]
fn different_seeds_give_different_runs() {
    let prints: BTreeSet<u64> =
        (0..100).map(|seed| recorded(RunSpec::seed(seed), busy).fingerprint).collect();
    assert_eq!(prints.len(), 100);
}

#[test]
fn recording_does_not_change_the_run() {
    for seed in SEEDS {
        let with = recorded(RunSpec::seed(seed), busy);
        let without = Simulation::new(RunSpec::seed(seed)).run(busy);
        assert_eq!(with.fingerprint, without.fingerprint);
        assert_eq!(with.result, without.result);
        assert_eq!((with.elapsed, with.event_count), (without.elapsed, without.event_count));
        assert!(without.events.is_empty() && without.choices.is_empty());
    }
}

#[test]
fn the_record_is_in_the_order_of_time() {
    let outcome = recorded(RunSpec::seed(1), busy);
    assert!(outcome.events.is_sorted_by_key(|timed| timed.at));
    assert!(outcome.events.last().is_some_and(|last| last.at <= outcome.elapsed));
}

/// The fingerprint of a small run that `alter` may change in some detail.
fn print_of(alter: fn(&World)) -> u64 {
    recorded(RunSpec::seed(1), move |world| async move {
        alter(&world);
        world.tester().sleep(ms(100)).await;
    })
    .fingerprint
}

#[test]
fn the_fingerprint_covers_messages_decisions_timers_and_steps_of_the_tester() {
    let differences: [fn(&World); 14] = [
        |_| {},
        |world| drop(world.network().make_end(CALLER).call(ECHO, &1)),
        |world| drop(world.network().make_end(CALLER).call(ECHO, &2)),
        |world| drop(world.network().make_end(Node::server(1)).call(ECHO, &2)),
        |world| _ = world.tester().dice().below(2),
        |world| _ = world.tester().workload(0).below(2),
        |world| drop(world.tester().spawn("nap", world.tester().sleep(ms(5)))),
        |world| drop(world.tester().spawn("nap", world.tester().sleep(ms(6)))),
        |world| world.network().reliable(false),
        |world| world.network().long_delays(true),
        |world| world.crash(&world.server(0)),
        |world| world.crash(&world.server(4)),
        |world| world.tester().fingerprint(1, 2),
        |world| world.tester().fingerprint(2, 1),
    ];
    let prints: BTreeSet<u64> = differences.into_iter().map(print_of).collect();
    assert_eq!(prints.len(), differences.len());
}

#[test]
fn the_fingerprint_distinguishes_steps_of_different_kinds() {
    let crash = print_of(|world| world.crash(&world.server(1)));
    assert_ne!(crash, print_of(|world| world.network().reliable(false)));
}

#[test]
fn the_fingerprint_does_not_cover_log_lines_and_recorded_events() {
    let talkative = print_of(|world| {
        tracing::warn!("anything");
        world.tester().record(|| Event::custom("probe", "anything"));
    });
    assert_eq!(talkative, print_of(|_| {}));
}

/// If all decisions are overridden, the seed has no effect: there is no other source of randomness.
#[test]
fn a_run_can_be_replayed_from_its_decisions_under_any_seed() {
    for seed in [3, 4] {
        let run = recorded(RunSpec::seed(seed), busy);
        let mut spec = RunSpec::seed(seed + 1000);
        spec.overrides = run.choices.iter().map(|taken| (taken.address, taken.value)).collect();
        assert_eq!(spec.overrides.len(), run.choices.len(), "no address is used twice");
        let replay = recorded(spec, busy);
        assert_eq!(replay.unreached, []);
        assert_eq!(replay.choices, run.choices);
        assert_eq!(replay.result, run.result);
        assert_eq!(traces(replay), traces(run));
    }
}

/// Tasks that ran in the order of waking, whatever their keys, are no faults: without the keys the run is
/// the same.
#[test]
fn an_order_that_makes_no_difference_is_no_fault() {
    for seed in [3, 4] {
        let run = recorded(RunSpec::seed(seed), busy);
        let order = |taken: &&Taken| taken.address.kind == Kind::Order;
        let faults = run.choices.iter().filter(|taken| taken.is_fault());
        let kept = faults.map(|taken| (taken.address, taken.value)).collect();
        let replay = recorded(RunSpec::only(seed, kept), busy);
        assert_eq!(replay.result, run.result);
        assert_eq!(replay.events, run.events);
        let all = run.choices.iter().filter(order).count();
        let out_of_turn = run.choices.iter().filter(order).filter(|t| t.is_fault()).count();
        assert!(out_of_turn > 0 && 2 * out_of_turn < all, "{out_of_turn} of {all}");
    }
}

#[test]
fn overrides_whose_decisions_never_come_up_are_reported() {
    let never = [on_link(Kind::RequestDrop, 1_000_000), on_link(Kind::Workload, 0)];
    let mut spec = RunSpec::seed(3);
    let reached = on_link(Kind::RequestDrop, 2);
    spec.overrides.extend([(never[0], 1), (reached, 1), (never[1], 5)]);
    let outcome = recorded(spec, busy);
    assert_eq!(outcome.unreached, never);
    let taken = outcome.choices.iter().find(|taken| taken.address == reached);
    assert_eq!(taken.map(|taken| (taken.value, taken.bound)), Some((1, 2)));
}

#[test]
fn a_second_seed_does_not_change_anything_before_its_time() {
    let from = ms(600);
    let before = |outcome: &Outcome<_>| -> Vec<Timed> {
        outcome.events.iter().take_while(|timed| timed.at < from).cloned().collect()
    };
    let plain = recorded(RunSpec::seed(3), busy);
    let mut ends = BTreeSet::from([plain.fingerprint]);
    for second in 100..110 {
        let mut spec = RunSpec::seed(3);
        spec.redraw = Some((from, second));
        let redrawn = recorded(spec, busy);
        assert!(before(&plain).len() > 50);
        assert_eq!(before(&redrawn), before(&plain));
        ends.insert(redrawn.fingerprint);
    }
    assert_eq!(ends.len(), 11, "each second seed continues the run differently");
}

/// Makes 40 calls to each of servers 1 and 2. Returns whether each call succeeds, and when it ends.
fn fates(spec: RunSpec) -> [Vec<(bool, Duration)>; 2] {
    finish(spec, |world| async move {
        let (network, tester) = (world.network(), world.tester());
        network.reliable(false);
        network.long_reordering(true);
        let mut links = [1, 2].map(|i| {
            let server = world.server(i);
            server.add_service(Service::new().method(ECHO, |n| async move { n }));
            network.add_server(Node::server(i), &server);
            (open_end(network, CALLER, Node::server(i)), Vec::new())
        });
        for n in 0..40 {
            tester.sleep_until(ms(50 * n)).await;
            for (end, calls) in &mut links {
                let (call, clock) = (end.call(ECHO, &n), tester.clone());
                calls
                    .push(tester.spawn("call", async move { (call.await.is_some(), clock.now()) }));
            }
        }
        let mut ends = [Vec::new(), Vec::new()];
        for (ends, (_, calls)) in ends.iter_mut().zip(links) {
            for call in calls {
                ends.push(call.await.expect("no client crashes"));
            }
        }
        ends
    })
}

/// Decisions about replies are neutral here, so that only what happens to requests is compared.
#[test]
fn overriding_the_drop_of_one_request_changes_only_that_request() {
    for seed in SEEDS {
        let calm = neutral(
            RunSpec::seed(seed),
            &[Kind::ReplyDrop, Kind::ReplyHold, Kind::ReplyTransit, Kind::RequestTransit],
        );
        let [plain, other] = fates(calm.clone());
        // First lose a request that arrived, then deliver one that was lost.
        for wanted in [true, false] {
            let Some(n) = plain.iter().position(|&(arrived, _)| arrived == wanted) else {
                continue;
            };
            let mut spec = calm.clone();
            spec.overrides.insert(on_link(Kind::RequestDrop, n as u64), u64::from(wanted));
            let [changed, other_then] = fates(spec);
            assert_eq!(changed[n].0, !wanted, "seed {seed}, request {n}");
            let mut mended = changed;
            mended[n] = plain[n];
            assert_eq!(mended, plain, "seed {seed}, request {n}");
            assert_eq!(other_then, other, "seed {seed}, request {n}");
        }
    }
}

#[test]
fn what_happens_on_one_link_does_not_change_what_happens_on_another() {
    for seed in SEEDS {
        let [plain, other] = fates(RunSpec::seed(seed));
        let mut spec = RunSpec::seed(seed);
        for n in 0..20 {
            spec.overrides.insert(on_link(Kind::RequestDrop, n), 1);
        }
        let [changed, other_then] = fates(spec);
        assert!(changed[..20].iter().all(|&(arrived, _)| !arrived));
        assert_ne!(changed, plain);
        assert_eq!(other_then, other, "the same to the nanosecond");
    }
}

#[test]
fn overriding_the_drop_of_one_request_does_not_change_later_replies() {
    for seed in SEEDS {
        let arrived = |spec| fates(spec)[0].iter().map(|&(arrived, _)| arrived).collect::<Vec<_>>();
        let plain = arrived(RunSpec::seed(seed));
        let n = plain.iter().position(|&arrived| arrived).expect("most calls succeed");
        let mut spec = RunSpec::seed(seed);
        spec.overrides.insert(on_link(Kind::RequestDrop, n as u64), 1);
        let changed = arrived(spec);
        assert_eq!(changed[n + 1..], plain[n + 1..], "seed {seed}, request {n}");
    }
}

#[test]
fn neutral_kinds_make_an_unreliable_network_harmless_except_at_listed_addresses() {
    let all = [
        Kind::RequestDelay,
        Kind::RequestDrop,
        Kind::ReplyDrop,
        Kind::ReplyHold,
        Kind::RequestTransit,
        Kind::ReplyTransit,
    ];
    let calm = neutral(RunSpec::seed(1), &all);
    let there_and_back = 2 * crate::common::TRANSIT;
    let expected: Vec<_> = (0..40).map(|n| (true, ms(50 * n) + there_and_back)).collect();
    assert_eq!(fates(calm.clone()), [expected.clone(), expected.clone()]);

    let delays = |spec: RunSpec| {
        let ends = fates(spec);
        ends.map(|link| link.iter().map(|&(_, at)| at).collect::<Vec<_>>())
    };
    // The run with only delays shows the delay that is then kept.
    let delayed = delays(neutral(RunSpec::seed(1), &all[1..]));
    let late = |&(n, at): &(usize, Duration)| at != expected[n].1;
    let (n, at) = delayed[0].iter().copied().enumerate().find(late).expect("some delay is not 0");
    let mut spec = calm;
    let kept = BTreeSet::from([on_link(Kind::RequestDelay, n as u64)]);
    spec.neutral.insert(Kind::RequestDelay, kept);
    let mut wanted: Vec<Duration> = expected.iter().map(|&(_, at)| at).collect();
    let unchanged = wanted.clone();
    wanted[n] = at;
    assert_eq!(delays(spec), [wanted, unchanged]);
}

#[test]
fn dice_and_workload_are_separate_streams_without_neutral_values() {
    let draws = |spec| {
        finish(spec, |world| async move {
            let (tester, server) = (world.tester(), world.server(0));
            let dice = [
                tester.workload(0),
                tester.workload(1),
                tester.dice(),
                server.runtime().dice(),
                world.client(0).dice(),
            ];
            dice.map(|dice| (0..10).map(|_| dice.below(1000)).collect::<Vec<_>>())
        })
    };
    let plain = draws(RunSpec::seed(1));
    assert_eq!(BTreeSet::from(plain.clone()).len(), 5, "{plain:?}");
    assert_eq!(draws(neutral(RunSpec::seed(1), &[Kind::Dice, Kind::Workload])), plain);
    let mut spec = RunSpec::seed(1);
    spec.overrides.insert(Address { kind: Kind::Dice, from: 0, to: 0, n: 3 }, 777);
    let mut expected = plain.clone();
    expected[3][3] = 777;
    assert_eq!(draws(spec), expected);
}

#[test]
fn drawn_durations_and_chances_have_the_right_distribution() {
    finish(RunSpec::seed(1), |world| async move {
        let dice = world.tester().workload(0);
        for _ in 0..1000 {
            assert!((ms(150)..ms(300)).contains(&dice.span(ms(150), ms(300))));
        }
        let hits = (0..10_000).filter(|_| dice.chance(250)).count();
        assert!((2200..2800).contains(&hits), "{hits} of 10,000");
        assert!(!dice.chance(0) && dice.chance(1000));
    });
}

/// The numbers that `rand` draws are decisions like any other, so that they can be replayed.
#[test]
fn rand_works_with_dice() {
    use rand::Rng;
    let run = |spec| {
        recorded(spec, |world| async move {
            let mut dice = world.tester().workload(0);
            let mut bytes = [0; 20];
            dice.fill_bytes(&mut bytes);
            let words: Vec<u32> = (0..20).map(|_| dice.next_u32()).collect();
            (dice.next_u64(), words, bytes)
        })
    };
    let plain = run(RunSpec::seed(1));
    let drawn: Vec<(u64, u64)> = plain
        .choices
        .iter()
        .filter(|taken| taken.address.kind == Kind::Workload)
        .map(|taken| (taken.value, taken.bound))
        .collect();
    let (last, words, bytes) = plain.result.expect("the run completes");
    let in_words = words.iter().map(|&word| (u64::from(word), 1 << 32));
    assert!(drawn[3..23].iter().copied().eq(in_words), "{words:?} of {drawn:?}");
    assert_eq!(drawn[23..], [(last, 0)], "one decision of 64 bits");
    let in_bytes: Vec<u8> = drawn[..3].iter().flat_map(|(word, _)| word.to_le_bytes()).collect();
    assert_eq!(in_bytes[..20], bytes);
    let different: BTreeSet<&(u64, u64)> = drawn.iter().collect();
    assert_eq!(different.len(), drawn.len());
    assert!(words.iter().any(|&word| word > u32::MAX / 2), "{words:?}");
}

/// The log lines of a run, each with its time and node.
fn notes<T>(outcome: &Outcome<T>) -> Vec<(Duration, Node, &str)> {
    let noted = outcome.events.iter().filter_map(|timed| match &timed.event {
        Event::Note { text } => Some((timed.at, timed.node, text.as_str())),
        _ => None,
    });
    noted.collect()
}

#[test]
fn log_lines_are_recorded_with_their_node_and_time() {
    let outcome = recorded(RunSpec::seed(1), |world| async move {
        let (tester, server) = (world.tester(), world.server(2));
        tracing::info!("begins");
        let nap = tester.sleep(ms(5));
        let task = server.runtime().spawn("elects", async move {
            nap.await;
            tracing::debug!(term = 3, votes = ?[0, 1], "became {}", "leader");
        });
        task.await;
        // The tester calls code of a server, and what this logs is recorded at the server.
        tester.sleep(ms(5)).await;
        server.runtime().act(|| tracing::error!("kill"));
        world.client(1).spawn("clerk", async { tracing::trace!(get = "x") }).await;
        let _span = tracing::info_span!("not shown").entered();
    });
    let expected = [
        (ms(0), Node::TESTER, "begins"),
        (ms(5), Node::server(2), "became leader term=3 votes=[0, 1]"),
        (ms(10), Node::server(2), "kill"),
        (ms(10), Node::client(1), "get=\"x\""),
    ];
    assert_eq!(notes(&outcome), expected);
}

#[test]
fn custom_events_are_recorded_at_the_node_of_the_runtime() {
    let outcome = recorded(RunSpec::seed(1), |world| async move {
        assert!(world.tester().is_recording());
        world.tester().sleep(ms(5)).await;
        let step = Event::custom("apply", "1 at index 2");
        world.server(1).runtime().record(|| step);
    });
    let step = Event::custom("apply", "1 at index 2");
    let timed = Timed { at: ms(5), node: Node::server(1), event: step };
    assert_eq!(outcome.events.last(), Some(&timed));
    Simulation::new(RunSpec::seed(1))
        .run(|world| async move {
            assert!(!world.tester().is_recording());
            world.tester().record(|| panic!("the event must not be created"));
        })
        .result
        .expect("the event is not created");
}
