//! Builds the lab with a submission in it.
//!
//! ```text
//! PLACE/tree        the lab's sources; what students write is there only during a build
//! PLACE/pristine    a target directory with the crates that all submissions share, built once, with skeletons in place
//!                   of what students write
//! PLACE/target      a copy of it, in which one submission is built; removed afterwards
//! PLACE/programs    the programs that were built
//! PLACE/.lock       locked while a grader uses the place
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use labraft::Part;

use super::build_sandbox::BuildSandbox;
use super::config::Limits;
use super::{CONTROLLER, KV, RAFT, SHARDS};
use crate::handout::contents;
use crate::handout::scope::{Parts, Scope};
use crate::place;
use crate::processes::{Ended, run_logged};
use lab::outcome::CommandError;
use lab::submit::manifest::sha256;
use lab::submit::submission::DIRECTORIES;
use lab::submit::tree::Tree;

/// How much of a build's output is kept, from its beginning.
const MAX_LOG_BYTES: u64 = 64 << 10;
/// How long building the crates that all submissions share may take, in real time.
const PRISTINE_SECONDS: u64 = 1800;
/// The version of the pristine build. Existing builds of another version are built again.
const FORMAT: &str = "2";

/// What to do about another grader in the place.
const ADVICE: &str = "wait until it has finished, or give this one a folder of its own with --work";

/// The contents of source files, by their paths in the lab.
pub(super) type Sources = BTreeMap<String, Vec<u8>>;

/// Why a build produced no program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BuildFailure {
    /// The compiler's output.
    Compiler(String),
    TimedOut,
}

/// Builds submissions, one after the other.
#[derive(Debug)]
pub(super) struct Builder {
    sandbox: BuildSandbox,
    limits: Limits,
    jobs: usize,
    /// The lab's own sources of what students write.
    lab_sources: Sources,
    /// What students begin with. Of lab 4, it also stands for what is not to be graded.
    skeletons: Sources,
    /// Keeps other graders out of the place until it is closed.
    _lock: File,
}

impl Builder {
    /// Copies the lab's sources from `root` to `work`, and builds the crates that all submissions
    /// share unless they are there already.
    pub(super) fn prepare(
        root: &Path,
        work: &Path,
        limits: Limits,
        jobs: usize,
    ) -> Result<Builder, CommandError> {
        let cannot_use = |error| cannot_use(work, &error);
        fs::create_dir_all(work).map_err(cannot_use)?;
        let lock = place::lock(work, ADVICE)?;
        let sandbox = BuildSandbox::new(work.canonicalize().map_err(cannot_use)?)?;
        let mut tree = Tree::of_sources(root).map_err(|error| cannot_use_sources(root, &error))?;
        let skeletons = skeletons(&tree)?;
        tree.retain(|path| !path.starts_with("course/mutants/") && !path.starts_with(".cargo/"));
        let mut lab_sources = Sources::new();
        for (path, file) in tree.files().filter(|(path, _)| is_submitted(path)) {
            lab_sources.insert(path.to_string(), file.content.clone());
        }
        tree.retain(|path| !is_submitted(path) && !path.contains("/skeleton/"));
        for directory in DIRECTORIES {
            forbid_unsafe(&mut tree, directory.trim_end_matches("/src"))?;
        }
        let builder = Builder { sandbox, limits, jobs, lab_sources, skeletons, _lock: lock };
        let lines = tree.files().map(|(path, file)| format!("{path} {}\n", sha256(&file.content)));
        let version = builder.sandbox.compiler_version()?;
        let key = sha256((lines.collect::<String>() + &version + FORMAT).as_bytes());
        builder.make_pristine(&tree, &key)?;
        Ok(builder)
    }

    /// A submission's files, with the lab's own in the directories that it does not have. Labs 3 and 4 are the
    /// lab's only as far as something of the submission is built on them, or `is_kv_needed` by a test of its Raft:
    /// otherwise they are what students begin with, which need not be built again.
    pub(super) fn completed(&self, mut files: Sources, is_kv_needed: bool) -> Sources {
        let has = |files: &Sources, place: &str| files.keys().any(|path| path.starts_with(place));
        let is_controller_needed = has(&files, SHARDS);
        let is_kv_needed = is_kv_needed || is_controller_needed || has(&files, CONTROLLER);
        for directory in [RAFT, KV, CONTROLLER, SHARDS] {
            let from = match directory {
                KV if !is_kv_needed => &self.skeletons,
                CONTROLLER if !is_controller_needed => &self.skeletons,
                SHARDS => &self.skeletons,
                _ => &self.lab_sources,
            };
            if !has(&files, directory) {
                let lab_s = from.iter().filter(|(path, _)| path.starts_with(directory));
                files.extend(lab_s.map(|(path, bytes)| (path.clone(), bytes.clone())));
            }
        }
        files
    }

