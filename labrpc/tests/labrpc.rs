//! The eleven tests of the course's own labrpc, in virtual time and most of them under many seeds.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use crate::common::{SEEDS, finish, ms, open_end};
use labrpc::{ClientEnd, Method, Node, RunSpec, Runtime, Server, Service, World};
use serde::{Deserialize, Serialize};

/// Parses a number and logs it.
const HANDLER1: Method<String, i64> = Method::new("JunkServer.Handler1");
/// Logs a number and returns it as text.
const HANDLER2: Method<i64, String> = Method::new("JunkServer.Handler2");
/// Sleeps for 20 s, then returns the negated argument.
const HANDLER3: Method<i64, i64> = Method::new("JunkServer.Handler3");
/// Takes a struct and returns its number as text.
const HANDLER4: Method<JunkArgs, JunkReply> = Method::new("JunkServer.Handler4");
/// Takes a plain number and returns it as text.
const HANDLER5: Method<i64, JunkReply> = Method::new("JunkServer.Handler5");
/// Returns the length of a text.
const HANDLER6: Method<String, u64> = Method::new("JunkServer.Handler6");
/// Returns a text of the given length.
const HANDLER7: Method<u64, String> = Method::new("JunkServer.Handler7");

#[derive(Debug, Serialize, Deserialize)]
struct JunkArgs {
    x: i64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct JunkReply {
    x: String,
}

/// The arguments that the handlers were called with.
#[derive(Default)]
struct Logs {
    handler1: Vec<String>,
    handler2: Vec<i64>,
}

/// In Go, the handlers share a mutex, which the third one holds while it sleeps. Here they all run
/// on one thread and must not hold locks while they wait, so there is no mutex.
fn junk_service(runtime: &Runtime, logs: &Rc<RefCell<Logs>>) -> Service {
    let (log1, log2, runtime) = (logs.clone(), logs.clone(), runtime.clone());
    Service::new()
        .method(HANDLER1, move |text| {
            let number = text.parse().expect("the tests send numbers");
            log1.borrow_mut().handler1.push(text);
            async move { number }
        })
        .method(HANDLER2, move |n| {
            log2.borrow_mut().handler2.push(n);
            async move { format!("handler2-{n}") }
        })
        .method(HANDLER3, move |n| {
            let sleep = runtime.sleep(ms(20_000));
            async move {
                sleep.await;
                -n
            }
        })
        .method(HANDLER4, |args| async move { JunkReply { x: format!("struct {}", args.x) } })
        .method(HANDLER5, |n| async move { JunkReply { x: format!("value {n}") } })
        .method(HANDLER6, |text| async move { text.len() as u64 })
        .method(HANDLER7, |n| async move { "y".repeat(n as usize) })
}

/// The common set-up: a reliable network with one server and one connected end.
struct Junk {
    world: World,
    name: Node,
    server: Server,
    logs: Rc<RefCell<Logs>>,
    end: ClientEnd,
}

impl Junk {
    /// Sets up server 0 with an end that is enabled.
    fn new(world: World) -> Junk {
        Junk::named(world, 0)
    }

    fn named(world: World, number: usize) -> Junk {
        let (name, logs) = (Node::server(number), Rc::default());
        let server = world.server(number);
        server.add_service(junk_service(server.runtime(), &logs));
        world.network().add_server(name, &server);
        let end = open_end(world.network(), Node::client(0), name);
        Junk { world, name, server, logs, end }
    }

    fn enable(&self, yes: bool) {
        self.world.network().enable(self.end.id(), yes);
    }

