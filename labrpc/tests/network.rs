//! The life of a request: what arrives, what callers learn and when, and what is counted.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::common::{
    CALLER, Lab, NUMBER_BYTES, SEEDS, TRANSIT, WORK, WORKER, exact, finish, ms, neutral, on_link,
    open_end, recorded, with,
};
use labrpc::{Call, Delivery, Event, Kind, Lost, Method, Network, Node, RunSpec, Service};

/// A way in which a server can become dead for its callers: a name, and a function that does it.
type Death = (&'static str, fn(&Lab));

/// All ways in which a server can become dead for a caller that has sent a request.
const DEATHS: [Death; 3] = [
    ("the end is disabled", |lab| lab.enable(false)),
    ("the server is deleted", |lab| lab.network().delete_server(WORKER)),
    ("the server is replaced", |lab| drop(lab.restart())),
];

/// The time at which a request that is sent at the start arrives in an [`exact`] run.
const DISPATCHED: Duration = TRANSIT;

/// Awaits a call, and returns its result and the time at which it completes.
async fn answer(lab: &Lab, call: Call<u64>) -> (Option<u64>, Duration) {
    let answer = call.await;
    (answer, lab.now())
}

#[test]
fn a_request_on_its_way_is_handled_in_any_case_but_a_dead_server_does_not_reply() {
    for (why, die) in DEATHS {
        for seed in SEEDS {
            finish(exact(seed), move |world| async move {
                let lab = Lab::new(&world);
                let call = lab.end.call(WORK, &5);
                die(&lab);
                // The handler returns before the next check, and then the caller learns it at once.
                assert_eq!(answer(&lab, call).await, (None, DISPATCHED + ms(5)), "{why}");
                assert_eq!((lab.worker.count(), lab.done.get()), (1, 1), "{why}");
            });
        }
    }
}

#[test]
fn death_during_a_handler_is_noticed_at_the_next_multiple_of_100_ms_after_arrival() {
    for (why, die) in DEATHS {
        for (dies, told) in [(1, 100), (99, 100), (101, 200), (350, 400)] {
            finish(exact(1), move |world| async move {
                let lab = Lab::new(&world);
                let call = lab.end.call(WORK, &1000);
                lab.sleep_until(DISPATCHED + ms(dies)).await;
                die(&lab);
                assert_eq!(answer(&lab, call).await, (None, DISPATCHED + ms(told)), "{why}");
                assert_eq!(lab.done.get(), 0, "the handler is still running");
                lab.sleep_until(DISPATCHED + ms(1001)).await;
                assert_eq!(lab.done.get(), 1, "the handler was not stopped");
                assert_eq!(lab.network().total_bytes(), NUMBER_BYTES, "its result is thrown away");
            });
        }
    }
}

/// The caller checks at multiples of 100 ms only, so it does not notice what happens in between.
#[test]
fn death_that_is_undone_before_the_next_check_goes_unnoticed() {
    finish(exact(1), |world| async move {
        let lab = Lab::new(&world);
        let call = lab.end.call(WORK, &450);
        for start in [10, 50, 110, 310] {
            lab.sleep_until(DISPATCHED + ms(start)).await;
            lab.enable(false);
            lab.sleep(ms(20)).await;
            lab.enable(true);
        }
        lab.network().delete_server(WORKER);
        lab.sleep(ms(20)).await;
        lab.network().add_server(WORKER, &lab.worker);
        let expected = (Some(450), DISPATCHED + ms(450) + TRANSIT);
        assert_eq!(answer(&lab, call).await, expected);
    });
}

#[test]
fn a_check_that_finds_nothing_wrong_is_not_the_last_one() {
    finish(exact(1), |world| async move {
        let lab = Lab::new(&world);
        let call = lab.end.call(WORK, &450);
        for (at, is_enabled) in [(10, false), (50, true), (250, false)] {
            lab.sleep_until(DISPATCHED + ms(at)).await;
            lab.enable(is_enabled);
        }
        assert_eq!(answer(&lab, call).await, (None, DISPATCHED + ms(300)));
    });
}

/// Whether an end is enabled affects neither the server nor other ends.
#[test]
fn disabling_one_end_does_not_affect_calls_on_another() {
    finish(exact(1), |world| async move {
        let lab = Lab::new(&world);
        let other = open_end(lab.network(), CALLER, WORKER);
        let call = other.call(WORK, &250);
        lab.enable(false);
        assert_eq!(answer(&lab, call).await, (Some(250), DISPATCHED + ms(250) + TRANSIT));
    });
}

#[test]
fn a_reply_that_is_held_back_arrives_even_if_the_server_dies_meanwhile() {
    for (why, die) in DEATHS {
        for is_reliable in [true, false] {
            let calm = neutral(exact(1), &[Kind::RequestDelay, Kind::RequestDrop, Kind::ReplyDrop]);
            finish(with(calm, &[(Kind::ReplyHold, 700)]), move |world| async move {
                let lab = Lab::new(&world);
                lab.network().reliable(is_reliable);
                lab.network().long_reordering(true);
                let call = lab.end.call(WORK, &1);
                lab.sleep_until(DISPATCHED + ms(300)).await;
                assert_eq!(lab.network().total_bytes(), NUMBER_BYTES);
                die(&lab);
                let arrives = DISPATCHED + ms(1) + TRANSIT + ms(700);
                assert_eq!(answer(&lab, call).await, (Some(1), arrives), "{why}");
                assert_eq!(lab.network().total_bytes(), 2 * NUMBER_BYTES, "counted on arrival");
            });
        }
    }
}

#[test]
fn a_reply_that_is_not_held_back_arrives_even_if_the_server_dies_meanwhile() {
    for (why, die) in DEATHS {
        finish(exact(1), move |world| async move {
            let lab = Lab::new(&world);
            let call = lab.end.call(WORK, &0);
            lab.sleep_until(DISPATCHED + TRANSIT / 2).await;
            assert_eq!(lab.done.get(), 1);
            die(&lab);
            assert_eq!(answer(&lab, call).await, (Some(0), DISPATCHED + TRANSIT), "{why}");
        });
    }
}

#[test]
fn a_new_network_is_reliable_and_has_neither_long_delays_nor_long_reordering() {
    let luck = [
        (Kind::RequestDelay, 20),
        (Kind::RequestDrop, 1),
        (Kind::ReplyDrop, 1),
        (Kind::ReplyHold, 300),
    ];
    let mut spec = with(exact(1), &luck);
    spec.overrides.insert(on_link(Kind::Unreachable, 1), u64::MAX);
    let outcome = recorded(spec, |world| async move {
        let lab = Lab::new(&world);
        let prompt = lab.end.call(WORK, &0);
        assert_eq!(answer(&lab, prompt).await, (Some(0), DISPATCHED + TRANSIT));
        lab.enable(false);
        let start = lab.now();
        let lost = lab.end.call(WORK, &0);
        assert_eq!(answer(&lab, lost).await, (None, start + ms(99)));
    });
    assert_eq!(outcome.result, Ok(()));
    let never_asked = [0, 1, 2, 3].map(|i| on_link(luck[i].0, 0));
    assert_eq!(outcome.unreached, never_asked);
}

/// Sets `switch` to `position`, makes a call, and flips the switch at once. Returns the result of
/// the call and the time at which it completes.
fn flipped_after_the_call(
    switch: fn(&Network, bool),
    position: bool,
    is_enabled: bool,
    luck: &[(Kind, u64)],
) -> (Option<u64>, Duration) {
    finish(with(exact(1), luck), move |world| async move {
        let lab = Lab::new(&world);
        lab.enable(is_enabled);
        switch(lab.network(), position);
        let call = lab.end.call(WORK, &0);
        switch(lab.network(), !position);
        answer(&lab, call).await
    })
}

#[test]
fn whether_the_network_is_reliable_is_determined_when_the_call_is_made() {
    // A value that is out of range is replaced by the largest one: 26 ms.
    let luck = [(Kind::RequestDelay, u64::MAX), (Kind::RequestDrop, 0), (Kind::ReplyDrop, 1)];
    let told = flipped_after_the_call(Network::reliable, false, true, &luck);
    assert_eq!(told, (None, DISPATCHED + ms(26)), "delayed, and the reply is dropped");
    let told = flipped_after_the_call(Network::reliable, true, true, &luck);
    assert_eq!(told, (Some(0), DISPATCHED + TRANSIT));
}

#[test]
fn whether_replies_are_held_back_is_determined_when_the_call_is_made() {
    let luck = [(Kind::ReplyHold, u64::MAX)];
    let told = flipped_after_the_call(Network::long_reordering, true, true, &luck);
    assert_eq!(told, (Some(0), DISPATCHED + TRANSIT + ms(2199)));
    let told = flipped_after_the_call(Network::long_reordering, false, true, &luck);
    assert_eq!(told, (Some(0), DISPATCHED + TRANSIT));
}

#[test]
fn whether_failing_takes_long_is_determined_when_the_call_is_made() {
    let luck = [(Kind::Unreachable, u64::MAX)];
    let told = flipped_after_the_call(Network::long_delays, true, false, &luck);
    assert_eq!(told, (None, ms(6999)));
    let told = flipped_after_the_call(Network::long_delays, false, false, &luck);
    assert_eq!(told, (None, ms(99)));
}

#[test]
fn a_dropped_request_fails_after_its_short_delay_and_is_never_handled() {
    let luck = [(Kind::RequestDelay, 17), (Kind::RequestDrop, 1)];
    finish(with(exact(1), &luck), |world| async move {
        let lab = Lab::new(&world);
        lab.network().reliable(false);
        let call = lab.end.call(WORK, &5);
        assert_eq!(answer(&lab, call).await, (None, ms(17)));
        lab.sleep(ms(100)).await;
        assert_eq!((lab.worker.count(), lab.done.get()), (0, 0));
        assert_eq!((lab.network().total_count(), lab.network().total_bytes()), (1, NUMBER_BYTES));
    });
}

#[test]
fn a_call_with_a_dropped_reply_fails_when_the_handler_returns() {
    let luck = [(Kind::RequestDelay, 17), (Kind::RequestDrop, 0), (Kind::ReplyDrop, 1)];
    finish(with(exact(1), &luck), |world| async move {
        let lab = Lab::new(&world);
        lab.network().reliable(false);
        let call = lab.end.call(WORK, &5);
        assert_eq!(answer(&lab, call).await, (None, DISPATCHED + ms(17 + 5)));
        assert_eq!((lab.worker.count(), lab.done.get()), (1, 1));
        assert_eq!((lab.network().total_count(), lab.network().total_bytes()), (1, NUMBER_BYTES));
    });
}

#[test]
fn calls_that_reach_no_server_count_for_the_network_only() {
    for seed in SEEDS {
        finish(RunSpec::seed(seed), |world| async move {
            let lab = Lab::new(&world);
            let network = lab.network();
            let unconnected = network.make_end(CALLER);
            network.enable(unconnected.id(), true);
            let to_nobody = open_end(network, CALLER, Node::server(7));
            lab.enable(false);
            for (n, end) in [&unconnected, &to_nobody, &lab.end].into_iter().enumerate() {
                let calls = n as u64 + 1;
                let call = end.call(WORK, &0);
                assert_eq!(network.total_count(), calls, "counted when it is made");
                assert_eq!(network.total_bytes(), calls * NUMBER_BYTES);
                // The call fails even if the server can be reached later.
                lab.enable(true);
                assert_eq!(call.await, None);
                lab.enable(false);
            }
            lab.sleep(ms(100)).await;
            assert_eq!((lab.worker.count(), lab.done.get()), (0, 0));
            assert_eq!(network.total_bytes(), 3 * NUMBER_BYTES);
        });
    }
}

#[test]
fn a_server_that_replaces_another_counts_from_0() {
    finish(exact(1), |world| async move {
        let lab = Lab::new(&world);
        for _ in 0..3 {
            assert_eq!(lab.end.call(WORK, &0).await, Some(0));
        }
        assert_eq!(lab.network().count(WORKER), 3);
        lab.network().delete_server(WORKER);
        assert_eq!(lab.network().count(WORKER), 0, "there is no server");
        let second = lab.restart();
        assert_eq!(lab.network().count(WORKER), 0);
        assert_eq!(lab.end.call(WORK, &0).await, Some(0));
        assert_eq!((lab.network().count(WORKER), second.count(), lab.worker.count()), (1, 1, 3));
        assert_eq!(lab.network().total_count(), 4);
    });
}

#[test]
fn a_request_is_sent_when_the_call_is_made_and_dropping_the_call_does_not_stop_it() {
    finish(exact(1), |world| async move {
        let lab = Lab::new(&world);
        drop(lab.end.call(WORK, &5));
        let unpolled = lab.end.call(WORK, &7);
        lab.sleep(ms(100)).await;
        assert_eq!(lab.done.get(), 2);
        assert_eq!(lab.network().total_bytes(), 4 * NUMBER_BYTES, "both replies arrived");
        assert_eq!(answer(&lab, unpolled).await, (Some(7), ms(100)));
        // The slots of finished calls are reused, but their replies must not get mixed up.
        assert_eq!(lab.end.call(WORK, &9).await, Some(9));
    });
}

/// The slot of a finished call is reused, but the next call must not get the reply to the first.
#[test]
fn a_handler_that_returns_after_its_call_has_failed_does_not_answer_a_later_call() {
    finish(exact(1), |world| async move {
        let lab = Lab::new(&world);
        let given_up = lab.end.call(WORK, &250);
        lab.enable(false);
        assert_eq!(answer(&lab, given_up).await, (None, DISPATCHED + ms(100)));
        lab.enable(true);
        let start = lab.now();
        let next = lab.end.call(WORK, &500);
        let expected = (Some(500), start + ms(500) + 2 * TRANSIT);
        assert_eq!(answer(&lab, next).await, expected);
        assert_eq!(lab.done.get(), 2);
    });
}

#[test]
fn a_call_that_has_failed_stays_failed_even_if_its_handler_returns_before_it_is_polled() {
    let outcome = recorded(exact(1), |world| async move {
        let lab = Lab::new(&world);
        let failed = lab.end.call(WORK, &250);
        lab.enable(false);
        lab.sleep(ms(150)).await;
        lab.enable(true);
        lab.sleep(ms(250)).await;
        assert_eq!(answer(&lab, failed).await, (None, ms(400)));
        assert_eq!((lab.done.get(), lab.network().total_bytes()), (1, NUMBER_BYTES));
    });
    assert_eq!(outcome.result, Ok(()));
    let life: Vec<String> =
        outcome.events.iter().filter_map(|timed| Some(told(&timed.event)?.1)).collect();
    assert_eq!(life, ["sent 250 in 8", "delivered", "lost: Dead"]);
}

#[test]
fn the_dead_check_of_a_finished_call_does_not_affect_a_later_one() {
    finish(exact(1), |world| async move {
        let lab = Lab::new(&world);
        let finished = lab.end.call(WORK, &50);
        lab.enable(false);
        assert_eq!(answer(&lab, finished).await, (None, DISPATCHED + ms(50)));
        lab.enable(true);
        let start = lab.now();
        let next = lab.end.call(WORK, &1000);
        lab.sleep(ms(5)).await;
        lab.enable(false);
        // The first call would have been checked at 100 ms, which is 50 ms after this one arrived.
        assert_eq!(answer(&lab, next).await, (None, start + TRANSIT + ms(100)));
    });
}

#[test]
fn after_cleanup_new_calls_fail_at_once_and_earlier_ones_continue() {
    finish(exact(1), |world| async move {
        let lab = Lab::new(&world);
        let under_way = lab.end.call(WORK, &5);
        lab.network().cleanup();
        let late = lab.end.call(WORK, &5);
        assert_eq!(answer(&lab, late).await, (None, Duration::ZERO));
        assert_eq!(answer(&lab, under_way).await, (Some(5), DISPATCHED + ms(5) + TRANSIT));
        assert_eq!((lab.network().total_count(), lab.worker.count()), (1, 1));
    });
}

/// The order in which two requests arrive that are sent right after each other.
fn arrival_order(spec: RunSpec, is_reliable: bool) -> Vec<u64> {
    const ARRIVE: Method<u64, ()> = Method::new("Worker.Arrive");
    finish(spec, move |world| async move {
        let lab = Lab::new(&world);
        lab.network().reliable(is_reliable);
        let arrived = Rc::new(RefCell::new(Vec::new()));
        let log = arrived.clone();
        lab.worker.add_service(Service::new().method(ARRIVE, move |n| {
            log.borrow_mut().push(n);
            async {}
        }));
        let calls = [0, 1].map(|n| lab.end.call(ARRIVE, &n));
        for call in calls {
            call.await;
        }
        arrived.take()
    })
}

#[test]
fn requests_with_shorter_delays_overtake_others() {
    let mut spec = neutral(exact(1), &[Kind::RequestDrop]);
    for (first, second, expected) in [(20, 3, [1, 0]), (3, 20, [0, 1])] {
        spec.overrides.insert(on_link(Kind::RequestDelay, 0), first);
        spec.overrides.insert(on_link(Kind::RequestDelay, 1), second);
        assert_eq!(arrival_order(spec.clone(), false), expected);
    }
}

#[test]
fn requests_sent_at_the_same_instant_arrive_in_any_order_even_on_a_reliable_network() {
    let orders: Vec<_> = SEEDS.map(|seed| arrival_order(RunSpec::seed(seed), true)).collect();
    for order in [[0, 1], [1, 0]] {
        assert!(orders.iter().any(|seen| seen[..] == order), "{order:?} never happened");
    }
}

/// What an event says about a call: the number of the call, and a description.
fn told(event: &Event) -> Option<(u64, String)> {
    match event {
        Event::Sent { call, bytes, content, .. } => {
            Some((*call, format!("sent {content} in {bytes}")))
        }
        Event::Delivered { call, .. } => Some((*call, "delivered".into())),
        Event::Replied { call, held, .. } => Some((*call, format!("replied, held {held:?}"))),
        Event::Answered { call, .. } => Some((*call, "answered".into())),
        Event::Lost { call, why, .. } => Some((*call, format!("lost: {why:?}"))),
        _ => None,
    }
}

#[test]
fn the_record_shows_what_happens_to_each_call_and_why_it_is_lost() {
    let mut spec = with(exact(1), &[(Kind::ReplyHold, 300)]);
    spec.overrides.insert(on_link(Kind::RequestDrop, 1), 1);
    spec.overrides.insert(on_link(Kind::Unreachable, 3), 9);
    let outcome = recorded(spec, |world| async move {
        let lab = Lab::new(&world);
        lab.network().long_reordering(true);
        lab.end.call(WORK, &5).await;
        lab.network().long_reordering(false);
        lab.network().reliable(false);
        lab.end.call(WORK, &6).await;
        lab.network().reliable(true);
        let call = lab.end.call(WORK, &7);
        lab.enable(false);
        call.await;
        lab.end.call(WORK, &8).await;
    });
    outcome.result.expect("the run completes");
    let lives: Vec<(u64, String)> =
        outcome.events.iter().filter_map(|timed| told(&timed.event)).collect();
    let of =
        |n: u64| lives.iter().filter(move |(call, _)| *call == n).map(|(_, what)| what.as_str());
    let held = "replied, held 300ms";
    assert!(of(0).eq(["sent 5 in 8", "delivered", held, "answered"]), "{lives:#?}");
    assert!(of(1).eq(["sent 6 in 8", "lost: Dropped"]), "{lives:#?}");
    assert!(
        of(2).eq(["sent 7 in 8", "delivered", "replied, held 0ns", "lost: Dead"]),
        "{lives:#?}"
    );
    assert!(of(3).eq(["sent 8 in 8", "lost: Unreachable"]), "{lives:#?}");
    assert_eq!(lives.len(), 12);
}

#[test]
fn the_record_shows_that_a_call_is_lost_because_the_network_is_closed() {
    let outcome = recorded(exact(1), |world| async move {
        let lab = Lab::new(&world);
        lab.end.call(WORK, &5).await;
        lab.network().cleanup();
        lab.end.call(WORK, &6).await;
        lab.end.call(WORK, &7).await;
    });
    let lost: Vec<u64> = outcome
        .events
        .iter()
        .filter_map(|timed| match timed.event {
            Event::Lost { call, why: Lost::Closed, .. } => Some(call),
            _ => None,
        })
        .collect();
    assert_eq!(lost, [1, 2]);
}

#[test]
fn a_call_on_an_end_that_is_not_connected_takes_time_to_fail() {
    let mut slowest = Duration::ZERO;
    for seed in SEEDS {
        slowest = slowest.max(finish(RunSpec::seed(seed), |world| async move {
            let lab = Lab::new(&world);
            let end = lab.network().make_end(CALLER);
            lab.network().enable(end.id(), true);
            answer(&lab, end.call(WORK, &0)).await.1
        }));
    }
    assert!(slowest > ms(10), "{slowest:?}");
}

#[test]
fn an_observer_sees_the_messages_that_somebody_reads_and_replies_to_them_are_counted() {
    const CLIENT: Node = Node::client(0);
    let seen = finish(exact(1), |world| async move {
        let lab = Lab::new(&world);
        let end = open_end(lab.network(), CLIENT, WORKER);
        let seen = Rc::new(RefCell::new(Vec::new()));
        let log = seen.clone();
        lab.network().on_delivery(
            move |Delivery { from, to, bytes, is_reply, called_at, sent_at }| {
                assert!(if is_reply { sent_at > called_at } else { sent_at == called_at });
                log.borrow_mut().push((from, to, is_reply, called_at, bytes.to_vec()));
            },
        );
        let first = world.tester().now();
        end.call(WORK, &5).await;
        assert_eq!(lab.network().replies(CLIENT), 1);
        let second = world.tester().now();
        // The caller does not wait for this reply, and the next request finds no server.
        drop(end.call(WORK, &6));
        lab.sleep(ms(50)).await;
        world.crash(&lab.worker);
        drop(end.call(WORK, &7));
        lab.sleep(ms(200)).await;
        assert_eq!(lab.network().replies(CLIENT), 1);
        (seen.take(), first, second)
    });
    let (seen, first, second) = seen;
    let bytes = |number: u64| labrpc::encode(&number).unwrap();
    let request = |at, number| (CLIENT, WORKER, false, at, bytes(number));
    let reply = (WORKER, CLIENT, true, first, bytes(5));
    assert_eq!(seen, [request(first, 5), reply, request(second, 6)]);
}
