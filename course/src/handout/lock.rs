//! `Cargo.lock` for a handout, without the packages that only the crates kept back depend on.
//!
//! A handout is built with `--locked`, which refuses a lock file that names more than the workspace
//! needs. Which packages that are depends on the features that the members ask of each, so cargo
//! itself is asked.

use std::path::Path;

use lab::outcome::CommandError;
use lab::submit::scratch::Scratch;
use lab::submit::tree::Tree;

/// The lock file for the workspace `tree`, which contains that of a larger workspace. Versions are
/// kept.
///
/// # Errors
/// When the tree cannot be written below the workspace at `root`, or cargo cannot resolve it.
pub(super) fn reduced(tree: &Tree, root: &Path) -> Result<Vec<u8>, CommandError> {
    // One for each process: several may be making handouts at a time.
    let scratch = Scratch::new(root, &format!("handout-lock-{}", std::process::id()));
    scratch.put(tree)?;
    let lock = resolved(&scratch);
    _ = std::fs::remove_dir_all(scratch.tree.parent().unwrap_or(&scratch.tree));
    lock
}

/// The lock file, once cargo has brought it up to date.
fn resolved(scratch: &Scratch) -> Result<Vec<u8>, CommandError> {
    let output = scratch
        .cargo()
        .args(["update", "--workspace", "--offline", "--quiet"])
        .output()
        .map_err(|error| CommandError::Usage(format!("cannot run cargo: {error}")))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(CommandError::Internal(format!(
            "cargo cannot write the handout's lock file: {error}"
        )));
    }
    let path = scratch.tree.join("Cargo.lock");
    std::fs::read(&path)
        .map_err(|error| CommandError::Internal(format!("cannot read {}: {error}", path.display())))
}
