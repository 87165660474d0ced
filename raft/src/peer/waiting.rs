// SOLUTION FILE
//! The reads of one instance that wait for an answer (part 2G).

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures::channel::oneshot;

/// The reads of one instance that are not answered yet, and the rounds that confirm them.
#[derive(Default)]
pub(super) struct Reads {
    /// Who waits for a read, by its number. Dropping it tells the one who waits that there will be no answer.
    pub(super) waiting: RefCell<BTreeMap<u64, oneshot::Sender<Option<u64>>>>,
    /// With leases: when rounds began, from the last one on that a majority has answered.
    pub(super) rounds: RefCell<VecDeque<(u64, Duration)>>,
}
