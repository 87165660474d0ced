//! Everything that goes wrong in a simulated world, and every constant of it.
//!
//! | file | what it decides |
//! |---|---|
//! | `message` | the fate of each request and reply: one list of rules for each |
//! | `server` | pauses of servers, clocks that are off, crashes at a save |
//! | `chaos` | how much there is of each fault beyond the course's network |
//!
//! Nothing else decides whether and when a message arrives. A new fault is a [`Kind`](crate::Kind) with
//! its neutral value, and a rule in `message` or a question in `server`; one that the course's network
//! does not have gets its rate in `chaos`.

pub(crate) mod chaos;
pub(crate) mod message;
pub(crate) mod server;

use std::cell::RefMut;
use std::time::Duration;

use crate::chance::Ratio;
use crate::decisions::Decisions;
use crate::faults::chaos::Chaos;
use crate::random::Subject;
use crate::spec::Kind;

/// What all faults are decided with.
pub(crate) struct Faults<'a> {
    pub(crate) decisions: RefMut<'a, Decisions>,
    /// The faults beyond the course's network, if there are any at the moment.
    pub(crate) chaos: Option<Chaos>,
    pub(crate) now: Duration,
}

/// Links are cut or clogged, and servers paused, for times within such windows, counted from the start.
const CHAOS_WINDOW: Duration = Duration::from_secs(1);
/// How much the times vary for which chaos delays requests.
const CHAOS_SPREAD: Duration = Duration::from_millis(2000);
/// No fault of chaos that is a number of milliseconds has one above this.
const CHAOS_LONGEST: Duration = Duration::from_millis(2200);

impl Faults<'_> {
    /// What a fault of chaos comes to that happens at a certain rate; zero if it does not happen.
    fn at_times(
        &mut self,
        rate: Ratio,
        kind: Kind,
        subject: Subject,
        span: impl FnOnce(u64) -> Duration,
    ) -> Duration {
        if !self.decisions.may_happen(!rate.is_zero()) {
            return Duration::ZERO;
        }
        let bound = whole_milliseconds(CHAOS_LONGEST) + 1;
        let milliseconds = self.decisions.decide_shaped(kind, subject, bound, |bits| {
            let (happens, rest) = rate.split(bits);
            if happens { whole_milliseconds(span(rest)) } else { 0 }
        });
        Duration::from_millis(milliseconds)
    }
}

/// The window that a time falls into, counted from 0.
fn window_of(time: Duration) -> u64 {
    (time.as_nanos() / CHAOS_WINDOW.as_nanos()) as u64
}

/// When a window begins.
fn start_of_window(window: u64) -> Duration {
    Duration::from_nanos(CHAOS_WINDOW.as_nanos() as u64 * window)
}

const fn whole_milliseconds(span: Duration) -> u64 {
    span.as_millis() as u64
}
