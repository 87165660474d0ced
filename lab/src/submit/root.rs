//! Finds the root of the lab that the current directory is in.

use std::path::{Path, PathBuf};

use super::manifest;
use crate::outcome::CommandError;

/// The root of the lab that the current directory is in: the lab's own sources, or a handout.
///
/// # Errors
/// When the current directory is not in a lab.
pub fn workspace() -> Result<PathBuf, CommandError> {
    let here = std::env::current_dir()?;
    let is_lab = |directory: &&Path| {
        ["labrpc", "labraft", "raft", "kvraft", "tests", "program"]
            .iter()
            .all(|name| directory.join(name).join("Cargo.toml").is_file())
    };
    let found = here.ancestors().find(is_lab);
    found.map(Path::to_path_buf).ok_or_else(|| {
        CommandError::Usage(format!(
            "{} is not within a lab: run this command in a lab's directory",
            here.display()
        ))
    })
}

/// The root of the lab that the current directory is in, which must not be a handout.
///
/// # Errors
/// When the current directory is not in a lab, or the lab is a handout.
pub fn sources() -> Result<PathBuf, CommandError> {
    let root = workspace()?;
    if root.join(manifest::FILE).exists() {
        return Err(CommandError::Usage(format!(
            "{} is a handout, but this command needs the lab's own sources: run it there",
            root.display()
        )));
    }
    Ok(root)
}
