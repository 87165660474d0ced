//! `course mutants`: applies known bugs to a copy of the sources, one at a time, and reports what
//! finds each.
//!
//! | module | subject |
//! |---|---|
//! | this one | the command: copy, patch, build, run |
//! | `patch` | the patches in `course/mutants` and their header lines |
//! | `finding` | what found a bug, and the table |

mod finding;
mod patch;

use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;
use lab::records;
use labraft::{Profile, Test, Verdict};

use crate::processes::{Ended, QUICK_RELEASE, run_logged};
use ::tests::SUITE;
use finding::{Finding, Table};
use lab::outcome::{CommandError, INTERRUPT, Outcome};
use lab::session::{default_jobs, parse_jobs, parse_profile};
use lab::submit::scratch::Scratch;
use lab::submit::tree::Tree;
use patch::Patch;

/// The limit on the real time of a run, in seconds. It is short because some bugs make many runs
/// hang.
const WALL_LIMIT_SECONDS: u64 = 10;
/// The run of the first seed stops after this many failures, which are enough to name tests that
/// find the bug. With several seeds, all failures are needed to know the first seed that finds it.
const MAX_FAILURES: u64 = 10;

#[derive(Args)]
pub(crate) struct MutantsArgs {
    /// Bugs to try, by the names of their patches in course/mutants [default: all].
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// How many seeds to try for each bug, starting from 0, until one finds it.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Which faults the network has: go, as in the course, or chaos.
    #[arg(long, value_name = "NAME", value_parser = parse_profile, default_value = "go")]
    profile: Profile,
    /// How many processes to use at a time, for building and for running [default: one per
    /// processor].
    #[arg(long, value_parser = parse_jobs)]
    jobs: Option<usize>,
    /// Only check that every patch applies and has a valid header.
    #[arg(long)]
    check: bool,
    /// Update the rows of the profile's table in a Markdown file.
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    markdown: Option<PathBuf>,
}

impl MutantsArgs {
    /// The verdict is `Passed` when every bug was found.
    pub(crate) fn run(self) -> Result<Outcome, CommandError> {
        let root = root()?;
        let all = patch::read_all(&root.join("course/mutants")).map_err(CommandError::Usage)?;
        let patches = chosen(&all, &self.ids)?;
        // Checks all of them first, so that a patch that does not apply is not reported an hour
        // later.
        for patch in &patches {
            git_apply(&root, &patch.path, &["--check"])?;
        }
        if self.check {
            writeln!(io::stdout(), "{} patches apply", patches.len())?;
            return Ok(Outcome::Judged(Verdict::Passed));
        }
        if let Some(path) = &self.markdown {
            finding::check_page(path, self.profile.name()).map_err(CommandError::Usage)?;
        }

        let scratch = Scratch::new(&root, "mutants");
        let sources = Tree::of_directory(&root)?;
        let ids = patches.iter().map(|patch| patch.id.as_str());
        let mut table = Table::new(ids, self.seeds, commit(&root));
        writeln!(io::stdout(), "{}", table.head())?;
        let spinner = ProgressBar::new_spinner();
        spinner.enable_steady_tick(Duration::from_millis(200));
        for patch in &patches {
            spinner.set_message(patch.id.clone());
            let Some(finding) = self.try_out(patch, &sources, &scratch)? else { break };
            spinner.suspend(|| writeln!(io::stdout(), "{}", table.add(patch, &finding)))?;
        }
        spinner.finish_and_clear();
        writeln!(io::stdout(), "{}", table.counts())?;
        if let Some(path) = &self.markdown {
            let is_known = |id: &str| all.iter().any(|patch| patch.id == id);
            let written = table.write_page(path, self.profile.name(), is_known);
            written.map_err(CommandError::Usage)?;
        }
        if INTERRUPT.load(Ordering::Relaxed) {
            return Ok(Outcome::Interrupted);
        }
        let verdict = if table.all_found() { Verdict::Passed } else { Verdict::Failed };
        Ok(Outcome::Judged(verdict))
    }

    /// Builds the lab with the bug and runs tests until one finds it; `None` if interrupted.
    fn try_out(
        &self,
        patch: &Patch,
        sources: &Tree,
        scratch: &Scratch,
    ) -> Result<Option<Finding>, CommandError> {
        scratch.put(sources)?;
        git_apply(&scratch.tree, &patch.path, &[])?;
        fs::create_dir_all(&scratch.out)?;
        let log = scratch.out.join("build.log");
        match run_logged(build_command(scratch, self.jobs()), &log, None)? {
            Ended::Interrupted => return Ok(None),
            Ended::Exited(status) if status.success() => {}
            Ended::Exited(_) | Ended::TimedOut => {
                let output = fs::read_to_string(&log).unwrap_or_default();
                return Err(CommandError::Usage(format!("{} does not build:\n{output}", patch.id)));
            }
        }
        for seeds in blocks(self.seeds) {
            for is_kv in [false, true] {
                // The tests of Raft cannot find a bug in the service.
                if patch.is_kv && !is_kv {
                    continue;
                }
                match self.run_tests(patch, scratch, is_kv, &seeds)? {
                    None => return Ok(None),
                    Some(Finding::Survived) => {}
                    found => return Ok(found),
                }
            }
        }
        Ok(Some(Finding::Survived))
    }

