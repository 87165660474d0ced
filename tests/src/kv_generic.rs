//! The course's `GenericTest`: clients work while the network loses messages, the servers are
//! partitioned, or all of them crash.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use labraft::linearizability::{self, shortened};
use labraft::{Checked, Expectation, Lab, Steps, expectation};
use labrpc::JoinHandle;
use labrpc::sync::Notify;

use crate::kv::{Client, KvConfig, KvSetup, kv_servers};
use crate::steps::{check_sizes, spawn_client};

/// The number of rounds. In each, clients are started, work, and are stopped again.
const ITERATIONS: u32 = 3;
/// How long clients work undisturbed before partitions begin.
const BEFORE_PARTITIONS: Duration = Duration::from_secs(1);
/// How long clients work once partitions begin.
const WORK: Duration = Duration::from_secs(5);
/// The shortest time that a partition lasts.
const PARTITION: Duration = Duration::from_secs(1);
/// The range, in milliseconds, of the time by which a partition lasts longer than [`PARTITION`].
const PARTITION_SPREAD_MS: u64 = 200;
/// The longest time between the clients' signal to stop and the crash of the servers. It is about
/// the time that an operation takes on a reliable network, so that a crash can hit any moment of
/// one.
const BEFORE_CRASH: Duration = Duration::from_micros(150);
/// How many of 1,000 operations are Appends.
const APPENDS: u64 = 500;
/// In tests with random keys, the number of Puts per 1,000 operations other than Appends.
const PUTS: u64 = 100;

/// A test of the service: the parameters of the course's function, and the clients' pause.
#[derive(Copy, Clone)]
pub(crate) struct GenericTest {
    clients: usize,
    cluster: KvSetup,
    crash: bool,
    partitions: bool,
    random_keys: bool,
    /// The average pause between the operations of all clients together.
    ///
    /// Go's clients do not pause, but computing takes time there. In virtual time it takes none,
    /// and without a pause clients would do fifty times as many operations as in Go.
    pause: Duration,
}

/// A test with five servers that do not fail, on a reliable network, without snapshots.
pub(crate) fn clients(clients: usize) -> GenericTest {
    GenericTest {
        clients,
        cluster: kv_servers(5),
        crash: false,
        partitions: false,
        random_keys: false,
        pause: Duration::from_millis(10),
    }
}

impl GenericTest {
    /// Makes the network lose and delay messages.
    pub(crate) fn unreliable(self) -> GenericTest {
        GenericTest { cluster: self.cluster.unreliable(), ..self }
    }

    /// Crashes and restarts all servers at the end of each round.
    pub(crate) fn crash(self) -> GenericTest {
        GenericTest { crash: true, ..self }
    }

    /// Partitions the servers into two groups, which are drawn again about every second.
    pub(crate) fn partitions(self) -> GenericTest {
        GenericTest { partitions: true, ..self }
    }

    /// Makes servers take a snapshot when their saved state reaches 1000 bytes.
    pub(crate) fn snapshots(self) -> GenericTest {
        GenericTest { cluster: self.cluster.snapshots(), ..self }
    }

    /// Uses seven servers, and has clients write to each other's keys. The pause is halved, because
    /// the many clients of this test mostly wait for the service.
    pub(crate) fn random_keys(self) -> GenericTest {
        let cluster = KvSetup { servers: 7, ..self.cluster };
        GenericTest { cluster, random_keys: true, pause: self.pause / 2, ..self }
    }

    /// Has clients do three times as many operations.
    pub(crate) fn busy(self) -> GenericTest {
        GenericTest { pause: self.pause / 3, ..self }
    }

    /// Runs the whole test.
    pub(crate) fn run(self, lab: Lab) -> Steps {
        self.cluster.run(lab, async move |cfg| {
            let mut checking = cfg.make_client_of_all();
            let mut written = vec![0; self.clients];
            for _ in 0..ITERATIONS {
                self.iteration(cfg, &mut checking, &mut written).await?;
            }
            let can_tell_apart = linearizability::can_tell_apart(cfg.history().operations());
            debug_assert!(!self.random_keys || can_tell_apart, "two writes to a key are equal");
            cfg.check_linearizable()
        })
    }

