//! `course mutants`: known bugs, put into a copy of the sources one at a time, and what finds each.
//!
//! | module | what it is |
//! |---|---|
//! | this one | the command: copy, patch, build, run |
//! | `patch` | the patches in `course/mutants` and what they say of themselves |
//! | `finding` | what found a bug, and the table |

mod finding;
mod patch;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;
use lab::records;
use labraft::{Profile, Test, Verdict};

use ::tests::SUITE;
use finding::{Finding, Table};
use lab::outcome::{CommandError, INTERRUPT, Outcome};
use lab::session::{default_jobs, parse_jobs, parse_profile};
use patch::Patch;

/// How many seconds of real time a run may take: some bugs make many runs hang.
const WALL_LIMIT_SECONDS: u64 = 10;
/// So many failures under the first seed tell enough. Under more seeds the first one that fails is
/// looked for, and all are needed.
const ENOUGH_FAILURES: u64 = 10;

/// What `course mutants` is told.
#[derive(Args)]
pub(crate) struct Mutants {
    /// Which bugs: names of patches in course/mutants; none = all.
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// How many seeds each bug is given, from 0 on; it ends with the first that finds it.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Which faults the world has: go, the course's own, or chaos.
    #[arg(long, value_name = "NAME", value_parser = parse_profile, default_value = "go")]
    profile: Profile,
    /// How many processes to build and to run with at a time [default: one for each processor].
    #[arg(long, value_parser = parse_jobs)]
    jobs: Option<usize>,
    /// Only check that every patch applies and says what it is.
    #[arg(long)]
    check: bool,
    /// Put the rows into the profile's table in a Markdown file.
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    markdown: Option<PathBuf>,
}

impl Mutants {
    /// Does it all: passed when every bug was found.
    pub(crate) fn run(self) -> Result<Outcome, CommandError> {
        let root = root()?;
        let all = patch::read_all(&root.join("course/mutants")).map_err(CommandError::Usage)?;
        let patches = chosen(&all, &self.ids)?;
        // All of them first: nobody wants to hear of the last one after an hour.
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

        let bench = Bench::new(&root)?;
        let ids = patches.iter().map(|patch| patch.id.as_str());
        let mut table = Table::new(ids, self.seeds, commit(&root));
        writeln!(io::stdout(), "{}", table.head())?;
        let spinner = ProgressBar::new_spinner();
        spinner.enable_steady_tick(Duration::from_millis(200));
        for patch in &patches {
            spinner.set_message(patch.id.clone());
            let Some(finding) = self.try_out(patch, &bench)? else { break };
            spinner.suspend(|| writeln!(io::stdout(), "{}", table.add(patch, &finding)))?;
        }
        spinner.finish_and_clear();
        writeln!(io::stdout(), "{}", table.counts())?;
        if let Some(path) = &self.markdown {
            let is_known = |id: &str| all.iter().any(|patch| patch.id == id);
            let written = table.write_page(path, self.profile.name(), is_known);
            written.map_err(CommandError::Usage)?;
        }
        Ok(match INTERRUPT.load(Ordering::Relaxed) {
            true => Outcome::Interrupted,
            false if table.all_found() => Outcome::Judged(Verdict::Passed),
            false => Outcome::Judged(Verdict::Failed),
        })
    }

    /// Builds with the bug and runs until something finds it; `None` when interrupted.
    fn try_out(&self, patch: &Patch, bench: &Bench) -> Result<Option<Finding>, CommandError> {
        bench.copy_sources()?;
        git_apply(&bench.tree, &patch.path, &[])?;
        let log = bench.out.join("build.log");
        match bench.ended(bench.build(self.jobs()), &log)? {
            None => return Ok(None),
            Some(0) => {}
            Some(_) => {
                let said = fs::read_to_string(&log).unwrap_or_default();
                return Err(CommandError::Usage(format!("{} does not build:\n{said}", patch.id)));
            }
        }
        for seeds in blocks(self.seeds) {
            for is_kv in [false, true] {
                // What is wrong in the service does not show below it.
                if patch.is_kv && !is_kv {
                    continue;
                }
                match self.run_tests(patch, bench, is_kv, &seeds)? {
                    None => return Ok(None),
                    Some(Finding::Survived) => {}
                    found => return Ok(found),
                }
            }
        }
        Ok(Some(Finding::Survived))
    }

