//! Tasks and virtual time: when tasks run, in which order, and how they are woken.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use crate::common::{Guards, Lab, SEEDS, TRANSIT, WORK, exact, finish, ms, neutral, recorded};
use futures::channel::oneshot;
use futures::future::{FutureExt, join_all};
use futures::stream::{FuturesUnordered, StreamExt};
use labrpc::sync::Notify;
use labrpc::{Address, Kind, Node, RunSpec, Runtime, Trouble, World};

/// A list that tasks write and the test reads.
type Log<T> = Rc<RefCell<Vec<T>>>;

#[test]
fn sleepers_wake_in_the_order_of_their_deadlines() {
    for seed in SEEDS {
        finish(RunSpec::seed(seed), |world| async move {
            let (tester, log) = (world.tester(), Log::default());
            let spans = [30, 10, 50, 20, 40, 10, 0];
            let sleepers = spans.map(|span| {
                let (runtime, log) = (tester.clone(), log.clone());
                tester.spawn("sleeper", async move {
                    runtime.sleep(ms(span)).await;
                    assert_eq!(runtime.now(), ms(span), "neither early nor late");
                    log.borrow_mut().push(span);
                })
            });
            join_all(sleepers).await;
            assert_eq!(*log.borrow(), [0, 10, 10, 20, 30, 40, 50]);
        });
    }
}

#[test]
fn when_no_task_is_ready_time_jumps_to_the_next_timer() {
    let outcome = recorded(exact(1), |world| async move {
        let tester = world.tester();
        for _ in 0..1000 {
            tester.yield_now().await;
        }
        assert_eq!(tester.now(), Duration::ZERO);
        tester.sleep(Duration::from_secs(50)).await;
        tester.sleep(Duration::from_nanos(1)).await;
        tester.now()
    });
    let expected = Duration::from_secs(50) + Duration::from_nanos(1);
    assert_eq!((outcome.result, outcome.elapsed), (Ok(expected), expected));
    assert_eq!(outcome.event_count, 1003, "the first poll, and one after each wait");
}

#[test]
fn a_sleep_of_zero_or_until_a_past_time_completes_at_once() {
    let outcome = recorded(exact(1), |world| async move {
        let tester = world.tester();
        tester.sleep(ms(5)).await;
        tester.sleep(Duration::ZERO).await;
        tester.sleep_until(ms(3)).await;
        tester.sleep_until(ms(5)).await;
    });
    assert_eq!((outcome.result, outcome.elapsed), (Ok(()), ms(5)));
    assert_eq!(outcome.event_count, 2, "these sleeps do not wait at all");
}

/// As with `time.After` in Go, the time counts from the call of `sleep`, not from the first poll.
#[test]
fn a_sleep_begins_when_it_is_created() {
    finish(exact(1), |world| async move {
        let tester = world.tester();
        let sleep = tester.sleep(ms(10));
        tester.sleep(ms(7)).await;
        sleep.await;
        assert_eq!(tester.now(), ms(10));
    });
}

#[test]
fn timeout_returns_the_value_or_none_if_it_comes_too_late() {
    for seed in SEEDS {
        finish(RunSpec::seed(seed), |world| async move {
            let tester = world.tester();
            let after = |span| {
                let sleep = tester.sleep(ms(span));
                async move {
                    sleep.await;
                    span
                }
            };
            assert_eq!(tester.timeout(ms(10), after(4)).await, Some(4));
            assert_eq!(tester.now(), ms(4), "it does not wait until the limit");
            assert_eq!(tester.timeout(ms(10), after(11)).await, None);
            assert_eq!(tester.now(), ms(14));
            assert_eq!(
                tester.timeout(ms(10), after(10)).await,
                Some(10),
                "at the limit is still in time"
            );
            assert_eq!(tester.timeout(Duration::ZERO, after(0)).await, Some(0));
            assert_eq!(tester.timeout(Duration::ZERO, after(1)).await, None);
            assert_eq!(tester.now(), ms(24));
            assert_eq!(tester.timeout(Duration::MAX, after(1)).await, Some(1), "no overflow");
        });
    }
}

