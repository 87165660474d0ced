//! What the tests of the sharded service have in common: keys with values that are written and checked, clients
//! that work beside the test, and how long it waits for everybody.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use labraft::Checked;
use labrpc::sync::Notify;
use labrpc::{Dice, JoinHandle};

use super::groups::{Client, Groups};
use crate::scenarios::standstill;
use crate::steps::spawn_client;

/// The number of clients that work beside a test.
pub(crate) const CLIENTS: usize = 10;
/// How long nobody may complete an operation before no more completions are expected.
const QUIET: Duration = Duration::from_secs(2);
/// How often to look whether all groups have come to the latest configuration.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// The digits of random values: base64url, as in the course.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// How many digits one draw gives.
const DIGITS_A_DRAW: usize = 10;

/// A random value of this length: the course's `randstring`.
pub(crate) fn random_value(dice: &Dice, length: usize) -> String {
    let mut value = String::with_capacity(length);
    while value.len() < length {
        let mut draw = dice.below(1 << (6 * DIGITS_A_DRAW));
        for _ in 0..DIGITS_A_DRAW.min(length - value.len()) {
            value.push(char::from(DIGITS[(draw % 64) as usize]));
            draw /= 64;
        }
    }
    value
}

/// Keys from 0 on, and the value that each is to have.
pub(crate) struct Values(pub(crate) Vec<String>);

impl Values {
    /// Puts a random value of this length under each key.
    pub(crate) async fn put(
        cfg: &Groups,
        client: &mut Client,
        keys: usize,
        length: usize,
    ) -> Values {
        let mut values = Vec::new();
        for key in 0..keys {
            let value = random_value(&cfg.dice(), length);
            cfg.put(client, &key.to_string(), &value).await;
            values.push(value);
        }
        Values(values)
    }

    /// Checks the value of each key.
    pub(crate) async fn check(&self, cfg: &Groups, client: &mut Client) -> Checked<()> {
        self.check_first(cfg, client, self.0.len()).await
    }

    /// Checks the values of the first keys.
    pub(crate) async fn check_first(
        &self,
        cfg: &Groups,
        client: &mut Client,
        keys: usize,
    ) -> Checked<()> {
        for (key, value) in self.0.iter().enumerate().take(keys) {
            cfg.check(client, &key.to_string(), value).await?;
        }
        Ok(())
    }

    /// Checks the value of each key, and appends a random value of this length to it.
    pub(crate) async fn check_and_append(
        &mut self,
        cfg: &Groups,
        client: &mut Client,
        length: usize,
    ) -> Checked<()> {
        for key in 0..self.0.len() {
            self.check_and_append_to(cfg, client, key, length).await?;
        }
        Ok(())
    }

    /// Checks the value of a key, and appends a random value of this length to it.
    pub(crate) async fn check_and_append_to(
        &mut self,
        cfg: &Groups,
        client: &mut Client,
        key: usize,
        length: usize,
    ) -> Checked<()> {
        let more = random_value(&cfg.dice(), length);
        cfg.check(client, &key.to_string(), &self.0[key]).await?;
        cfg.append(client, &key.to_string(), &more).await;
        self.0[key] += &more;
        Ok(())
    }
}

/// How long a client pauses after each operation.
#[derive(Copy, Clone)]
pub(crate) enum Pause {
    /// Always as long as in the course.
    Fixed(Duration),
    /// A random time. In Go these clients do not pause, but computing takes time there. In virtual time it
    /// takes none.
    Drawn {
        /// The end of the range.
        longest: Duration,
    },
}

impl Pause {
    pub(crate) fn draw(self, dice: &Dice) -> Duration {
        match self {
            Pause::Fixed(pause) => pause,
            Pause::Drawn { longest } => dice.span(Duration::ZERO, longest),
        }
    }
}

/// Clients that append beside the test, each to its own key.
pub(crate) struct Appenders {
    is_over: Rc<Cell<bool>>,
    clients: Vec<JoinHandle<String>>,
}

impl Appenders {
    /// Starts a client for each of the first keys, whose values are known. It appends random values of this
    /// length.
    pub(crate) fn start(cfg: &Groups, values: &Values, length: usize, pause: Pause) -> Appenders {
        let is_over = Rc::<Cell<bool>>::default();
        let client = |key: usize| {
            let of_client = cfg.clone();
            let is_over = is_over.clone();
            let mut value = values.0[key].clone();
            spawn_client(cfg, "appender", async move {
                let mut client = of_client.make_client();
                let dice = of_client.client_dice(key as u32);
                while !is_over.get() {
                    let more = random_value(&dice, length);
                    of_client.append(&mut client, &key.to_string(), &more).await;
                    value += &more;
                    of_client.sleep(pause.draw(&dice)).await;
                }
                Ok(value)
            })
        };
        let clients = (0..CLIENTS).map(client).collect();
        Appenders { is_over, clients }
    }

    /// Tells the clients to stop, without waiting for them.
    pub(crate) fn tell(&self) {
        self.is_over.set(true);
    }

    /// Stops the clients, and returns the values that their keys must have.
    pub(crate) async fn stop(self) -> Values {
        self.tell();
        let mut values = Vec::new();
        for client in self.clients {
            values.push(client.await.expect("the tester does not crash"));
        }
        Values(values)
    }
}

/// Has each of these clients check one key, all at the same time, and counts how many have done so when
/// nobody has for a while.
pub(crate) async fn count_answers(cfg: &Groups, clients: Vec<Client>, values: &Values) -> usize {
    let count = Rc::<Cell<usize>>::default();
    let progress = Notify::new();
    for (key, mut client) in clients.into_iter().enumerate() {
        let of_client = cfg.clone();
        let value = values.0[key].clone();
        let count = count.clone();
        let progress = progress.clone();
        drop(spawn_client(cfg, "reader", async move {
            of_client.check(&mut client, &key.to_string(), &value).await?;
            count.set(count.get() + 1);
            progress.notify();
            Ok(())
        }));
    }
    while cfg.tester().timeout(QUIET, progress.notified()).await.is_some() {}
    count.get()
}

/// Waits for what must be possible when everything runs and is connected, and then until the groups have done
/// all that the latest configuration asks of them. All of it may take so `long`.
pub(crate) async fn in_time(
    cfg: &Groups,
    long: Duration,
    work: impl Future<Output = Checked<()>>,
) -> Checked<()> {
    let all = async {
        work.await?;
        while cfg.unfinished().is_some() {
            cfg.sleep(LOOK_INTERVAL).await;
        }
        Ok(())
    };
    if let Some(checked) = cfg.tester().timeout(long, all).await {
        return checked;
    }
    let waiting = cfg.waiting().or_else(|| cfg.unfinished());
    let waiting = waiting.unwrap_or_else(|| "the administrator is waiting".into());
    let what = format!("{} s after the last fault, {waiting}", long.as_secs());
    let servers: Vec<usize> = (0..cfg.lab().servers()).collect();
    Err(standstill(cfg, &servers, what))
}
