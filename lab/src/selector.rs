//! Finds the run that a command refers to: by test and seed, record, file of records, or repro file.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::conditions::Conditions;
use crate::failure_record::FailureRecord;
use crate::recording;
use crate::records::{self, Build, RunRecord};
use crate::repro::Repro;
use crate::shrink::Effort;
use clap::Args;
use labraft::{Test, Verdict, select, world_named};
use labrpc::RunSpec;

use crate::offered;
use crate::outcome::CommandError;
use crate::session::Session;

/// The arguments that select runs.
#[derive(Args, Clone)]
pub(crate) struct Selector {
    /// A test's name, or enough of it to be unique; a repro file; a file written by `--save`; a record of
    /// a run; or a file of records, which selects those that did not pass.
    test: String,
    /// The seed.
    #[arg(long)]
    seed: Option<u64>,
}

/// A selected run.
#[derive(Clone)]
pub(crate) struct Selection {
    pub(crate) test: &'static Test,
    pub(crate) spec: RunSpec,
    pub(crate) conditions: Conditions,
    /// The result of an earlier run of it, if one is known.
    pub(crate) known: Option<PreviousRun>,
    /// The repro file or the recording that it comes from. It says whether the run is expected to fail.
    pub(crate) repro: Option<PathBuf>,
}

/// The result of an earlier run.
#[derive(Clone)]
pub(crate) struct PreviousRun {
    pub(crate) fingerprint: String,
    pub(crate) build: Build,
    pub(crate) failure: Option<FailureRecord>,
    /// The search that found it, if it was shrunk.
    pub(crate) shrunk: Option<Effort>,
}

impl From<RunRecord> for PreviousRun {
    fn from(record: RunRecord) -> PreviousRun {
        let RunRecord { fingerprint, build, failure, .. } = record;
        PreviousRun { fingerprint, build, failure, shrunk: None }
    }
}

impl Selector {
    /// The selector for these arguments.
    pub(crate) fn new(test: String, seed: Option<u64>) -> Selector {
        Selector { test, seed }
    }

    /// All selected runs. `out` is the results directory.
    pub(crate) fn all(
        &self,
        session: &Session<'_>,
        out: &Path,
    ) -> Result<Vec<Selection>, CommandError> {
        let path = Path::new(&self.test);
        if self.test.trim_start().starts_with('{') {
            let record = records::parse_line(&self.test).map_err(|error| {
                CommandError::Usage(format!(
                    "TEST looks like a line of results, but it cannot be used: {error}"
                ))
            })?;
            return self.of_records(vec![record], session);
        }
        if path.is_file() {
            let cannot_read =
                |error| CommandError::Usage(format!("{} cannot be read: {error}", path.display()));
            if recording::is_one(path) {
                let (spec, answer) = recording::load(path)
                    .map_err(|error| CommandError::Usage(error.to_string()))?;
                let selection = of_record(answer.record, session)?;
                return Ok(vec![Selection { spec, repro: Some(path.into()), ..selection }]);
            }
            // A file of results may be long. It is read line by line.
            if Repro::is_one(&beginning(path).map_err(cannot_read)?) {
                let text = std::fs::read_to_string(path).map_err(cannot_read)?;
                let repro = Repro::parse(&text).map_err(|what| {
                    CommandError::Usage(format!(
                        "{} is not a repro file that can be replayed: {what}",
                        path.display()
                    ))
                })?;
                return Ok(vec![of_repro(repro, path, session)?]);
            }
            let records =
                records::read(path).map_err(|error| CommandError::Usage(error.to_string()))?;
            return self.of_records(records.all, session);
        }
        if self.test.contains(['/', '\\']) || self.test.ends_with(".json") {
            return Err(CommandError::Usage(format!("no such file: {}", path.display())));
        }
        let test = the_test(&self.test, session)?;
        let seed = self.seed.ok_or_else(|| {
            CommandError::Usage(format!("which run of {}? Give --seed S", test.name))
        })?;
        let name = session.implementation.name;
        let conditions = session.conditions();
        let known = records::latest(out, test.name, seed, name, conditions);
        let known = known.unwrap_or_else(|error| {
            eprintln!("lab: cannot read earlier results: {error}");
            None
        });
        let (spec, known) = (RunSpec::seed(seed), known.map(PreviousRun::from));
        Ok(vec![Selection { test, spec, conditions, known, repro: None }])
    }

