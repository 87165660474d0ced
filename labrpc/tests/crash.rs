//! Crashes of servers: what they end, what they do not end, and what happens after a restart.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::common::{
    CALLER, Guards, Lab, SEEDS, TRANSIT, WORK, WORKER, exact, finish, ms, open_end, recorded,
};
use futures::future::join_all;
use futures::stream::{FuturesUnordered, StreamExt};
use labrpc::sync::{Notify, rendezvous};
use labrpc::{Event, Kind, Method, Node, RunSpec, Runtime, Service, Timed, World};

/// Lets all tasks run until they wait, and 1 ms pass.
async fn settle(world: &World) {
    world.tester().sleep(ms(1)).await;
}

/// Spawns a task that owns a guard while it waits.
fn spawn_guarded(runtime: &Runtime, guards: &Guards, wait: impl Future<Output = ()> + 'static) {
    let guard = guards.clone();
    drop(runtime.spawn("guarded", async move {
        wait.await;
        drop(guard);
    }));
}

/// Spawns one task for each way in which a task can wait. Returns the number of tasks, and the
/// signal that some of them wait for.
fn spawn_waiting_everywhere(lab: &Lab, runtime: &Runtime, guards: &Guards) -> (usize, Notify) {
    let notify = Notify::new();
    let end = lab.end.clone();
    let nap = {
        let runtime = runtime.clone();
        move |n| runtime.sleep(ms(n))
    };
    let (nap1, nap2, nap3) = (nap.clone(), nap.clone(), nap.clone());
    let (mut sender, unread) = rendezvous::<u32>();
    let (unsent, mut receiver) = rendezvous::<u32>();
    let (notify1, notify2, limiter, yielder) =
        (notify.clone(), notify.clone(), runtime.clone(), runtime.clone());
    let joined = runtime.spawn("joined", pending::<()>());
    let waits: Vec<std::pin::Pin<Box<dyn Future<Output = ()>>>> = vec![
        Box::pin(pending()),
        Box::pin(nap(50)),
        Box::pin(async move { notify1.notified().await }),
        Box::pin(async move { _ = end.call(WORK, &50).await }),
        Box::pin(async move { _ = joined.await }),
        Box::pin(async move { drop((sender.send(1).await, unread)) }),
        Box::pin(async move { drop((receiver.receive().await, unsent)) }),
        Box::pin(async move { _ = limiter.timeout(ms(50), notify2.notified()).await }),
        Box::pin(async move { drop(join_all((0..50).map(|n| nap1(50 + n))).await) }),
        Box::pin(async move {
            let mut all: FuturesUnordered<_> = (0..50).map(|n| nap2(50 + n)).collect();
            while all.next().await.is_some() {}
        }),
        Box::pin(async move {
            loop {
                nap3(1).await;
                yielder.yield_now().await;
            }
        }),
    ];
    let count = waits.len();
    for wait in waits {
        spawn_guarded(runtime, guards, wait);
    }
    (count, notify)
}

#[test]
fn a_crash_drops_all_tasks_of_its_server_and_no_others() {
    for seed in SEEDS {
        finish(RunSpec::seed(seed), |world| async move {
            let lab = Lab::new(&world);
            let (dying, living) = (world.server(2), world.server(3));
            let (guards, spared) = (Guards::default(), Guards::default());
            let (count, notify) = spawn_waiting_everywhere(&lab, dying.runtime(), &guards);
            let (spared_count, _) = spawn_waiting_everywhere(&lab, living.runtime(), &spared);
            settle(&world).await;
            spawn_guarded(dying.runtime(), &guards, pending());
            assert_eq!(
                guards.others(),
                count + 1,
                "all tasks are waiting, and one has never been polled"
            );

            world.crash(&dying);
            assert_eq!(guards.others(), 0, "they are dropped when the call returns");
            assert!(!dying.runtime().is_alive() && living.runtime().is_alive());
            assert_eq!(spared.others(), spared_count);

            // The events that the dropped tasks waited for have no effect.
            notify.notify();
            lab.sleep(ms(200)).await;
            assert_eq!(lab.done.get(), 2, "the worker got the requests of both");
            assert!(spared.others() < spared_count, "tasks of other servers continue");
        });
    }
}

