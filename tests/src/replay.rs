//! `lab replay`: a run again, bit for bit, and whether it is the one that was recorded.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use labraft::records::{self, Record};
use labraft::report;
use labraft::workers::{Keep, Pair, Pool};
use labraft::{Test, Verdict, select};
use labrpc::RunSpec;

use crate::SUITE;
use crate::cli::{Commands, Ended, STOP, Stopped};

/// Runs to be made again.
pub(crate) struct Replay<'a> {
    /// A test, a record, or a file of records.
    pub(crate) what: String,
    pub(crate) seed: Option<u64>,
    pub(crate) log: bool,
    /// How many other seeds to run before, in the same process.
    pub(crate) earlier_runs: u64,
    pub(crate) commands: Commands<'a>,
    /// Where results are kept.
    pub(crate) out: PathBuf,
}

/// A run to be made again, and the record of an earlier one.
type Wanted = (&'static Test, u64, Option<Record>);

impl Replay<'_> {
    /// Runs it again: the worst verdict.
    pub(crate) fn run(self) -> Result<Ended, Stopped> {
        let mut worst = Verdict::Passed;
        for (test, seed, known) in self.wanted()? {
            match self.run_one((test, seed), known.as_ref())? {
                Some(verdict) => worst = worst.max(verdict),
                None => return Ok(Ended::Interrupted),
            }
        }
        Ok(Ended::Judged(worst))
    }

    /// Which runs, each with the record of an earlier one.
    fn wanted(&self) -> Result<Vec<Wanted>, Stopped> {
        let path = Path::new(&self.what);
        let records = if self.what.trim_start().starts_with('{') {
            let record = serde_json::from_str(&self.what).map_err(|error| {
                Stopped::Wrong(format!("what looks like a record is none: {error}"))
            })?;
            vec![record]
        } else if path.is_file() {
            records::read(path).map_err(|error| Stopped::Wrong(error.to_string()))?.all
        } else {
            let (test, seed) = (self.test(&self.what)?, self.seed);
            let seed = seed.ok_or_else(|| {
                Stopped::Wrong(format!("which run of {}? Give --seed S", test.name))
            })?;
            let (out, name) = (&self.out, self.commands.implementation.name);
            let profile = self.commands.profile();
            let known =
                records::latest(out, test.name, seed, name, profile).unwrap_or_else(|error| {
                    eprintln!("lab: what was found earlier is not known: {error}");
                    None
                });
            return Ok(vec![(test, seed, known)]);
        };
        // Of many, those that are worth looking at.
        let is_single = records.len() == 1;
        let is_wanted = |record: &Record| match self.seed {
            Some(seed) => record.seed == seed,
            None => is_single || record.verdict > Verdict::Missed,
        };
        let wanted: Vec<Record> = records.into_iter().filter(is_wanted).collect();
        if wanted.is_empty() {
            let what = match self.seed {
                Some(seed) => format!("no run with seed {seed}"),
                None => "nothing but runs that passed; choose one with --seed".into(),
            };
            return Err(Stopped::Wrong(format!("there is {what} in {}", self.what)));
        }
        let with_test = |record: Record| {
            let name = self.commands.implementation.name;
            if record.implementation != name {
                return Err(Stopped::Wrong(format!(
                    "the run was made with implementation {:?}; this one is {name:?} (see \
                     --implementation)",
                    record.implementation
                )));
            }
            let (ours, theirs) = (self.commands.profile().name(), record.profile.name());
            if ours != theirs {
                return Err(Stopped::Wrong(format!(
                    "the run was made with --profile {theirs}; give it here as well"
                )));
            }
            Ok((self.test(&record.test)?, record.seed, Some(record)))
        };
        wanted.into_iter().map(with_test).collect()
    }

    fn test(&self, pattern: &str) -> Result<&'static Test, Stopped> {
        match select(SUITE, pattern)?[..] {
            [test] => Ok(test),
            ref several => {
                let names: Vec<&str> = several.iter().map(|test| test.name).collect();
                Err(Stopped::Wrong(format!(
                    "{pattern:?} means {} tests, and one can be replayed: {}",
                    names.len(),
                    names.join(", ")
                )))
            }
        }
    }

    /// `None` when it was interrupted.
    fn run_one(
        &self,
        (test, seed): Pair,
        known: Option<&Record>,
    ) -> Result<Option<Verdict>, Stopped> {
        let pool = Pool::new(self.commands.settings(&self.out, true), &STOP);
        let mut runs = pool.runs();
        let mut run = |seed, keep| {
            let answer = runs.run(test, RunSpec::seed(seed), keep);
            answer.map_err(|error| Stopped::Broken(format!("a worker cannot be used: {error}")))
        };
        for earlier in 1..=self.earlier_runs {
            run(seed.wrapping_add(earlier), Keep::Result)?;
        }
        let keep = if self.log { Keep::Events } else { Keep::Result };
        let Some(answer) = run(seed, keep)? else { return Ok(None) };
        let mut out = io::BufWriter::new(io::stdout().lock());
        for event in &answer.events {
            writeln!(out, "{}", report::event_line(event))?;
        }
        let replay = self.commands.replay(test.name, seed);
        write!(out, "{}", report::course_words(test, &answer, &replay))?;
        writeln!(out, "{}", compare(&answer.record, known, &self.out))?;
        out.flush()?;
        Ok(Some(answer.record.verdict))
    }
}

/// Whether this is the run that was recorded.
fn compare(record: &Record, known: Option<&Record>, out: &Path) -> String {
    if record.fingerprint.is_empty() {
        return "the run did not come to an end, so it has no fingerprint".into();
    }
    let fingerprint = &record.fingerprint;
    let Some(known) = known else {
        let out = out.display();
        return format!("fingerprint {fingerprint}; no earlier run of this seed is kept in {out}");
    };
    let is_same_build = known.build == record.build;
    let earlier = &known.fingerprint;
    let verdict = match (earlier == fingerprint, is_same_build) {
        (true, true) => "the same run as recorded, bit for bit".to_string(),
        (true, false) => "the same run as recorded, though by another build".to_string(),
        (false, false) => {
            let commit = match known.build.commit.as_str() {
                "" => "another build",
                commit => &format!("another build ({commit})"),
            };
            format!("not the recorded run, {earlier}: {commit} made that one")
        }
        (false, true) => format!(
            "NOT the recorded run, {earlier}, though the same build made it: something in it is not \
             deterministic"
        ),
    };
    format!("fingerprint {fingerprint}: {verdict}")
}