    /// The path of the program with this name.
    pub(super) fn program_path(&self, name: &str) -> PathBuf {
        self.sandbox.place().join("programs").join(name)
    }

    /// The file with the key of the pristine build, written when that was complete.
    fn key_file(&self) -> PathBuf {
        self.sandbox.place().join("pristine.key")
    }

    fn cannot_use(&self, error: &io::Error) -> CommandError {
        cannot_use(self.sandbox.place(), error)
    }

    /// Makes the tree and the pristine target directory. `key` identifies the sources and the
    /// compiler. If it matches the key on disk, there is nothing to do.
    fn make_pristine(&self, tree: &Tree, key: &str) -> Result<(), CommandError> {
        let cannot_use = |error: io::Error| self.cannot_use(&error);
        let pristine = self.sandbox.pristine();
        let key_file = self.key_file();
        let is_current = fs::read_to_string(&key_file).is_ok_and(|old| old == key);
        self.clear()?;
        if is_current && pristine.is_dir() && self.sandbox.tree().is_dir() {
            return Ok(());
        }
        if key_file.exists() && pristine.is_dir() {
            // Cargo rebuilds only what has changed. No submission was ever built in this directory.
            fs::rename(&pristine, self.sandbox.target()).map_err(cannot_use)?;
        } else {
            remove(&pristine).map_err(cannot_use)?;
        }
        remove(&key_file).map_err(cannot_use)?;
        tree.write_exactly(&self.sandbox.tree()).map_err(cannot_use)?;
        eprintln!("lab: building the crates that all submissions share (only once)");
        let limits = Limits { build_seconds: PRISTINE_SECONDS, ..self.limits };
        // Not with the lab's own sources: submissions must not have access to anything that was built from the
        // solution.
        self.write(&self.skeletons).map_err(cannot_use)?;
        for has_lab_4 in [true, false] {
            match self.build_in_target(has_lab_4, &limits)? {
                Ok(_) => {}
                Err(BuildFailure::TimedOut) => {
                    return Err(CommandError::Internal(
                        "the lab itself does not build in time".into(),
                    ));
                }
                Err(BuildFailure::Compiler(output)) => {
                    return Err(CommandError::Usage(format!(
                        "the lab itself does not build:\n{output}"
                    )));
                }
            }
        }
        fs::rename(self.sandbox.target(), &pristine).map_err(cannot_use)?;
        fs::write(&key_file, key).map_err(cannot_use)?;
        self.clear()
    }

    /// Removes the sources and build products of the last submission.
    fn clear(&self) -> Result<(), CommandError> {
        let sources = DIRECTORIES.iter().map(|each| self.sandbox.tree().join(each));
        for place in sources.chain([self.sandbox.target()]) {
            remove(&place).map_err(|error| {
                CommandError::Internal(format!("cannot remove {}: {error}", place.display()))
            })?;
        }
        Ok(())
    }

    /// Builds the lab with these sources, and puts the program at `program`. It has the tests of lab 4 if
    /// `has_lab_4`.
    pub(super) fn build(
        &self,
        sources: &Sources,
        has_lab_4: bool,
        program: &Path,
    ) -> Result<Result<(), BuildFailure>, CommandError> {
        let cannot_use = |error: io::Error| self.cannot_use(&error);
        self.clear()?;
        copy_with_times(&self.sandbox.pristine(), &self.sandbox.target()).map_err(cannot_use)?;
        self.write(sources).and_then(|()| self.date(sources)).map_err(cannot_use)?;
        let built = self.build_in_target(has_lab_4, &self.limits)?;
        if let Ok(built) = &built {
            fs::create_dir_all(program.parent().unwrap_or(program)).map_err(cannot_use)?;
            fs::copy(built, program).map_err(cannot_use)?;
        }
        self.clear()?;
        Ok(built.map(drop))
    }

    /// Writes sources into the tree.
    fn write(&self, sources: &Sources) -> io::Result<()> {
        for (path, content) in sources {
            let place = self.sandbox.tree().join(path);
            fs::create_dir_all(place.parent().unwrap_or(&place))?;
            fs::write(&place, content)?;
        }
        Ok(())
    }

