//! The rates of the faults that the course's network does not have.
//!
//! The rates of a run are drawn from its seed. Each fault is turned off with a probability of one
//! half, so that different runs test different combinations of faults (swarm testing).

use std::fmt;

use crate::chance::{Ratio, scale};
use crate::decisions::Decisions;
use crate::node::Node;
use crate::random::Subject;
use crate::spec::Kind;

/// The rate of each fault that the course's network does not have.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Chaos {
    /// The share of requests that are held back, for 0.2 to 2.2 s.
    pub held_requests: Ratio,
    /// The share of requests that arrive a second time, up to 2 s later.
    pub copied_requests: Ratio,
    /// The share of seconds in which a link is cut in one direction, out of 1,000.
    pub one_way_cuts: Ratio,
    /// The share of seconds in which a link holds all messages back until the second ends, out of
    /// 1,000.
    pub clogs: Ratio,
    /// The share of seconds in which a server pauses, for the first 100 to 999 ms of the second.
    pub pauses: Ratio,
    /// The largest rate error of a server's clock, fast or slow: at most 200 out of 1,000.
    pub clock_skew: Ratio,
    /// The share of saves at which a server crashes.
    pub crashes_at_save: Ratio,
}

impl Chaos {
    /// The denominator of all rates except the one for crashes.
    pub(crate) const WHOLE: u32 = 1000;
    /// The largest numerator of a rate.
    const MOST: u32 = 100;
    /// An upper limit on [`clock_skew`](Chaos::clock_skew).
    pub(crate) const LARGEST_CLOCK_SKEW: Ratio = Ratio::new(200, Chaos::WHOLE);
    /// The denominator of the rate of crashes. It is larger than the others because servers save
    /// very often.
    const SAVES: u32 = 20_000;

    /// How much faster one server's clock may run than another's in any run, in percent.
    pub(crate) const LARGEST_CLOCK_DRIFT_PERCENT: u32 = drift_percent(Chaos::LARGEST_CLOCK_SKEW);

    /// How much faster one server's clock may run than another's, in percent, rounded up.
    pub const fn clock_drift_percent(&self) -> u32 {
        drift_percent(self.clock_skew)
    }

    /// Draws the rates of a run.
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

/// How much faster, in percent, the fastest clock runs than the slowest, if both are wrong by this share.
const fn drift_percent(skew: Ratio) -> u32 {
    (200 * skew.cases()).div_ceil(skew.of() - skew.cases())
}

/// A rate, and the words around it in a description.
type Described = (&'static str, Ratio, &'static str);

impl Chaos {
    /// All rates, for a description.
    fn described(&self) -> [Described; 7] {
        // Naming all fields makes the compiler notice a new one.
        let Chaos {
            held_requests,
            copied_requests,
            one_way_cuts,
            clogs,
            pauses,
            clock_skew,
            crashes_at_save,
        } = *self;
        [
            ("", held_requests, " requests held back"),
            ("", copied_requests, " requests delivered twice"),
            ("", one_way_cuts, " link-seconds cut one way"),
            ("", clogs, " link-seconds clogged"),
            ("", pauses, " server-seconds paused"),
            ("clocks fast or slow by up to ", clock_skew, ""),
            ("", crashes_at_save, " saves with a crash"),
        ]
    }

    /// The rates of all faults.
    pub fn rates(&self) -> impl Iterator<Item = Ratio> {
        self.described().into_iter().map(|(_, rate, _)| rate)
    }
}

/// Draws the numerator of one rate: 0 in half of the cases, otherwise 1 to [`Chaos::MOST`].
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
        let mut separator = "";
        for (before, rate, after) in self.described() {
            if !rate.is_zero() {
                write!(f, "{separator}{before}{rate}{after}")?;
                separator = ", ";
            }
        }
        if separator.is_empty() {
            f.write_str("no additional faults")?;
        }
        Ok(())
    }
}