    /// Starts one call of handler 2 for each number, all on the same end.
    fn start_calls(&self, numbers: std::ops::Range<i64>) -> Vec<(i64, labrpc::Call<String>)> {
        numbers.map(|n| (n, self.end.call(HANDLER2, &n))).collect()
    }
}

fn handler2(n: i64) -> Option<String> {
    Some(format!("handler2-{n}"))
}

fn with_seeds<Main, Future_>(main: Main)
where
    Main: Fn(Junk) -> Future_ + Copy + Send + 'static,
    Future_: Future<Output = ()> + 'static,
{
    for seed in SEEDS {
        finish(RunSpec::seed(seed), move |world| main(Junk::new(world)));
    }
}

#[test]
fn basic_a_call_reaches_its_method_and_returns_the_reply() {
    with_seeds(|junk| async move {
        assert_eq!(junk.end.call(HANDLER2, &111).await, handler2(111));
        assert_eq!(junk.end.call(HANDLER1, &"9099".to_string()).await, Some(9099));
        assert_eq!(junk.logs.borrow().handler2, [111]);
        assert_eq!(junk.logs.borrow().handler1, ["9099"]);
    });
}

/// The Go test checks that pointer arguments and value arguments are not mixed up. In Rust the
/// caller always passes a reference, and the handler gets a value of its own. This test uses a
/// struct, which the caller changes once the request has been sent, and a plain value.
#[test]
fn types_a_borrowed_struct_and_a_plain_value_both_arrive() {
    with_seeds(|junk| async move {
        let mut args = JunkArgs { x: 7 };
        let call = junk.end.call(HANDLER4, &args);
        args.x = 8;
        assert_eq!(call.await, Some(JunkReply { x: "struct 7".into() }));
        let second = junk.end.call(HANDLER4, &args).await;
        assert_eq!(second, Some(JunkReply { x: "struct 8".into() }));
        let plain = junk.end.call(HANDLER5, &9).await;
        assert_eq!(plain, Some(JunkReply { x: "value 9".into() }));
    });
}

#[test]
fn disconnect_a_call_fails_while_its_end_is_disabled_and_succeeds_later() {
    with_seeds(|junk| async move {
        junk.enable(false);
        assert_eq!(junk.end.call(HANDLER2, &111).await, None);
        assert_eq!(junk.logs.borrow().handler2, [0; 0]);
        junk.enable(true);
        assert_eq!(junk.end.call(HANDLER1, &"9099".to_string()).await, Some(9099));
    });
}

#[test]
fn counts_the_server_counts_each_request_once() {
    for seed in SEEDS {
        finish(RunSpec::seed(seed), |world| async move {
            let junk = Junk::named(world, 99);
            for n in 0..17 {
                assert_eq!(junk.end.call(HANDLER2, &n).await, handler2(n));
            }
            assert_eq!(junk.world.network().count(junk.name), 17);
        });
    }
}

/// The bounds of the Go test, 4828..6000 and 1800..2500, leave room for what gob adds. Here sizes
/// are exact: a text takes 8 bytes plus its own bytes, a number 8 bytes. The totals are within Go's
/// bounds.
#[test]
fn bytes_arguments_and_replies_are_counted_in_full() {
    const CALLS: u64 = 17;
    const NUMBER: u64 = 8;
    const LENGTH: u64 = 8;
    with_seeds(|junk| async move {
        let network = junk.world.network();
        let text = "x".repeat(284);
        for _ in 0..CALLS {
            assert_eq!(junk.end.call(HANDLER6, &text).await, Some(284));
        }
        let after_first_part = network.total_bytes();
        assert_eq!(after_first_part, CALLS * ((LENGTH + 284) + NUMBER));
        for _ in 0..CALLS {
            assert_eq!(junk.end.call(HANDLER7, &107).await, Some("y".repeat(107)));
        }
        assert_eq!(network.total_bytes() - after_first_part, CALLS * (NUMBER + (LENGTH + 107)));
    });
}

#[test]
fn concurrent_many_clients_on_separate_ends_each_get_their_own_replies() {
    const CLIENTS: usize = 20;
    const CALLS: i64 = 10;
    with_seeds(|junk| async move {
        let mut clients = Vec::new();
        for i in 0..CLIENTS {
            let end = open_end(junk.world.network(), Node::client(i), junk.name);
            clients.push(junk.world.client(i).spawn("client", async move {
                for j in 0..CALLS {
                    let n = i as i64 * 100 + j;
                    assert_eq!(end.call(HANDLER2, &n).await, handler2(n));
                }
                CALLS
            }));
        }
        let mut total = 0;
        for client in clients {
            total += client.await.expect("no client crashes");
        }
        assert_eq!(total, 200);
        assert_eq!(junk.world.network().count(junk.name), 200);
    });
}

#[test]
fn unreliable_some_calls_fail_some_succeed_and_no_reply_is_wrong() {
    const CLIENTS: usize = 300;
    with_seeds(|junk| async move {
        junk.world.network().reliable(false);
        let mut clients = Vec::new();
        for i in 0..CLIENTS {
            let end = open_end(junk.world.network(), Node::client(i), junk.name);
            let n = i as i64 * 100;
            clients.push(junk.world.client(i).spawn("client", async move {
                let reply = end.call(HANDLER2, &n).await;
                assert!(reply.is_none() || reply == handler2(n), "{reply:?} for {n}");
                reply.is_some()
            }));
        }
        let mut successes = 0;
        for client in clients {
            successes += usize::from(client.await == Some(true));
        }
        assert!((1..CLIENTS).contains(&successes), "{successes} of {CLIENTS}");
    });
}

#[test]
fn concurrent_one_calls_on_a_single_end_each_get_their_own_reply() {
    with_seeds(|junk| async move {
        for (n, call) in junk.start_calls(100..120) {
            assert_eq!(call.await, handler2(n));
        }
        assert_eq!(junk.logs.borrow().handler2.len(), 20);
        assert_eq!(junk.world.network().count(junk.name), 20);
    });
}

#[test]
fn regression1_calls_on_a_disabled_end_do_not_arrive_or_delay_later_calls() {
    with_seeds(|junk| async move {
        let tester = junk.world.tester();
        junk.enable(false);
        let lost = junk.start_calls(100..120);
        tester.sleep(ms(100)).await;
        junk.enable(true);
        let start = tester.now();
        assert_eq!(junk.end.call(HANDLER2, &99).await, handler2(99));
        let took = tester.now() - start;
        assert!(took < ms(30), "{took:?}");
        for (n, call) in lost {
            assert_eq!(call.await, None, "{n}");
        }
        assert_eq!(junk.logs.borrow().handler2, [99]);
        assert_eq!(junk.server.count(), 1);
    });
}

#[test]
fn killed_a_call_whose_handler_runs_fails_soon_after_its_server_is_deleted() {
    with_seeds(|junk| async move {
        let tester = junk.world.tester();
        let end = junk.end.clone();
        let caller = junk.world.client(0);
        let mut call = caller.spawn("caller", async move { end.call(HANDLER3, &99).await });
        tester.sleep(ms(1000)).await;
        let early = tester.timeout(ms(100), &mut call).await;
        assert_eq!(early, None, "the call completed while its handler was running");
        junk.world.network().delete_server(junk.name);
        let answer = tester.timeout(ms(100), &mut call).await;
        assert_eq!(answer, Some(Some(None)), "the call did not fail within 100 ms");
    });
}

/// The Go test prints the real time. Here the virtual time is checked: each message takes 10 to 50
/// microseconds, so 100,000 calls take 6 s on average, and the sum of that many draws is close to
/// it.
#[test]
fn benchmark_100_000_calls_in_a_row_all_succeed_in_60_microseconds_each() {
    const CALLS: i64 = 100_000;
    let elapsed = finish(RunSpec::seed(1), |world| async move {
        let junk = Junk::new(world);
        for n in 0..CALLS {
            assert_eq!(junk.end.call(HANDLER2, &n).await, handler2(n));
        }
        assert_eq!(junk.server.count(), CALLS as u64);
        junk.world.tester().now()
    });
    assert!((ms(5_900)..ms(6_100)).contains(&elapsed), "{elapsed:?}");
}
