//! Runs of short scenarios with no fault, with one, and with two.

use std::time::Duration;

use labraft::{Part, Test, Verdict};
use labrpc::RunSpec;

use super::elsewhere::{Looking, Stop};
use crate::search::faults::{Fault, faults_to_add, run_with};
use crate::workers::{Bounds, Child, Explore, Explored, Keep};

/// The seed of everything that is not a fault.
const SEED: u64 = 0;
/// Limits that no run of a short scenario comes near, if it is of any use.
const BOUNDS: Bounds = Bounds { virtual_time: Duration::from_secs(60), events: 100_000 };

/// A run of a short scenario with one fault, to which others can be added.
pub(super) struct Single {
    test: &'static Test,
    child: Child,
}

impl Looking<'_> {
    /// Makes the runs of all short scenarios with at most one fault. Returns those with one fault that pass.
    pub(super) fn look_at_short_scenarios(&mut self) -> Result<Vec<Single>, Stop> {
        let mut whole = Vec::new();
        for test in self.tests_of(Part::Search) {
            let spec = run_with(SEED, &[]);
            let answer = self.worlds.run(test, &spec, Keep::AllDecisions, Some(BOUNDS))?;
            let answer = answer.ok_or(Stop::Interrupted)?;
            self.count_short(1);
            if self.is_same(&answer.record) {
                self.offer_short(test, spec)?;
            } else if answer.record.verdict < Verdict::Failed {
                let faults = faults_to_add(&answer.decisions, &spec.overrides);
                whole.push((test, faults.map_or(0, |faults| faults.len() as u64)));
            }
        }
        let mut singles = Vec::new();
        for (test, runs) in whole {
            if self.is_enough() {
                break;
            }
            let explored = self.explore(test, &[], runs, true)?;
            singles.extend(explored.children.into_iter().map(|child| Single { test, child }));
        }
        Ok(singles)
    }

    /// Adds a second fault to runs with one, those with the likely causes of a bug first.
    pub(super) fn add_second_faults(&mut self, singles: &[Single]) -> Result<(), Stop> {
        let mut singles: Vec<&Single> = singles.iter().collect();
        // The sort is stable, so that the scenarios stay in their order.
        singles.sort_by_key(|single| single.child.fault.rank());
        for Single { test, child } in singles {
            self.explore(test, &[child.fault], child.faults_to_add, false)?;
            if self.is_enough() {
                break;
            }
        }
        Ok(())
    }

    /// Makes the runs that have one fault more than these, and offers the first that fails as the wanted one.
    fn explore(
        &mut self,
        test: &'static Test,
        faults: &[Fault],
        runs: u64,
        looks_ahead: bool,
    ) -> Result<Explored, Stop> {
        if !self.can_afford(runs) {
            return Err(Stop::Budget);
        }
        let spec = run_with(SEED, faults);
        let mut whole = Explored { next: Some(0), ..Explored::default() };
        while let Some(from) = whole.next {
            let plan = Explore { from, step: 1, looks_ahead };
            let explored = self.worlds.explore(test, &spec, plan, Some(BOUNDS))?;
            whole.add(explored.ok_or(Stop::Interrupted)?);
        }
        self.count_short(whole.runs);
        let failed = whole.failures.iter().find(|failed| self.is_same(&failed.record));
        if let Some(fault) = failed.and_then(|failed| failed.fault) {
            let all = faults.iter().chain([&fault]).copied().collect::<Vec<_>>();
            self.offer_short(test, RunSpec { ..run_with(SEED, &all) })?;
        }
        Ok(whole)
    }
}
