//! Every constant of the network, and the fate of a message: the only file that decides whether and
//! when something arrives.
//!
//! The figures are those of the course's labrpc (2022). One is ours: a message on a reliable network
//! takes some tens of microseconds, drawn for each, where Go's takes as long as the scheduler
//! pleases. So time moves, and messages sent at one instant arrive in any order.

use crate::decisions::{CallOnLink, Choices, scale, split};
use crate::faults::chaos::{Chaos, LinkState};
use crate::node::Node;
use crate::spec::Kind;

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;

/// The shortest time that a request or a reply is under way, in nanoseconds.
const TRANSIT_SHORTEST: u64 = 10 * MICROSECOND;
/// The transit varies by less than this, in nanoseconds.
const TRANSIT_SPREAD: u64 = 40 * MICROSECOND;
/// The short delay of a request on an unreliable network is one of 0 to 26 ms.
const SHORT_DELAYS_MS: u64 = 27;
/// How many of 1,000 requests, and of 1,000 replies, an unreliable network loses.
const DROPPED_OF_1000: u64 = 100;
/// Long reordering holds back this many ...
const HELD: u64 = 600;
/// ... of so many replies ...
const HELD_OF: u64 = 900;
/// ... for at least this long ...
const HOLD_SHORTEST_MS: u64 = 200;
/// ... and a time that is drawn below a drawn bound, which is at most this.
const HOLD_SPREAD_MS: u64 = 2000;
/// How long a call to an unreachable server takes to fail is below this.
const UNREACHABLE_MS: u64 = 100;
/// The same under long delays.
const UNREACHABLE_LONG_MS: u64 = 7000;
/// While a handler runs, its caller looks at each multiple of this time, in nanoseconds, whether
/// the server is dead.
pub(crate) const DEAD_CHECK_EVERY: u64 = 100 * MILLISECOND;

/// The network's switches.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Mode {
    pub(crate) reliable: bool,
    pub(crate) long_delays: bool,
    pub(crate) long_reordering: bool,
}

/// What becomes of a request; times in nanoseconds from now.
pub(crate) enum RequestFate {
    Unreachable {
        after: u64,
    },
    Dropped {
        after: u64,
    },
    /// `copy_after` is when a copy of it arrives.
    Arrives {
        after: u64,
        copy_after: Option<u64>,
    },
}

/// What becomes of a reply; times in nanoseconds from now.
pub(crate) enum ReplyFate {
    Dropped,
    /// The way back is cut; the caller hears of it after a while, as of any server out of reach.
    Cut {
        after: u64,
    },
    /// `held` is the part of the time that long reordering adds.
    Arrives {
        after: u64,
        held: u64,
    },
}

pub(crate) fn request(
    choices: &mut Choices,
    call: CallOnLink,
    mode: Mode,
    is_reachable: bool,
) -> RequestFate {
    if !is_reachable {
        return RequestFate::Unreachable { after: until_unreachable(choices, call, mode) };
    }
    let mut after = transit(choices, call, Kind::RequestTransit);
    if !mode.reliable {
        let bound = SHORT_DELAYS_MS;
        let delay = choices.draw_for(call, Kind::RequestDelay, bound, |raw| scale(raw, bound));
        after += delay * MILLISECOND;
        if is_dropped(choices, call, Kind::RequestDrop) {
            return RequestFate::Dropped { after: delay * MILLISECOND };
        }
    }
    RequestFate::Arrives { after, copy_after: None }
}

/// How long a caller waits for a server that it cannot reach.
fn until_unreachable(choices: &mut Choices, call: CallOnLink, mode: Mode) -> u64 {
    let bound = if mode.long_delays { UNREACHABLE_LONG_MS } else { UNREACHABLE_MS };
    choices.draw_for(call, Kind::Unreachable, bound, |raw| scale(raw, bound)) * MILLISECOND
}

/// What chaos makes of a request's fate.
pub(crate) fn request_in_chaos(
    chaos: Chaos,
    choices: &mut Choices,
    call: CallOnLink,
    mode: Mode,
    now: u64,
    to: Node,
) -> RequestFate {
    let (link, n) = choices.place_of(call);
    let state = chaos.link(choices, link, now);
    let fate = request(choices, call, mode, !matches!(state, LinkState::Cut));
    let RequestFate::Arrives { after, .. } = fate else { return fate };
    let hold = chaos.hold(choices, link, n);
    let copy = chaos.copy(choices, link, n);
    let mut arrives = |late: u64| {
        let open = if let LinkState::Clogged(until) = state { until - now } else { 0 };
        chaos.after_pause(choices, to, now + open + after + late) - now
    };
    let after = arrives(hold);
    RequestFate::Arrives { after, copy_after: (copy > 0).then(|| arrives(hold + copy)) }
}

/// What chaos makes of a reply's fate; it goes from `from` to `to`.
pub(crate) fn reply_in_chaos(
    chaos: Chaos,
    choices: &mut Choices,
    call: CallOnLink,
    mode: Mode,
    now: u64,
    (from, to): (Node, Node),
) -> ReplyFate {
    let state = chaos.link(choices, (from.raw(), to.raw()), now);
    let ReplyFate::Arrives { after, held } = reply(choices, call, mode) else {
        return ReplyFate::Dropped;
    };
    let open = match state {
        LinkState::Cut => {
            return ReplyFate::Cut { after: until_unreachable(choices, call, mode) };
        }
        LinkState::Clogged(until) => until - now,
        LinkState::Open => 0,
    };
    let after = chaos.after_pause(choices, to, now + open + after) - now;
    ReplyFate::Arrives { after, held }
}

