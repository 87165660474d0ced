//! Shared by the tests of the program: paths, how to run `lab`, and how to show its output when a
//! test fails.

#![allow(dead_code, reason = "each test compiles its own copy and uses only a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::rc::Rc;

use bytes::Bytes;
use labraft::{Env, Raft, RaftState, Started, Test, select};

/// The root of the workspace.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// A directory for the files of a test. It may contain files of an earlier `cargo test`.
pub(crate) fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// The `lab` program of this build.
pub(crate) fn lab() -> Command {
    Command::new(env!("CARGO_BIN_EXE_lab"))
}

/// How a program ended and what it printed, for the message of a failed assertion.
pub(crate) fn show(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    format!("{:?}\n{stdout}{stderr}", output.status)
}

/// The test of the suite with this name.
pub(crate) fn test_named(name: &str) -> &'static Test {
    select(tests::SUITE, name).expect("the suite has a test of this name")[0]
}

/// The reference Raft, with functions that are called when it is killed and when it is dropped.
pub(crate) struct HookedReference {
    raft: Rc<dyn Raft>,
    on_kill: fn(&dyn Raft),
    on_drop: fn(),
}

impl HookedReference {
    /// `on_kill` is called in place of the reference's own `kill`.
    pub(crate) fn new(env: Env, on_kill: fn(&dyn Raft), on_drop: fn()) -> Rc<HookedReference> {
        Rc::new(HookedReference { raft: (raft::REFERENCE.make)(env), on_kill, on_drop })
    }
}

impl Drop for HookedReference {
    fn drop(&mut self) {
        (self.on_drop)();
    }
}

impl Raft for HookedReference {
    fn start(&self, command: Bytes) -> Option<Started> {
        self.raft.start(command)
    }

    fn state(&self) -> RaftState {
        self.raft.state()
    }

    fn snapshot(&self, index: u64, snapshot: Bytes) {
        self.raft.snapshot(index, snapshot);
    }

    fn kill(&self) {
        (self.on_kill)(&*self.raft);
    }
}
