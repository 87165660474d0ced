//! Repeats the first run of each test that passes, in the middle of a sweep.
//!
//! A Raft whose runs cannot be repeated may pass every time, and nobody would know before one of its
//! runs fails and cannot be replayed. So one run of each test is made twice, and a difference is
//! said as soon as it is found. [`self_check`](crate::self_check) repeats the runs that failed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use labraft::{Test, Verdict};

use crate::outcome::CommandError;
use crate::outputs::Outputs;
use crate::records::RunRecord;
use crate::self_check::{Difference, OtherProcess, cannot_compare, difference, run_again};
use crate::session::Session;
use crate::workers::{Pair, Pool};

/// The repetitions of a sweep.
pub(crate) struct Repetitions<'a> {
    session: &'a Session<'a>,
    outputs: &'a Outputs,
    tests: &'a [&'static Test],
    wanted: Wanted,
    /// The first run of each test that passed, by the test's name.
    first: BTreeMap<&'static str, RunRecord>,
    /// Whether all were the same so far, or why that could not be said.
    are_same: Result<bool, CommandError>,
}

/// The runs that are to be made again. Workers take them before any other run.
#[derive(Clone, Default)]
struct Wanted(Arc<Mutex<VecDeque<Pair>>>);

impl Wanted {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Pair>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a result is.
pub(crate) enum Taken {
    /// That of one of the sweep's own runs.
    Run,
    /// That of a repetition, and how it differs from the first time, if it does.
    Repetition(Option<Difference>),
}

impl<'a> Repetitions<'a> {
    /// Repeats one run of each of these tests.
    pub(crate) fn new(
        session: &'a Session<'a>,
        outputs: &'a Outputs,
        tests: &'a [&'static Test],
    ) -> Repetitions<'a> {
        let (wanted, first) = (Wanted::default(), BTreeMap::new());
        Repetitions { session, outputs, tests, wanted, first, are_same: Ok(true) }
    }

    /// These runs, and among them the repetitions, each as soon as it is wanted.
    pub(crate) fn among<Runs>(
        &self,
        mut runs: Runs,
    ) -> impl Iterator<Item = Pair> + Send + use<Runs>
    where
        Runs: Iterator<Item = Pair> + Send,
    {
        let wanted = self.wanted.clone();
        std::iter::from_fn(move || {
            let repetition = wanted.lock().pop_front();
            repetition.or_else(|| runs.next())
        })
    }

    /// Takes a result. If it is the first of its test to pass, its run will be repeated.
    pub(crate) fn take(&mut self, record: &RunRecord) -> Taken {
        let test = self.tests.iter().find(|test| test.name == record.test);
        let Some(test) = test else { return Taken::Run };
        match self.first.get(test.name) {
            // A sweep makes each run once, so this is the second time.
            Some(first) if first.seed == record.seed => Taken::Repetition(compare(first, record)),
            None if record.verdict <= Verdict::Missed => {
                self.first.insert(test.name, record.clone());
                self.wanted.lock().push_back((test, record.seed));
                Taken::Run
            }
            _ => Taken::Run,
        }
    }

    /// Makes the repetitions that were wanted when no worker was left to make them. Returns whether
    /// all repetitions were the same as the first time.
    pub(crate) fn end(mut self, pool: &Pool<'_>, jobs: usize) -> Result<bool, CommandError> {
        let wanted = std::mem::take(&mut *self.wanted.lock());
        let left = wanted.iter().filter_map(|(test, _)| self.first.get(test.name));
        let left: Vec<&RunRecord> = left.collect();
        let found = run_again(pool, self.session.suite(), jobs, &left).map_err(cannot_compare)?;
        for difference in &found {
            self.tell(difference);
        }
        self.are_same
    }

    /// Prints a difference, with the first event that differs.
    pub(crate) fn tell(&mut self, difference: &Difference) {
        let told = OtherProcess::new(self.session).explain(difference).map_err(cannot_compare);
        let told = told.and_then(|text| self.outputs.say(&text));
        if self.are_same.is_ok() {
            self.are_same = told.map(|()| false);
        }
    }
}

/// How a repetition differs from the first time. One that did not end is not compared: the code under
/// test need not be what ended it.
fn compare(first: &RunRecord, again: &RunRecord) -> Option<Difference> {
    if again.fingerprint.is_empty() {
        return None;
    }
    let key = (first.test.clone(), first.seed);
    difference(key, &first.fingerprint, again.fingerprint.clone())
}
