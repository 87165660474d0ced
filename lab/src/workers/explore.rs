//! Makes the runs of a search that add one fault to a given run: many runs for one job, because a
//! run takes less time than its job and answer do.

use std::io;

use labraft::Verdict;
use labrpc::{RunSpec, Taken};
use serde::{Deserialize, Serialize};

use crate::records::RunRecord;
use crate::search::faults::{Fault, faults_to_add};

/// Which of these runs to make. They are numbered from 0, in the order in which their faults come up.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Explore {
    /// The first one.
    pub from: usize,
    /// How many further each next one is.
    pub step: usize,
    /// Whether to find out how many faults can be added to each of them in turn.
    pub looks_ahead: bool,
    /// Whether the first one that fails is the last one to make.
    #[serde(default)]
    pub stops_at_failure: bool,
}

/// What came of the runs that have one fault more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Explored {
    /// The first run that there was no time for.
    pub next: Option<usize>,
    /// How many runs were made.
    pub runs: u64,
    /// How many of them have no verdict.
    pub unknown: u64,
    /// The runs that did not fail, if the job looks ahead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Child>,
    /// The first run that failed for each cause.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<FailedRun>,
}

/// A run with one fault more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Child {
    /// Its number.
    pub number: usize,
    /// The fault.
    pub fault: Fault,
    /// How many faults can be added to it.
    pub faults_to_add: u64,
}

/// A run with one fault more that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailedRun {
    /// Its number.
    pub number: usize,
    /// The fault that was added; `None` if the run without it fails, which it did not before.
    pub fault: Option<Fault>,
    /// Its result.
    pub record: RunRecord,
    /// How many runs failed in this way.
    pub count: u64,
}

/// The result of a run, and all of its decisions if they were asked for.
pub(super) type Made = (RunRecord, Vec<Taken>);

/// Makes runs with one fault more than the run of `spec`, until there are no more or `is_over` says so.
/// Returns the result of the run of `spec`, and what came of the others; `None` if it was interrupted.
///
/// `make` makes a run, and keeps all of its decisions if it is told to.
///
/// # Errors
/// If `make` fails.
pub(super) fn explore(
    spec: &RunSpec,
    plan: Explore,
    make: &mut dyn FnMut(&RunSpec, bool) -> io::Result<Option<Made>>,
    is_over: &mut dyn FnMut() -> bool,
) -> io::Result<Option<(RunRecord, Explored)>> {
    let Some((record, decisions)) = make(spec, true)? else { return Ok(None) };
    let mut explored = Explored::default();
    let faults = match faults_to_add(&decisions, &spec.overrides) {
        Some(faults) if record.verdict < Verdict::Failed => faults,
        _ => {
            explored.add_failure(0, None, &record);
            return Ok(Some((record, explored)));
        }
    };
    let mut number = plan.from;
    while let Some(&fault) = faults.get(number) {
        if explored.runs > 0 && is_over() {
            explored.next = Some(number);
            break;
        }
        let mut spec = spec.clone();
        spec.overrides.insert(fault.address, fault.value);
        let Some((record, decisions)) = make(&spec, plan.looks_ahead)? else { return Ok(None) };
        explored.runs += 1;
        explored.unknown += u64::from(record.verdict == Verdict::Unknown);
        if record.verdict >= Verdict::Failed {
            explored.add_failure(number, Some(fault), &record);
            if plan.stops_at_failure {
                break;
            }
        } else if plan.looks_ahead {
            let more = faults_to_add(&decisions, &spec.overrides);
            let faults_to_add = more.map_or(0, |more| more.len() as u64);
            explored.children.push(Child { number, fault, faults_to_add });
        }
        number += plan.step;
    }
    Ok(Some((record, explored)))
}

impl Explored {
    fn add_failure(&mut self, number: usize, fault: Option<Fault>, record: &RunRecord) {
        self.add_failed(FailedRun { number, fault, record: record.clone(), count: 1 });
    }

    fn add_failed(&mut self, failed: FailedRun) {
        let is_same = |known: &&mut FailedRun| known.has_cause_of(&failed);
        match self.failures.iter_mut().find(is_same) {
            Some(known) => known.count += failed.count,
            None => self.failures.push(failed),
        }
    }

    /// Adds what came of further runs of the same job.
    pub fn add(&mut self, more: Explored) {
        let Explored { next, runs, unknown, children, failures } = more;
        self.next = next;
        self.runs += runs;
        self.unknown += unknown;
        self.children.extend(children);
        failures.into_iter().for_each(|failed| self.add_failed(failed));
    }
}

impl FailedRun {
    /// Whether both failed in the same way.
    pub fn has_cause_of(&self, other: &FailedRun) -> bool {
        let (ours, theirs) = (&self.record, &other.record);
        ours.verdict == theirs.verdict
            && match (&ours.failure, &theirs.failure) {
                (Some(ours), Some(theirs)) => ours.is_same(theirs),
                (ours, theirs) => ours.is_none() && theirs.is_none(),
            }
    }
}