#[test]
fn a_task_that_crashes_its_own_server_is_dropped_when_its_poll_returns() {
    for seed in SEEDS {
        finish(exact(seed), |world| async move {
            let lab = Lab::new(&world);
            let server = world.server(0);
            let (own, others) = (Guards::default(), Guards::default());
            spawn_guarded(server.runtime(), &others, pending());
            settle(&world).await;
            let log = Rc::new(RefCell::new(Vec::new()));
            let (runtime, end, log_there) =
                (server.runtime().clone(), lab.end.clone(), log.clone());
            let (world_there, itself) = (world.clone(), server.clone());
            let (own_there, others_there) = (own.clone(), others.clone());
            let task = server.runtime().spawn("crasher", async move {
                world_there.crash(&itself);
                log_there.borrow_mut().push((own_there.others(), others_there.others()));
                drop(end.call(WORK, &0));
                runtime.yield_now().await;
                log_there.borrow_mut().push((usize::MAX, 0));
            });
            assert_eq!(task.await, None);
            // The only other clone of each is the one in the task itself.
            assert_eq!(
                *log.borrow(),
                [(1, 1)],
                "it ran until its next wait, and the others were dropped"
            );
            assert_eq!((own.others(), others.others()), (0, 0));
            settle(&world).await;
            assert_eq!(lab.done.get(), 1, "a request that it sent after the crash is delivered");
        });
    }
}

#[test]
fn a_handler_that_crashes_its_own_server_never_replies() {
    const DIE: Method<(), ()> = Method::new("Mortal.Die");
    finish(exact(1), |world| async move {
        let lab = Lab::new(&world);
        let (world, worker) = (world.clone(), lab.worker.clone());
        lab.worker.add_service(Service::new().method(DIE, move |()| {
            let (world, worker) = (world.clone(), worker.clone());
            async move {
                world.crash(&worker);
                worker.runtime().yield_now().await;
            }
        }));
        let call = lab.end.call(DIE, &());
        lab.sleep(ms(150)).await;
        assert!(!lab.worker.runtime().is_alive());
        lab.network().delete_server(WORKER);
        assert_eq!(
            (call.await, lab.now()),
            (None, TRANSIT + ms(200)),
            "the call fails at the next check"
        );
    });
}

#[test]
fn a_task_that_is_spawned_on_a_crashed_server_is_dropped_at_once() {
    finish(exact(1), |world| async move {
        let (server, guards) = (world.server(0), Guards::default());
        world.crash(&server);
        let guard = guards.clone();
        let handle = server.runtime().spawn("late", async move { drop(guard) });
        assert_eq!(guards.others(), 0);
        assert!(handle.is_finished());
        assert_eq!(handle.await, None);
    });
}

#[test]
fn a_handle_returns_none_for_a_crashed_task_and_the_result_of_a_finished_one() {
    for seed in SEEDS {
        finish(RunSpec::seed(seed), |world| async move {
            let (server, tester) = (world.server(0), world.tester());
            let finished = server.runtime().spawn("finished", async { 5 });
            let asked_before = server.runtime().spawn("never", pending::<u8>());
            let asked_after = server.runtime().spawn("never", pending::<u8>());
            let asker = tester.spawn("asker", asked_before);
            settle(&world).await;
            assert!(finished.is_finished() && !asker.is_finished() && !asked_after.is_finished());
            world.crash(&server);
            assert!(asked_after.is_finished());
            assert_eq!(finished.await, Some(5));
            assert_eq!(asked_after.await, None);
            assert_eq!(asker.await, Some(None), "a task that was already waiting is woken");
        });
    }
}

