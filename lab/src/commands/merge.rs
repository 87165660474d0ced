//! `lab merge`: merges the results of several machines, if they belong to one sweep and are complete.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::records::{self, RunRecord};
use crate::report::Summary;
use clap::Args;
use labraft::Test;

use crate::outcome::{CommandError, Outcome};
use crate::outputs::{OutputArgs, Outputs};
use crate::seeds::Seeds;
use crate::session::{Program, replay_command};

/// The maximum number of missing or duplicate runs that an error names.
const NAMED: usize = 10;

#[derive(Args)]
pub(crate) struct MergeArgs {
    /// The results directories of all shares.
    #[arg(required = true, value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// The seeds that must be present for every test [default: every seed found for any test].
    #[arg(long, value_name = "N|A..B|@FILE")]
    seeds: Option<Seeds>,
    /// The tests that must be present [default: those found in the results].
    #[arg(long = "test", value_name = "PATTERN")]
    patterns: Vec<String>,
    /// The directory for the merged results.
    #[arg(long, value_name = "DIR", default_value = "target/lab-merged")]
    out: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

impl MergeArgs {
    /// Merges the results and reports on them.
    pub(crate) fn run(self, program: &Program<'_>) -> Result<Outcome, CommandError> {
        let tests = match &self.patterns[..] {
            [] => None,
            patterns => Some(program.chosen(patterns)?),
        };
        let merge = Merge {
            suite: program.suite,
            directories: self.directories,
            seeds: self.seeds,
            tests,
            out: self.out,
            outputs: self.output.outputs(program.suite, String::new()),
        };
        merge.run(program)
    }
}

/// Results to be merged, and what they must contain.
struct Merge {
    suite: &'static [Test],
    directories: Vec<PathBuf>,
    /// The seeds that must be present for every test; if `None`, every seed found for any test.
    seeds: Option<Seeds>,
    /// The tests that must be present; if none are given, those found in the results.
    tests: Option<Vec<&'static Test>>,
    /// Where the whole is written.
    out: PathBuf,
    outputs: Outputs,
}

impl Merge {
    /// Reads, checks, writes and reports the results, and returns the worst verdict. `is_default`
    /// says whether printed commands can leave out an implementation's name.
    fn run(self, program: &Program<'_>) -> Result<Outcome, CommandError> {
        let mut runs: BTreeMap<(usize, u64), (RunRecord, usize)> = BTreeMap::new();
        let mut first: Option<(RunRecord, usize)> = None;
        let mut double = Vec::new();
        for (from, directory) in self.directories.iter().enumerate() {
            let path = records::path(directory);
            let records = records::read(&path)
                .map_err(|error| CommandError::Usage(format!("{}: {error}", path.display())))?;
            if records.torn.is_some() {
                return Err(CommandError::Usage(format!(
                    "the last result in {} is incomplete because its run was killed; \
                     run the share again with --resume",
                    path.display()
                )));
            }
            for record in records.all {
                let (one, one_from) = first.get_or_insert_with(|| (record.clone(), from));
                if let Some(what) = foreign(one, &record) {
                    let (a, b) = (self.directories[*one_from].display(), directory.display());
                    return Err(CommandError::Usage(format!(
                        "cannot merge results of different sweeps: {a} and {b} differ in \
                         {what}"
                    )));
                }
                let place = self.suite.iter().position(|test| test.name == record.test);
                let place = place.ok_or_else(|| {
                    CommandError::Usage(format!(
                        "{}: no test matches {:?}",
                        path.display(),
                        record.test
                    ))
                })?;
                let key = (place, record.seed);
                if let Some((_, earlier)) = runs.get(&key) {
                    let (a, b) = (self.directories[*earlier].display(), directory.display());
                    double.push(format!("{} seed {} ({a} and {b})", record.test, record.seed));
                    continue;
                }
                runs.insert(key, (record, from));
            }
        }
        let missing = self.missing(&runs);
        let named = |what: &str, all: &[String]| match all {
            [] => None,
            all => {
                let shown = all[..all.len().min(NAMED)].join(", ");
                let more = all.len().saturating_sub(NAMED);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let runs = if all.len() == 1 { "run is" } else { "runs are" };
                Some(format!("{} {runs} {what}: {shown}{more}", all.len()))
            }
        };
        let wrong: Vec<String> = [named("missing", &missing), named("duplicated", &double)]
            .into_iter()
            .flatten()
            .collect();
        if !wrong.is_empty() {
            return Err(CommandError::Usage(wrong.join("; ")));
        }
        if runs.is_empty() {
            return Err(CommandError::Usage("there are no results".into()));
        }

        let cannot_keep = |error| {
            CommandError::Internal(format!(
                "cannot write the merged results to {}: {error}",
                self.out.display()
            ))
        };
        let mut writer = records::Writer::begin(&self.out).map_err(cannot_keep)?;
        let mut summary = Summary::default();
        for (record, _) in runs.values() {
            writer.add(record).map_err(cannot_keep)?;
            summary.add(record);
        }
        self.outputs.write(&summary, true, |record| {
            let named = program.named(&record.implementation);
            replay_command(&record.test, record.seed, named, record.conditions())
        })?;
        let count = runs.len();
        let (from, out) = (self.directories.len(), self.out.display());
        self.outputs.say(&format!("merged {count} runs from {from} directories into {out}\n"))?;
        if self.seeds.is_none() || self.tests.is_none() {
            let tests: BTreeSet<usize> = runs.keys().map(|key| key.0).collect();
            let seeds: BTreeSet<u64> = runs.keys().map(|key| key.1).collect();
            self.outputs.say(&format!(
                "assuming that {} tests and {} seeds are the whole sweep (see --test, --seeds)\n",
                tests.len(),
                seeds.len()
            ))?;
        }
        Ok(Outcome::Judged(summary.worst()))
    }

