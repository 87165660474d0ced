//! Another crate can run the whole `lab` command with a Raft of its own in a few lines.

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{scratch, show, workspace};

/// A program with a Raft that never leads, and the `lab` command for it.
const MAIN: &str = r#"
use std::rc::Rc;
use labraft::{Env, Implementation, Raft, RaftState, Started};

struct Sleepy;

impl Raft for Sleepy {
    fn start(&self, _: bytes::Bytes) -> Option<Started> { None }
    fn state(&self) -> RaftState { RaftState { term: 1, is_leader: false } }
    fn snapshot(&self, _: u64, _: bytes::Bytes) {}
    fn kill(&self) {}
}

fn make(_: Env) -> Rc<dyn Raft> { Rc::new(Sleepy) }

fn main() -> std::process::ExitCode {
    tests::lab_main(&[Implementation::new("sleepy", make), raft::REFERENCE])
}
"#;

/// A line of a manifest: a dependency on a crate of the workspace.
fn dependency(name: &str) -> String {
    format!("{name} = {{ path = {:?} }}\n", workspace().join(name))
}

fn write_crate(directory: &Path) {
    let manifest = format!(
        "[package]\nname = \"outside\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\nbytes = \"1\"\n{}{}{}",
        dependency("labraft"),
        dependency("raft"),
        dependency("tests"),
    );
    std::fs::create_dir_all(directory.join("src")).unwrap();
    std::fs::write(directory.join("Cargo.toml"), manifest).unwrap();
    std::fs::write(directory.join("src/main.rs"), MAIN).unwrap();
    // With the workspace's own lock file, every dependency is already on this machine.
    std::fs::copy(workspace().join("Cargo.lock"), directory.join("Cargo.lock")).unwrap();
}

fn cargo_run(directory: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline", "--"])
        .args(args)
        .current_dir(directory)
        .env("CARGO_TARGET_DIR", workspace().join("target"))
        .output()
        .unwrap()
}

#[test]
fn another_crate_can_run_the_whole_command_with_its_own_raft() {
    let directory = scratch("outside");
    write_crate(&directory);

    let failed = cargo_run(&directory, &["run", "InitialElection2A", "--seeds", "2"]);
    let text = show(&failed);
    assert_eq!(failed.status.code(), Some(1), "{text}");
    assert!(text.contains("expected one leader, got none"), "{text}");
    assert!(text.contains("replay InitialElection2A --seed 0"), "{text}");

    let passed = cargo_run(&directory, &["run", "2A", "--implementation", "reference"]);
    assert_eq!(passed.status.code(), Some(0), "{}", show(&passed));
}
