//! `course mutants`: applies known bugs to a copy of the sources, one at a time, and reports what
//! finds each.
//!
//! | module | subject |
//! |---|---|
//! | this one | the command |
//! | `patch` | the patches in `course/mutants` and their header lines |
//! | `program` | the lab with a bug in it, built and kept |
//! | `trial` | running the tests on a bug, and going on where an earlier trial ended |
//! | `reach` | whether the wrong code of a bug that nothing found did anything |
//! | `finding` | what found a bug |
//! | `table` | the table of all bugs, on the terminal and in a page |

mod finding;
mod patch;
mod program;
mod reach;
mod table;
mod trial;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ::tests::SUITE;
use clap::Args;
use indicatif::ProgressBar;
use lab::outcome::{CommandError, INTERRUPT, Outcome};
use lab::session::{default_jobs, parse_jobs, parse_profile};
use labraft::{Profile, Test, Verdict};

use finding::Finding;
use patch::Patch;
pub(crate) use patch::git_apply;
use program::Builder;
use reach::Reach;
use table::{Entry, Table};
use trial::Plan;

/// The name of the program without a bug, which no patch has.
const REFERENCE: &str = "reference";

#[derive(Args)]
pub(crate) struct MutantsArgs {
    /// Bugs to try, by the names of their patches in course/mutants [default: all].
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Try only these tests, named as for `lab run`: a part (2, 2C, beyond), a name (Backup2B) or part
    /// of a name; may be given several times [default: all tests that could find the bug].
    #[arg(long = "test", value_name = "TEST")]
    tests: Vec<String>,
    /// How many seeds to try for each bug, starting from 0, until one finds it.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Which faults the network has: go, as in the course, or chaos [default: first the one, then the
    /// other].
    #[arg(long, value_name = "NAME", value_parser = parse_profile)]
    profile: Option<Profile>,
    /// How many processes to use at a time, for building and for running [default: one per
    /// processor].
    #[arg(long, value_parser = parse_jobs)]
    jobs: Option<usize>,
    /// Only check that every patch applies and has a valid header.
    #[arg(long)]
    check: bool,
    /// Update the rows of these bugs in the tables of a Markdown file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["check", "tests"])]
    markdown: Option<PathBuf>,
}

impl MutantsArgs {
    /// The verdict is `Passed` when every bug was found, under one profile or the other.
    pub(crate) fn run(self) -> Result<Outcome, CommandError> {
        let root = root()?;
        let all = patch::read_all(&root.join("course/mutants")).map_err(CommandError::Usage)?;
        let patches = chosen(&all, &self.ids)?;
        let tests = chosen_tests(&self.tests)?;
        // Checks all of them first, so that a patch that does not apply is not reported an hour
        // later.
        for patch in &patches {
            git_apply(&root, &patch.path, &["--check"])?;
        }
        if self.check {
            writeln!(io::stdout(), "{} patches apply", patches.len())?;
            return Ok(Outcome::Judged(Verdict::Passed));
        }
        let profiles = self.profile.map_or(vec![Profile::Go, Profile::Chaos], |one| vec![one]);
        if let Some(path) = &self.markdown {
            for profile in &profiles {
                table::check_page(path, profile.name()).map_err(CommandError::Usage)?;
            }
        }
        let width = patches.iter().map(|patch| patch.id.len()).max().unwrap_or(0);
        let commit = commit(&root);
        let table = |profile| Table::new(profile, width, self.seeds, commit.clone());
        let mut tables: Vec<Table> = profiles.into_iter().map(table).collect();
        let builder = Builder::new(&root, self.jobs())?;
        writeln!(io::stdout(), "{}", table::head(width))?;
        self.try_all(&patches, &tests, &builder, &mut tables)?;
        for table in &tables {
            writeln!(io::stdout(), "{}", table.counts())?;
            if let Some(path) = &self.markdown {
                let is_known = |id: &str| all.iter().any(|patch| patch.id == id);
                table.write_page(path, is_known).map_err(CommandError::Usage)?;
            }
        }
        if INTERRUPT.load(Ordering::Relaxed) {
            return Ok(Outcome::Interrupted);
        }
        let found: BTreeSet<&str> = tables.iter().flat_map(Table::found).collect();
        let is_found = |patch: &&Patch| found.contains(patch.id.as_str());
        let verdict = if patches.iter().all(is_found) { Verdict::Passed } else { Verdict::Failed };
        Ok(Outcome::Judged(verdict))
    }

