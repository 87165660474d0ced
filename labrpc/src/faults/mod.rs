//! Everything that goes wrong in a simulated world, with all its probabilities and delays.
//!
//! | file | what it decides |
//! |---|---|
//! | `message` | what happens to each request and reply |
//! | `server` | when servers pause, how fast their clocks run, when they crash, and which timers are late |
//! | `chaos` | the rates of the faults that the course's network does not have |
//!
//! Only this module decides whether and when a message arrives. To add a fault, add a
//! [`Kind`](crate::Kind) with its neutral value, and a rule in `message` or a function in `server`.
//! If the course's network does not have the fault, it also needs a rate in `chaos`. Then
//! `docs/checks.md` lists it, and `lab/src/shrink/told.rs` says in words what the fault did.

pub(crate) mod chaos;
pub(crate) mod message;
pub(crate) mod server;

use std::cell::RefMut;
use std::time::Duration;

use crate::acts::Foreseen;
use crate::chance::Ratio;
use crate::decisions::Decisions;
use crate::faults::chaos::Chaos;
use crate::random::Subject;
use crate::spec::Kind;

/// What the rules for faults depend on: the decision source, the rates and the time.
pub(crate) struct Faults<'a> {
    pub(crate) decisions: RefMut<'a, Decisions>,
    /// The rates of the faults that the course's network does not have; `None` if they are off.
    pub(crate) chaos: Option<Chaos>,
    pub(crate) foreseen: &'a Foreseen,
    pub(crate) now: Duration,
}

/// Virtual time is divided into windows of this length. Chaos decides once in each window whether a
/// link is cut or clogged, and whether a server pauses. Neither outlasts its window: only the window of
/// the present is asked.
const CHAOS_WINDOW: Duration = Duration::from_secs(1);
/// The range of the times for which chaos holds requests back, and by which it delays copies.
const CHAOS_SPREAD: Duration = Duration::from_millis(2000);
/// An upper limit for all delays and pauses under chaos.
const CHAOS_LONGEST: Duration = Duration::from_millis(2200);

impl Faults<'_> {
    /// The rates of those faults that the course's network does not have and that are to be asked for:
    /// all zero if they are off and a search asks for them nevertheless.
    fn additional(&self) -> Option<Chaos> {
        self.chaos.or_else(|| self.decisions.asks_all().then(Chaos::default))
    }

    /// The same for one decision, which the specification of the run may ask for as well.
    fn additional_for(&self, kind: Kind, subject: Subject) -> Option<Chaos> {
        self.chaos.or_else(|| self.decisions.asks_for(kind, subject).then(Chaos::default))
    }

    /// Decides whether a fault with this rate happens. Returns how long it lasts, which `span` computes
    /// from random bits and which is at least a millisecond; zero means that the fault does not happen.
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
            let milliseconds = if happens { whole_milliseconds(span(rest)) } else { 0 };
            debug_assert!(milliseconds < bound, "{kind:?} lasts longer than CHAOS_LONGEST");
            milliseconds
        });
        Duration::from_millis(milliseconds)
    }
}

/// The number of the window that a time falls into, counted from 0.
fn window_of(time: Duration) -> u64 {
    (time.as_nanos() / CHAOS_WINDOW.as_nanos()) as u64
}

/// The virtual time at which a window begins.
fn start_of_window(window: u64) -> Duration {
    Duration::from_nanos(CHAOS_WINDOW.as_nanos() as u64 * window)
}

const fn whole_milliseconds(span: Duration) -> u64 {
    span.as_millis() as u64
}
