//! Records what the program is built from, so that stored results can name their build.

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

    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = output_of(Command::new(compiler).arg("--version")).unwrap_or_default();
    println!("cargo::rustc-env=LAB_COMPILER={version}");
    let profile = std::env::var("PROFILE").unwrap_or_default();
    println!("cargo::rustc-env=LAB_PROFILE={profile}");

    // `-dirty` depends on every source file of the program.
    let crates = ["labrpc", "labraft", "raft", "kvraft", "shardctrler", "shardkv", "lab", "tests"];
    for path in crates.into_iter().chain(["Cargo.lock", ".git/HEAD"]) {
        let path = workspace.join(path);
        // A handout has fewer crates, and a file that is not there counts as changed.
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    if let Some(refs) = git(workspace, &["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={}", workspace.join(refs).display());
    }
}

/// The output of a git command, or `None` if there is no git or no repository.
fn git(workspace: &Path, arguments: &[&str]) -> Option<String> {
    output_of(Command::new("git").current_dir(workspace).args(arguments))
}

/// The output of a command, or `None` if it cannot be started or fails.
fn output_of(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().into())
}
