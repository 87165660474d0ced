//! What the clients of the scenarios for key/value services do: read and write random keys, or append to one.

use std::cell::Cell;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use labraft::Checked;

use crate::clients::{Client, KvClerk, Operations};
use crate::kv_generic::appended;

/// The longest pause of a client between two operations.
const LONGEST_PAUSE: Duration = Duration::from_millis(80);
/// How often each client of a service writes, such as before, while and after the leader is cut off.
const WRITES: u64 = 3;

/// The work of one client.
pub(crate) struct Work {
    /// The number of the client among those of the scenario.
    pub(crate) i: usize,
    /// How many keys there are: `"0"`, `"1"` and so on.
    pub(crate) keys: u64,
    /// The number of the schedule of this work, for [`labrpc::Runtime::happens`].
    pub(crate) schedule: u32,
    /// How many reads of all clients have no answer yet.
    pub(crate) reading: Rc<Cell<usize>>,
    /// Tells the client to stop.
    pub(crate) is_over: Rc<Cell<bool>>,
}

/// Reads and writes random keys until the client is told to stop.
pub(crate) async fn read_and_write(
    operations: &Operations,
    mut client: Client<impl KvClerk>,
    Work { i, keys, schedule, reading, is_over }: Work,
) -> Checked<()> {
    let dice = operations.client_dice(i as u32);
    let mut count = 0;
    while !is_over.get() {
        // All of this is drawn even if the operation is skipped, so that later ones stay the same.
        let key = dice.below(keys).to_string();
        let value = appended(i, count);
        let operation = dice.below(10);
        if operations.tester().happens(schedule) {
            match operation {
                0..5 => operations.append(&mut client, &key, &value).await,
                5 => operations.put(&mut client, &key, &value).await,
                _ => {
                    reading.update(|count| count + 1);
                    operations.get(&mut client, &key).await;
                    reading.update(|count| count - 1);
                }
            }
        }
        count += 1;
        operations.sleep(dice.span(Duration::ZERO, LONGEST_PAUSE)).await;
    }
    Ok(())
}

/// Has a client append to a key a few times, with a pause after each, and read it in the end.
pub(crate) async fn append_and_read(
    operations: impl Deref<Target = Operations>,
    mut client: Client<impl KvClerk>,
    key: &str,
    pause: Duration,
) -> Checked<()> {
    for count in 0..WRITES {
        let value = appended(client.number, count);
        operations.append(&mut client, key, &value).await;
        operations.sleep(pause).await;
    }
    operations.get(&mut client, key).await;
    Ok(())
}
