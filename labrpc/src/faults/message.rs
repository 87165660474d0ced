//! The fate of a message: whether it arrives, and when.
//!
//! A message passes through a list of rules, one list for requests and one for replies. Each rule
//! may delay the message, copy it or lose it, and makes random decisions through
//! [`Decisions`](crate::decisions::Decisions). A rule that loses a
//! message ends its journey, so changing the order of the rules changes what every seed does.
//!
//! All numbers are those of the course's labrpc (2022), except for one: on a reliable network a
//! message takes 10 to 50 microseconds, drawn for each message, so that time passes and messages
//! that are sent at the same instant arrive in any order. In Go this time is up to the scheduler.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::chance::{Ratio, scale, split};
use crate::event::Lost;
use crate::faults::chaos::Chaos;
use crate::faults::{CHAOS_SPREAD, Faults, server, start_of_window, whole_milliseconds, window_of};
use crate::node::Node;
use crate::random::Subject;
use crate::spec::Kind;

/// The shortest time that a message travels.
const TRANSIT_SHORTEST: Duration = Duration::from_micros(10);
/// The range of the time that a message travels beyond [`TRANSIT_SHORTEST`].
const TRANSIT_SPREAD: Duration = Duration::from_micros(40);
/// An unreliable network delays each request by less than this, in whole milliseconds.
const SHORT_DELAY: Duration = Duration::from_millis(27);
/// The share of requests, and of replies, that an unreliable network loses.
const DROPPED: Ratio = Ratio::per_thousand(100);
/// The share of replies that are held back under long reordering.
const REORDERED: Ratio = Ratio::new(600, 900);
/// The shortest time that a reply is held back under long reordering.
const REORDERED_SHORTEST: Duration = Duration::from_millis(200);
/// An upper limit on the time beyond [`REORDERED_SHORTEST`]. As in Go, that time is drawn in two steps:
/// first a bound up to this limit, then a time below the bound.
const REORDERED_SPREAD: Duration = Duration::from_millis(2000);
/// A call to a server that cannot be reached fails within this time.
const UNREACHABLE: Duration = Duration::from_millis(100);
/// The same limit when long delays are on.
const UNREACHABLE_UNDER_LONG_DELAYS: Duration = Duration::from_millis(7000);
/// The shortest time that chaos holds a request back.
const CHAOS_HOLD_SHORTEST: Duration = Duration::from_millis(200);

/// The settings of the network.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Mode {
    pub(crate) reliable: bool,
    pub(crate) long_delays: bool,
    pub(crate) long_reordering: bool,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Request,
    Reply,
}

/// A message that is about to be sent.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Message {
    pub(crate) direction: Direction,
    /// The call that it belongs to: the two nodes, and the number of the call between them.
    pub(crate) call: Subject,
    pub(crate) from: Node,
    pub(crate) to: Node,
    pub(crate) mode: Mode,
    /// For a request: whether its end is enabled and connected to a server. For a reply: whether
    /// the end is still enabled and the server has not been deleted or replaced.
    pub(crate) has_way: bool,
    /// For a reply: whether the tester has its end lose all replies.
    pub(crate) is_cut: bool,
}

/// The state of one direction of a link at some moment.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum LinkState {
    Open,
    /// Messages are lost.
    Cut,
    /// Messages are held back until this virtual time.
    Clogged {
        until: Duration,
    },
}

/// What happens to a message. All times are counted from now.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is lost, and its caller is told so after this time.
    Lost { why: Lost, after: Duration },
    /// It arrives after this time.
    Arrives {
        after: Duration,
        /// The part of that time for which it was held back, so that later messages can overtake
        /// it.
        held: Duration,
        /// The time after which a copy of it arrives, if there is one.
        copy_after: Option<Duration>,
    },
}

/// A message on its way through the rules, with the delays that they have added so far.
struct Journey<'a, 'b> {
    message: Message,
    faults: &'a mut Faults<'b>,
    link: LinkState,
    transit: Duration,
    short_delay: Duration,
    held: Duration,
    /// How much later than the message itself its copy leaves, if there is one.
    copy_later: Option<Duration>,
}

/// Applies one rule: continues with the next one, or breaks with the fate of a lost message.
type Rule = fn(&mut Journey<'_, '_>) -> ControlFlow<Fate>;

/// The rules for requests, in order.
const FOR_REQUESTS: [Rule; 8] = [
    unreachable_without_way,
    look_at_link,
    unreachable_through_cut,
    take_transit,
    delay_shortly,
    drop_at_times,
    hold_request,
    copy_request,
];

/// The rules for replies, in order.
const FOR_REPLIES: [Rule; 6] =
    [dead_without_way, look_at_link, drop_at_times, take_transit, reorder, unreachable_through_cut];

