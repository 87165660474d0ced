//! Another crate can run the whole `lab` command with a Raft of its own in a few lines.

use std::path::Path;
use std::process::{Command, Output};

use crate::common::{scratch, show, workspace};

/// The page that begins with an empty folder. Its first blocks are a manifest and a program with a
/// Raft that never leads.
const PAGE: &str = include_str!("../../docs/your-own-raft.md");

/// The first code block of the page in a language.
fn first_block(language: &str) -> &'static str {
    let (_, behind) = PAGE.split_once(&format!("```{language}\n")).expect("the page has a block");
    behind.split_once("```").expect("the block is closed").0
}

/// The text with `from` replaced by `to`. Panics if `from` is not in it.
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "the page has no {from:?}");
    text.replace(from, to)
}

/// The workspace's settings for debug builds. With them, dependencies that are built already are not built
/// again.
fn dev_profile() -> String {
    let manifest = std::fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    let (_, behind) = manifest.split_once("\n[profile.dev").expect("the workspace has a profile");
    let (profile, _) = behind.split_once("\n[profile.release").expect("and another behind it");
    format!("\n[profile.dev{profile}\n")
}

/// Writes what the page says, and the reference beside the page's Raft.
fn write_crate(directory: &Path) {
    let lab = workspace().display().to_string();
    let manifest = replaced(first_block("toml"), "../lab/", &format!("{lab}/"));
    let manifest =
        format!("{manifest}raft = {{ path = \"{lab}/raft\" }}\n\n[workspace]\n{}", dev_profile());
    let main = replaced(first_block("rust"), "&[MINE]", "&[MINE, raft::REFERENCE]");
    std::fs::create_dir_all(directory.join("src")).unwrap();
    std::fs::write(directory.join("Cargo.toml"), manifest).unwrap();
    std::fs::write(directory.join("src/main.rs"), main).unwrap();
    // With the workspace's own lock file, every dependency is already on this machine.
    std::fs::copy(workspace().join("Cargo.lock"), directory.join("Cargo.lock")).unwrap();
}

fn cargo_run(directory: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline", "--"])
        .args(args)
        .current_dir(directory)
        .env("CARGO_TARGET_DIR", scratch("").parent().unwrap())
        .output()
        .unwrap()
}

#[test]
fn another_crate_can_run_the_whole_command_with_the_raft_of_the_page() {
    let directory = scratch("outside");
    write_crate(&directory);

    let failed = cargo_run(&directory, &["run", "InitialElection2A", "--seeds", "2"]);
    let text = show(&failed);
    assert_eq!(failed.status.code(), Some(1), "{text}");
    assert!(text.contains("expected one leader, got none"), "{text}");
    assert!(text.contains("replay InitialElection2A --seed 0"), "{text}");
    assert!(!text.contains("warning"), "the page's program builds without warnings: {text}");

    let passed = cargo_run(&directory, &["run", "2A", "--implementation", "reference"]);
    assert_eq!(passed.status.code(), Some(0), "{}", show(&passed));
}
