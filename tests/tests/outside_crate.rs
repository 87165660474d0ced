//! Another crate puts a Raft of its own under the whole command line in a few lines.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A Raft that never leads, and the command line for it.
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

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn write_crate(directory: &Path) {
    let root = workspace();
    let path = |name: &str| format!("{name} = {{ path = {:?} }}\n", root.join(name));
    let manifest = format!(
        "[package]\nname = \"outside\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\nbytes = \"1\"\n{}{}{}",
        path("labraft"),
        path("raft"),
        path("tests"),
    );
    std::fs::create_dir_all(directory.join("src")).unwrap();
    std::fs::write(directory.join("Cargo.toml"), manifest).unwrap();
    std::fs::write(directory.join("src/main.rs"), MAIN).unwrap();
    // The workspace's own versions: all of them are on this machine already.
    std::fs::copy(root.join("Cargo.lock"), directory.join("Cargo.lock")).unwrap();
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
fn a_raft_of_ones_own_gets_the_whole_command_line() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("outside");
    write_crate(&directory);

    let failed = cargo_run(&directory, &["run", "InitialElection2A", "--seeds", "2"]);
    let text = String::from_utf8_lossy(&failed.stdout);
    assert_eq!(failed.status.code(), Some(1), "{text}{}", String::from_utf8_lossy(&failed.stderr));
    assert!(text.contains("expected one leader, got none"), "{text}");
    assert!(text.contains("replay InitialElection2A --seed 0"), "{text}");

    let passed = cargo_run(&directory, &["run", "2A", "--implementation", "reference"]);
    assert_eq!(passed.status.code(), Some(0), "{}", String::from_utf8_lossy(&passed.stdout));
}