    /// Runs the tests of lab 2, or those of lab 3, under some seeds; `None` if interrupted.
    fn run_tests(
        &self,
        patch: &Patch,
        scratch: &Scratch,
        is_kv: bool,
        seeds: &Range<u64>,
    ) -> Result<Option<Finding>, CommandError> {
        let lab = if is_kv { 3 } else { 2 };
        let out = scratch.out.join(format!("{}/{}-{lab}", self.profile.name(), patch.id));
        let log = scratch.out.join("run.log");
        let mut command = scratch.lab("release");
        command.arg("run");
        let is_of_service = |test: &Test| test.part.is_kv() || test.name == "ChaosKv";
        let tests = SUITE.iter().filter(|test| is_of_service(test) == is_kv);
        command.args(tests.map(|test| test.name));
        command.arg("--seeds").arg(format!("{}..{}", seeds.start, seeds.end));
        command.arg("--jobs").arg(self.jobs().to_string()).arg("--no-shrink");
        // Within a job array the lab would otherwise take only its share of the runs.
        command.args(["--shard", "1/1"]).arg("--out").arg(&out);
        command.arg("--wall-limit").arg(WALL_LIMIT_SECONDS.to_string());
        if *seeds == (0..1) {
            command.arg("--max-failures").arg(MAX_FAILURES.to_string());
        }
        if self.profile != Profile::default() {
            command.arg("--profile").arg(self.profile.name());
        }
        match run_logged(command, &log, None)? {
            Ended::Interrupted => return Ok(None),
            // Everything passed, something failed, or something is unknown: see the results.
            Ended::Exited(status) if matches!(status.code(), Some(0 | 1 | 4)) => {}
            ended => {
                let output = fs::read_to_string(&log).unwrap_or_default();
                let how = match ended {
                    Ended::Exited(status) => status.to_string(),
                    Ended::TimedOut | Ended::Interrupted => "a timeout".into(),
                };
                return Err(CommandError::Internal(format!(
                    "the tests of {} ended with {how}:\n{output}",
                    patch.id
                )));
            }
        }
        let path = records::path(&out);
        let records = records::read(&path).map_err(|error| {
            CommandError::Internal(format!("cannot read {}: {error}", path.display()))
        })?;
        Ok(Some(Finding::of(&records.all)))
    }

    fn jobs(&self) -> usize {
        self.jobs.unwrap_or_else(default_jobs)
    }
}

/// Splits the seeds into growing blocks: most bugs are found by the first seeds, and few need many.
fn blocks(seeds: u64) -> impl Iterator<Item = Range<u64>> {
    let ends = (0..19).flat_map(|exponent| [1, 2, 5].map(|digit| digit * 10u64.pow(exponent)));
    let mut begin = 0;
    ends.map_while(move |end| {
        let block = begin..end.min(seeds);
        begin = end;
        (!block.is_empty()).then_some(block)
    })
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

/// Runs `git apply` in a directory. The arguments come before the patch.
pub(crate) fn git_apply(
    directory: &Path,
    patch: &Path,
    arguments: &[&str],
) -> Result<(), CommandError> {
    let mut command = Command::new("git");
    command.current_dir(directory).arg("apply").args(arguments).arg(patch);
    // In a directory below a repository, git would apply the paths to the repository, and change
    // nothing.
    if let Some(parent) = directory.parent() {
        command.env("GIT_CEILING_DIRECTORIES", parent);
    }
    let output = command.output().map_err(|error| {
        CommandError::Usage(format!("cannot run git, which is needed: {error}"))
    })?;
    if output.status.success() {
        return Ok(());
    }
    let error = String::from_utf8_lossy(&output.stderr);
    Err(CommandError::Usage(format!("{} does not apply:\n{}", patch.display(), error.trim_end())))
}

/// The command that builds the lab: in release mode, so that runs are quick, but with settings that
/// keep the build itself quick.
fn build_command(scratch: &Scratch, jobs: usize) -> Command {
    let mut command = scratch.cargo();
    command
        .args(["build", "--quiet", "--release", "--package", "tests", "--bin", "lab"])
        .arg("--jobs")
        .arg(jobs.to_string())
        .env("CARGO_INCREMENTAL", "1")
        .envs(QUICK_RELEASE);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_grow_and_cover_all_seeds() {
        let ends = |seeds| blocks(seeds).map(|block| block.end).collect::<Vec<_>>();
        assert_eq!(ends(20), [1, 2, 5, 10, 20]);
        assert_eq!(ends(30), [1, 2, 5, 10, 20, 30]);
        assert_eq!(ends(1), [1]);
        assert_eq!(blocks(200).map(|block| block.end - block.start).sum::<u64>(), 200);
    }
}