pub(crate) fn reply(choices: &mut Choices, call: CallOnLink, mode: Mode) -> ReplyFate {
    if !mode.reliable && is_dropped(choices, call, Kind::ReplyDrop) {
        return ReplyFate::Dropped;
    }
    let after = transit(choices, call, Kind::ReplyTransit);
    let held = if mode.long_reordering { hold(choices, call) * MILLISECOND } else { 0 };
    ReplyFate::Arrives { after: after + held, held }
}

fn transit(choices: &mut Choices, call: CallOnLink, kind: Kind) -> u64 {
    TRANSIT_SHORTEST
        + choices.draw_for(call, kind, TRANSIT_SPREAD, |raw| scale(raw, TRANSIT_SPREAD))
}

fn is_dropped(choices: &mut Choices, call: CallOnLink, kind: Kind) -> bool {
    choices.draw_for(call, kind, 2, |raw| u64::from(scale(raw, 1000) < DROPPED_OF_1000)) == 1
}

/// For how many milliseconds a reply is held back; 0 for one in three.
fn hold(choices: &mut Choices, call: CallOnLink) -> u64 {
    let bound = HOLD_SHORTEST_MS + HOLD_SPREAD_MS;
    choices.draw_for(call, Kind::ReplyHold, bound, |raw| {
        let (which, rest) = split(raw, HELD_OF);
        if which >= HELD {
            return 0;
        }
        let (most, rest) = split(rest, HOLD_SPREAD_MS);
        HOLD_SHORTEST_MS + scale(rest, 1 + most)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::RunSpec;

    const UNRELIABLE: Mode = Mode { reliable: false, long_delays: true, long_reordering: true };
    const DRAWS: usize = 100_000;

    fn fates<T>(mut draw: impl FnMut(&mut Choices, CallOnLink) -> T) -> Vec<T> {
        let mut choices = Choices::new(RunSpec::seed(3), false);
        let link = choices.link(0, 1);
        (0..DRAWS)
            .map(|_| {
                let call = choices.next_call(link);
                draw(&mut choices, call)
            })
            .collect()
    }

    fn mean(values: &[u64]) -> f64 {
        values.iter().sum::<u64>() as f64 / values.len() as f64 / MILLISECOND as f64
    }

    #[test]
    fn an_unreliable_request_is_delayed_by_13_ms_and_lost_in_one_of_ten_cases() {
        let all = fates(|choices, call| request(choices, call, UNRELIABLE, true));
        let mut delays = Vec::new();
        for fate in &all {
            if let RequestFate::Arrives { after, .. } = fate {
                delays.push(*after);
            }
        }
        let lost = 1.0 - delays.len() as f64 / DRAWS as f64;
        assert!((lost - 0.1).abs() < 0.005, "lost {lost}");
        assert!((mean(&delays) - 13.03).abs() < 0.2, "mean {} ms", mean(&delays));
        assert!(*delays.iter().max().unwrap() < 27 * MILLISECOND);
    }

    #[test]
    fn long_reordering_holds_two_of_three_replies_for_200_to_2199_ms_about_700_on_average() {
        let all = fates(|choices, call| reply(choices, call, UNRELIABLE));
        let (mut held, mut prompt, mut dropped) = (Vec::new(), 0, 0);
        for fate in &all {
            match fate {
                ReplyFate::Dropped | ReplyFate::Cut { .. } => dropped += 1,
                ReplyFate::Arrives { held: 0, after } => {
                    prompt += 1;
                    assert!(*after < TRANSIT_SHORTEST + TRANSIT_SPREAD);
                }
                ReplyFate::Arrives { held: span, .. } => held.push(*span),
            }
        }
        let share = held.len() as f64 / (held.len() + prompt) as f64;
        assert!((share - 2.0 / 3.0).abs() < 0.01, "held {share}");
        assert!((f64::from(dropped) / DRAWS as f64 - 0.1).abs() < 0.005, "dropped {dropped}");
        assert!((mean(&held) - 699.75).abs() < 10.0, "mean {} ms", mean(&held));
        let range = (*held.iter().min().unwrap(), *held.iter().max().unwrap());
        assert!(range.0 == 200 * MILLISECOND && range.1 < 2200 * MILLISECOND, "{range:?}");
    }

    #[test]
    fn an_unreachable_server_takes_up_to_100_ms_or_7_s_to_fail() {
        for (long_delays, expected) in [(false, 49.5), (true, 3499.5)] {
            let mode = Mode { long_delays, ..UNRELIABLE };
            let waits: Vec<u64> =
                fates(|choices, call| match request(choices, call, mode, false) {
                    RequestFate::Unreachable { after } => after,
                    _ => panic!("a request cannot arrive at a server that is not there"),
                });
            assert!((mean(&waits) / expected - 1.0).abs() < 0.02, "mean {} ms", mean(&waits));
        }
    }
}
