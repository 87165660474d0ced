//! `lab submit`: packs a student's files once they are known to build with the original version of
//! every other file. The grader reads submissions by the same rules.
//!
//! | module | subject |
//! |---|---|
//! | this one | the command: find the files, check them, build, pack |
//! | [`manifest`] | `handout.json`: which files are frozen, and which a student may edit |
//! | [`submission`] | the files of a folder or an archive, with limits on number and size |
//! | [`forbidden_words`] | words that a submission may not use, and suspicious ones |
//! | [`tree`] | a set of files in memory: the lab's sources, a handout, a submission |
//! | [`scratch`] | a directory in which another tree of sources is built and run |
//! | [`root`] | finding the lab that contains the current directory |
//! | [`repository`] | turning a directory into a git repository with one commit |

pub mod forbidden_words;
pub mod manifest;
pub mod repository;
pub mod root;
pub mod scratch;
pub mod submission;
pub mod tree;

use std::fs;
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use labraft::Verdict;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::outcome::{CommandError, Outcome};
use manifest::{Manifest, sha256};
use scratch::{Build, Scratch};
use submission::{BOUNDS, Submission};
use tree::Tree;

#[derive(Args)]
pub(crate) struct SubmitArgs {
    /// Where to put the package.
    #[arg(long, value_name = "FILE", default_value = "submission.zip")]
    out: PathBuf,
}

impl SubmitArgs {
    /// The verdict is `Failed` when the files do not build, or when the grader would refuse them.
    pub(crate) fn run(self) -> Result<Outcome, CommandError> {
        let root = root::workspace()?;
        let manifest = read_manifest(&root)?;
        let mut out = io::stdout();
        let StudentFiles { files, others } = find(&root, &manifest)
            .map_err(|error| CommandError::Usage(format!("cannot read your files: {error}")))?;
        if files.files().next().is_none() {
            let places = manifest.editable.join(", ");
            return Err(CommandError::Usage(format!("nothing to hand in: found no {places}")));
        }
        for path in others {
            writeln!(out, "left out, because it is not a plain Rust file: {path}")?;
        }
        let originals = originals(&root, &manifest).map_err(CommandError::Usage)?;
        for path in &originals.changed {
            writeln!(out, "{path} has been changed: the grader uses the original")?;
        }

        let build = build(&root, &manifest, originals.tree, &files)?;
        if !build.succeeded {
            writeln!(out, "{}", build.diagnostics.join("\n").trim_end())?;
            writeln!(
                out,
                "not packed: it does not build with the original version of all other files"
            )?;
            return Ok(Outcome::Judged(Verdict::Failed));
        }
        self.pack(&files)
    }

    /// Writes the package, unless the grader would refuse it, and prints its contents and digest.
    fn pack(&self, files: &Tree) -> Result<Outcome, CommandError> {
        let mut out = io::stdout();
        let package = pack(files).map_err(|error| CommandError::Internal(error.to_string()))?;
        fs::write(&self.out, &package).map_err(|error| {
            CommandError::Usage(format!("cannot write {}: {error}", self.out.display()))
        })?;
        let objections = objections(&self.out);
        if !objections.is_empty() {
            _ = fs::remove_file(&self.out);
            writeln!(out, "not packed: the grader would refuse it\n{}", objections.join("\n"))?;
            return Ok(Outcome::Judged(Verdict::Failed));
        }
        for (path, file) in files.files() {
            writeln!(out, "{:8} bytes  {path}", file.content.len())?;
        }
        writeln!(out, "{}: it builds; hand in this file", self.out.display())?;
        writeln!(out, "SHA-256 {}", sha256(&package))?;
        Ok(Outcome::Judged(Verdict::Passed))
    }
}

fn read_manifest(root: &Path) -> Result<Manifest, CommandError> {
    match Manifest::read(root).map_err(CommandError::Usage)? {
        Some(manifest) => Ok(manifest),
        None => Err(CommandError::Usage(format!(
            "{} is not a handout, because it has no {}; submissions are made from a handout",
            root.display(),
            manifest::FILE
        ))),
    }
}

/// Builds the student's files among the originals of all others, in a scratch directory.
fn build(
    root: &Path,
    manifest: &Manifest,
    originals: Tree,
    files: &Tree,
) -> Result<Build, CommandError> {
    let mut whole = originals;
    for (path, file) in files.files() {
        whole.insert(path, file.content.clone());
    }
    whole.insert(manifest::FILE, manifest.to_json());
    let scratch = Scratch::new(root, "submit");
    scratch.put(&whole)?;
    scratch.build(&["--package", "program", "--bin", "lab"])
}

/// The reasons why the grader would refuse this submission, one per line; empty if it would accept it.
fn objections(submission: &Path) -> Vec<String> {
    match Submission::read(submission, BOUNDS) {
        Ok(submission) => forbidden_words::find(&submission.files).forbidden,
        Err(why) => vec![why],
    }
}