/// Decides what happens to a message.
pub(crate) fn decide(message: Message, faults: &mut Faults<'_>) -> Fate {
    match message.direction {
        Direction::Request => follow(FOR_REQUESTS, message, faults),
        Direction::Reply => follow(FOR_REPLIES, message, faults),
    }
}

/// Applies the rules until one of them decides.
///
/// Inlined, so that the compiler sees which rules these are, and calls none of them by its pointer.
#[inline(always)]
fn follow<const N: usize>(rules: [Rule; N], message: Message, faults: &mut Faults<'_>) -> Fate {
    let mut journey = Journey {
        message,
        faults,
        link: if message.is_cut { LinkState::Cut } else { LinkState::Open },
        transit: Duration::ZERO,
        short_delay: Duration::ZERO,
        held: Duration::ZERO,
        copy_later: None,
    };
    for rule in rules {
        if let ControlFlow::Break(fate) = rule(&mut journey) {
            return fate;
        }
    }
    journey.arrive()
}

impl Journey<'_, '_> {
    /// Decides something about this message: a value from `0..bound`, all equally likely.
    fn decide(&mut self, kind: Kind, bound: u64) -> u64 {
        self.faults.decisions.decide(kind, self.message.call, bound)
    }

    /// Decides something about this message: a value from `0..bound`, which `shape` computes from
    /// random bits.
    fn decide_shaped(&mut self, kind: Kind, bound: u64, shape: impl FnOnce(u64) -> u64) -> u64 {
        self.faults.decisions.decide_shaped(kind, self.message.call, bound, shape)
    }

    /// Whether to decide about a fault with this rate.
    fn is_asked(&self, rate: Ratio, kind: Kind) -> bool {
        !rate.is_zero() || self.faults.decisions.asks_for(kind, self.message.call)
    }

    /// Selects the kind of a decision that is made for requests and for replies.
    fn kind(&self, of_request: Kind, of_reply: Kind) -> Kind {
        match self.message.direction {
            Direction::Request => of_request,
            Direction::Reply => of_reply,
        }
    }

    /// The fate of a message that no rule has lost. If the link is clogged or the receiver paused,
    /// it arrives once that is over.
    #[inline]
    fn arrive(mut self) -> Fate {
        let travel = self.transit + self.short_delay + self.held;
        let after = self.arrival_after(travel);
        let copy_after = self.copy_later.map(|later| self.arrival_after(travel + later));
        Fate::Arrives { after, held: self.held, copy_after }
    }

    #[inline]
    fn arrival_after(&mut self, travel: Duration) -> Duration {
        if self.faults.chaos.is_none() && self.faults.foreseen.has_no_pauses() {
            return travel;
        }
        let now = self.faults.now;
        let departure = match self.link {
            LinkState::Clogged { until } => until,
            LinkState::Open | LinkState::Cut => now,
        };
        server::after_pause(self.faults, self.message.to, departure + travel) - now
    }

    /// Loses the message. The caller learns after a while that the server cannot be reached.
    fn unreachable(&mut self) -> ControlFlow<Fate> {
        let longest =
            if self.message.mode.long_delays { UNREACHABLE_UNDER_LONG_DELAYS } else { UNREACHABLE };
        let after = self.decide(Kind::Unreachable, whole_milliseconds(longest));
        ControlFlow::Break(Fate::Lost {
            why: Lost::Unreachable,
            after: Duration::from_millis(after),
        })
    }
}

/// Fails a request whose end is disabled or not connected to a server.
#[inline(always)]
fn unreachable_without_way(journey: &mut Journey<'_, '_>) -> ControlFlow<Fate> {
    if journey.message.has_way {
        return ControlFlow::Continue(());
    }
    journey.unreachable()
}

/// Loses a reply if its end has been disabled, or its server deleted or replaced.
#[inline(always)]
fn dead_without_way(journey: &mut Journey<'_, '_>) -> ControlFlow<Fate> {
    if journey.message.has_way {
        return ControlFlow::Continue(());
    }
    ControlFlow::Break(Fate::Lost { why: Lost::Dead, after: Duration::ZERO })
}