#[test]
fn dropping_a_handle_does_not_end_the_task() {
    finish(exact(1), |world| async move {
        let (tester, ran) = (world.tester(), Rc::new(Cell::new(false)));
        let (nap, ran_there) = (tester.sleep(ms(5)), ran.clone());
        drop(tester.spawn("detached", async move {
            nap.await;
            ran_there.set(true);
        }));
        tester.sleep(ms(10)).await;
        assert!(ran.get());
    });
}

#[test]
fn messages_that_a_server_sent_before_its_crash_are_delivered() {
    for seed in SEEDS {
        finish(exact(seed), |world| async move {
            let lab = Lab::new(&world);
            let caller = world.server(0);
            let end = lab.end.clone();
            let asker = caller.runtime().spawn("asker", async move { end.call(WORK, &9).await });
            lab.sleep(TRANSIT / 2).await;
            world.crash(&caller);
            assert_eq!(asker.await, None);
            lab.sleep(ms(20)).await;
            assert_eq!(lab.done.get(), 1, "the request was on its way");

            // Replies are delivered too: the worker crashes when it has sent its reply.
            let call = lab.end.call(WORK, &0);
            lab.sleep(TRANSIT + TRANSIT / 2).await;
            assert_eq!(lab.done.get(), 2);
            world.crash(&lab.worker);
            assert_eq!(call.await, Some(0));
        });
    }
}

#[test]
fn a_new_incarnation_receives_only_new_requests() {
    for seed in SEEDS {
        finish(exact(seed), |world| async move {
            let lab = Lab::new(&world);
            let in_handler = lab.end.call(WORK, &50);
            lab.sleep(ms(20)).await;
            let under_way = lab.end.call(WORK, &1);
            world.crash(&lab.worker);
            lab.network().delete_server(WORKER);
            let second = lab.restart();
            let asked = lab.now();
            let (new, now) = (lab.end.call(WORK, &2).await, lab.now());
            assert_eq!((new, now), (Some(2), asked + ms(2) + 2 * TRANSIT));
            assert_eq!((in_handler.await, lab.now()), (None, TRANSIT + ms(100)));
            assert_eq!((under_way.await, lab.now()), (None, asked + TRANSIT + ms(100)));
            // The second request went to the old incarnation, which counts it but does not handle
            // it.
            assert_eq!((lab.worker.count(), second.count(), lab.done.get()), (2, 1, 1));
        });
    }
}

/// Dice belong to the node, not to an incarnation, so a restart does not renumber their decisions.
#[test]
fn the_dice_of_a_new_incarnation_continue_where_the_old_ones_stopped() {
    let draws = |lives: usize| {
        finish(RunSpec::seed(3), move |world| async move {
            let mut drawn = Vec::new();
            for _ in 0..lives {
                let server = world.server(0);
                drawn.extend((0..12 / lives).map(|_| server.runtime().dice().below(1 << 40)));
                world.crash(&server);
            }
            drawn
        })
    };
    assert_eq!(draws(1), draws(4));
    let all_different: std::collections::BTreeSet<u64> = draws(4).into_iter().collect();
    assert_eq!(all_different.len(), 12);
}

/// A restart does not renumber tasks either, so a new incarnation does not repeat earlier
/// decisions.
#[test]
fn the_tasks_of_a_new_incarnation_have_new_numbers() {
    let outcome = recorded(exact(1), |world| async move {
        for _ in 0..3 {
            let server = world.server(0);
            drop(server.runtime().spawn("task", async {}));
            settle(&world).await;
            world.crash(&server);
        }
    });
    let of_server = outcome.choices.iter().map(|taken| taken.address);
    let numbers: Vec<(u32, u64)> = of_server
        .filter(|address| address.kind == Kind::Order && address.from == 0)
        .map(|address| (address.to, address.n))
        .collect();
    assert_eq!(numbers, [(0, 0), (1, 0), (2, 0)]);
}

/// A value whose destructor does everything that a task may do.
struct Meddler {
    lab: Rc<Lab>,
    server: labrpc::Server,
    guards: Guards,
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.lab.world.crash(&self.server);
        spawn_guarded(self.server.runtime(), &self.guards, pending());
        spawn_guarded(self.lab.world.tester(), &self.guards, async {});
        drop(self.lab.end.call(WORK, &0));
        drop(self.server.runtime().sleep(ms(1)));
    }
}

