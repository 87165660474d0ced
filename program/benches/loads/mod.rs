//! Loads on the simulated world, the same as those of the peers' benchmark programs.

use std::future::Future;
use std::time::Duration;

use labrpc::{
    ClientEnd, Limits, Method, Network, Node, RunSpec, Server, Service, Simulation, World,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Debug)]
struct Ping(u64, [u64; 4]);

#[derive(Serialize, Deserialize, Debug)]
struct Pong(u64);

const PING: Method<Ping, Pong> = Method::new("Bench.Ping");

/// Servers on a reliable network with the method [`PING`].
struct Cluster {
    servers: Vec<Server>,
    /// The end from each server to each server.
    ends: Vec<Vec<ClientEnd>>,
}

impl Cluster {
    fn new(world: &World, nodes: usize) -> Cluster {
        let network = world.network();
        let servers: Vec<Server> = (0..nodes).map(|i| world.server(i)).collect();
        for (i, server) in servers.iter().enumerate() {
            server
                .add_service(Service::new().method(PING, |ping: Ping| async move { Pong(ping.0) }));
            network.add_server(Node::server(i), server);
        }
        let mut ends = Vec::new();
        for i in 0..nodes {
            ends.push((0..nodes).map(|j| make_end(network, i, j)).collect());
        }
        Cluster { servers, ends }
    }
}

/// An enabled end from one server to another.
fn make_end(network: &Network, from: usize, to: usize) -> ClientEnd {
    let end = network.make_end(Node::server(from));
    network.connect(end.id(), Node::server(to));
    network.enable(end.id(), true);
    end
}

/// Runs `main` in a world of its own, without limits.
fn simulate<Main, Future_>(main: Main)
where
    Main: FnOnce(World) -> Future_ + Send + 'static,
    Future_: Future<Output = ()> + 'static,
{
    let limits =
        Limits { virtual_time: Duration::MAX, events: u64::MAX, polls_per_instant: u64::MAX };
    Simulation::new(RunSpec::seed(1)).limits(limits).run(main).result.expect("the load completes");
}

/// Each node always has `in_flight` requests in flight, and makes `calls` times as many in all.
/// Returns the number of messages.
pub(crate) fn request_response(nodes: usize, in_flight: usize, calls: u64) -> u64 {
    simulate(move |world| async move {
        let cluster = Cluster::new(&world, nodes);
        let mut callers = Vec::new();
        for (i, server) in cluster.servers.iter().enumerate() {
            for slot in 0..in_flight {
                let ends = cluster.ends[i].clone();
                callers.push(server.runtime().spawn("caller", async move {
                    for call in 0..calls {
                        let to = (i + 1 + (slot + call as usize) % (ends.len() - 1)) % ends.len();
                        let pong = ends[to].call(PING, &Ping(call, [0; 4])).await;
                        assert_eq!(pong.expect("the network is reliable").0, call);
                    }
                }));
            }
        }
        for caller in callers {
            caller.await;
        }
    });
    2 * (nodes * in_flight) as u64 * calls
}

/// Node 0 sends to all other nodes every 10 ms, each call with a time-out. Returns the number of
/// messages.
pub(crate) fn heartbeats(nodes: usize, rounds: u64) -> u64 {
    simulate(move |world| async move {
        let cluster = Cluster::new(&world, nodes);
        let rt = cluster.servers[0].runtime();
        for round in 0..rounds {
            for end in &cluster.ends[0][1..] {
                let call =
                    rt.timeout(Duration::from_millis(100), end.call(PING, &Ping(round, [0; 4])));
                rt.spawn_detached("heartbeat", async move {
                    call.await;
                });
            }
            rt.sleep(Duration::from_millis(10)).await;
        }
    });
    2 * (nodes as u64 - 1) * rounds
}

/// Each task sleeps `sleeps` times, for 1 to 10 ms. Returns the number of timers.
pub(crate) fn timers(tasks: usize, sleeps: u64) -> u64 {
    simulate(move |world| async move {
        let rt = world.tester();
        let sleepers: Vec<_> = (0..tasks as u64)
            .map(|task| {
                let own = rt.clone();
                rt.spawn("sleeper", async move {
                    for sleep in 0..sleeps {
                        let micros = 1000 + (sleep * 7919 + task * 104_729) % 9000;
                        own.sleep(Duration::from_micros(micros)).await;
                    }
                })
            })
            .collect();
        for sleeper in sleepers {
            sleeper.await;
        }
    });
    tasks as u64 * sleeps
}

/// Each task yields `count` times. Returns the number of polls.
pub(crate) fn yields(tasks: usize, count: u64) -> u64 {
    simulate(move |world| async move {
        let rt = world.tester();
        let yielders: Vec<_> = (0..tasks)
            .map(|_| {
                let own = rt.clone();
                rt.spawn("yielder", async move {
                    for _ in 0..count {
                        own.yield_now().await;
                    }
                })
            })
            .collect();
        for yielder in yielders {
            yielder.await;
        }
    });
    tasks as u64 * count
}

/// A server with `tasks` waiting tasks crashes and starts again, `crashes` times. Returns the
/// number of tasks that were spawned and dropped.
pub(crate) fn spawn_and_crash(tasks: usize, crashes: u64) -> u64 {
    simulate(move |world| async move {
        for _ in 0..crashes {
            let server = world.server(0);
            for _ in 0..tasks {
                let rt = server.runtime().clone();
                let sleeper = async move { rt.sleep(Duration::from_secs(1)).await };
                server.runtime().spawn_detached("victim", sleeper);
            }
            world.tester().sleep(Duration::from_millis(1)).await;
            world.crash(&server);
        }
    });
    tasks as u64 * crashes
}
