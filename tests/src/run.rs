//! `lab run`: tests under seeds, what is kept of each run, and what is said of each test.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;

use labraft::records::{self, Record};
use labraft::{Failure, RunReport, Test, Verdict, report, sweep};

use crate::cli::{Commands, Stopped};
use crate::self_check::{self, OtherProcess};

/// Tests, each under the same seeds.
pub(crate) struct Sweep<'a> {
    pub(crate) tests: Vec<&'static Test>,
    pub(crate) seeds: Range<u64>,
    pub(crate) commands: Commands<'a>,
    pub(crate) jobs: usize,
    /// Where results are kept.
    pub(crate) out: &'a Path,
    pub(crate) check_determinism: bool,
    pub(crate) last_seed_first: bool,
}

impl Sweep<'_> {
    /// Runs it all and prints as it goes: the worst verdict. A run that is not the same each time has
    /// failed.
    pub(crate) fn run(self) -> Result<Verdict, Stopped> {
        let cannot_keep = |error: io::Error| {
            let out = self.out.display();
            Stopped::Wrong(format!("results cannot be kept in {out}: {error}; see --out"))
        };
        let mut results = records::Writer::open(self.out).map_err(cannot_keep)?;
        let build = records::build_id();
        let (mut worst, mut runs, mut differing) = (Verdict::Passed, 0, 0);
        for &test in &self.tests {
            let tally = self.sweep(test, &mut results, &build).map_err(cannot_keep)?;
            let differences = self
                .compare(test, &tally)
                .map_err(|error| Stopped::Wrong(format!("runs cannot be compared: {error}")))?;
            worst = worst.max(tally.worst());
            if !differences.is_empty() {
                worst = Verdict::Failed;
            }
            runs += tally.fingerprints.len();
            differing += differences.len();
            self.print(test, tally)?;
            if let Some(first) = differences.first() {
                let mut text = self.other_process().explain(first)?;
                if differences.len() > 1 {
                    text += &format!("    and {} more seeds like it\n", differences.len() - 1);
                }
                write!(io::stdout(), "{text}")?;
            }
        }
        if self.check_determinism {
            let same = runs - differing;
            writeln!(io::stdout(), "{same} of {runs} runs were the same in a second process")?;
        }
        Ok(worst)
    }

    fn sweep(
        &self,
        test: &'static Test,
        results: &mut records::Writer,
        build: &str,
    ) -> io::Result<Tally> {
        let seeds: Box<dyn Iterator<Item = u64> + Send> = match self.last_seed_first {
            false => Box::new(self.seeds.clone()),
            true => Box::new(self.seeds.clone().rev()),
        };
        let implementation = self.commands.implementation;
        let mut tally = Tally::default();
        let mut kept = Ok(());
        sweep(test, seeds, implementation, self.jobs, |report| {
            if kept.is_ok() {
                kept = results.add(&Record::new(&report, implementation.name, build));
            }
            tally.add(report, self.check_determinism);
        });
        kept.map(|()| tally)
    }

    /// Runs again: all seeds in another process if that is asked for, else those that failed.
    fn compare(
        &self,
        test: &'static Test,
        tally: &Tally,
    ) -> io::Result<Vec<self_check::Difference>> {
        if self.check_determinism {
            self.other_process().compare(test, &self.seeds, self.jobs, &tally.fingerprints)
        } else {
            let implementation = self.commands.implementation;
            Ok(self_check::run_again(test, implementation, self.jobs, &tally.fingerprints))
        }
    }

    fn other_process(&self) -> OtherProcess {
        OtherProcess::new(self.commands.implementation)
    }

    fn print(&self, test: &'static Test, mut tally: Tally) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let is_single = self.seeds.end - self.seeds.start == 1;
        if is_single && let Some(report) = &tally.last {
            let replay = self.commands.replay(test, report.spec.seed);
            return write!(out, "{}", report::course_words(report, &replay));
        }
        // Reports come in the order in which runs end.
        tally.failures.sort_by_key(|failure| failure.0);
        let (failed, unknown): (Vec<_>, Vec<_>) =
            tally.failures.iter().partition(|(_, failure)| failure.verdict() == Verdict::Failed);
        let seeds = |of: &[&(u64, Failure)]| of.iter().map(|(seed, _)| *seed).collect::<Vec<_>>();
        let (width, passed) = (report::name_width(&self.tests), tally.passed);
        let line = report::sweep_line(test, width, passed, &seeds(&failed), &seeds(&unknown));
        writeln!(out, "{line}")?;
        if let Some((seed, failure)) = failed.first().or(unknown.first()) {
            let replay = self.commands.replay(test, *seed);
            write!(out, "{}", report::failed(test, *seed, failure, &replay))?;
        }
        Ok(())
    }
}

/// The results of one test's seeds.
#[derive(Default)]
struct Tally {
    passed: usize,
    /// Of the runs that failed, and of those that are unknown.
    failures: Vec<(u64, Failure)>,
    /// Of the runs that are to be compared with others of the same seed.
    fingerprints: BTreeMap<u64, u64>,
    last: Option<RunReport>,
}

impl Tally {
    fn worst(&self) -> Verdict {
        let verdicts = self.failures.iter().map(|(_, failure)| failure.verdict());
        verdicts.max().unwrap_or(Verdict::Passed)
    }

    fn add(&mut self, report: RunReport, compare_all: bool) {
        let seed = report.spec.seed;
        if compare_all || report.result.is_err() {
            self.fingerprints.insert(seed, report.fingerprint);
        }
        match &report.result {
            Ok(()) => self.passed += 1,
            Err(failure) => self.failures.push((seed, failure.clone())),
        }
        self.last = Some(report);
    }
}