    /// Runs the tests of lab 2, or those of lab 3, under some seeds.
    fn run_tests(
        &self,
        patch: &Patch,
        bench: &Bench,
        is_kv: bool,
        seeds: &Range<u64>,
    ) -> Result<Option<Finding>, CommandError> {
        let lab = if is_kv { 3 } else { 2 };
        let out = bench.out.join(format!("{}/{}-{lab}", self.profile.name(), patch.id));
        let log = bench.out.join("run.log");
        let mut command = bench.lab();
        command.arg("run");
        let is_of_service = |test: &Test| test.part.is_kv() || test.name == "ChaosKv";
        let tests = SUITE.iter().filter(|test| is_of_service(test) == is_kv);
        command.args(tests.map(|test| test.name));
        command.arg("--seeds").arg(format!("{}..{}", seeds.start, seeds.end));
        command.arg("--jobs").arg(self.jobs().to_string()).arg("--no-shrink");
        // A job array shares out runs, not mutants.
        command.args(["--shard", "1/1"]).arg("--out").arg(&out);
        command.arg("--wall-limit").arg(WALL_LIMIT_SECONDS.to_string());
        if *seeds == (0..1) {
            command.arg("--max-failures").arg(ENOUGH_FAILURES.to_string());
        }
        if self.profile != Profile::default() {
            command.arg("--profile").arg(self.profile.name());
        }
        match bench.ended(command, &log)? {
            None => return Ok(None),
            // Whether it passed is in its results.
            Some(0 | 1 | 4) => {}
            Some(code) => {
                let said = fs::read_to_string(&log).unwrap_or_default();
                let id = &patch.id;
                return Err(CommandError::Internal(format!(
                    "{id} ended with exit code {code}:\n{said}"
                )));
            }
        }
        let path = records::path(&out);
        let records = records::read(&path).map_err(|error| {
            CommandError::Internal(format!("{} cannot be read: {error}", path.display()))
        })?;
        Ok(Some(Finding::of(&records.all)))
    }

    fn jobs(&self) -> usize {
        self.jobs.unwrap_or_else(default_jobs)
    }
}

/// The seeds in growing blocks: most bugs are found at once, and few need many.
fn blocks(seeds: u64) -> impl Iterator<Item = Range<u64>> {
    let ends = (0..19).flat_map(|exponent| [1, 2, 5].map(|digit| digit * 10u64.pow(exponent)));
    let mut begin = 0;
    ends.map_while(move |end| {
        let block = begin..end.min(seeds);
        begin = end;
        (!block.is_empty()).then_some(block)
    })
}

/// Where the sources are: the nearest directory upwards that has patches.
fn root() -> Result<PathBuf, CommandError> {
    let here = std::env::current_dir()?;
    let found = here.ancestors().find(|directory| directory.join("course/mutants").is_dir());
    found.map(Path::to_path_buf).ok_or_else(|| {
        CommandError::Usage(
            "there is no course/mutants here: run it in the lab's own sources".into(),
        )
    })
}

/// Which commit the sources are of that bugs are put into, as far as git knows.
fn commit(root: &Path) -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(root).args(arguments).output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_string();
        output.status.success().then_some(said)
    };
    let commit = git(&["rev-parse", "--short=8", "HEAD"]).unwrap_or_default();
    let changes = git(&["status", "--porcelain", "--", "*.rs", "*.toml", "*.lock", "*.patch"]);
    let is_changed = changes.is_some_and(|changes| !changes.is_empty());
    if is_changed { commit + "-dirty" } else { commit }
}

fn chosen<'a>(patches: &'a [Patch], ids: &[String]) -> Result<Vec<&'a Patch>, CommandError> {
    if let Some(id) = ids.iter().find(|&id| patches.iter().all(|patch| patch.id != *id)) {
        return Err(CommandError::Usage(format!("there is no course/mutants/{id}.patch")));
    }
    let is_chosen = |patch: &&Patch| ids.is_empty() || ids.contains(&patch.id);
    Ok(patches.iter().filter(is_chosen).collect())
}

