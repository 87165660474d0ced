//! Which run a person means: a test and a seed, a record, a file of records, or a repro file.

use std::path::{Path, PathBuf};

use crate::records::{self, Build, Problem, Record};
use crate::repro::Repro;
use clap::Args;
use labraft::{Profile, Test, Verdict, select};
use labrpc::RunSpec;

use crate::outcome::Stopped;
use crate::session::Commands;

/// What is said on the command line.
#[derive(Args, Clone)]
pub(crate) struct Which {
    /// The test: its name, or enough of it; or a repro file; or a record of a run, or a file of records,
    /// of which those that did not pass are meant.
    test: String,
    /// The seed.
    #[arg(long)]
    seed: Option<u64>,
}

/// A run that is meant.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) test: &'static Test,
    pub(crate) spec: RunSpec,
    pub(crate) profile: Profile,
    /// What is known of an earlier run of it.
    pub(crate) known: Option<Known>,
    /// The repro file that it comes from; then it must fail.
    pub(crate) repro: Option<PathBuf>,
}

/// What is known of an earlier run.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) fingerprint: String,
    pub(crate) build: Build,
    pub(crate) problem: Option<Problem>,
}

impl From<Record> for Known {
    fn from(record: Record) -> Known {
        let Record { fingerprint, build, problem, .. } = record;
        Known { fingerprint, build, problem }
    }
}

impl Which {
    /// As if this had been said on the command line.
    pub(crate) fn new(test: String, seed: Option<u64>) -> Which {
        Which { test, seed }
    }

    /// All runs that are meant. `out` is where results are kept.
    pub(crate) fn all(&self, commands: &Commands<'_>, out: &Path) -> Result<Vec<Wanted>, Stopped> {
        let path = Path::new(&self.test);
        if self.test.trim_start().starts_with('{') {
            let record = serde_json::from_str(&self.test).map_err(|error| {
                Stopped::Wrong(format!("what looks like a record is none: {error}"))
            })?;
            return self.of_records(vec![record], commands);
        }
        if path.is_file() {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Stopped::Wrong(format!("{} cannot be read: {error}", path.display()))
            })?;
            if Repro::is_one(&text) {
                let repro = Repro::parse(&text).map_err(|what| {
                    Stopped::Wrong(format!("{} is no repro file to replay: {what}", path.display()))
                })?;
                return Ok(vec![of_repro(repro, path, commands)?]);
            }
            let records = records::read(path).map_err(|error| Stopped::Wrong(error.to_string()))?;
            return self.of_records(records.all, commands);
        }
        if self.test.contains(['/', '\\']) || self.test.ends_with(".json") {
            return Err(Stopped::Wrong(format!("there is no file {}", path.display())));
        }
        let test = the_test(&self.test, commands)?;
        let seed = self
            .seed
            .ok_or_else(|| Stopped::Wrong(format!("which run of {}? Give --seed S", test.name)))?;
        let (name, profile) = (commands.implementation.name, commands.profile());
        let known = records::latest(out, test.name, seed, name, profile).unwrap_or_else(|error| {
            eprintln!("lab: what was found earlier is not known: {error}");
            None
        });
        let (spec, known) = (RunSpec::seed(seed), known.map(Known::from));
        Ok(vec![Wanted { test, spec, profile, known, repro: None }])
    }

    /// The one run that is meant.
    pub(crate) fn one(&self, commands: &Commands<'_>, out: &Path) -> Result<Wanted, Stopped> {
        let mut all = self.all(commands, out)?;
        match (all.pop(), all.len()) {
            (Some(wanted), 0) => Ok(wanted),
            (_, more) => Err(Stopped::Wrong(format!(
                "{} holds {} runs that did not pass; choose one with --seed",
                self.test,
                more + 1
            ))),
        }
    }

    fn of_records(
        &self,
        records: Vec<Record>,
        commands: &Commands<'_>,
    ) -> Result<Vec<Wanted>, Stopped> {
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
            return Err(Stopped::Wrong(format!("there is {what} in {}", self.test)));
        }
        let with_test = |record: Record| {
            check_implementation(&record.implementation, commands)?;
            let (test, spec) = (the_test(&record.test, commands)?, RunSpec::seed(record.seed));
            let profile = record.profile;
            Ok(Wanted { test, spec, profile, known: Some(record.into()), repro: None })
        };
        wanted.into_iter().map(with_test).collect()
    }
}

fn of_repro(repro: Repro, path: &Path, commands: &Commands<'_>) -> Result<Wanted, Stopped> {
    check_implementation(&repro.implementation, commands)?;
    let Repro { test, spec, profile, failure, fingerprint, build, .. } = repro;
    let known = Known { fingerprint, build, problem: Some(failure) };
    let (test, repro) = (the_test(&test, commands)?, Some(path.into()));
    Ok(Wanted { test, spec, profile, known: Some(known), repro })
}

fn check_implementation(theirs: &str, commands: &Commands<'_>) -> Result<(), Stopped> {
    let ours = commands.implementation.name;
    match theirs == ours {
        true => Ok(()),
        false => Err(Stopped::Wrong(format!(
            "the run was made with implementation {theirs:?}; this one is {ours:?} (see \
             --implementation)"
        ))),
    }
}

fn the_test(pattern: &str, commands: &Commands<'_>) -> Result<&'static Test, Stopped> {
    match select(commands.suite(), pattern)?[..] {
        [test] => Ok(test),
        ref several => {
            let names: Vec<&str> = several.iter().map(|test| test.name).collect();
            Err(Stopped::Wrong(format!(
                "{pattern:?} means {} tests, and one can be run again: {}",
                names.len(),
                names.join(", ")
            )))
        }
    }
}
