//! A scratch directory, in which another tree of sources is built and run.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::tree::Tree;
use crate::outcome::CommandError;

/// Three directories in the workspace's own `target`. They stay between runs, so that cargo builds
/// only what has changed.
pub struct Scratch {
    /// The sources.
    pub tree: PathBuf,
    /// Cargo's target directory.
    pub target: PathBuf,
    /// The directory for the output of programs that are run in the tree.
    pub out: PathBuf,
}

/// The result of a build.
pub struct Build {
    /// Whether the build produced a program.
    pub succeeded: bool,
    /// The compiler's errors and warnings, formatted as the compiler prints them.
    pub diagnostics: Vec<String>,
}

impl Scratch {
    /// The scratch directory with this name in the lab at `root`. Nothing is created yet.
    pub fn new(root: &Path, name: &str) -> Scratch {
        let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        let place = root.join(target).join(name);
        Scratch { tree: place.join("tree"), target: place.join("build"), out: place.join("out") }
    }

    /// Replaces the contents of the tree with these files.
    pub fn put(&self, tree: &Tree) -> Result<(), CommandError> {
        tree.write_exactly(&self.tree).map_err(|error| {
            CommandError::Usage(format!("cannot write {}: {error}", self.tree.display()))
        })
    }

    /// A command that runs cargo in the tree.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.target).stdin(Stdio::null());
        command
    }

    /// Builds offline, with the locked versions, in the dev profile, but without optimisation and
    /// debug information: what is built is hardly used.
    pub fn build(&self, arguments: &[&str]) -> Result<Build, CommandError> {
        let output = self
            .cargo()
            .args(["build", "--quiet", "--offline", "--locked", "--message-format=json"])
            .args(arguments)
            .envs([("CARGO_PROFILE_DEV_OPT_LEVEL", "0"), ("CARGO_PROFILE_DEV_DEBUG", "0")])
            .output()
            .map_err(|error| CommandError::Usage(format!("cannot run cargo: {error}")))?;
        let mut diagnostics = diagnostics(&output.stdout);
        if !output.status.success() && diagnostics.is_empty() {
            diagnostics.push(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(Build { succeeded: output.status.success(), diagnostics })
    }

    /// The `lab` that was built in this profile (`debug` or `release`), to be run in the tree.
    pub fn lab(&self, profile: &str) -> Command {
        let mut command = Command::new(self.target.join(profile).join("lab"));
        command.current_dir(&self.tree).stdin(Stdio::null());
        // Its failures do not belong in the summary of the surrounding GitHub workflow.
        command.env_remove("GITHUB_ACTIONS");
        command
    }

    /// Runs the `lab` that [`Scratch::build`] has built, and waits for it to finish.
    pub fn run_lab(&self, arguments: &[&str]) -> Result<Output, CommandError> {
        let mut command = self.lab("debug");
        // Its hints then name `cargo lab`, as a student's own would.
        command.args(arguments).env("CARGO", "cargo");
        command.output().map_err(|error| {
            CommandError::Internal(format!("cannot run the lab that was built: {error}"))
        })
    }
}

/// The compiler's errors and warnings in cargo's JSON output, which has one message per line.
fn diagnostics(printed: &[u8]) -> Vec<String> {
    let lines = printed.split(|&byte| byte == b'\n');
    let messages = lines.filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    messages
        .filter(|message| message["reason"] == "compiler-message")
        .filter_map(|message| message["message"]["rendered"].as_str().map(String::from))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiler_messages_are_found_among_cargo_s_own() {
        let printed = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"raft"}}"#,
            "\n",
            r#"{"reason":"compiler-message","message":{"level":"warning","rendered":"unused"}}"#,
            "\nnot JSON\n",
            r#"{"reason":"build-finished","success":true}"#,
            "\n",
        );
        assert_eq!(diagnostics(printed.as_bytes()), ["unused"]);
    }
}
