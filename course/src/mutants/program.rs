//! The lab with one bug in it: built once, and kept as long as neither the bug nor the lab changes.
//!
//! ```text
//! target/mutants/tree        the lab's sources, with the bug that is being built
//! target/mutants/build       cargo's target directory, which all bugs share
//! target/mutants/out/ID      what is kept of a bug:
//!     lab                    its program
//!     key                    a digest of the sources and of the patch
//!     go, chaos              its results under each profile
//! ```

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab::outcome::CommandError;
use lab::submit::manifest::sha256;
use lab::submit::scratch::Scratch;
use lab::submit::tree::Tree;
use labraft::Profile;

use super::patch::git_apply;
use crate::place;
use crate::processes::{Ended, QUICK_RELEASE, run_logged};

/// The directories of the sources that do not go into the lab's program.
const NOT_IN_PROGRAM: [&str; 8] = [
    "course/",
    "docs/",
    "examples/",
    "program/benches/",
    "program/examples/",
    "program/tests/",
    "scripts/",
    "target/",
];

/// Builds the lab's sources with a patch or without.
pub(super) struct Builder {
    scratch: Scratch,
    sources: Tree,
    /// A digest of the sources that go into the program.
    sources_key: String,
    jobs: usize,
    /// Keeps others out of the place until it is closed.
    _lock: File,
}

/// A program, and the place for its results.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// An absolute path.
    place: PathBuf,
    /// The implementation to test, if it is not the first.
    implementation: Option<&'static str>,
}

impl Builder {
    pub(super) fn new(root: &Path, jobs: usize) -> Result<Builder, CommandError> {
        let scratch = Scratch::new(root, "mutants");
        fs::create_dir_all(&scratch.out)?;
        let lock = place::lock(&scratch.out, "wait until the other command has finished")?;
        let sources = Tree::of_directory(root)?;
        let sources_key = key(&sources);
        Ok(Builder { scratch, sources, sources_key, jobs, _lock: lock })
    }

    /// The program with this name, with the patch in its sources if there is one. It is built unless
    /// there is one already of the same sources and patch; results of another are removed. `None` if
    /// interrupted.
    pub(super) fn program(
        &self,
        name: &str,
        patch: Option<&Path>,
    ) -> Result<Option<Program>, CommandError> {
        let program = Program::at(self.scratch.out.join(name));
        let patch_key = patch.map(fs::read).transpose()?.map(|bytes| sha256(&bytes));
        let key = format!("{} {}\n", self.sources_key, patch_key.unwrap_or_default());
        let key_path = program.place.join("key");
        if fs::read_to_string(&key_path).is_ok_and(|old| old == key) && program.path().is_file() {
            return Ok(Some(program));
        }
        match fs::remove_dir_all(&program.place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => fs::create_dir_all(&program.place)?,
        }
        self.scratch.put(&self.sources)?;
        if let Some(patch) = patch {
            git_apply(&self.scratch.tree, patch, &[])?;
        }
        let log = program.place.join("build.log");
        match run_logged(self.build_command(), &log, None)? {
            Ended::Interrupted => return Ok(None),
            Ended::Exited(status) if status.success() => {}
            Ended::Exited(_) | Ended::TimedOut => {
                let output = fs::read_to_string(&log).unwrap_or_default();
                return Err(CommandError::Usage(format!("{name} does not build:\n{output}")));
            }
        }
        fs::copy(self.scratch.target.join("release/lab"), program.path())?;
        // Last, so that what is there without a key counts for nothing.
        fs::write(&key_path, key)?;
        Ok(Some(program))
    }

    /// The command that builds the lab: in release mode, so that runs are quick, but with settings that
    /// keep the build itself quick.
    fn build_command(&self) -> Command {
        let mut command = self.scratch.cargo();
        command
            .args(["build", "--quiet", "--release", "--package", "program", "--bin", "lab"])
            .arg("--jobs")
            .arg(self.jobs.to_string())
            .env("CARGO_INCREMENTAL", "1")
            .envs([QUICK_RELEASE]);
        command
    }
}

impl Program {
    /// The program that is in this directory, an absolute path.
    pub(super) fn at(place: PathBuf) -> Program {
        Program { place, implementation: None }
    }

    /// The same, to test another implementation than the first.
    pub(super) fn testing(self, implementation: Option<&'static str>) -> Program {
        Program { implementation, ..self }
    }

    pub(super) fn implementation(&self) -> Option<&'static str> {
        self.implementation
    }

    pub(super) fn path(&self) -> PathBuf {
        self.place.join("lab")
    }

    /// The directory of its results under a profile.
    pub(super) fn results(&self, profile: Profile) -> PathBuf {
        self.place.join(profile.name())
    }

    /// The file that receives the program's output.
    pub(super) fn log(&self) -> PathBuf {
        self.place.join("run.log")
    }

    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(self.path());
        command.current_dir(&self.place);
        // Its failures do not belong in the summary of the surrounding GitHub workflow.
        command.env_remove("GITHUB_ACTIONS");
        command
    }
}

/// A digest of the sources that go into the lab's program.
fn key(sources: &Tree) -> String {
    let is_in = |path: &str| {
        !NOT_IN_PROGRAM.iter().any(|directory| path.starts_with(directory))
            && !path.ends_with(".md")
    };
    let files = sources.files().filter(|(path, _)| is_in(path));
    let lines = files.map(|(path, file)| format!("{path} {}\n", sha256(&file.content)));
    sha256(lines.collect::<String>().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_changes_with_what_goes_into_the_program() {
        let mut sources = Tree::default();
        sources.insert("raft/src/core.rs", "a");
        let first = key(&sources);
        sources.insert("docs/mutants.md", "a");
        sources.insert("course/src/lib.rs", "a");
        sources.insert("program/tests/search.rs", "a");
        sources.insert("README.md", "a");
        assert_eq!(key(&sources), first);
        sources.insert("raft/src/core.rs", "b");
        assert_ne!(key(&sources), first);
        sources.insert("raft/src/core.rs", "a");
        sources.insert("Cargo.lock", "a");
        assert_ne!(key(&sources), first);
    }
}