    /// The expected runs that are missing from the results.
    fn missing(&self, runs: &BTreeMap<(usize, u64), (RunRecord, usize)>) -> Vec<String> {
        let seeds: BTreeSet<u64> = match &self.seeds {
            Some(seeds) => seeds.iter().collect(),
            None => runs.keys().map(|key| key.1).collect(),
        };
        let places: BTreeSet<usize> = match &self.tests {
            Some(tests) => (0..self.suite.len())
                .filter(|&place| tests.iter().any(|test| test.name == self.suite[place].name))
                .collect(),
            None => runs.keys().map(|key| key.0).collect(),
        };
        let all = places.iter().flat_map(|&place| seeds.iter().map(move |&seed| (place, seed)));
        let missing = all.filter(|key| !runs.contains_key(key));
        missing.map(|(place, seed)| format!("{} seed {seed}", self.suite[place].name)).collect()
    }
}

/// The first property that all records of a sweep must share but these two do not.
fn foreign(one: &RunRecord, other: &RunRecord) -> Option<String> {
    let without = (one.without.to_string(), other.without.to_string());
    let pairs = [
        ("the implementation", one.implementation.as_str(), other.implementation.as_str()),
        ("the profile of faults", one.profile.name(), other.profile.name()),
        ("what was left out (--without)", &without.0, &without.1),
        ("the source", &one.build.commit, &other.build.commit),
        ("the lock file", &one.build.lock, &other.build.lock),
        ("the compiler", &one.build.compiler, &other.build.compiler),
        ("how they were compiled", &one.build.profile, &other.build.profile),
    ];
    let differing = pairs.into_iter().find(|(_, a, b)| a != b);
    if let Some((what, a, b)) = differing {
        return Some(format!("{what}: {a:?} and {b:?}"));
    }
    (!one.build.is_same_source(&other.build)).then(|| {
        format!(
            "the program, and the sources were changed since commit {:?}: such results can be \
             merged only if the same program made them",
            one.build.commit
        )
    })
}
