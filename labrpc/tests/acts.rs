//! Acts and forced decisions: what somebody does to a run from outside happens, and nothing else changes.

use std::time::Duration;

use crate::common::{Lab, WORK, exact, finish, ms, on_link};
use labrpc::{Act, Kind, RunSpec, Simulation};

/// The same run in which these decisions about the first call are forced.
fn forced(spec: RunSpec, luck: &[(Kind, u64)]) -> RunSpec {
    let forced = luck.iter().map(|&(kind, value)| (on_link(kind, 0), value)).collect();
    RunSpec { forced, ..spec }
}

fn acting(spec: RunSpec, acts: &[&str]) -> RunSpec {
    let acts: Vec<Act> = acts.iter().map(|act| act.parse().unwrap()).collect();
    RunSpec { acts, ..spec }
}

/// How long the first call takes, from the caller's to the worker's and back, on a reliable network.
fn took(spec: RunSpec) -> Duration {
    finish(spec, |world| async move {
        let lab = Lab::new(&world);
        let before = world.tester().now();
        lab.end.call(WORK, &5).await;
        world.tester().now() - before
    })
}

#[test]
fn a_message_is_lost_held_or_copied_on_a_reliable_network_if_that_is_forced() {
    let usual = took(exact(1));
    assert!(usual < ms(6), "{usual:?}");
    assert_eq!(took(forced(exact(1), &[(Kind::RequestHold, 300)])), usual + ms(300));
    assert_eq!(took(forced(exact(1), &[(Kind::ReplyHold, 250)])), usual + ms(250));
    let lost = finish(forced(exact(1), &[(Kind::RequestDrop, 1)]), |world| async move {
        Lab::new(&world).end.call(WORK, &5).await
    });
    assert_eq!(lost, None);
    let copied = finish(forced(exact(1), &[(Kind::RequestCopy, 40)]), |world| async move {
        let lab = Lab::new(&world);
        lab.end.call(WORK, &5).await;
        world.tester().sleep(ms(100)).await;
        world.network().count(crate::common::WORKER)
    });
    assert_eq!(copied, 2);
}

#[test]
fn a_pause_holds_messages_and_timers_back() {
    // The worker's timer would fire at 5 ms.
    let usual = took(exact(1));
    assert_eq!(took(acting(exact(1), &["0.003s pause 1 0.2s"])), ms(203) + (usual - ms(5)) / 2);
    assert_eq!(took(acting(exact(1), &["0s pause 1 0.2s"])), ms(205) + (usual - ms(5)) / 2);
}

#[test]
fn clocks_make_timers_early_or_late() {
    let usual = took(exact(1));
    assert_eq!(took(acting(exact(1), &["0.002s stand 1 0.1s"])), usual + ms(100));
    let early = took(acting(exact(1), &["0.002s leap 1 1s"]));
    assert!(early < ms(3), "{early:?}");
    let slow = took(acting(exact(1), &["0s rate 1 500"]));
    assert!(slow > ms(10) && slow < ms(11), "{slow:?}");
    assert_eq!(took(acting(exact(1), &["0s leap 0 1s"])), usual, "the clock of another server");
}

#[test]
fn luck_changes_at_its_times_and_acts_that_do_nothing_change_nothing() {
    let numbers = |spec: RunSpec| {
        finish(spec, |world| async move {
            let mut numbers = Vec::new();
            for _ in 0..30 {
                world.tester().sleep(ms(100)).await;
                numbers.push(world.tester().dice().below(1 << 40));
            }
            numbers
        })
    };
    let plain = numbers(RunSpec::seed(7));
    let once = numbers(acting(RunSpec::seed(7), &["1s luck 8"]));
    let twice = numbers(acting(RunSpec::seed(7), &["2s luck 9", "1s luck 8"]));
    assert_eq!(plain[..9], once[..9]);
    assert!(plain[9..].iter().zip(&once[9..]).all(|(a, b)| a != b));
    assert_eq!(once[..19], twice[..19]);
    assert!(once[19..].iter().zip(&twice[19..]).all(|(a, b)| a != b));
    let fingerprint = |spec| Simulation::new(spec).run(|world| async move { world.acts().len() });
    let (plain, waiting) =
        (fingerprint(RunSpec::seed(7)), fingerprint(acting(RunSpec::seed(7), &["1s wait"])));
    assert_eq!(plain.fingerprint, waiting.fingerprint);
    assert_eq!(waiting.result, Ok(1));
}
