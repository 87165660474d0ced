//! `course handout`: from the lab's sources to what a student gets.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use clap::Args;
use labraft::Verdict;

use super::handout::{Handout, Parts};
use super::{gradescope, proof};
use lab::outcome::{CommandError, INTERRUPT, Outcome};
use lab::submit::manifest::Manifest;
use lab::submit::{manifest, repository, tree};

/// What `course handout` is told.
#[derive(Args)]
pub(crate) struct HandoutArgs {
    /// Where to put it: a directory that is empty, or not there yet.
    #[arg(value_name = "DIR", required_unless_present = "check")]
    directory: Option<PathBuf>,
    /// Which parts to hand out, from the first to the last of these.
    #[arg(long, value_name = "2A..3B")]
    parts: Option<Parts>,
    /// Only check the markers in the sources, and that nothing of the solution is left.
    #[arg(long, conflicts_with_all = ["directory", "gradescope"])]
    check: bool,
    /// Do not build it and run its tests first.
    #[arg(long, conflicts_with_all = ["check", "gradescope"])]
    no_proof: bool,
    /// Put there what Gradescope grades with, in place of a handout; it contains the solution.
    #[arg(long, requires = "config", conflicts_with = "parts")]
    gradescope: bool,
    /// What to grade with: see `course grade`.
    #[arg(long, value_name = "FILE", requires = "gradescope")]
    config: Option<PathBuf>,
}

impl HandoutArgs {
    /// Does it.
    pub(crate) fn run(self) -> Result<Outcome, CommandError> {
        let root = tree::sources()?;
        let mut out = io::stdout();
        if let Some(directory) = &self.directory {
            is_free(directory).map_err(CommandError::Usage)?;
        }
        if let (true, Some(directory), Some(config)) =
            (self.gradescope, &self.directory, &self.config)
        {
            gradescope::write(&root, directory, config)?;
            writeln!(
                out,
                "{}: pack what is in it into a zip file for Gradescope",
                directory.display()
            )?;
            return Ok(Outcome::Judged(Verdict::Passed));
        }

        let handout = Handout::of_sources(&root, self.parts.unwrap_or_default())?;
        let Some(directory) = &self.directory else {
            writeln!(out, "{}", summary(&handout)?)?;
            return Ok(Outcome::Judged(Verdict::Passed));
        };
        if !self.no_proof {
            writeln!(out, "building it and running its tests, which takes a minute or two ...")?;
            let problem = proof::problem(&handout, &root)?;
            if INTERRUPT.load(Ordering::Relaxed) {
                return Ok(Outcome::Interrupted);
            }
            if let Some(problem) = problem {
                writeln!(out, "this handout is not fit to be given out: {}", problem.trim_end())?;
                return Ok(Outcome::Judged(Verdict::Failed));
            }
        }
        handout.tree.write(directory).map_err(|error| {
            CommandError::Usage(format!("{} cannot be written: {error}", directory.display()))
        })?;
        let Parts { first, last } = handout.parts;
        let message = format!("Raft lab, parts {first} to {last}");
        let commit = repository::commit_all(directory, &message).map_err(CommandError::Usage)?;
        writeln!(out, "{}\n{}: commit {commit}", summary(&handout)?, directory.display())?;
        Ok(Outcome::Judged(Verdict::Passed))
    }
}

fn summary(handout: &Handout) -> Result<String, CommandError> {
    let Handout { tree, parts, removed } = handout;
    let text = tree.get(manifest::FILE).unwrap_or_default();
    let manifest = Manifest::parse(text).map_err(CommandError::Internal)?;
    let editable = tree.files().filter(|(path, _)| manifest.may_edit(path)).count();
    Ok(format!(
        "parts {} to {}: {} files, {} of them frozen and {editable} a student's; {removed} different \
         lines of the solution are left out",
        parts.first,
        parts.last,
        tree.files().count(),
        manifest.frozen.len(),
    ))
}

/// Whether something can be put there without harm.
fn is_free(directory: &Path) -> Result<(), String> {
    let what = directory.display();
    match fs::read_dir(directory).map(|mut entries| entries.next()) {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(format!("{what} is not empty: give a directory that is, or a new one")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("{what} cannot be used: {error}")),
    }
}