#[test]
fn timeout_drops_the_future_when_the_limit_has_passed() {
    finish(exact(1), |world| async move {
        let (tester, guards) = (world.tester(), Guards::default());
        let guard = guards.clone();
        let limited = tester.timeout(ms(10), async move {
            pending::<()>().await;
            drop(guard);
        });
        let mut limited = pin!(limited);
        assert_eq!(tester.timeout(ms(9), limited.as_mut()).await, None);
        assert_eq!(guards.others(), 1);
        assert_eq!(limited.await, None);
        assert_eq!((guards.others(), tester.now()), (0, ms(10)));
    });
}

#[test]
fn a_cancelled_sleep_affects_neither_the_clock_nor_other_sleeps() {
    let outcome = recorded(exact(1), |world| async move {
        let tester = world.tester();
        for n in 0..1000 {
            let limit = Duration::from_secs(50);
            assert!(tester.timeout(limit, tester.sleep(ms(1))).await.is_some());
            assert_eq!(tester.now(), ms(n + 1));
        }
        // A few live timers among many cancelled ones still fire at their times.
        let kept = [3000, 2000, 4000].map(|at| tester.sleep_until(ms(at)));
        let mut dropped: Vec<_> = (1001..5000).map(|at| tester.sleep_until(ms(at))).collect();
        for sleep in &mut dropped {
            assert!(sleep.now_or_never().is_none());
        }
        let kept = join_all(kept);
        drop(dropped);
        kept.await;
        pending::<()>().await;
    });
    assert!(matches!(outcome.result, Err(Trouble::Stuck { .. })), "{:?}", outcome.result);
    assert_eq!(outcome.elapsed, ms(4000), "the run ends at the last live timer");
}

#[test]
fn yielding_lets_other_tasks_run_without_time_passing() {
    for seed in SEEDS {
        finish(RunSpec::seed(seed), |world| async move {
            let (tester, ran) = (world.tester(), Rc::new(Cell::new(0)));
            for _ in 0..10 {
                let ran = ran.clone();
                drop(tester.spawn("other", async move { ran.set(ran.get() + 1) }));
            }
            assert_eq!(ran.get(), 0, "spawning does not run anything");
            // The order is drawn again at each yield, so some yields may run before the other
            // tasks.
            let mut yields = 0;
            while ran.get() < 10 {
                tester.yield_now().await;
                yields += 1;
                assert!(yields < 1000, "the other tasks never run");
            }
            assert_eq!(tester.now(), Duration::ZERO);
        });
    }
}

/// The order in which tasks of server 0 run that become ready at the same time.
fn order_of(spec: RunSpec, count: usize) -> Vec<usize> {
    finish(spec, move |world| async move {
        let (server, log) = (world.server(0), Log::default());
        for i in 0..count {
            let log = log.clone();
            drop(server.runtime().spawn("task", async move { log.borrow_mut().push(i) }));
        }
        world.tester().sleep(ms(1)).await;
        log.take()
    })
}

#[test]
fn ready_tasks_run_in_all_possible_orders() {
    let seen: BTreeSet<Vec<usize>> =
        (0..200).map(|seed| order_of(RunSpec::seed(seed), 3)).collect();
    assert_eq!(seen.len(), 6, "{seen:?}");
}

