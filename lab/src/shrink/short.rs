//! Runs of short scenarios with no fault and with one.

use std::time::Duration;

use labraft::{Part, Test, Verdict};

use super::elsewhere::{Looking, Stop, parts};
use crate::search::faults::{Fault, faults_to_add, run_with};
use crate::workers::{Bounds, Explore, Explored, Keep, RunOptions};

/// The seed of everything that is not a fault.
const SEED: u64 = 0;
/// Limits that no run of a short scenario comes near, if it is of any use.
const BOUNDS: Bounds = Bounds { virtual_time: Duration::from_secs(60), events: 100_000 };
const OPTIONS: RunOptions = RunOptions { bounds: Some(BOUNDS), is_chaos: false };

impl Looking<'_> {
    /// Makes the runs of all short scenarios without faults, and then those with one fault.
    pub(super) fn look_at_short_scenarios(&mut self) -> Result<(), Stop> {
        let mut whole = Vec::new();
        for test in self.tests_of(Part::Search) {
            if !self.can_afford(parts(test)) {
                return Ok(());
            }
            let spec = run_with(SEED, &[]);
            let answer = self.worlds.run(test, &spec, Keep::AllDecisions, OPTIONS)?;
            let answer = answer.ok_or(Stop::Interrupted)?;
            self.count(1, parts(test));
            if self.is_same(&answer.record) {
                self.offer_short(test, spec)?;
            } else if answer.record.verdict < Verdict::Failed {
                let faults = faults_to_add(&answer.decisions, &spec.overrides);
                whole.push((test, faults.map_or(0, |faults| faults.len() as u64)));
            }
        }
        for (test, runs) in whole {
            if !self.is_enough() && self.can_afford(runs * parts(test)) {
                self.add_faults(test)?;
            }
        }
        Ok(())
    }

    /// Makes the runs that have one fault, and offers the first that fails as the wanted one.
    fn add_faults(&mut self, test: &'static Test) -> Result<(), Stop> {
        let mut whole = Explored { next: Some(0), ..Explored::default() };
        while let Some(from) = whole.next {
            // The first that fails may fail in another way.
            let plan = Explore { from, step: 1, looks_ahead: false, stops_at_failure: false };
            let explored = self.worlds.explore(test, &run_with(SEED, &[]), plan, OPTIONS)?;
            whole.add(explored.ok_or(Stop::Interrupted)?);
        }
        self.count(whole.runs, whole.runs * parts(test));
        let failed = whole.failures.iter().find(|failed| self.is_same(&failed.record));
        let fault: Option<Fault> = failed.and_then(|failed| failed.fault);
        match fault {
            Some(fault) => self.offer_short(test, run_with(SEED, &[fault])),
            None => Ok(()),
        }
    }
}
