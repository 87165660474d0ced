//! The `course handout` command.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use clap::Args;
use labraft::Verdict;

use super::contents::Handout;
use super::scope::{Parts, Scope};
use super::{gradescope, proof};
use lab::outcome::{CommandError, INTERRUPT, Outcome};
use lab::submit::manifest::Manifest;
use lab::submit::{manifest, repository, root};

#[derive(Args)]
pub(crate) struct HandoutArgs {
    /// The directory to write to; it must be empty or not exist yet.
    #[arg(value_name = "DIR", required_unless_present = "check")]
    directory: Option<PathBuf>,
    /// The first and the last part to hand out: 4A..4C for lab 4, 2A..4C for the whole course. `+2E` adds an
    /// optional part, and those before it, as in 2A..3B+2F.
    #[arg(long, value_name = "2A..3B")]
    parts: Option<Parts>,
    /// Hand out the reference, solved, for the labs before the first part. Otherwise students put in
    /// their own.
    #[arg(long, requires = "parts", conflicts_with = "gradescope")]
    on_reference: bool,
    /// Only check the markers in the sources, and that no line of the solution would be handed out.
    #[arg(long, conflicts_with_all = ["directory", "gradescope"])]
    check: bool,
    /// Skip building the handout and running its tests.
    #[arg(long, conflicts_with_all = ["check", "gradescope"])]
    no_proof: bool,
    /// Write the kit that Gradescope grades with instead of a handout; it contains the solution.
    #[arg(long, requires = "config", conflicts_with = "parts")]
    gradescope: bool,
    /// The configuration for the kit: see `course grade`.
    #[arg(long, value_name = "FILE", requires = "gradescope")]
    config: Option<PathBuf>,
}

impl HandoutArgs {
    /// The verdict is `Failed` when the handout is not ready for students.
    pub(crate) fn run(self) -> Result<Outcome, CommandError> {
        let root = root::sources()?;
        let mut out = io::stdout();
        if let Some(directory) = &self.directory {
            check_free(directory).map_err(CommandError::Usage)?;
        }
        // Clap makes sure that there is a configuration only with `--gradescope`.
        if let (Some(directory), Some(config)) = (&self.directory, &self.config) {
            gradescope::write(&root, directory, config)?;
            let directory = directory.display();
            writeln!(out, "{directory}: pack its contents into a zip file for Gradescope")?;
            return Ok(Outcome::Judged(Verdict::Passed));
        }

        let handout = Handout::of_sources(&root, self.scope()?)?;
        let Some(directory) = &self.directory else {
            writeln!(out, "{}", summary(&handout)?)?;
            return Ok(Outcome::Judged(Verdict::Passed));
        };
        if !self.no_proof {
            writeln!(
                out,
                "building the handout and running its tests, which takes a minute or two ..."
            )?;
            let problem = proof::problem(&handout, &root)?;
            if INTERRUPT.load(Ordering::Relaxed) {
                return Ok(Outcome::Interrupted);
            }
            if let Some(problem) = problem {
                writeln!(out, "the handout is not ready for students: {}", problem.trim_end())?;
                return Ok(Outcome::Judged(Verdict::Failed));
            }
        }
        handout.tree.write(directory).map_err(|error| {
            CommandError::Usage(format!("cannot write {}: {error}", directory.display()))
        })?;
        let Parts { first, last, .. } = handout.scope.parts;
        let message = format!("Raft lab, parts {first} to {last}");
        let commit = repository::commit_all(directory, &message).map_err(CommandError::Usage)?;
        writeln!(out, "{}\n{}: commit {commit}", summary(&handout)?, directory.display())?;
        Ok(Outcome::Judged(Verdict::Passed))
    }
}

impl HandoutArgs {
    fn scope(&self) -> Result<Scope, CommandError> {
        let parts = self.parts.unwrap_or_default();
        let scope = Scope { parts, on_reference: self.on_reference };
        if self.on_reference && scope.solved().next().is_none() {
            let first = parts.first;
            return Err(CommandError::Usage(format!(
                "--on-reference: no lab is complete before part {first}, so there is nothing to hand out solved"
            )));
        }
        Ok(scope)
    }
}

/// Sums up the contents of a handout in one line.
fn summary(handout: &Handout) -> Result<String, CommandError> {
    let Handout { tree, scope, removed } = handout;
    let Parts { first, last, last_optional } = scope.parts;
    let optional =
        last_optional.map_or(String::new(), |part| format!(", optional ones up to {part}"));
    let text = tree.get(manifest::FILE).unwrap_or_default();
    let manifest = Manifest::parse(text).map_err(CommandError::Internal)?;
    let editable = tree.files().filter(|(path, _)| manifest.may_edit(path)).count();
    Ok(format!(
        "parts {first} to {last}{optional}: {} files, {} of them frozen and {editable} for students to edit; {removed} \
         different lines of the solution are left out",
        tree.files().count(),
        manifest.frozen.len(),
    ))
}

/// Checks that a directory is empty, or does not exist yet.
fn check_free(directory: &Path) -> Result<(), String> {
    let what = directory.display();
    match fs::read_dir(directory).map(|mut entries| entries.next()) {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(format!(
            "{what} is not empty: give an empty directory, or one that does not exist yet"
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("cannot use {what}: {error}")),
    }
}
