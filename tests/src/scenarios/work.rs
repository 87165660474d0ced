//! What the clients of the scenarios for key/value services do: read and write random keys.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use labraft::Checked;

use crate::clients::{Client, KvClerk, Operations};
use crate::kv_generic::appended;

/// The longest pause of a client between two operations.
const LONGEST_PAUSE: Duration = Duration::from_millis(80);

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