#[test]
fn ready_tasks_run_in_the_order_of_waking_when_order_is_neutral() {
    for seed in SEEDS {
        let spec = neutral(RunSpec::seed(seed), &[Kind::Order]);
        assert!(order_of(spec.clone(), 20).into_iter().eq(0..20), "seed {seed}");
        let woken = finish(spec, |world| async move {
            let (tester, log) = (world.tester(), Log::default());
            let signals = [(); 5].map(|()| Notify::new());
            for (n, signal) in signals.iter().enumerate() {
                let (signal, log) = (signal.clone(), log.clone());
                drop(tester.spawn("task", async move {
                    signal.notified().await;
                    log.borrow_mut().push(n);
                }));
            }
            tester.sleep(ms(1)).await;
            for n in [3, 0, 4, 1, 2] {
                signals[n].notify();
            }
            tester.sleep(ms(1)).await;
            log.take()
        });
        assert_eq!(woken, [3, 0, 4, 1, 2], "seed {seed}");
    }
}

#[test]
fn overriding_one_decision_about_the_order_moves_one_task() {
    let spec = |place: u64| {
        let mut spec = neutral(RunSpec::seed(1), &[Kind::Order]);
        spec.overrides.insert(Address { kind: Kind::Order, from: 0, to: 2, n: 0 }, place);
        spec
    };
    assert_eq!(order_of(spec(u64::MAX), 5), [0, 1, 3, 4, 2]);
    assert_eq!(order_of(spec(0), 5), [0, 1, 2, 3, 4]);
}

#[test]
fn a_task_that_is_woken_while_it_runs_is_polled_once_more() {
    finish(exact(1), |world| async move {
        let polls = Rc::new(Cell::new(0));
        let counted = polls.clone();
        drop(world.tester().spawn("eager", async move {
            poll_fn(|context| {
                counted.set(counted.get() + 1);
                if counted.get() == 1 {
                    for _ in 0..5 {
                        context.waker().wake_by_ref();
                    }
                }
                Poll::<()>::Pending
            })
            .await;
        }));
        world.tester().sleep(ms(1)).await;
        assert_eq!(polls.get(), 2);
    });
}

#[test]
fn a_waker_that_outlives_its_task_does_not_wake_another_task() {
    finish(exact(1), |world| async move {
        let (tester, kept) = (world.tester(), Rc::new(RefCell::new(None)));
        let keep = kept.clone();
        tester
            .spawn(
                "short",
                poll_fn(move |context| {
                    *keep.borrow_mut() = Some(context.waker().clone());
                    Poll::Ready(())
                }),
            )
            .await;
        // This task gets the slot of the first one, to which the waker still refers.
        let polls = Rc::new(Cell::new(0));
        let counted = polls.clone();
        drop(tester.spawn(
            "successor",
            poll_fn(move |_| {
                counted.set(counted.get() + 1);
                Poll::<()>::Pending
            }),
        ));
        tester.sleep(ms(1)).await;
        kept.take().expect("the first task was polled").wake();
        tester.sleep(ms(1)).await;
        assert_eq!(polls.get(), 1);
    });
}

/// Sleeps for `span` milliseconds, then returns `span`.
async fn nap(runtime: Runtime, span: u64) -> u64 {
    runtime.sleep(ms(span)).await;
    span
}

#[test]
fn join_all_waits_for_calls_and_sleeps_with_its_own_wakers() {
    for seed in SEEDS {
        finish(exact(seed), |world| async move {
            let lab = Lab::new(&world);
            // Up to 30 futures, `join_all` would use the task's own waker.
            let calls = join_all((0..50).map(|n| lab.end.call(WORK, &n)));
            let naps = join_all((0..50).map(|n| nap(world.tester().clone(), n)));
            let (calls, naps) = futures::join!(calls, naps);
            assert!(calls.into_iter().eq((0..50).map(Some)));
            assert!(naps.into_iter().eq(0..50));
            assert_eq!(lab.now(), ms(49) + 2 * TRANSIT);
        });
    }
}

#[test]
fn futures_unordered_returns_results_in_the_order_of_completion() {
    for seed in SEEDS {
        finish(RunSpec::seed(seed), |world| async move {
            let lab = Lab::new(&world);
            let works: FuturesUnordered<_> =
                [30, 10, 50, 20, 40].iter().map(|n| lab.end.call(WORK, n)).collect();
            let answers: Vec<Option<u64>> = works.collect().await;
            assert_eq!(answers, [10, 20, 30, 40, 50].map(Some));
        });
    }
}

