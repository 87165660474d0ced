//! Which files of a handout are frozen, and which a student may edit: `handout.json`.
//!
//! ```json
//! {
//!   "format": 1,
//!   "parts": ["2A", "3B"],
//!   "editable": ["raft/src/**/*.rs", "kvraft/src/**/*.rs"],
//!   "frozen": {"Cargo.lock": "(SHA-256, 64 hexadecimal digits)"}
//! }
//! ```
//!
//! `parts` names the first and the last part handed out. Every file of the handout but this one is
//! either frozen or editable. Paths have `/` as the separator on every system.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::tree::Tree;

/// The name of the manifest, at the root of a handout.
pub const FILE: &str = "handout.json";
/// The version of the format.
const FORMAT: u32 = 1;
/// The end of every pattern: any Rust file in the directory or below.
const ANY_RUST_FILE: &str = "/**/*.rs";
/// How many components the path of an editable file may have.
const MAX_DEPTH: usize = 8;

/// Which files are frozen, and which are not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: u32,
    /// The names of the first and the last part that are handed out.
    pub parts: [String; 2],
    /// Patterns for the files that a student may edit, add and remove.
    pub editable: Vec<String>,
    /// The SHA-256 of every other file, in hexadecimal, by path.
    pub frozen: BTreeMap<String, String>,
}

impl Manifest {
    /// The manifest of a handout with these files. Those below `directories` may be edited.
    pub fn new(tree: &Tree, parts: [&str; 2], directories: &[impl Display]) -> Manifest {
        let mut manifest = Manifest {
            format: FORMAT,
            parts: parts.map(String::from),
            editable: directories.iter().map(|each| format!("{each}{ANY_RUST_FILE}")).collect(),
            frozen: BTreeMap::new(),
        };
        let frozen = tree.files().filter(|(path, _)| !manifest.may_edit(path) && *path != FILE);
        manifest.frozen = frozen.map(|(path, file)| (path.into(), sha256(&file.content))).collect();
        manifest
    }

    /// Reads the manifest of the handout at `root`; `None` when `root` is not a handout.
    ///
    /// # Errors
    /// When the file cannot be read, or is not a manifest.
    pub fn read(root: &Path) -> Result<Option<Manifest>, String> {
        let path = root.join(FILE);
        match std::fs::read(&path) {
            Ok(bytes) => Manifest::parse(&bytes)
                .map(Some)
                .map_err(|error| format!("{}: {error}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        }
    }

    /// Parses the text of a manifest.
    ///
    /// # Errors
    /// When it is not valid, or has another format.
    pub fn parse(text: &[u8]) -> Result<Manifest, String> {
        let manifest: Manifest = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        match manifest.format {
            FORMAT => Ok(manifest),
            other => Err(format!("it has format {other}, but this program reads format {FORMAT}")),
        }
    }

    /// The text of the file.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("strings and numbers can be written") + "\n"
    }

    /// The directories in which a student may edit.
    pub fn directories(&self) -> impl Iterator<Item = &str> {
        self.editable.iter().filter_map(|pattern| pattern.strip_suffix(ANY_RUST_FILE))
    }

    /// Whether a student may edit, add or remove the file: it matches one of the patterns, and its
    /// path is a plain one.
    pub fn may_edit(&self, path: &str) -> bool {
        let matches = |pattern: &String| {
            let directory = pattern.strip_suffix(ANY_RUST_FILE);
            let below = directory.and_then(|directory| path.strip_prefix(directory));
            below.is_some_and(|below| below.starts_with('/') && below.ends_with(".rs"))
        };
        is_plain(path) && self.editable.iter().any(matches)
    }
}

/// Whether a path means the same file on every system and cannot lead elsewhere: components of
/// letters, digits, `_`, `-` and `.`, separated by `/`, none of which begins with a dot.
pub fn is_plain(path: &str) -> bool {
    let is_plain = |piece: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        !piece.is_empty() && !piece.starts_with('.') && piece.chars().all(known)
    };
    path.split('/').all(is_plain) && path.split('/').count() <= MAX_DEPTH && path.len() <= 200
}

/// The SHA-256 in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("it is a string");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let mut tree = Tree::default();
        for path in ["Cargo.toml", "raft/Cargo.toml", "raft/src/lib.rs", "raft/src/a/b.rs", FILE] {
            tree.insert(path, path.as_bytes());
        }
        Manifest::new(&tree, ["2A", "2D"], &["raft/src"])
    }

    #[test]
    fn every_file_is_frozen_or_editable() {
        let manifest = manifest();
        assert_eq!(manifest.frozen.keys().collect::<Vec<_>>(), ["Cargo.toml", "raft/Cargo.toml"]);
        for path in ["raft/src/lib.rs", "raft/src/new.rs", "raft/src/a/b.rs"] {
            assert!(manifest.may_edit(path), "{path}");
        }
    }

    #[test]
    fn nothing_but_plain_rust_files_below_their_directory_may_be_edited() {
        for path in [
            "raft/Cargo.toml",
            "raft/build.rs",
            "raft/srclib.rs",
            "raft/src/../build.rs",
            "raft/src//lib.rs",
            "raft/src/./lib.rs",
            "/raft/src/lib.rs",
            "raft/src/.rs",
            "raft/src/.cargo/a.rs",
            "raft/src/a.txt",
            "raft\\src\\lib.rs",
            "raft/src/a b.rs",
            "raft/src/a\n.rs",
            "raft/src/1/2/3/4/5/6/7.rs",
            "kvraft/src/lib.rs",
            FILE,
        ] {
            assert!(!manifest().may_edit(path), "{path}");
        }
    }

    #[test]
    fn a_manifest_is_read_back_and_another_format_is_refused() {
        let text = manifest().to_json();
        assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), manifest());
        let newer = text.replace("\"format\": 1", "\"format\": 2");
        assert!(Manifest::parse(newer.as_bytes()).unwrap_err().contains("format 2"));
        assert!(Manifest::parse(b"{}").is_err());
    }

    #[test]
    fn the_digest_of_nothing_is_the_well_known_one() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(b""), empty);
    }
}
