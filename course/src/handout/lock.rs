//! `Cargo.lock` for a handout, without the packages that only the crates kept back depend on.
//!
//! A handout is built with `--locked`, which refuses a lock file that names more than the workspace
//! needs. Which packages it needs depends on the features that its members enable, so cargo itself
//! computes the new file.

use std::path::Path;

use lab::outcome::CommandError;
use lab::submit::scratch::Scratch;
use lab::submit::tree::Tree;

/// Reduces the lock file in `tree`, which is that of a larger workspace, to the packages that
/// `tree` needs. Their versions do not change.
///
/// # Errors
/// If the tree cannot be written below the workspace at `root`, or cargo cannot resolve it.
pub(super) fn reduced(tree: &Tree, root: &Path) -> Result<Vec<u8>, CommandError> {
    // Each process has its own scratch directory, because several may make handouts at once.
    let scratch = Scratch::new(root, &format!("handout-lock-{}", std::process::id()));
    scratch.put(tree)?;
    let lock = resolved(&scratch);
    _ = std::fs::remove_dir_all(scratch.tree.parent().unwrap_or(&scratch.tree));
    lock
}

/// Lets cargo update the lock file, and returns the result.
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