#[test]
fn destructors_of_crashed_tasks_may_use_the_world() {
    finish(exact(1), |world| async move {
        let (lab, guards) = (Rc::new(Lab::new(&world)), Guards::default());
        let server = world.server(0);
        for _ in 0..3 {
            let meddler =
                Meddler { lab: lab.clone(), server: server.clone(), guards: guards.clone() };
            drop(server.runtime().spawn("meddler", async move {
                pending::<()>().await;
                drop(meddler);
            }));
        }
        settle(&world).await;
        world.crash(&server);
        assert_eq!(guards.others(), 3, "only the tasks spawned on the tester are alive");
        settle(&world).await;
        assert_eq!((guards.others(), lab.done.get()), (0, 3));
    });
}

#[test]
fn a_crash_is_recorded_once_with_the_number_of_its_tasks() {
    let outcome = recorded(exact(1), |world| async move {
        let server = world.server(4);
        for _ in 0..3 {
            drop(server.runtime().spawn("task", pending::<()>()));
        }
        drop(server.runtime().spawn("finished", async {}));
        settle(&world).await;
        world.crash(&server);
        world.crash(&server);
        // A task that crashes its own server is counted too.
        let second = world.server(4);
        let (itself, nap) = (second.clone(), world.tester().sleep(ms(1)));
        let world_there = world.clone();
        drop(second.runtime().spawn("task", pending::<()>()));
        let crasher = second.runtime().spawn("crasher", async move {
            nap.await;
            world_there.crash(&itself);
        });
        crasher.await;
    });
    let crashes: Vec<_> =
        outcome.events.iter().filter(|t| matches!(t.event, Event::Crashed { .. })).collect();
    let at_server =
        |at, tasks| Timed { at, node: Node::server(4), event: Event::Crashed { tasks } };
    assert_eq!(crashes, [&at_server(ms(1), 3), &at_server(ms(2), 2)]);
}

/// Stores clones of `secret` in all places of a world that last until the end of the run.
async fn hide(world: World, secret: Arc<()>) {
    let lab = Lab::new(&world);
    let (in_handler, in_task, in_client) = (secret.clone(), secret.clone(), secret);
    const KEEP: Method<(), ()> = Method::new("Worker.Keep");
    let (runtime, everything) = (lab.worker.runtime().clone(), world.clone());
    lab.worker.add_service(Service::new().method(KEEP, move |()| {
        let (kept, world, runtime) = (in_handler.clone(), everything.clone(), runtime.clone());
        async move {
            runtime.sleep(Duration::MAX).await;
            drop((kept, world));
        }
    }));
    let call = lab.end.call(KEEP, &());
    let everything = world.clone();
    drop(lab.worker.runtime().spawn("keeper", async move {
        pending::<()>().await;
        drop((in_task, everything));
    }));
    let end = open_end(world.network(), CALLER, WORKER);
    drop(world.client(0).spawn("caller", async move {
        end.call(KEEP, &()).await;
        drop(in_client);
    }));
    settle(&world).await;
    drop(call);
}

#[test]
fn nothing_of_a_world_outlives_its_run() {
    let secret = Arc::new(());
    let hidden = secret.clone();
    finish(exact(1), move |world| hide(world, hidden));
    assert_eq!(Arc::strong_count(&secret), 1);
}

#[test]
fn nothing_of_a_deleted_server_outlives_the_run() {
    let secret = Arc::new(());
    let hidden = secret.clone();
    finish(exact(1), move |world| async move {
        let lab = Lab::new(&world);
        let worker = lab.worker.clone();
        lab.worker.add_service(Service::new().method(WORK, move |n| {
            let _held = (&hidden, &worker);
            async move { n }
        }));
        assert_eq!(lab.end.call(WORK, &1).await, Some(1));
        lab.network().delete_server(WORKER);
    });
    assert_eq!(Arc::strong_count(&secret), 1);
}
