//! A set of files in memory: the lab's sources, a handout, a submission.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

/// The files and directories at the root that hold the sources, for a copy that is not a git
/// repository.
const SOURCES: [&str; 21] = [
    ".cargo",
    ".gitignore",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "clippy.toml",
    "docs",
    "course",
    "kvraft",
    "lab",
    "labraft",
    "labrpc",
    "program",
    "raft",
    "rustfmt.toml",
    "scripts",
    "shardctrler",
    "shardkv",
    "tests",
];

/// Files by path, with `/` as the separator on every system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<String, File>);

/// A file without its path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// Its bytes.
    pub content: Vec<u8>,
    /// Whether its owner may execute it; always false on systems other than Unix.
    pub is_executable: bool,
}

impl Tree {
    /// All files, sorted by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &File)> {
        self.0.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// Whether a file or a directory has this path.
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

    /// Adds a file or replaces its content. A file that is replaced keeps its executable bit.
    pub fn insert(&mut self, path: &str, content: impl Into<Vec<u8>>) {
        let is_executable = self.0.get(path).is_some_and(|file| file.is_executable);
        self.0.insert(path.into(), File { content: content.into(), is_executable });
    }

    /// Sets the executable bit of a file that is in the tree.
    pub fn set_executable(&mut self, path: &str, is_executable: bool) {
        if let Some(file) = self.0.get_mut(path) {
            file.is_executable = is_executable;
        }
    }

    /// Removes a file if it is there.
    pub fn remove(&mut self, path: &str) {
        self.0.remove(path);
    }

    /// Keeps only the files whose path `is_kept` accepts.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&str) -> bool) {
        self.0.retain(|path, _| is_kept(path));
    }

    /// The lab's sources at `root`: the files that git tracks, as they are on disk now; or, if
    /// `root` is not a git repository, everything below the places where sources belong.
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
            // Git still tracks a file that was just removed. Links are skipped: no source is one.
            if place.symlink_metadata().is_ok_and(|found| found.is_file()) {
                tree.0.insert(path, File::read(&place)?);
            }
        }
        Ok(tree)
    }

    /// Everything below `root`, tracked by git or not, except for `.git` and each `target`.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn of_directory(root: &Path) -> io::Result<Tree> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(root)? {
            let name = entry?.file_name();
            if let Some(name) = name.to_str().filter(|name| ![".git", "target"].contains(name)) {
                find(root, name.into(), &mut paths)?;
            }
        }
        let mut tree = Tree::default();
        for path in paths {
            let file = File::read(&root.join(&path))?;
            tree.0.insert(path, file);
        }
        Ok(tree)
    }

    /// Writes these files to `directory`, and leaves the other files there as they are. A file that
    /// has the right content already is not touched, so that cargo does not build it again.
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

    /// Like [`Tree::write`], and removes every other file and every empty directory.
    ///
    /// # Errors
    /// When a file cannot be written or removed.
    pub fn write_exactly(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        self.remove_others(directory, directory)?;
        self.write(directory)
    }

    fn remove_others(&self, root: &Path, directory: &Path) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.symlink_metadata()?.is_dir() {
                self.remove_others(root, &path)?;
                // Fails, as it should, if something in it was kept.
                _ = fs::remove_dir(&path);
                continue;
            }
            let below = path.strip_prefix(root).expect("entries are below the root");
            let name = below.to_string_lossy().replace('\\', "/");
            if self.get(&name).is_none() {
                fs::remove_file(&path)?;
            }
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

/// The paths that git tracks; `None` when `root` is not the root of a git repository.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_read_back_as_written_with_git_and_without() {
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

    #[test]
    fn a_directory_holds_exactly_what_was_written_last_and_equal_files_are_not_touched() {
        let place = std::env::temp_dir().join(format!("lab-tree-exact-{}", std::process::id()));
        _ = fs::remove_dir_all(&place);
        let mut tree = Tree::default();
        tree.insert("a/b/c.rs", "");
        tree.insert("a/d.rs", "d");
        tree.insert("a/equal.rs", "equal");
        tree.write_exactly(&place).unwrap();
        let changed = || place.join("a/equal.rs").metadata().unwrap().modified().unwrap();
        let before = changed();
        fs::write(place.join("a/new.rs"), "").unwrap();
        tree.remove("a/b/c.rs");
        tree.insert("a/d.rs", "e");
        tree.write_exactly(&place).unwrap();
        assert!(!place.join("a/b").exists() && !place.join("a/new.rs").exists());
        assert_eq!(changed(), before);
        fs::create_dir_all(place.join("target")).unwrap();
        fs::write(place.join("target/built"), "").unwrap();
        assert_eq!(Tree::of_directory(&place).unwrap(), tree);
        fs::remove_dir_all(&place).unwrap();
    }
}
