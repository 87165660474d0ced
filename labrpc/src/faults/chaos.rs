//! Faults beyond the course's network: what `profile chaos` switches on, and how much of each.
//!
//! The configuration is drawn from the seed. Each kind of fault is off altogether with probability one
//! half, so that runs differ in what they are about (swarm testing); the others get a rate.

use std::fmt;

use crate::decisions::{Choices, scale, split};
use crate::node::Node;
use crate::spec::Kind;

const MILLISECOND: u64 = 1_000_000;
/// Links are cut or clogged, and servers paused, for times within such windows, in nanoseconds.
const WINDOW: u64 = 1000 * MILLISECOND;
/// The largest rate of a fault kind.
const MOST: u64 = 100;
/// By how many parts of 1,000 a clock is off at most.
const MOST_SKEW: u64 = 200;
/// A held request is late by this to twice eleven times this, in milliseconds.
const HOLD_SHORTEST_MS: u64 = 200;
const HOLD_SPREAD_MS: u64 = 2000;

/// How much of each fault there is; 0 is none.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Chaos {
    /// Of 1,000 requests, how many are held back for 0.2 to 2.2 s.
    pub held_requests: u64,
    /// Of 1,000 requests, how many arrive a second time, up to 2 s later.
    pub copied_requests: u64,
    /// Of 1,000 seconds of a link, for how many it is cut in one direction.
    pub one_way_cuts: u64,
    /// Of 1,000 seconds of a link, for how many it holds everything back.
    pub clogs: u64,
    /// Of 1,000 seconds of a server, in how many it pauses, for a part of the second.
    pub pauses: u64,
    /// By how many parts of 1,000 servers' clocks are fast or slow, at most.
    pub clock_skew: u64,
    /// Of 20,000 saves, at how many the server crashes.
    pub crashes_at_save: u64,
}

/// What a link is like at a moment, in one direction.
pub(crate) enum LinkState {
    Open,
    Cut,
    /// Until this time.
    Clogged(u64),
}

impl Chaos {
    /// The configuration of a run.
    pub(crate) fn draw(choices: &mut Choices) -> Chaos {
        let mut rate = |which: u32| {
            let tester = Node::TESTER.raw();
            choices.decide_at(Kind::Configuration, (tester, which), 0, MOST + 1, |raw| {
                let (is_on, rest) = split(raw, 2);
                if is_on == 0 { 0 } else { 1 + scale(rest, MOST) }
            })
        };
        Chaos {
            held_requests: rate(0),
            copied_requests: rate(1),
            one_way_cuts: rate(2),
            clogs: rate(3),
            pauses: rate(4),
            clock_skew: MOST_SKEW / MOST * rate(5),
            crashes_at_save: rate(6),
        }
    }

    /// For how long the `n`-th request of a link is held back, in nanoseconds.
    pub(crate) fn hold(&self, choices: &mut Choices, link: (u32, u32), n: u64) -> u64 {
        let late = |rest| HOLD_SHORTEST_MS + scale(rest, HOLD_SPREAD_MS);
        self.sometimes(choices, Kind::RequestHold, link, n, self.held_requests, late) * MILLISECOND
    }

    /// How much later than the `n`-th request of a link its copy arrives; 0 for no copy.
    pub(crate) fn copy(&self, choices: &mut Choices, link: (u32, u32), n: u64) -> u64 {
        let later = |rest| 1 + scale(rest, HOLD_SPREAD_MS);
        self.sometimes(choices, Kind::RequestCopy, link, n, self.copied_requests, later)
            * MILLISECOND
    }

    /// A value in so many of 1,000 cases, else 0.
    fn sometimes(
        &self,
        choices: &mut Choices,
        kind: Kind,
        parties: (u32, u32),
        n: u64,
        of_1000: u64,
        value: impl FnOnce(u64) -> u64,
    ) -> u64 {
        if !choices.may_happen(of_1000) {
            return 0;
        }
        choices.decide_at(kind, parties, n, HOLD_SHORTEST_MS + HOLD_SPREAD_MS + 1, |raw| {
            let (which, rest) = split(raw, 1000);
            if which < of_1000 { value(rest) } else { 0 }
        })
    }

    /// What the way from one node to another is like now.
    pub(crate) fn link(&self, choices: &mut Choices, link: (u32, u32), now: u64) -> LinkState {
        let both = self.one_way_cuts + self.clogs;
        if !choices.may_happen(both) {
            return LinkState::Open;
        }
        let window = now / WINDOW;
        let state =
            choices.decide_at(Kind::LinkFault, link, window, 3, |raw| match scale(raw, 1000) {
                which if which < self.one_way_cuts => 1,
                which if which < both => 2,
                _ => 0,
            });
        match state {
            0 => LinkState::Open,
            1 => LinkState::Cut,
            _ => LinkState::Clogged((window + 1) * WINDOW),
        }
    }

    /// When something that is due at a server at `time` happens: later, if the server pauses then.
    pub(crate) fn after_pause(&self, choices: &mut Choices, node: Node, time: u64) -> u64 {
        let may_pause = choices.may_happen(self.pauses);
        if !may_pause || node.as_server().is_none() || time == u64::MAX {
            return time;
        }
        let window = time / WINDOW;
        let pause = |rest| 100 + scale(rest, 900);
        let parties = (node.raw(), 0);
        let pause = self.sometimes(choices, Kind::Pause, parties, window, self.pauses, pause);
        time.max(window * WINDOW + pause * MILLISECOND)
    }

    /// By how many parts of 1,000 a server's clock is fast; negative if it is slow.
    pub(crate) fn skew_of(&self, choices: &mut Choices, node: Node) -> i64 {
        if !choices.may_happen(self.clock_skew) || node.as_server().is_none() {
            return 0;
        }
        // Whatever the rate: a decision has the same range in all runs.
        let bound = 2 * MOST_SKEW + 1;
        let drawn = choices.decide_at(Kind::ClockSkew, (node.raw(), 0), 0, bound, |raw| {
            scale(raw, 2 * self.clock_skew + 1)
        }) as i64;
        // 0 is a right clock, odd values are fast ones, even values slow ones.
        if drawn % 2 == 0 { -(drawn / 2) } else { drawn / 2 + 1 }
    }
}

impl fmt::Display for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            (self.held_requests, "of 1000 requests held back"),
            (self.copied_requests, "of 1000 requests delivered twice"),
            (self.one_way_cuts, "of 1000 link-seconds cut one way"),
            (self.clogs, "of 1000 link-seconds clogged"),
            (self.pauses, "of 1000 server-seconds with a pause"),
            (self.clock_skew, "parts of 1000 that clocks are off at most"),
            (self.crashes_at_save, "of 20000 saves with a crash"),
        ];
        let on = kinds.iter().filter(|(rate, _)| *rate > 0);
        let on: Vec<String> = on.map(|(rate, what)| format!("{rate} {what}")).collect();
        if on.is_empty() {
            f.write_str("no faults of its own")
        } else {
            f.write_str(&on.join(", "))
        }
    }
}