    /// Dates sources so that cargo, which goes by the times of files, builds again what is not as in the pristine
    /// build, and only that, also if the clock has been set back since.
    fn date(&self, sources: &Sources) -> io::Result<()> {
        let built = fs::metadata(self.key_file())?.modified()?;
        let before = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        let after = built + Duration::from_secs(1);
        for (path, content) in sources {
            let is_as_built = self.skeletons.get(path) == Some(content);
            let file = File::options().write(true).open(self.sandbox.tree().join(path))?;
            file.set_modified(if is_as_built { before } else { after })?;
        }
        Ok(())
    }

    /// Builds what is in the tree, in the target directory as it is, and returns the program's path there.
    fn build_in_target(
        &self,
        has_lab_4: bool,
        limits: &Limits,
    ) -> Result<Result<PathBuf, BuildFailure>, CommandError> {
        let cannot_use = |error: io::Error| self.cannot_use(&error);
        self.sandbox.create_directories().map_err(cannot_use)?;
        let mut command = self.sandbox.cargo(limits).map_err(cannot_use)?;
        command.args(["build", "--quiet", "--release", "--offline", "--locked"]).args([
            "--package",
            "graded",
            "--bin",
            "graded",
            "--jobs",
            &self.jobs.to_string(),
        ]);
        if has_lab_4 {
            command.arg("--features=lab4");
        }
        let log = self.sandbox.place().join("build.log");
        let limit = Duration::from_secs(limits.build_seconds);
        let status = match run_logged(command, &log, Some(limit)).map_err(cannot_use)? {
            Ended::Exited(status) => status,
            Ended::TimedOut => return Ok(Err(BuildFailure::TimedOut)),
            Ended::Interrupted => {
                return Err(CommandError::Internal("interrupted during a build".into()));
            }
        };
        if status.success() {
            return Ok(Ok(self.sandbox.target().join("release/graded")));
        }
        let output = read_start(&log).map_err(cannot_use)?;
        match status.code() {
            // The exit codes of `course confined` itself: cargo was not even started.
            Some(2 | 3) => {
                Err(CommandError::Internal(format!("builds cannot be sandboxed: {output}")))
            }
            _ => Ok(Err(BuildFailure::Compiler(output))),
        }
    }
}

/// Whether the file at this path comes from the submission during a build.
fn is_submitted(path: &str) -> bool {
    DIRECTORIES
        .iter()
        .any(|directory| path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/')))
}

/// What students begin with.
fn skeletons(sources: &Tree) -> Result<Sources, CommandError> {
    let parts = Parts { first: Part::Shard4A, last: Part::Shard4C, last_optional: None };
    let scope = Scope { parts, on_reference: false };
    let (handout, _) = contents::files(sources, scope).map_err(CommandError::Usage)?;
    let files = handout.files().filter(|(path, _)| is_submitted(path));
    Ok(files.map(|(path, file)| (path.to_string(), file.content.clone())).collect())
}

/// Makes a package's manifest forbid `unsafe`: the workspace's only denies it, and sources can
/// allow again what is denied.
fn forbid_unsafe(tree: &mut Tree, package: &str) -> Result<(), CommandError> {
    let path = format!("{package}/Cargo.toml");
    let text = String::from_utf8_lossy(tree.get(&path).unwrap_or_default()).into_owned();
    let inherited = "[lints]\nworkspace = true\n";
    if !text.contains(inherited) {
        return Err(CommandError::Usage(format!("{path} does not inherit the workspace's lints")));
    }
    let own = "[lints.rust]\nunsafe_code = \"forbid\"\n";
    tree.insert(&path, text.replace(inherited, own));
    Ok(())
}

fn cannot_use(place: &Path, error: &io::Error) -> CommandError {
    CommandError::Internal(format!("cannot build submissions in {}: {error}", place.display()))
}

fn cannot_use_sources(root: &Path, error: &io::Error) -> CommandError {
    CommandError::Internal(format!("cannot read the sources in {}: {error}", root.display()))
}

/// Reads the beginning of a build's output.
fn read_start(log: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(log)?.take(MAX_LOG_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Removes a file or a directory, if it is there.
fn remove(place: &Path) -> io::Result<()> {
    let removed = match place.symlink_metadata() {
        Ok(found) if found.is_dir() => fs::remove_dir_all(place),
        Ok(_) => fs::remove_file(place),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Copies a directory along with the modification times, from which cargo sees what is up to date.
fn copy_with_times(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let source = entry.path();
        let copy = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_with_times(&source, &copy)?;
        } else {
            fs::copy(&source, &copy)?;
            let modified = entry.metadata()?.modified()?;
            File::options().write(true).open(&copy)?.set_modified(modified)?;
        }
    }
    Ok(())
}