    /// Runs one round. With random keys, `written` counts the values that each client has written
    /// so far: the numbering continues from round to round, whereas in Go it starts again at 0.
    /// Thus no two writes to a key are equal, which makes the search for an order easy.
    async fn iteration(
        self,
        cfg: &KvConfig,
        checking: &mut Client,
        written: &mut [u64],
    ) -> Checked<()> {
        let stop = Stop::new(self.clients);
        let clients: Vec<JoinHandle<u64>> = (0..self.clients)
            .map(|i| {
                let client = self.client(cfg.clone(), i, written[i], stop.clone());
                spawn_client(cfg, "client", client)
            })
            .collect();
        let partitioner = if self.partitions {
            cfg.sleep(BEFORE_PARTITIONS).await;
            let steps = self.partitioner(cfg.clone(), stop.clone());
            Some(cfg.tester().spawn("partitioner", steps))
        } else {
            None
        };
        cfg.sleep(WORK).await;
        stop.set();
        if let Some(partitioner) = partitioner {
            partitioner.await;
            cfg.connect_all();
            // Lets operations that are stuck in a minority complete.
            cfg.sleep_election_timeout().await;
        }
        if self.crash {
            cfg.sleep(cfg.dice().span(Duration::ZERO, BEFORE_CRASH)).await;
            for i in 0..cfg.n() {
                cfg.shutdown(i);
            }
            // Lets calls in progress fail.
            cfg.sleep_election_timeout().await;
            for i in 0..cfg.n() {
                cfg.start(i);
            }
            cfg.connect_all();
        }
        for (i, client) in clients.into_iter().enumerate() {
            let count = client.await.expect("the tester does not crash");
            let value = cfg.get(checking, &i.to_string()).await;
            if self.random_keys {
                written[i] = count;
            } else {
                check_appends(cfg, i, &value, count)?;
            }
        }
        check_sizes(cfg, cfg.max_raft_state())
    }

    /// Runs a client until it is told to stop, and then for one more operation: in Go, too, an
    /// operation is in progress at that moment. Returns `count` plus the number of values written,
    /// where the empty value that a client first puts under its own key does not count.
    async fn client(self, cfg: KvConfig, i: usize, mut count: u64, stop: Rc<Stop>) -> Checked<u64> {
        let mut client = cfg.make_client_of_all();
        let dice = cfg.client_dice(i as u32);
        let longest_pause = 2 * self.pause * self.clients as u32;
        let mut expected = String::new();
        let mut is_last = false;
        if !self.random_keys {
            cfg.put(&mut client, &i.to_string(), "").await;
        }
        while !is_last {
            is_last = stop.is_set.get();
            let key = if self.random_keys { dice.below(self.clients as u64) } else { i as u64 };
            let key = key.to_string();
            let value = appended(i, count);
            if dice.chance(APPENDS) {
                cfg.append(&mut client, &key, &value).await;
                expected += &value;
                count += 1;
            } else if self.random_keys && dice.chance(PUTS) {
                cfg.put(&mut client, &key, &value).await;
                count += 1;
            } else {
                let got = cfg.get(&mut client, &key).await;
                if !self.random_keys && got != expected {
                    let what = difference(&expected, &got);
                    return Err(cfg.wrong(expectation!("get wrong value, key {key:?}, {what}")));
                }
            }
            let pause = dice.span(Duration::ZERO, longest_pause);
            cfg.tester().timeout(pause, stop.clients[i].notified()).await;
        }
        Ok(count)
    }

    /// Partitions the servers into two new groups about every second. One of the two is always a
    /// majority.
    async fn partitioner(self, cfg: KvConfig, stop: Rc<Stop>) {
        let dice = cfg.client_dice(self.clients as u32);
        while !stop.is_set.get() {
            let (one, other): (Vec<usize>, Vec<usize>) =
                (0..cfg.n()).partition(|_| dice.below(2) == 0);
            cfg.partition([&one, &other]);
            let more = Duration::from_millis(dice.below(PARTITION_SPREAD_MS));
            cfg.sleep(PARTITION + more).await;
        }
    }
}

/// The signal for clients and partitioner to stop.
struct Stop {
    is_set: Cell<bool>,
    /// Wakes each client from its pause.
    clients: Vec<Notify>,
}

impl Stop {
    fn new(clients: usize) -> Rc<Stop> {
        let clients = (0..clients).map(|_| Notify::new()).collect();
        Rc::new(Stop { is_set: Cell::new(false), clients })
    }