/// Under chaos, decides whether the link is open, cut or clogged in this direction at the moment.
#[inline(always)]
fn look_at_link(journey: &mut Journey<'_, '_>) -> ControlFlow<Fate> {
    if journey.message.is_cut {
        return ControlFlow::Continue(());
    }
    let faults = &mut *journey.faults;
    let Some(chaos) = faults.chaos else { return ControlFlow::Continue(()) };
    let cuts = u64::from(chaos.one_way_cuts.cases());
    let clogs = u64::from(chaos.clogs.cases());
    if !faults.decisions.may_happen(cuts + clogs > 0) {
        return ControlFlow::Continue(());
    }
    let window = window_of(faults.now);
    let Message { from, to, .. } = journey.message;
    let link = Subject::new(from.raw(), to.raw(), window);
    let state = faults.decisions.decide_shaped(Kind::LinkFault, link, 3, |bits| {
        let case = scale(bits, u64::from(Chaos::WHOLE));
        if case < cuts {
            1
        } else if case < cuts + clogs {
            2
        } else {
            0
        }
    });
    journey.link = match state {
        0 => LinkState::Open,
        1 => LinkState::Cut,
        _ => LinkState::Clogged { until: start_of_window(window + 1) },
    };
    ControlFlow::Continue(())
}

/// Loses a message on a link that is cut in its direction.
#[inline(always)]
fn unreachable_through_cut(journey: &mut Journey<'_, '_>) -> ControlFlow<Fate> {
    if journey.link == LinkState::Cut {
        return journey.unreachable();
    }
    ControlFlow::Continue(())
}

/// Adds the time that every message travels.
#[inline(always)]
fn take_transit(journey: &mut Journey<'_, '_>) -> ControlFlow<Fate> {
    let kind = journey.kind(Kind::RequestTransit, Kind::ReplyTransit);
    let beyond = journey.decide(kind, TRANSIT_SPREAD.as_nanos() as u64);
    journey.transit = TRANSIT_SHORTEST + Duration::from_nanos(beyond);
    ControlFlow::Continue(())
}

/// Delays a request on an unreliable network by a few milliseconds.
#[inline(always)]
fn delay_shortly(journey: &mut Journey<'_, '_>) -> ControlFlow<Fate> {
    if !journey.message.mode.reliable {
        let delay = journey.decide(Kind::RequestDelay, whole_milliseconds(SHORT_DELAY));
        journey.short_delay = Duration::from_millis(delay);
    }
    ControlFlow::Continue(())
}

/// Drops some messages on an unreliable network. The caller of a dropped request learns of it after
/// the short delay.
#[inline(always)]
fn drop_at_times(journey: &mut Journey<'_, '_>) -> ControlFlow<Fate> {
    let rate = if journey.message.mode.reliable { Ratio::ZERO } else { DROPPED };
    let kind = journey.kind(Kind::RequestDrop, Kind::ReplyDrop);
    if !journey.is_asked(rate, kind) {
        return ControlFlow::Continue(());
    }
    let is_dropped = journey.decide_shaped(kind, 2, |bits| u64::from(rate.contains(bits)));
    if is_dropped == 1 {
        let after = journey.short_delay;
        return ControlFlow::Break(Fate::Lost { why: Lost::Dropped, after });
    }
    ControlFlow::Continue(())
}

/// Under long reordering, holds some replies back.
#[inline(always)]
fn reorder(journey: &mut Journey<'_, '_>) -> ControlFlow<Fate> {
    let rate = if journey.message.mode.long_reordering { REORDERED } else { Ratio::ZERO };
    if journey.is_asked(rate, Kind::ReplyHold) {
        let bound = whole_milliseconds(REORDERED_SHORTEST + REORDERED_SPREAD);
        let held =
            journey.decide_shaped(Kind::ReplyHold, bound, |bits| held_milliseconds(rate, bits));
        journey.held = Duration::from_millis(held);
    }
    ControlFlow::Continue(())
}

/// How long a reply is held back, in milliseconds, if the share `rate` of all replies is.
fn held_milliseconds(rate: Ratio, bits: u64) -> u64 {
    let (is_reordered, rest) = rate.split(bits);
    if !is_reordered {
        return 0;
    }
    let (most, rest) = split(rest, whole_milliseconds(REORDERED_SPREAD));
    whole_milliseconds(REORDERED_SHORTEST) + scale(rest, 1 + most)
}

/// Under chaos, holds some requests back.
#[inline(always)]
fn hold_request(journey: &mut Journey<'_, '_>) -> ControlFlow<Fate> {
    let call = journey.message.call;
    if let Some(chaos) = journey.faults.additional_for(Kind::RequestHold, call) {
        journey.held =
            journey.faults.at_times(chaos.held_requests, Kind::RequestHold, call, |bits| {
                CHAOS_HOLD_SHORTEST
                    + Duration::from_millis(scale(bits, whole_milliseconds(CHAOS_SPREAD)))
            });
    }
    ControlFlow::Continue(())
}