/// The contents of the directories in which a student writes.
struct StudentFiles {
    /// The files that are handed in.
    files: Tree,
    /// Paths that are left out: links, odd names, and files that are not Rust sources.
    others: Vec<String>,
}

fn find(root: &Path, manifest: &Manifest) -> io::Result<StudentFiles> {
    let mut found = StudentFiles { files: Tree::default(), others: Vec::new() };
    for directory in manifest.directories() {
        if root.join(directory).is_dir() {
            find_in(root, directory, manifest, &mut found)?;
        }
    }
    found.others.sort();
    Ok(found)
}

fn find_in(
    root: &Path,
    directory: &str,
    manifest: &Manifest,
    found: &mut StudentFiles,
) -> io::Result<()> {
    for entry in fs::read_dir(root.join(directory))? {
        let entry = entry?;
        let path = format!("{directory}/{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            find_in(root, &path, manifest, found)?;
        } else if kind.is_file() && manifest.may_edit(&path) {
            found.files.insert(&path, fs::read(entry.path())?);
        } else {
            found.others.push(path);
        }
    }
    Ok(())
}

/// The frozen files of a handout.
#[derive(Debug)]
struct Originals {
    /// Every frozen file as it was handed out.
    tree: Tree,
    /// The paths whose file on disk is missing or differs from the original.
    changed: Vec<String>,
}

/// Finds the original of every frozen file: on disk, or else in git's first commit.
fn originals(root: &Path, manifest: &Manifest) -> Result<Originals, String> {
    let mut originals = Originals { tree: Tree::default(), changed: Vec::new() };
    let mut lost = Vec::new();
    for (path, digest) in &manifest.frozen {
        let is_original = |content: &Vec<u8>| sha256(content) == *digest;
        if let Some(content) = fs::read(root.join(path)).ok().filter(is_original) {
            originals.tree.insert(path, content);
        } else if let Some(content) = repository::first_version(root, path).filter(is_original) {
            originals.tree.insert(path, content);
            originals.changed.push(path.clone());
        } else {
            lost.push(path.as_str());
        }
    }
    if lost.is_empty() {
        return Ok(originals);
    }
    Err(format!(
        "these files differ from the handout, and git's first commit does not have the originals: \
         {}; copy them from the handout again",
        lost.join(", ")
    ))
}

/// The files as a zip archive: the same bytes for the same files.
fn pack(files: &Tree) -> zip::result::ZipResult<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, file) in files.files() {
        archive.start_file(path, options)?;
        archive.write_all(&file.content)?;
    }
    Ok(archive.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use zip::ZipArchive;

    use super::*;

    fn files() -> Tree {
        let mut tree = Tree::default();
        tree.insert("raft/src/lib.rs", "mod peer;\n");
        tree.insert("raft/src/peer.rs", "// all of it\n".repeat(100));
        tree
    }

    #[test]
    fn the_same_files_are_the_same_package() {
        assert_eq!(pack(&files()).unwrap(), pack(&files()).unwrap());
        let mut archive = ZipArchive::new(Cursor::new(pack(&files()).unwrap())).unwrap();
        let mut text = String::new();
        archive.by_name("raft/src/peer.rs").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!((archive.len(), text.lines().count()), (2, 100));
    }

    #[test]
    fn only_plain_rust_files_are_handed_in_and_all_others_are_named() {
        let root = std::env::temp_dir().join(format!("lab-submit-{}", std::process::id()));
        files().write(&root).unwrap();
        for other in ["raft/src/notes.txt", "raft/src/.peer.rs.swp", "raft/tests/mine.rs"] {
            fs::create_dir_all(root.join(other).parent().unwrap()).unwrap();
            fs::write(root.join(other), "").unwrap();
        }
        let manifest = Manifest::new(&files(), ["2A", "2D"], &["raft/src"]);
        let found = find(&root, &manifest).unwrap();
        assert_eq!(found.files, files());
        assert_eq!(found.others, ["raft/src/.peer.rs.swp", "raft/src/notes.txt"]);
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_frozen_file_that_was_changed_comes_from_the_first_commit_or_is_named() {
        let root = std::env::temp_dir().join(format!("lab-originals-{}", std::process::id()));
        let mut handout = files();
        handout.insert("Cargo.toml", "[workspace]\n");
        handout.write(&root).unwrap();
        let manifest = Manifest::new(&handout, ["2A", "2D"], &["raft/src"]);
        let first = originals(&root, &manifest).unwrap();
        assert_eq!((first.tree.files().count(), first.changed.len()), (1, 0));

        repository::commit_all(&root, "handed out").unwrap();
        fs::write(root.join("Cargo.toml"), "[workspace]\nmembers = []\n").unwrap();
        let again = originals(&root, &manifest).unwrap();
        assert_eq!(again.tree, first.tree);
        assert_eq!(again.changed, ["Cargo.toml"]);

        fs::remove_dir_all(root.join(".git")).unwrap();
        let error = originals(&root, &manifest).unwrap_err();
        assert!(error.contains("Cargo.toml"), "{error}");
        fs::remove_dir_all(&root).unwrap();
    }
}
