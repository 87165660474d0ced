//! Builds and runs of a tree of files that is not the present one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::tree::Tree;
use crate::outcome::CommandError;

/// A place for a tree and what is built from it, below the workspace's own `target`.
pub struct Bench {
    /// Where the tree is.
    pub tree: PathBuf,
    target: PathBuf,
    /// A place for what is run from the tree to write to.
    pub out: PathBuf,
}

/// What a build came to.
pub struct Built {
    /// Whether there is a program now.
    pub succeeded: bool,
    /// What the compiler said: errors and warnings, each as it would print it.
    pub said: Vec<String>,
}

impl Bench {
    /// The bench of this name in the lab at `root`.
    pub fn new(root: &Path, name: &str) -> Bench {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let place = root.join(target.unwrap_or_else(|| "target".into())).join(name);
        Bench { tree: place.join("tree"), target: place.join("build"), out: place.join("out") }
    }

    /// Makes the bench's files these, and no others.
    pub fn put(&self, tree: &Tree) -> Result<(), CommandError> {
        let cannot = |error: io::Error| {
            CommandError::Usage(format!("{} cannot be written: {error}", self.tree.display()))
        };
        fs::create_dir_all(&self.tree).map_err(cannot)?;
        remove_others(&self.tree, &self.tree, tree).map_err(cannot)?;
        tree.write(&self.tree).map_err(cannot)
    }

    /// Builds, from what is on this machine already and with the versions that are locked.
    pub fn build(&self, arguments: &[&str]) -> Result<Built, CommandError> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["build", "--quiet", "--offline", "--locked", "--message-format=json"])
            .args(arguments)
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.target)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| CommandError::Usage(format!("cargo cannot be run: {error}")))?;
        let mut said = diagnostics(&output.stdout);
        if !output.status.success() && said.is_empty() {
            said.push(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(Built { succeeded: output.status.success(), said })
    }

    /// Runs the lab that was built.
    pub fn lab(&self, arguments: &[&str]) -> Result<Output, CommandError> {
        let mut command = Command::new(self.target.join("debug/lab"));
        command.args(arguments).current_dir(&self.tree).stdin(Stdio::null());
        // That it fails is nothing for a summary.
        command.env_remove("GITHUB_ACTIONS").env("CARGO", "cargo");
        command.output().map_err(|error| {
            CommandError::Internal(format!("the lab that was built cannot be run: {error}"))
        })
    }
}

/// The compiler's errors and warnings in what cargo prints as JSON, a message a line.
fn diagnostics(printed: &[u8]) -> Vec<String> {
    let lines = printed.split(|&byte| byte == b'\n');
    let messages = lines.filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    messages
        .filter(|message| message["reason"] == "compiler-message")
        .filter_map(|message| message["message"]["rendered"].as_str().map(String::from))
        .collect()
}

fn remove_others(root: &Path, directory: &Path, tree: &Tree) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.symlink_metadata()?.is_dir() {
            remove_others(root, &path, tree)?;
            // It goes if it is empty now.
            _ = fs::remove_dir(&path);
        } else {
            let name = path.strip_prefix(root).expect("it is below").to_string_lossy().into_owned();
            if tree.get(&name.replace('\\', "/")).is_none() {
                fs::remove_file(&path)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_compiler_says_is_found_among_what_cargo_says() {
        let printed = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"raft"}}"#,
            "\n",
            r#"{"reason":"compiler-message","message":{"level":"warning","rendered":"unused"}}"#,
            "\nnothing of ours\n",
            r#"{"reason":"build-finished","success":true}"#,
            "\n",
        );
        assert_eq!(diagnostics(printed.as_bytes()), ["unused"]);
    }

    #[test]
    fn a_bench_holds_what_was_put_on_it_last() {
        let root = std::env::temp_dir().join(format!("lab-bench-{}", std::process::id()));
        let bench =
            Bench { tree: root.join("tree"), target: root.join("build"), out: root.join("out") };
        let mut tree = Tree::default();
        tree.insert("a/b/c.rs", "");
        tree.insert("a/d.rs", "d");
        bench.put(&tree).unwrap();
        tree.remove("a/b/c.rs");
        tree.insert("a/d.rs", "e");
        bench.put(&tree).unwrap();
        assert!(!bench.tree.join("a/b").exists());
        assert_eq!(fs::read(bench.tree.join("a/d.rs")).unwrap(), b"e");
        fs::remove_dir_all(&root).unwrap();
    }
}