/// Under chaos, delivers some requests a second time.
#[inline(always)]
fn copy_request(journey: &mut Journey<'_, '_>) -> ControlFlow<Fate> {
    let call = journey.message.call;
    if let Some(chaos) = journey.faults.additional_for(Kind::RequestCopy, call) {
        let later =
            journey.faults.at_times(chaos.copied_requests, Kind::RequestCopy, call, |bits| {
                Duration::from_millis(1 + scale(bits, whole_milliseconds(CHAOS_SPREAD)))
            });
        journey.copy_later = (!later.is_zero()).then_some(later);
    }
    ControlFlow::Continue(())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::acts::Foreseen;
    use crate::decisions::Decisions;
    use crate::spec::RunSpec;

    const UNRELIABLE: Mode = Mode { reliable: false, long_delays: true, long_reordering: true };
    const DRAWS: u64 = 100_000;

    /// The fates of many messages on the same link.
    fn fates(direction: Direction, mode: Mode, has_way: bool) -> Vec<Fate> {
        let decisions = RefCell::new(Decisions::new(RunSpec::seed(3), false));
        let foreseen = &Foreseen::default();
        let mut faults = Faults {
            decisions: decisions.borrow_mut(),
            chaos: None,
            foreseen,
            now: Duration::ZERO,
        };
        let from = Node::server(0);
        let to = Node::server(1);
        (0..DRAWS)
            .map(|n| {
                let call = Subject::new(0, 1, n);
                let message = Message { direction, call, from, to, mode, has_way, is_cut: false };
                decide(message, &mut faults)
            })
            .collect()
    }

    fn mean_ms(spans: &[Duration]) -> f64 {
        spans.iter().sum::<Duration>().as_secs_f64() * 1000.0 / spans.len() as f64
    }

    #[test]
    fn requests_on_an_unreliable_network_are_delayed_by_13_ms_and_one_in_ten_is_lost() {
        let mut delays = Vec::new();
        for fate in fates(Direction::Request, UNRELIABLE, true) {
            match fate {
                Fate::Arrives { after, held: Duration::ZERO, copy_after: None } => {
                    delays.push(after)
                }
                Fate::Lost { why: Lost::Dropped, after } => assert!(after < SHORT_DELAY),
                other => panic!("{other:?}"),
            }
        }
        let lost = 1.0 - delays.len() as f64 / DRAWS as f64;
        assert!((lost - 0.1).abs() < 0.005, "lost {lost}");
        assert!((mean_ms(&delays) - 13.03).abs() < 0.2, "mean {} ms", mean_ms(&delays));
        assert!(*delays.iter().max().unwrap() < SHORT_DELAY);
    }

    #[test]
    fn long_reordering_holds_two_of_three_replies_back_for_200_to_2199_ms() {
        let mut holds = Vec::new();
        let mut prompt = 0;
        let mut dropped = 0;
        for fate in fates(Direction::Reply, UNRELIABLE, true) {
            match fate {
                Fate::Lost { why, after } => {
                    assert_eq!((why, after), (Lost::Dropped, Duration::ZERO));
                    dropped += 1;
                }
                Fate::Arrives { after, held: Duration::ZERO, .. } => {
                    assert!(after < TRANSIT_SHORTEST + TRANSIT_SPREAD);
                    prompt += 1;
                }
                Fate::Arrives { held, .. } => holds.push(held),
            }
        }
        let share = holds.len() as f64 / (holds.len() + prompt) as f64;
        assert!((share - 2.0 / 3.0).abs() < 0.01, "held {share}");
        assert!((f64::from(dropped) / DRAWS as f64 - 0.1).abs() < 0.005, "dropped {dropped}");
        assert!((mean_ms(&holds) - 699.75).abs() < 10.0, "mean {} ms", mean_ms(&holds));
        let shortest = *holds.iter().min().unwrap();
        let longest = *holds.iter().max().unwrap();
        assert_eq!(shortest, REORDERED_SHORTEST);
        assert!(longest < REORDERED_SHORTEST + REORDERED_SPREAD, "{longest:?}");
    }

    #[test]
    fn a_call_to_an_unreachable_server_fails_within_100_ms_or_7_s() {
        for (long_delays, expected) in [(false, 49.5), (true, 3499.5)] {
            let mode = Mode { long_delays, ..UNRELIABLE };
            let waits: Vec<Duration> = fates(Direction::Request, mode, false)
                .into_iter()
                .map(|fate| match fate {
                    Fate::Lost { why: Lost::Unreachable, after } => after,
                    other => panic!("{other:?}"),
                })
                .collect();
            assert!((mean_ms(&waits) / expected - 1.0).abs() < 0.02, "mean {} ms", mean_ms(&waits));
        }
    }

    #[test]
    fn a_reply_that_cannot_be_delivered_is_lost_at_once() {
        for fate in fates(Direction::Reply, UNRELIABLE, false) {
            assert_eq!(fate, Fate::Lost { why: Lost::Dead, after: Duration::ZERO });
        }
    }
}