/// Puts a bug into the sources in a directory, or whatever else git is told.
pub(crate) fn git_apply(
    directory: &Path,
    patch: &Path,
    arguments: &[&str],
) -> Result<(), CommandError> {
    let mut command = Command::new("git");
    command.current_dir(directory).arg("apply").args(arguments).arg(patch);
    // Below a repository git would take the paths for the repository's, and change nothing.
    if let Some(parent) = directory.parent() {
        command.env("GIT_CEILING_DIRECTORIES", parent);
    }
    let output = command.output().map_err(|error| {
        CommandError::Usage(format!("git cannot be run: {error}; it is needed"))
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(CommandError::Usage(format!("{} does not apply:\n{}", patch.display(), said.trim_end())))
}

/// Where bugs are tried out: a copy of the sources, and what is built from it.
struct Bench {
    root: PathBuf,
    tree: PathBuf,
    target: PathBuf,
    out: PathBuf,
}

impl Bench {
    fn new(root: &Path) -> Result<Bench, CommandError> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let place = root.join(target.unwrap_or_else(|| "target".into())).join("mutants");
        let bench = Bench {
            root: root.into(),
            tree: place.join("tree"),
            target: place.join("build"),
            out: place.join("out"),
        };
        for directory in [&bench.tree, &bench.out] {
            fs::create_dir_all(directory).map_err(|error| {
                CommandError::Usage(format!("{} cannot be made: {error}", directory.display()))
            })?;
        }
        Ok(bench)
    }

    /// Makes the copy like the sources. What is alike already is not written, so that it is not built
    /// again.
    fn copy_sources(&self) -> Result<(), CommandError> {
        copy_directory(&self.root, &self.tree, &["target", ".git"]).map_err(|error| {
            CommandError::Internal(format!(
                "the sources cannot be copied to {:?}: {error}",
                self.tree
            ))
        })
    }

    /// Of a release build, what makes it quick to run; not what makes it slow to build. How it is
    /// built does not show in a run.
    fn build(&self, jobs: usize) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command
            .args(["build", "--quiet", "--release", "--package", "tests", "--bin", "lab"])
            .arg("--jobs")
            .arg(jobs.to_string())
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_INCREMENTAL", "1")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "64")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
            .env("CARGO_PROFILE_RELEASE_LTO", "off");
        command.current_dir(&self.tree);
        command
    }

    fn lab(&self) -> Command {
        let mut command = Command::new(self.target.join("release/lab"));
        // That it fails is nothing for a summary.
        command.env_remove("GITHUB_ACTIONS").current_dir(&self.tree);
        command
    }

    /// Waits for a command whose words go to a file: its exit code, or `None` when interrupted.
    fn ended(&self, mut command: Command, log: &Path) -> Result<Option<i32>, CommandError> {
        let cannot = |error: io::Error| CommandError::Internal(format!("{:?}: {error}", self.tree));
        let log = File::create(log).map_err(cannot)?;
        let said = log.try_clone().map_err(cannot)?;
        let mut child = command.stdin(Stdio::null()).stdout(said).stderr(log).spawn()?;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if INTERRUPT.load(Ordering::Relaxed) {
                // A terminal has told the child as well, but only a terminal.
                child.kill()?;
            }
            pause();
        };
        Ok(if INTERRUPT.load(Ordering::Relaxed) { None } else { Some(status.code().unwrap_or(-1)) })
    }
}

#[expect(clippy::disallowed_methods, reason = "real time, outside of any simulation")]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

fn copy_directory(from: &Path, to: &Path, without: &[&str]) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if without.iter().any(|&other| name == other) {
            continue;
        }
        let (from, to) = (entry.path(), to.join(&name));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_directory(&from, &to, &[])?;
        } else if kind.is_file() {
            let content = fs::read(&from)?;
            if !fs::read(&to).is_ok_and(|old| old == content) {
                fs::write(&to, content)?;
            }
        }
        names.insert(name);
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if names.contains(&entry.file_name()) {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_grow_and_end_where_they_are_to() {
        let ends = |seeds| blocks(seeds).map(|block| block.end).collect::<Vec<_>>();
        assert_eq!(ends(20), [1, 2, 5, 10, 20]);
        assert_eq!(ends(30), [1, 2, 5, 10, 20, 30]);
        assert_eq!(ends(1), [1]);
        assert_eq!(blocks(200).map(|block| block.end - block.start).sum::<u64>(), 200);
    }

    #[test]
    fn a_copy_becomes_like_its_source_and_keeps_what_is_alike() {
        let place = std::env::temp_dir().join(format!("lab-mutants-{}", std::process::id()));
        let (from, to) = (place.join("from"), place.join("to"));
        fs::create_dir_all(from.join("src")).unwrap();
        fs::create_dir_all(from.join("target/mutants")).unwrap();
        fs::write(from.join("src/a.rs"), "a").unwrap();
        fs::write(from.join("src/b.rs"), "b").unwrap();
        let copy = || copy_directory(&from, &to, &["target"]).unwrap();
        copy();
        let changed = |name: &str| to.join(name).metadata().unwrap().modified().unwrap();
        let before = changed("src/a.rs");
        fs::write(to.join("src/b.rs"), "a bug").unwrap();
        fs::write(to.join("src/new.rs"), "a file of the bug's own").unwrap();
        copy();
        assert_eq!(changed("src/a.rs"), before);
        assert_eq!(fs::read_to_string(to.join("src/b.rs")).unwrap(), "b");
        assert!(!to.join("src/new.rs").exists() && !to.join("target").exists());
        fs::remove_dir_all(&place).unwrap();
    }
}
