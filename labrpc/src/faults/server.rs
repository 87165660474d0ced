//! Faults of servers, which exist only under chaos or in a search: pauses, wrong clocks, crashes, late
//! timers.

use std::time::Duration;

use crate::chance::scale;
use crate::decisions::Decisions;
use crate::faults::chaos::Chaos;
use crate::faults::{
    CHAOS_LONGEST, CHAOS_WINDOW, Faults, start_of_window, whole_milliseconds, window_of,
};
use crate::node::Node;
use crate::random::Subject;
use crate::spec::Kind;

/// The shortest pause. A pause starts when its window does.
const PAUSE_SHORTEST: Duration = Duration::from_millis(100);

/// Postpones something that is due at a node at `time`: returns the end of the pause if the node is
/// a server that is paused then, otherwise `time`.
pub(crate) fn after_pause(faults: &mut Faults<'_>, node: Node, time: Duration) -> Duration {
    let Some(server) = node.as_server() else { return time };
    if time == Duration::from_nanos(u64::MAX) {
        return time;
    }
    let time = faults.foreseen.after_pause(server, time);
    let Some(chaos) = faults.chaos else { return time };
    let window = window_of(time);
    let place = Subject::new(node.raw(), 0, window);
    let pause = faults.at_times(chaos.pauses, Kind::Pause, place, |bits| {
        let spread = whole_milliseconds(CHAOS_WINDOW - PAUSE_SHORTEST);
        PAUSE_SHORTEST + Duration::from_millis(scale(bits, spread))
    });
    let end = time.max(start_of_window(window) + pause);
    faults.foreseen.after_pause(server, end)
}

/// Decides whether a server crashes at the save that it is about to make.
pub(crate) fn crashes_at_save(faults: &mut Faults<'_>, node: Node) -> bool {
    let Some(chaos) = faults.additional() else { return false };
    let rate = chaos.crashes_at_save;
    let decisions = &mut faults.decisions;
    let saves = decisions.sequence(Kind::CrashAtSave, node.raw(), 0);
    decisions.may_happen(!rate.is_zero())
        && decisions.draw_shaped(saves, 2, |bits| u64::from(rate.contains(bits))) == 1
}

/// Decides whether a server crashes at the end of a poll in which it saved or sent something. Only
/// searches ask.
pub(crate) fn crashes_after_poll(decisions: &mut Decisions, node: Node) -> bool {
    if node.as_server().is_none() {
        return false;
    }
    let polls = decisions.sequence(Kind::CrashAfterPoll, node.raw(), 0);
    decisions.draw_shaped(polls, 2, |_| 0) == 1
}

/// Decides how much later than set a timer fires that a task of a node sets. `task` is the task, and how
/// often it has been woken. Asked only where a search or the specification of the run asks, and only about
/// servers.
pub(crate) fn timer_hold(decisions: &mut Decisions, node: Node, task: Subject) -> Duration {
    if !decisions.asks_for(Kind::TimerHold, task) || node.as_server().is_none() {
        return Duration::ZERO;
    }
    let bound = whole_milliseconds(CHAOS_LONGEST) + 1;
    Duration::from_millis(decisions.decide_shaped(Kind::TimerHold, task, bound, |_| 0))
}

/// The rate error of a clock in parts per 1,000: positive if it is fast, negative if it is slow.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClockSkew(i64);

impl ClockSkew {
    /// Decides the rate error of a node's clock. Only the clocks of servers can be wrong, and only
    /// under chaos.
    pub(crate) fn of(faults: &mut Faults<'_>, node: Node) -> ClockSkew {
        let Some(chaos) = faults.chaos else { return ClockSkew(0) };
        let rate = chaos.clock_skew;
        if !faults.decisions.may_happen(!rate.is_zero()) || node.as_server().is_none() {
            return ClockSkew(0);
        }
        // The bound does not depend on the rate, so that a decision has the same range in all runs.
        let bound = 2 * u64::from(Chaos::LARGEST_CLOCK_SKEW.cases()) + 1;
        let clock = Subject::new(node.raw(), 0, 0);
        let drawn = faults.decisions.decide_shaped(Kind::ClockSkew, clock, bound, |bits| {
            scale(bits, 2 * u64::from(rate.cases()) + 1)
        }) as i64;
        // 0 is a correct clock; odd values are fast clocks, even values slow ones.
        ClockSkew(if drawn % 2 == 0 { -(drawn / 2) } else { drawn / 2 + 1 })
    }

    /// What the clock shows at a true time. Both are in nanoseconds since the start of the run.
    #[inline]
    pub(crate) fn shown(self, time: u64) -> u64 {
        if self.0 == 0 {
            return time;
        }
        (i128::from(time) * i128::from(1000 + self.0) / 1000) as u64
    }

    /// The first true time at which the clock shows `shown`. Both are in nanoseconds since the
    /// start of the run.
    pub(crate) fn time_of(self, shown: u64) -> u64 {
        if self.0 == 0 || shown == u64::MAX {
            return shown;
        }
        let rate = i128::from(1000 + self.0);
        let time = (i128::from(shown) * 1000 + rate - 1) / rate;
        u64::try_from(time).unwrap_or(u64::MAX)
    }
}
