//! How much of a failing run there is to read.

use labrpc::Taken;

use super::found::faults_and_calls;

/// A run with more faults than this is worth looking for a simpler one.
pub(super) const PLAIN_FAULTS: usize = 10;
/// The same for steps of the protocol.
const PLAIN_STEPS: usize = 60;
/// A fault takes as long to understand as so many steps: of plain runs, these are the largest.
const STEPS_OF_A_FAULT: usize = PLAIN_STEPS / PLAIN_FAULTS;

/// How much of a failing run there is to read.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// The faults that are needed.
    pub faults: usize,
    /// The calls of a generated workload that are needed.
    pub calls: usize,
    /// The steps of the protocol in the failure's causal past.
    pub steps: usize,
}

impl Size {
    /// The size of the run with these decisions.
    pub fn of(needed: &[Taken], steps: usize) -> Size {
        let (faults, calls) = faults_and_calls(needed);
        Size { faults, calls, steps }
    }

    /// Whether it can be read as it is.
    pub fn is_plain(self) -> bool {
        self.faults <= PLAIN_FAULTS && self.steps <= PLAIN_STEPS
    }

    /// Whether it is simpler than another: the fewer faults, calls and steps, the better, where a fault counts
    /// as several steps.
    pub fn is_simpler_than(self, other: Size) -> bool {
        self.weight() < other.weight()
    }

    fn weight(self) -> usize {
        STEPS_OF_A_FAULT * self.faults + self.calls + self.steps
    }
}
