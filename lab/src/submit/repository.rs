//! Turns a directory into a git repository with one commit that is the same on every machine and at
//! any time.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Fixed authors and dates, which would otherwise differ each time.
const IDENTITY: [(&str, &str); 6] = [
    ("GIT_AUTHOR_NAME", "Raft lab"),
    ("GIT_AUTHOR_EMAIL", "lab@localhost"),
    ("GIT_AUTHOR_DATE", "2000-01-01T00:00:00+00:00"),
    ("GIT_COMMITTER_NAME", "Raft lab"),
    ("GIT_COMMITTER_EMAIL", "lab@localhost"),
    ("GIT_COMMITTER_DATE", "2000-01-01T00:00:00+00:00"),
];
/// Settings that override the user's own: no hooks, templates, signatures, ignored files or changed
/// line ends. One thread, because several may pack objects differently each time.
const SETTINGS: [&str; 8] = [
    "commit.gpgSign=false",
    "core.attributesFile=/dev/null",
    "core.autocrlf=false",
    "core.excludesFile=/dev/null",
    "core.hooksPath=/dev/null",
    "core.logAllRefUpdates=true",
    "gc.auto=0",
    "index.threads=1",
];

/// Makes the directory a repository whose branch `main` has all of its files in one commit, and
/// returns the hash of that commit.
///
/// # Errors
/// When git is missing or fails. The error is git's message.
pub fn commit_all(directory: &Path, message: &str) -> Result<String, String> {
    git(directory, &["init", "--quiet", "--initial-branch=main", "--template="])?;
    git(directory, &["add", "--all", "--force"])?;
    git(directory, &["commit", "--quiet", "--no-verify", "--message", message])?;
    // The index has the modification time of each file. Rebuilt from the commit, it has none.
    fs::remove_file(directory.join(".git/index")).map_err(|error| error.to_string())?;
    git(directory, &["read-tree", "HEAD"])?;
    git(directory, &["rev-parse", "HEAD"])
}

/// The content of a file in the first commit of the repository.
pub fn first_version(directory: &Path, path: &str) -> Option<Vec<u8>> {
    let first = git(directory, &["rev-list", "--max-parents=0", "HEAD"]).ok()?;
    let first = first.lines().next_back()?;
    let output = command(directory, &["show", &format!("{first}:{path}")]).output().ok()?;
    output.status.success().then_some(output.stdout)
}

fn git(directory: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = command(directory, arguments)
        .output()
        .map_err(|error| format!("cannot run git, which is needed: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().into());
    }
    let error = String::from_utf8_lossy(&output.stderr);
    Err(format!("git {} failed: {}", arguments.join(" "), error.trim_end()))
}

fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    command.envs(IDENTITY);
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    for setting in SETTINGS {
        command.args(["-c", setting]);
    }
    command.args(arguments).current_dir(directory);
    command
}