    /// The selected run, which must be the only one.
    pub(crate) fn one(&self, session: &Session<'_>, out: &Path) -> Result<Selection, CommandError> {
        let mut all = self.all(session, out)?;
        match (all.pop(), all.len()) {
            (Some(wanted), 0) => Ok(wanted),
            (_, more) => Err(CommandError::Usage(format!(
                "{} contains {} runs that did not pass; choose one with --seed",
                self.test,
                more + 1
            ))),
        }
    }

    fn of_records(
        &self,
        records: Vec<RunRecord>,
        session: &Session<'_>,
    ) -> Result<Vec<Selection>, CommandError> {
        // In a file of many records, only runs that did not pass are of interest.
        let is_single = records.len() == 1;
        let is_wanted = |record: &RunRecord| match self.seed {
            Some(seed) => record.seed == seed,
            None => is_single || record.verdict > Verdict::Missed,
        };
        let wanted: Vec<RunRecord> = records.into_iter().filter(is_wanted).collect();
        if wanted.is_empty() {
            let file = &self.test;
            return Err(CommandError::Usage(match self.seed {
                Some(seed) => format!("{file} contains no run with seed {seed}"),
                None => format!("all runs in {file} passed; choose one with --seed"),
            }));
        }
        wanted.into_iter().map(|record| of_record(record, session)).collect()
    }
}

/// The run of a record.
///
/// # Errors
/// If its test is not there, or it was made with another implementation.
fn of_record(record: RunRecord, session: &Session<'_>) -> Result<Selection, CommandError> {
    check_implementation(&record.implementation, session)?;
    let test = the_test(&record.test, session)?;
    let spec = RunSpec::seed(record.seed);
    let conditions = record.conditions();
    Ok(Selection { test, spec, conditions, known: Some(record.into()), repro: None })
}

/// The first bytes of a file, as text.
fn beginning(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(1024).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn of_repro(
    repro: Repro<Option<FailureRecord>>,
    path: &Path,
    session: &Session<'_>,
) -> Result<Selection, CommandError> {
    check_implementation(&repro.implementation, session)?;
    let Repro { test, spec, profile, without, failure, fingerprint, build, shrunk, .. } = repro;
    let known = PreviousRun { fingerprint, build, failure, shrunk };
    let test = the_test(&test, session)?;
    let repro = Some(path.into());
    let conditions = Conditions { profile, without };
    Ok(Selection { test, spec, conditions, known: Some(known), repro })
}

fn check_implementation(theirs: &str, session: &Session<'_>) -> Result<(), CommandError> {
    let ours = session.implementation.name;
    match theirs == ours {
        true => Ok(()),
        false => Err(CommandError::Usage(format!(
            "the run was made with implementation {theirs:?}; this one is {ours:?} (see \
             --implementation)"
        ))),
    }
}

fn the_test(pattern: &str, session: &Session<'_>) -> Result<&'static Test, CommandError> {
    if let Some(world) = world_named(pattern) {
        return Ok(world);
    }
    match select(session.suite(), pattern)?[..] {
        [test] => {
            offered::check(session.program, test, &session.implementation)?;
            Ok(test)
        }
        ref several => {
            let names: Vec<&str> = several.iter().map(|test| test.name).collect();
            Err(CommandError::Usage(format!(
                "{pattern:?} matches {} tests; name exactly one: {}",
                names.len(),
                names.join(", ")
            )))
        }
    }
}
