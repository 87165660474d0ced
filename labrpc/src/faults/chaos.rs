//! How much there is of each fault beyond the course's network.
//!
//! The configuration of a run is drawn from its seed. Each fault is off altogether with probability one
//! half, so that runs differ in what they are about (swarm testing); the others get a rate.

use std::fmt;

use crate::chance::{Ratio, scale};
use crate::decisions::Decisions;
use crate::node::Node;
use crate::random::Subject;
use crate::spec::Kind;

/// How often each fault happens.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Chaos {
    /// How many requests are held back for 0.2 to 2.2 s.
    pub held_requests: Ratio,
    /// How many requests arrive a second time, up to 2 s later.
    pub copied_requests: Ratio,
    /// For how many of its seconds a link is cut in one direction. Of 1,000, as clogs are.
    pub one_way_cuts: Ratio,
    /// For how many of its seconds a link holds everything back. Of 1,000, as cuts are.
    pub clogs: Ratio,
    /// In how many of its seconds a server pauses, for a part of the second.
    pub pauses: Ratio,
    /// By which part servers' clocks are fast or slow at most. Of 1,000, and at most 200.
    pub clock_skew: Ratio,
    /// At how many of its saves a server crashes.
    pub crashes_at_save: Ratio,
}

impl Chaos {
    /// What rates are parts of, unless said otherwise.
    pub(crate) const WHOLE: u32 = 1000;
    /// The largest rate that is drawn.
    const MOST: u32 = 100;
    /// By which part a clock is off at most.
    pub(crate) const LARGEST_CLOCK_SKEW: Ratio = Ratio::new(200, Chaos::WHOLE);
    /// What the rate of crashes is a part of: servers save far more often than anything else happens.
    const SAVES: u32 = 20_000;

    /// Draws the configuration of a run.
    pub(crate) fn draw(decisions: &mut Decisions) -> Chaos {
        let mut cases = |which: u32| draw_cases(decisions, which);
        let skew_step = Chaos::LARGEST_CLOCK_SKEW.cases() / Chaos::MOST;
        Chaos {
            held_requests: Ratio::new(cases(0), Chaos::WHOLE),
            copied_requests: Ratio::new(cases(1), Chaos::WHOLE),
            one_way_cuts: Ratio::new(cases(2), Chaos::WHOLE),
            clogs: Ratio::new(cases(3), Chaos::WHOLE),
            pauses: Ratio::new(cases(4), Chaos::WHOLE),
            clock_skew: Ratio::new(skew_step * cases(5), Chaos::WHOLE),
            crashes_at_save: Ratio::new(cases(6), Chaos::SAVES),
        }
    }
}

/// The rate of one fault: none, or a number of cases up to [`Chaos::MOST`].
fn draw_cases(decisions: &mut Decisions, which: u32) -> u32 {
    const OFF: Ratio = Ratio::new(1, 2);
    let most = u64::from(Chaos::MOST);
    let rate = Subject::new(Node::TESTER.raw(), which, 0);
    let drawn = decisions.decide_shaped(Kind::Configuration, rate, most + 1, |bits| {
        let (is_off, rest) = OFF.split(bits);
        if is_off { 0 } else { 1 + scale(rest, most) }
    });
    drawn as u32
}

impl fmt::Display for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = [
            ("", self.held_requests, " requests held back"),
            ("", self.copied_requests, " requests delivered twice"),
            ("", self.one_way_cuts, " link-seconds cut one way"),
            ("", self.clogs, " link-seconds clogged"),
            ("", self.pauses, " server-seconds with a pause"),
            ("clocks off by up to ", self.clock_skew, ""),
            ("", self.crashes_at_save, " saves with a crash"),
        ];
        let mut separator = "";
        for (before, rate, after) in faults {
            if !rate.is_zero() {
                write!(f, "{separator}{before}{rate}{after}")?;
                separator = ", ";
            }
        }
        if separator.is_empty() {
            f.write_str("no faults of its own")?;
        }
        Ok(())
    }
}