    /// Tries each bug under the profile of each table, until the user interrupts.
    fn try_all(
        &self,
        patches: &[&Patch],
        tests: &[&'static Test],
        builder: &Builder,
        tables: &mut [Table],
    ) -> Result<(), CommandError> {
        let spinner = ProgressBar::new_spinner();
        spinner.enable_steady_tick(Duration::from_millis(200));
        for patch in patches {
            let stages = trial::stages(patch.subject, tests);
            let plan = Plan { stages, seeds: self.seeds, jobs: self.jobs() };
            for table in &mut *tables {
                spinner.set_message(format!("{}, {}", patch.id, table.profile().name()));
                let Some(lines) = try_one(patch, &plan, builder, table)? else {
                    spinner.finish_and_clear();
                    return Ok(());
                };
                spinner.suspend(|| writeln!(io::stdout(), "{lines}"))?;
            }
        }
        spinner.finish_and_clear();
        Ok(())
    }

    fn jobs(&self) -> usize {
        self.jobs.unwrap_or_else(default_jobs)
    }
}

/// Tries a bug under the profile of a table, and returns what to print; `None` if interrupted.
fn try_one(
    patch: &Patch,
    plan: &Plan,
    builder: &Builder,
    table: &mut Table,
) -> Result<Option<String>, CommandError> {
    let Some(program) = builder.program(&patch.id, Some(&patch.path))? else { return Ok(None) };
    let implementation = patch.subject.implementation();
    let program = program.testing(implementation);
    let Some(tried) = trial::try_out(&program, plan, table.profile())? else { return Ok(None) };
    let mut reach = None;
    if tried.finding == Finding::Survived {
        let name = implementation.unwrap_or(REFERENCE);
        let Some(reference) = builder.program(name, None)? else { return Ok(None) };
        let reference = reference.testing(implementation);
        let Some(measured) = Reach::measure(&tried.records, &reference, plan.jobs)? else {
            return Ok(None);
        };
        reach = Some(measured);
    }
    let finding = &tried.finding;
    Ok(Some(table.add(&Entry { patch, finding, program: &program, reach: reach.as_ref() })))
}

/// The tests that match any of these patterns; none if there are no patterns.
fn chosen_tests(patterns: &[String]) -> Result<Vec<&'static Test>, CommandError> {
    let mut tests = Vec::new();
    for pattern in patterns {
        tests.extend(labraft::select(SUITE, pattern)?);
    }
    Ok(tests)
}

/// The root of the lab's sources: the nearest directory, from the current one upwards, that
/// contains `course/mutants`.
fn root() -> Result<PathBuf, CommandError> {
    let here = std::env::current_dir()?;
    let found = here.ancestors().find(|directory| directory.join("course/mutants").is_dir());
    found.map(Path::to_path_buf).ok_or_else(|| {
        CommandError::Usage(
            "there is no course/mutants here: run this in the lab's own sources".into(),
        )
    })
}

/// The commit of the sources, with `-dirty` if they were changed; empty without git.
fn commit(root: &Path) -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(root).args(arguments).output().ok()?;
        let printed = String::from_utf8_lossy(&output.stdout).trim().to_string();
        output.status.success().then_some(printed)
    };
    let commit = git(&["rev-parse", "--short=8", "HEAD"]).unwrap_or_default();
    let changes = git(&["status", "--porcelain", "--", "*.rs", "*.toml", "*.lock", "*.patch"]);
    let is_changed = changes.is_some_and(|changes| !changes.is_empty());
    if is_changed { commit + "-dirty" } else { commit }
}

/// The patches with these names, or all of them.
fn chosen<'a>(patches: &'a [Patch], ids: &[String]) -> Result<Vec<&'a Patch>, CommandError> {
    if let Some(id) = ids.iter().find(|&id| patches.iter().all(|patch| patch.id != *id)) {
        return Err(CommandError::Usage(format!("there is no course/mutants/{id}.patch")));
    }
    let is_chosen = |patch: &&Patch| ids.is_empty() || ids.contains(&patch.id);
    Ok(patches.iter().filter(is_chosen).collect())
}
