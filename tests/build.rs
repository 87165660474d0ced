//! Tells the program what it was built from, for the results that it keeps; and gives it the lab pages
//! that there are.

use std::fmt::Write;
use std::path::{Path, PathBuf};
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

    list_pages(&workspace.join("docs/course"));

    // Whatever changes the sources changes what is said of them.
    for path in ["Cargo.lock", "labrpc", "labraft", "raft", "kvraft", "tests", ".git/HEAD"] {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
    if let Some(refs) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={}", workspace.join(refs).display());
    }
}

/// Writes down which parts have a page, `2a.md` and so on, as a Rust expression: a course need not hand
/// out all of them.
fn list_pages(directory: &Path) {
    println!("cargo::rerun-if-changed={}", directory.display());
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut pages: Vec<(String, PathBuf)> = entries
        .map(|entry| (entry.file_name().to_string_lossy().to_uppercase(), entry.path()))
        .filter_map(|(name, path)| Some((name.strip_suffix(".MD")?.to_string(), path)))
        .filter(|(part, _)| matches!(part.as_bytes(), [b'0'..=b'9', b'A'..=b'Z']))
        .collect();
    pages.sort();
    let mut list = String::from("&[");
    for (part, path) in pages {
        write!(list, "({part:?}, include_str!({path:?})), ").expect("it is a string");
    }
    let out = std::env::var("OUT_DIR").expect("cargo says where to write");
    std::fs::write(Path::new(&out).join("course_pages.rs"), list + "]").expect("it can be written");
}

/// What a command prints, when it can be run and succeeds.
fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().into())
}
