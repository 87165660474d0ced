//! The single faults of a search: where one can be put into a run, and which sets of them there are.
//!
//! A *place* is a decision that a run has made, and a *fault* is another value for it. A set of faults is
//! *possible* if each of them comes up in the run that has them all. Each possible set is found once, in
//! one way:
//!
//! - The faults of a possible set come up in an order, that of the run that has them all. The run without
//!   the last one is the same up to where that would come up, because it is determined by the same
//!   decisions. So it makes that decision too, after all the others of the set: the smaller set is
//!   possible, and the larger one is found by adding to it a fault at a place behind its last fault.
//! - There is no second way, because only the last fault of a set can be the one that was added.
//!
//! That holds only if whether a fault can be put at a place depends on nothing but the run up to there.
//! Faults without effect are not left out: that a run goes on as if nothing had happened does not mean
//! that it would do so with one more fault.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use labrpc::{Address, Kind, RunSpec, Taken};
use serde::{Deserialize, Serialize};

/// Longer than what others send at once takes, but less than the time between two heartbeats.
const AT_ONCE_MS: u64 = 50;
/// Longer than it takes to send again what a message said: about two heartbeats.
const SOON_MS: u64 = 250;
/// Longer than an election takes, with its time-out.
const LATER_MS: u64 = 1000;
/// Makes the time-out of one server a later one than those of the others.
const TIMER_LATE_MS: u64 = 400;
/// Timers that one task sets more often than this count as one: a Raft that looks at its clock every ten
/// milliseconds has no more places for late timers than one that sleeps until its time-out.
const TIMERS_APART: Duration = Duration::from_millis(50);

/// The kinds of faults and the values that each has, the likely causes of a bug first.
const FAULTS: [(Kind, &[u64]); 8] = [
    (Kind::RequestDrop, &[1]),
    (Kind::ReplyDrop, &[1]),
    (Kind::ReplyHold, &[AT_ONCE_MS, SOON_MS, LATER_MS]),
    (Kind::RequestHold, &[AT_ONCE_MS, SOON_MS, LATER_MS]),
    (Kind::CrashAfterPoll, &[1]),
    (Kind::CrashAtSave, &[1]),
    (Kind::RequestCopy, &[SOON_MS, LATER_MS]),
    (Kind::TimerHold, &[TIMER_LATE_MS]),
];

/// A decision with a value that is a fault.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fault {
    /// Which decision.
    pub address: Address,
    /// Its value, in place of the neutral one.
    pub value: u64,
}

impl Fault {
    /// The place of its kind among all kinds, the likely causes of a bug first.
    pub fn rank(&self) -> usize {
        FAULTS.iter().position(|(kind, _)| *kind == self.address.kind).unwrap_or(FAULTS.len())
    }
}

/// The run in which these faults happen, and no others.
pub fn run_with(seed: u64, faults: &[Fault]) -> RunSpec {
    RunSpec::searched(seed, faults.iter().map(|fault| (fault.address, fault.value)).collect())
}

/// The faults that can be added to a run which has the faults `present`, in the order in which they come
/// up. `decisions` are all of its decisions. `None` if one of its own faults did not come up, so that it is
/// not the run that it should be.
pub fn faults_to_add(decisions: &[Taken], present: &BTreeMap<Address, u64>) -> Option<Vec<Fault>> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut timers = BTreeMap::new();
    let mut to_come = present.len();
    for &Taken { at, address, .. } in decisions {
        let Some((_, values)) = FAULTS.iter().find(|(kind, _)| *kind == address.kind) else {
            continue;
        };
        // What is decided again at the same address, such as the reply to a copy, is the same fault.
        if !seen.insert(address) {
            continue;
        }
        if address.kind == Kind::TimerHold && !is_apart(&mut timers, address, at) {
            continue;
        }
        if present.contains_key(&address) {
            to_come -= 1;
        } else if to_come == 0 {
            found.extend(values.iter().map(|&value| Fault { address, value }));
        }
    }
    (to_come == 0).then_some(found)
}

/// Whether a task has set no timer that counts for some time. If so, this one counts.
fn is_apart(last: &mut BTreeMap<(u32, u32), Duration>, timer: Address, now: Duration) -> bool {
    let task = (timer.from, timer.to);
    let is_apart = last.get(&task).is_none_or(|&last| now - last >= TIMERS_APART);
    if is_apart {
        last.insert(task, now);
    }
    is_apart
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(kind: Kind, n: u64, ms: u64) -> Taken {
        let address = Address { kind, from: 0, to: 1, n };
        Taken { at: Duration::from_millis(ms), address, value: 0, bound: 1000, in_turn: false }
    }

    #[test]
    fn faults_are_added_only_behind_the_last_one_and_once_at_each_address() {
        let decisions = [
            taken(Kind::RequestDrop, 0, 1),
            taken(Kind::Order, 0, 1),
            taken(Kind::ReplyHold, 0, 2),
            taken(Kind::RequestDrop, 1, 3),
            taken(Kind::ReplyHold, 0, 4),
        ];
        let count = |present: &[(usize, u64)]| {
            let present = present.iter().map(|&(i, value)| (decisions[i].address, value));
            faults_to_add(&decisions, &present.collect()).map(|faults| faults.len())
        };
        assert_eq!(count(&[]), Some(1 + 3 + 1));
        assert_eq!(count(&[(0, 1)]), Some(3 + 1));
        assert_eq!(count(&[(2, 50)]), Some(1));
        assert_eq!(count(&[(0, 1), (3, 1)]), Some(0), "the second reply is at a known address");
        let other = taken(Kind::RequestDrop, 9, 0).address;
        assert_eq!(faults_to_add(&decisions, &BTreeMap::from([(other, 1)])), None);
    }

    #[test]
    fn timers_that_a_task_sets_in_quick_succession_are_one_place() {
        let ticks: Vec<Taken> = (0..20).map(|n| taken(Kind::TimerHold, n, 10 * n)).collect();
        let found = faults_to_add(&ticks, &BTreeMap::new()).unwrap();
        let places: Vec<u64> = found.iter().map(|fault| fault.address.n).collect();
        assert_eq!(places, [0, 5, 10, 15]);
    }
}
