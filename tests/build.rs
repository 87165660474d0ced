//! Tells the program what it was built from, for the results that it keeps.

use std::path::Path;
use std::process::Command;

fn main() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is in a workspace");
    let git = |arguments: &[&str]| said(Command::new("git").current_dir(workspace).args(arguments));
    let mut commit = git(&["rev-parse", "HEAD"]).unwrap_or_default();
    let changes = git(&["status", "--porcelain", "--untracked-files=no"]);
    if changes.is_some_and(|changes| !changes.is_empty()) {
        commit += "-dirty";
    }
    println!("cargo::rustc-env=LAB_COMMIT={commit}");

    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = said(Command::new(compiler).arg("--version")).unwrap_or_default();
    println!("cargo::rustc-env=LAB_COMPILER={version}");
    let profile = std::env::var("PROFILE").unwrap_or_default();
    println!("cargo::rustc-env=LAB_PROFILE={profile}");

    // Whatever changes the sources changes what is said of them.
    for path in ["Cargo.lock", "labrpc", "labraft", "raft", "kvraft", "lab", "tests", ".git/HEAD"] {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
    if let Some(refs) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={}", workspace.join(refs).display());
    }
}

/// What a command prints, when it can be run and succeeds.
fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().into())
}
