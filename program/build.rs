//! Records the commit that the program is built from, so that stored results can name it.

use std::fs;
use std::path::Path;
use std::process::Command;

fn main() {
    let workspace =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in a workspace");
    let mut commit = git(workspace, &["rev-parse", "HEAD"]).unwrap_or_default();
    let changes = git(workspace, &["status", "--porcelain", "--untracked-files=no"]);
    if changes.is_some_and(|changes| !changes.is_empty()) {
        commit += "-dirty";
    }
    println!("cargo::rustc-env=LAB_COMMIT={commit}");

    // `-dirty` depends on every source file of the workspace.
    let folders = fs::read_dir(workspace).expect("the workspace can be read");
    let crates = folders.flatten().map(|entry| entry.path());
    let crates = crates.filter(|path| path.join("Cargo.toml").is_file());
    for path in crates.chain(["Cargo.lock", ".git/HEAD"].map(|path| workspace.join(path))) {
        // A file that is not there counts as changed.
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    if let Some(refs) = git(workspace, &["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={}", workspace.join(refs).display());
    }
}

/// The output of a git command; `None` if git or the repository is missing.
fn git(workspace: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").current_dir(workspace).args(arguments).output();
    let output = output.ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().into())
}
