//! `Cargo.lock` for a handout: without the packages that only what is kept back needs.
//!
//! A handout is built with `--locked`, which refuses a lock file that names more than the workspace needs. Which
//! packages that are depends on the features that the members ask of each, so cargo itself is asked.

use std::path::Path;
use std::process::{Command, Stdio};

use lab::outcome::CommandError;
use lab::submit::build::Bench;
use lab::submit::tree::Tree;

/// The lock file of the workspace `tree`, which holds one for a larger workspace. The versions stay.
///
/// # Errors
/// When the tree cannot be written below the workspace at `root`, or cargo cannot resolve it.
pub(super) fn reduced(tree: &Tree, root: &Path) -> Result<Vec<u8>, CommandError> {
    // Of this process alone: another may be making another handout.
    let bench = Bench::new(root, &format!("handout-lock-{}", std::process::id()));
    bench.put(tree)?;
    let lock = resolved(&bench.tree);
    _ = std::fs::remove_dir_all(bench.tree.parent().unwrap_or(&bench.tree));
    lock
}

/// The lock file of the workspace in `directory`, once cargo has brought it up to date.
fn resolved(directory: &Path) -> Result<Vec<u8>, CommandError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["update", "--workspace", "--offline", "--quiet"])
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| CommandError::Usage(format!("cargo cannot be run: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(CommandError::Internal(format!(
            "cargo cannot write the handout's lock file: {said}"
        )));
    }
    let path = directory.join("Cargo.lock");
    std::fs::read(&path).map_err(|error| {
        CommandError::Internal(format!("{} cannot be read: {error}", path.display()))
    })
}