    fn set(&self) {
        self.is_set.set(true);
        self.clients.iter().for_each(Notify::notify);
    }
}

/// Describes where two values begin to differ, with a little context.
fn difference(wanted: &str, got: &str) -> String {
    const BEFORE: usize = 8;
    let alike = wanted.bytes().zip(got.bytes()).take_while(|(a, b)| a == b).count();
    let start = alike.saturating_sub(BEFORE);
    let wanted = shortened_from(wanted, start);
    let got = shortened_from(got, start);
    format!("the first {alike} bytes match; then expected ..{wanted}, got ..{got}")
}

/// A short piece of `text` from this byte on. The byte may be inside of a character: clients write
/// ASCII, but a broken service may return anything.
fn shortened_from(text: &str, start: usize) -> String {
    let rest = text.as_bytes().get(start..).unwrap_or_default();
    shortened(&String::from_utf8_lossy(rest))
}

/// The value that a client appends, where `count` is the number of its earlier appends.
pub(crate) fn appended(client: usize, count: u64) -> String {
    format!("x {client} {count} y")
}

/// Checks that a value contains everything that a client has appended, each element once and in
/// order.
pub(crate) fn check_appends(cfg: &KvConfig, client: usize, value: &str, count: u64) -> Checked<()> {
    match wrong_append(client, value, count) {
        None => Ok(()),
        Some((name, element, place)) => {
            let around = shortened(value.get(place.saturating_sub(16)..).unwrap_or(value));
            let text = format!("{name} {element:?}: in the value, ..{around}");
            Err(cfg.wrong(Expectation { name, text }))
        }
    }
}

/// The first of a client's appends that is missing, duplicate or too early: what is wrong with it,
/// the element, and its place in the value in bytes.
fn wrong_append(client: usize, value: &str, count: u64) -> Option<(&'static str, String, usize)> {
    let beginning = format!("x {client} ");
    let listed = value.match_indices(&beginning).map(|(at, _)| &value[at + beginning.len()..]);
    let listed = listed.map(|rest| rest.split_once(" y").map(|(j, _)| j.to_string()));
    if listed.eq((0..count).map(|j| Some(j.to_string()))) {
        return None;
    }
    let mut last = 0;
    for element in (0..count).map(|j| appended(client, j)) {
        let Some(place) = value.find(&element) else {
            return Some(("missing element", element, last));
        };
        let again = value.rfind(&element).unwrap_or(place);
        if again != place {
            return Some(("duplicate element", element, again));
        }
        if place < last {
            return Some(("wrongly ordered element", element, place));
        }
        last = place;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_of_two_values_is_shown_from_where_it_begins() {
        let right: String = (0..50).map(|j| appended(3, j)).collect();
        let wrong = right.replace("x 3 40 y", "x 3 40 yx 3 40 y");
        let text = difference(&right, &wrong);
        assert!(
            text.starts_with("the first 323 bytes match; then expected ..\"0 yx 3 41 y"),
            "{text}"
        );
        assert!(text.contains("got ..\"0 yx 3 40 y"), "{text}");
    }

    #[test]
    fn each_append_must_occur_once_and_in_order() {
        let value: String = (0..12).map(|j| appended(3, j)).collect();
        assert_eq!(wrong_append(3, &value, 12), None);
        // Other clients' values in between do not matter, nor does what comes after.
        let among_others = format!("{}{value}{}", appended(1, 0), appended(3, 12));
        assert_eq!(wrong_append(3, &among_others, 12), None);
        for (wrong, expected) in [
            (value.replace("x 3 1 y", ""), ("missing element", "x 3 1 y")),
            (value.trim_end_matches(" y").into(), ("missing element", "x 3 11 y")),
            (value.replace("x 3 2 y", "x 3 2 yx 3 2 y"), ("duplicate element", "x 3 2 y")),
            (
                value.replace("x 3 4 yx 3 5 y", "x 3 5 yx 3 4 y"),
                ("wrongly ordered element", "x 3 5 y"),
            ),
        ] {
            let (what, element, _) = wrong_append(3, &wrong, 12).expect("the value is wrong");
            assert_eq!((what, element.as_str()), expected, "{wrong}");
        }
    }
}
