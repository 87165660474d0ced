//! A set of files in memory: the lab's sources, a handout, a submission.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::manifest;
use crate::outcome::CommandError;

/// Where sources are when no git says it: all of it below these, but for what is built.
const SOURCES: [&str; 16] = [
    ".cargo",
    ".gitignore",
    "Cargo.lock",
    "Cargo.toml",
    "README.md",
    "clippy.toml",
    "docs",
    "course",
    "kvraft",
    "lab",
    "labraft",
    "labrpc",
    "raft",
    "rustfmt.toml",
    "scripts",
    "tests",
];

/// Files by their paths, which have `/` between their pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<String, File>);

/// One file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// Its bytes.
    pub content: Vec<u8>,
    /// Whether it is a program or script.
    pub is_executable: bool,
}

impl Tree {
    /// All files, by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &File)> {
        self.0.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// Whether there is a file or a directory of this path.
    pub fn has(&self, path: &str) -> bool {
        let is_in = |found: &str| found == path || found.starts_with(&format!("{path}/"));
        self.0
            .range(path.to_string()..)
            .take_while(|(found, _)| found.starts_with(path))
            .any(|(found, _)| is_in(found))
    }

    /// The bytes of a file.
    pub fn get(&self, path: &str) -> Option<&[u8]> {
        self.0.get(path).map(|file| &file.content[..])
    }

    /// Puts a file in, in the place of one that was there.
    pub fn insert(&mut self, path: &str, content: impl Into<Vec<u8>>) {
        let is_executable = self.0.get(path).is_some_and(|file| file.is_executable);
        self.0.insert(path.into(), File { content: content.into(), is_executable });
    }

    /// Says of a file whether it is a program.
    pub fn set_executable(&mut self, path: &str, is_executable: bool) {
        if let Some(file) = self.0.get_mut(path) {
            file.is_executable = is_executable;
        }
    }

    /// Takes a file out.
    pub fn remove(&mut self, path: &str) {
        self.0.remove(path);
    }

    /// Keeps those files of which this holds.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&str) -> bool) {
        self.0.retain(|path, _| is_kept(path));
    }

    /// The lab's sources at `root`: what git tracks, as it is now; without git, what is where sources
    /// are.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn of_sources(root: &Path) -> io::Result<Tree> {
        let paths = match tracked(root) {
            Some(paths) => paths,
            None => {
                let mut paths = Vec::new();
                for name in SOURCES.into_iter().filter(|name| root.join(name).exists()) {
                    find(root, name.into(), &mut paths)?;
                }
                paths
            }
        };
        let mut tree = Tree::default();
        for path in paths {
            let place = root.join(&path);
            // Git still tracks what somebody has just removed; and there are no links among the
            // sources that would have to be followed.
            if place.symlink_metadata().is_ok_and(|found| found.is_file()) {
                tree.0.insert(path, File::read(&place)?);
            }
        }
        Ok(tree)
    }

    /// Makes `directory` hold these files; others that it has stay. What is alike already is not
    /// written, so that it is not built again.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        for (path, file) in &self.0 {
            let place = directory.join(path);
            if let Some(parent) = place.parent() {
                fs::create_dir_all(parent)?;
            }
            if !fs::read(&place).is_ok_and(|old| old == file.content) {
                fs::write(&place, &file.content)?;
            }
            file.set_mode(&place)?;
        }
        Ok(())
    }
}

impl File {
    fn read(place: &Path) -> io::Result<File> {
        Ok(File { content: fs::read(place)?, is_executable: is_executable(place)? })
    }

    #[cfg(unix)]
    fn set_mode(&self, place: &Path) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let mode = if self.is_executable { 0o755 } else { 0o644 };
        fs::set_permissions(place, fs::Permissions::from_mode(mode))
    }

    #[cfg(not(unix))]
    fn set_mode(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(unix)]
fn is_executable(place: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(place.metadata()?.permissions().mode() & 0o100 != 0)
}

#[cfg(not(unix))]
fn is_executable(_: &Path) -> io::Result<bool> {
    Ok(false)
}

/// What git tracks below `root`; `None` when `root` is not the root of what git looks after.
fn tracked(root: &Path) -> Option<Vec<String>> {
    if !root.join(".git").exists() {
        return None;
    }
    let mut command = Command::new("git");
    command.current_dir(root).args(["ls-files", "-z"]);
    let output = command.env_remove("GIT_DIR").env_remove("GIT_INDEX_FILE").output().ok()?;
    let names = output.stdout.split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let paths = names.map(|name| String::from_utf8(name.to_vec()).ok()).collect::<Option<_>>()?;
    output.status.success().then_some(paths)
}

fn find(root: &Path, path: String, paths: &mut Vec<String>) -> io::Result<()> {
    let place = root.join(&path);
    let kind = place.symlink_metadata()?.file_type();
    if kind.is_file() {
        paths.push(path);
    } else if kind.is_dir() {
        for entry in fs::read_dir(&place)? {
            let name = entry?.file_name();
            if let Some(name) = name.to_str().filter(|&name| name != "target") {
                find(root, format!("{path}/{name}"), paths)?;
            }
        }
    }
    Ok(())
}

/// The nearest directory upwards that is a lab's: its own sources, or a handout.
///
/// # Errors
/// When there is none.
pub fn workspace() -> Result<PathBuf, CommandError> {
    let here = std::env::current_dir()?;
    let is_lab = |directory: &&Path| {
        ["labrpc", "labraft", "raft", "kvraft", "tests"]
            .iter()
            .all(|name| directory.join(name).join("Cargo.toml").is_file())
    };
    let found = here.ancestors().find(is_lab);
    found.map(Path::to_path_buf).ok_or_else(|| {
        CommandError::Usage(format!(
            "{} is not within a lab: run it among its files",
            here.display()
        ))
    })
}

/// The lab's own sources: what the nearest directory upwards must be that is a lab's.
///
/// # Errors
/// When there is none, or when it is a handout.
pub fn sources() -> Result<PathBuf, CommandError> {
    let root = workspace()?;
    match root.join(manifest::FILE).exists() {
        false => Ok(root),
        true => Err(CommandError::Usage(format!(
            "{} is a handout, and this needs the lab's own sources: run it there",
            root.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_what_was_written_whether_git_says_so_or_not() {
        let place = std::env::temp_dir().join(format!("lab-tree-{}", std::process::id()));
        let mut tree = Tree::default();
        for (path, content) in [("Cargo.toml", "a"), ("raft/src/lib.rs", "b"), ("tests/c.rs", "")] {
            tree.insert(path, content);
        }
        tree.write(&place).unwrap();
        fs::create_dir_all(place.join("raft/target")).unwrap();
        fs::write(place.join("raft/target/built"), "").unwrap();
        fs::write(place.join("notes.txt"), "").unwrap();
        assert_eq!(Tree::of_sources(&place).unwrap(), tree);

        let git = |arguments: &[&str]| {
            let status = Command::new("git").current_dir(&place).args(arguments).status();
            assert!(status.unwrap().success(), "git {arguments:?}");
        };
        git(&["init", "--quiet"]);
        git(&["add", "notes.txt", "raft/src"]);
        let paths = Tree::of_sources(&place).unwrap();
        let paths: Vec<&str> = paths.files().map(|(path, _)| path).collect();
        assert_eq!(paths, ["notes.txt", "raft/src/lib.rs"]);
        fs::remove_dir_all(&place).unwrap();
    }
}
