//! `lab submit`: packs what a student has written, once it is known to build with the originals of
//! everything else. The grader takes submissions by the same rules.
//!
//! | module | subject |
//! |---|---|
//! | this one | the command: find, check, build, pack |
//! | [`manifest`] | which files of a handout are frozen, and which a student may edit |
//! | [`tree`] | a set of files in memory: the lab's sources, a handout, a submission |
//! | [`build`] | builds and runs of other trees than the present one |
//! | [`repository`] | a directory as a git repository with one commit |
//! | [`submission`] | what is taken of a folder or an archive |
//! | [`words`] | words that a submission may not use |

pub mod build;
pub mod manifest;
pub mod repository;
pub mod submission;
pub mod tree;
pub mod words;

use std::fs;
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use labraft::Verdict;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::outcome::{CommandError, Outcome};
use build::Bench;
use manifest::{Manifest, sha256};
use submission::{BOUNDS, Submission};
use tree::Tree;

#[derive(Args)]
pub(crate) struct SubmitArgs {
    /// Where to put the package.
    #[arg(long, value_name = "FILE", default_value = "submission.zip")]
    out: PathBuf,
}

impl SubmitArgs {
    /// Does it: failed when what is to be handed in does not build.
    pub(crate) fn run(self) -> Result<Outcome, CommandError> {
        let root = tree::workspace()?;
        let Some(manifest) = Manifest::read(&root).map_err(CommandError::Usage)? else {
            return Err(CommandError::Usage(format!(
                "{} is no handout: it has no {}; submissions are made from a handout",
                root.display(),
                manifest::FILE
            )));
        };
        let mut out = io::stdout();
        let Found { files, others } = find(&root, &manifest)
            .map_err(|error| CommandError::Usage(format!("your files cannot be read: {error}")))?;
        if files.files().next().is_none() {
            let places = manifest.editable.join(", ");
            return Err(CommandError::Usage(format!("there is nothing to hand in: no {places}")));
        }
        for path in others {
            writeln!(out, "not handed in, for it is no plain Rust file: {path}")?;
        }
        let (mut whole, changed) = originals(&root, &manifest).map_err(CommandError::Usage)?;
        for path in changed {
            writeln!(out, "{path} is not the original: it is graded as it was handed out")?;
        }

        for (path, file) in files.files() {
            whole.insert(path, file.content.clone());
        }
        whole.insert(manifest::FILE, manifest.to_json());
        let bench = Bench::new(&root, "submit");
        bench.put(&whole)?;
        let built = bench.build(&["--package", "tests", "--bin", "lab"])?;
        if !built.succeeded {
            writeln!(out, "{}", built.said.join("\n").trim_end())?;
            writeln!(out, "not packed: with the originals of all other files it does not build")?;
            return Ok(Outcome::Judged(Verdict::Failed));
        }

        let package = pack(&files).map_err(|error| CommandError::Internal(error.to_string()))?;
        fs::write(&self.out, &package).map_err(|error| {
            CommandError::Usage(format!("{} cannot be written: {error}", self.out.display()))
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

/// Why the grader would refuse this submission, a line each.
fn objections(submission: &Path) -> Vec<String> {
    match Submission::take(submission, BOUNDS) {
        Ok(submission) => words::read(&submission.files).forbidden,
        Err(why) => vec![why],
    }
}

/// What is in the directories that a student writes in.
struct Found {
    /// What is handed in.
    files: Tree,
    /// What is not, for it is no Rust file, no file at all, or has an odd name.
    others: Vec<String>,
}

fn find(root: &Path, manifest: &Manifest) -> io::Result<Found> {
    let mut found = Found { files: Tree::default(), others: Vec::new() };
    for directory in manifest.directories() {
        if root.join(directory).is_dir() {
            find_in(root, directory, manifest, &mut found)?;
        }
    }
    found.others.sort();
    Ok(found)
}

fn find_in(root: &Path, directory: &str, manifest: &Manifest, found: &mut Found) -> io::Result<()> {
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

/// Every frozen file as it was handed out, and which of them are not like that any more.
fn originals(root: &Path, manifest: &Manifest) -> Result<(Tree, Vec<String>), String> {
    let (mut tree, mut changed) = (Tree::default(), Vec::new());
    let mut lost = Vec::new();
    for (path, digest) in &manifest.frozen {
        let is_original = |content: &Vec<u8>| sha256(content) == *digest;
        if let Some(content) = fs::read(root.join(path)).ok().filter(is_original) {
            tree.insert(path, content);
            continue;
        }
        match repository::first_version(root, path).filter(is_original) {
            Some(content) => {
                tree.insert(path, content);
                changed.push(path.clone());
            }
            None => lost.push(path.as_str()),
        }
    }
    match lost.is_empty() {
        true => Ok((tree, changed)),
        false => Err(format!(
            "these files are not as they were handed out, and git's first commit does not have them \
             either: {}; take them from the handout again",
            lost.join(", ")
        )),
    }
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
    fn only_plain_rust_files_are_handed_in_and_what_is_left_is_named() {
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
        let (tree, changed) = originals(&root, &manifest).unwrap();
        assert_eq!((tree.files().count(), changed.len()), (1, 0));

        repository::commit_all(&root, "handed out").unwrap();
        fs::write(root.join("Cargo.toml"), "[workspace]\nmembers = []\n").unwrap();
        let (again, changed) = originals(&root, &manifest).unwrap();
        assert_eq!((again, changed), (tree, vec!["Cargo.toml".to_string()]));

        fs::remove_dir_all(root.join(".git")).unwrap();
        let error = originals(&root, &manifest).unwrap_err();
        assert!(error.contains("Cargo.toml"), "{error}");
        fs::remove_dir_all(&root).unwrap();
    }
}
