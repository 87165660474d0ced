//! Signals, and channels without a buffer.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::common::{Guards, SEEDS, finish, ms};
use futures::FutureExt;
use labrpc::RunSpec;
use labrpc::sync::{Notify, rendezvous};

#[test]
fn a_signal_stays_set_until_one_task_takes_it() {
    for seed in SEEDS {
        finish(RunSpec::seed(seed), |world| async move {
            let (tester, signal) = (world.tester(), Notify::new());
            assert!(signal.notified().now_or_never().is_none(), "a new signal is not set");
            for _ in 0..3 {
                signal.notify();
            }
            assert_eq!(tester.timeout(ms(1), signal.notified()).await, Some(()));
            assert_eq!(tester.now(), Duration::ZERO, "it was set already");
            assert_eq!(tester.timeout(ms(1), signal.notified()).await, None, "it has been taken");
            // A wait that has been dropped does not take later signals.
            signal.notify();
            assert_eq!(tester.timeout(ms(1), signal.notified()).await, Some(()));
        });
    }
}

#[test]
fn a_signal_wakes_the_waiting_task_at_once() {
    for seed in SEEDS {
        finish(RunSpec::seed(seed), |world| async move {
            let (tester, signal) = (world.tester(), Notify::new());
            let (ringer, sleep) = (signal.clone(), tester.sleep(ms(5)));
            drop(tester.spawn("ringer", async move {
                sleep.await;
                ringer.notify();
            }));
            signal.notified().await;
            assert_eq!(tester.now(), ms(5));
        });
    }
}

#[test]
fn of_two_tasks_that_wait_for_a_signal_only_the_second_is_woken() {
    for seed in SEEDS {
        finish(RunSpec::seed(seed), |world| async move {
            let (tester, signal) = (world.tester(), Notify::new());
            let (for_first, for_second) = (signal.clone(), signal.clone());
            let first = tester.spawn("first", async move { for_first.notified().await });
            tester.sleep(ms(1)).await;
            let second = tester.spawn("second", async move { for_second.notified().await });
            tester.sleep(ms(1)).await;
            signal.notify();
            tester.sleep(ms(1)).await;
            assert!(second.is_finished() && !first.is_finished());
        });
    }
}

#[test]
fn a_sender_waits_until_its_value_is_taken_and_values_keep_their_order() {
    for seed in SEEDS {
        finish(RunSpec::seed(seed), |world| async move {
            let (tester, (mut sender, mut receiver)) = (world.tester(), rendezvous());
            let sent = Rc::new(RefCell::new(Vec::new()));
            let (log, clock) = (sent.clone(), tester.clone());
            let task = tester.spawn("sender", async move {
                for n in 0..3 {
                    assert!(sender.send(n).await);
                    log.borrow_mut().push((n, clock.now()));
                }
            });
            for n in 0..3 {
                tester.sleep(ms(10)).await;
                assert_eq!(sent.borrow().len(), n, "the channel has no buffer");
                assert_eq!(receiver.receive().await, Some(n));
            }
            assert_eq!(task.await, Some(()));
            assert_eq!(*sent.borrow(), [(0, ms(10)), (1, ms(20)), (2, ms(30))]);
            assert_eq!(receiver.receive().await, None, "the sender was dropped with its task");
        });
    }
}

#[test]
fn a_receiver_waits_until_a_value_is_sent() {
    for seed in SEEDS {
        finish(RunSpec::seed(seed), |world| async move {
            let (tester, (mut sender, mut receiver)) = (world.tester(), rendezvous());
            let clock = tester.clone();
            let task = tester.spawn("receiver", async move {
                (receiver.receive().await, clock.now(), receiver.receive().await, clock.now())
            });
            tester.sleep(ms(5)).await;
            assert!(sender.send("a").await);
            tester.sleep(ms(5)).await;
            drop(sender);
            assert_eq!(task.await, Some((Some("a"), ms(5), None, ms(10))));
        });
    }
}

#[test]
fn dropping_a_send_withdraws_the_value() {
    finish(RunSpec::seed(1), |world| async move {
        let (tester, (mut sender, mut receiver)) = (world.tester(), rendezvous());
        let guards = Guards::default();
        let offer = (1, guards.clone());
        assert_eq!(tester.timeout(ms(5), sender.send(offer)).await, None);
        assert_eq!(guards.others(), 0, "the value was dropped");
        assert!(receiver.receive().now_or_never().is_none(), "there is nothing to take");
        let offer = (2, guards.clone());
        let task = tester.spawn("sender", async move { sender.send(offer).await });
        assert_eq!(receiver.receive().await.map(|(n, _)| n), Some(2));
        assert_eq!(task.await, Some(true));
    });
}

#[test]
fn dropping_a_receive_loses_no_value() {
    finish(RunSpec::seed(1), |world| async move {
        let (tester, (mut sender, mut receiver)) = (world.tester(), rendezvous());
        assert_eq!(tester.timeout(ms(5), receiver.receive()).await, None);
        let task = tester.spawn("sender", async move { sender.send(1).await });
        tester.sleep(ms(5)).await;
        assert!(!task.is_finished(), "the value has not been taken");
        assert_eq!(receiver.receive().await, Some(1));
        assert_eq!(task.await, Some(true));
    });
}

#[test]
fn sending_to_a_dropped_receiver_returns_false_and_drops_the_value() {
    for seed in SEEDS {
        finish(RunSpec::seed(seed), |world| async move {
            let (tester, (mut sender, receiver)) = (world.tester(), rendezvous());
            let guards = Guards::default();
            let (first, second) = (guards.clone(), guards.clone());
            let clock = tester.clone();
            let task = tester.spawn("sender", async move {
                let waiting = sender.send(first).await;
                let told_at = clock.now();
                (waiting, told_at, sender.send(second).await)
            });
            tester.sleep(ms(5)).await;
            assert_eq!(guards.others(), 2);
            drop(receiver);
            assert_eq!(guards.others(), 1, "the value that was not taken is dropped");
            assert_eq!(task.await, Some((false, ms(5), false)));
            assert_eq!(guards.others(), 0);
        });
    }
}

/// A server that crashes while it offers a committed command, for example, withdraws it.
#[test]
fn a_value_offered_by_a_crashed_server_is_never_taken() {
    for seed in SEEDS {
        finish(RunSpec::seed(seed), |world| async move {
            let (server, (mut sender, mut receiver)) = (world.server(0), rendezvous());
            drop(server.runtime().spawn("applies", async move { sender.send(1).await }));
            world.tester().sleep(ms(5)).await;
            world.crash(&server);
            assert_eq!(receiver.receive().await, None);
        });
    }
}

#[test]
fn a_send_succeeds_even_if_the_receiver_is_dropped_right_after_taking_the_value() {
    for seed in SEEDS {
        finish(RunSpec::seed(seed), |world| async move {
            let (tester, (mut sender, mut receiver)) = (world.tester(), rendezvous());
            let task = tester.spawn("sender", async move { sender.send(1).await });
            tester.sleep(ms(5)).await;
            assert_eq!(receiver.receive().await, Some(1));
            drop(receiver);
            assert_eq!(task.await, Some(true));
        });
    }
}
