//! How long a run may be.

use std::time::Duration;

use super::Executor;
use crate::task::TaskRef;
use crate::trouble::Trouble;

/// Limits on the length of a run. They are limits on counts and on virtual time, never on real
/// time, so that a run ends at the same event on every machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest virtual time that a run may take.
    pub virtual_time: Duration,
    /// The largest number of task polls and message arrivals, taken together.
    pub events: u64,
    /// The number of task polls at one instant of virtual time that ends the run. In one poll, the
    /// same number of awaits that complete without waiting ends it.
    pub polls_per_instant: u64,
}

impl Default for Limits {
    /// Returns limits of one hour of virtual time, 1,000 million polls and arrivals, and 2 million
    /// polls at one instant.
    fn default() -> Limits {
        Limits {
            virtual_time: Duration::from_secs(3600),
            events: 1_000_000_000,
            polls_per_instant: 2_000_000,
        }
    }
}

impl Executor {
    /// Returns the time of the next due event, or the reason why the run must end before it.
    #[inline]
    pub(super) fn check_limits(
        &self,
        next: Option<u64>,
        main: Option<TaskRef>,
    ) -> Result<u64, Trouble> {
        match next {
            Some(next) if next <= self.latest && self.events() <= self.limits.events => Ok(next),
            _ => Err(self.limit_reached(next, main)),
        }
    }

    #[cold]
    fn limit_reached(&self, next: Option<u64>, main: Option<TaskRef>) -> Trouble {
        let Limits { virtual_time, events, .. } = self.limits;
        match next {
            None => Trouble::Stuck { waiting: self.tasks.borrow().list(|_| true) },
            Some(next) if next > self.latest => {
                let main = main.and_then(|task| self.tasks.borrow().info(task));
                Trouble::TimeLimit { limit: virtual_time, main }
            }
            Some(_) => Trouble::EventLimit { limit: events, last: self.polled_last() },
        }
    }
}