/// Gathers votes until a time limit, as a candidate does.
async fn gather(world: World, limit: u64) -> (usize, Duration) {
    let lab = Lab::new(&world);
    let mut votes: FuturesUnordered<_> =
        [30, 10, 50].iter().map(|n| lab.end.call(WORK, n)).collect();
    let mut deadline = world.tester().sleep(ms(limit)).fuse();
    let mut gathered = 0;
    loop {
        futures::select_biased! {
            vote = votes.next() => match vote {
                Some(Some(_)) => gathered += 1,
                _ => return (gathered, lab.now()),
            },
            () = deadline => return (gathered, lab.now()),
        }
    }
}

#[test]
fn select_biased_takes_whichever_is_ready_first() {
    for seed in SEEDS {
        assert_eq!(finish(exact(seed), |world| gather(world, 40)), (2, ms(40)));
        let all = finish(exact(seed), |world| gather(world, 60));
        assert_eq!(all, (3, ms(50) + 2 * TRANSIT));
    }
}

#[test]
fn channels_of_futures_work_between_tasks() {
    for seed in SEEDS {
        finish(RunSpec::seed(seed), |world| async move {
            let (tester, (sender, receiver)) = (world.tester(), oneshot::channel());
            let sleep = tester.sleep(ms(5));
            drop(tester.spawn("sender", async move {
                sleep.await;
                sender.send(7).expect("the receiver is waiting");
            }));
            assert_eq!((receiver.await, tester.now()), (Ok(7), ms(5)));
            let (sender, receiver) = oneshot::channel::<u8>();
            drop(world.server(0).runtime().spawn("sender", async move { drop(sender) }));
            assert!(receiver.await.is_err(), "the sender was dropped");
        });
    }
}

/// A future may be polled with different wakers, and the last one must be woken.
#[test]
fn a_future_wakes_the_waker_that_it_was_last_polled_with() {
    for seed in SEEDS {
        finish(exact(seed), |world| async move {
            let lab = Lab::new(&world);
            let mut call = lab.end.call(WORK, &20);
            let mut sleep = world.tester().sleep(ms(10));
            // First with a waker that does nothing, then with one of `FuturesUnordered`.
            assert!((&mut call).now_or_never().is_none());
            assert!((&mut sleep).now_or_never().is_none());
            let mut all: FuturesUnordered<_> = [&mut call].into_iter().collect();
            assert!(all.next().now_or_never().is_none());
            drop(all);
            // Then in another task, with that task's waker.
            let task = world.client(0).spawn("other", async move {
                sleep.await;
                call.await
            });
            assert_eq!(task.await, Some(Some(20)));
            assert_eq!(lab.now(), ms(20) + 2 * TRANSIT);
        });
    }
}

#[test]
fn a_runtime_knows_its_node() {
    finish(exact(1), |world| async move {
        assert_eq!(world.tester().node(), Node::TESTER);
        assert_eq!(world.client(3).node(), Node::client(3));
        assert_eq!(world.server(3).runtime().node(), Node::server(3));
        assert_eq!(world.server(3).runtime().node().as_server(), Some(3));
        assert_eq!(world.client(3).node().as_server(), None);
    });
}

#[test]
fn the_tasks_of_a_server_are_counted_until_they_end() {
    finish(RunSpec::seed(1), |world| async move {
        let server = world.server(0);
        let runtime = server.runtime();
        runtime.spawn_detached("waits", pending());
        runtime.spawn_detached("ends", async {});
        assert_eq!((runtime.tasks(), world.server(1).runtime().tasks()), (2, 0));
        world.tester().sleep(ms(1)).await;
        assert_eq!(runtime.tasks(), 1);
        world.crash(&server);
        assert_eq!(runtime.tasks(), 0);
    });
}
