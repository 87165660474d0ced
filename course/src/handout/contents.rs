//! The contents of a handout: the lab's sources, but not the solution, the `course` crate and most
//! of the lab's own tests.

use std::collections::BTreeSet;
use std::path::Path;
use std::str::FromStr;

use labraft::Part;

use super::markers::{self, Stripped};
use super::{leaks, links, lock};
use lab::outcome::CommandError;
use lab::submit::manifest::{self, Manifest};
use lab::submit::tree::Tree;

/// The files at the root that are handed out.
const ROOT_FILES: [&str; 8] = [
    ".cargo/config.toml",
    ".gitignore",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "clippy.toml",
    "rustfmt.toml",
];
/// Pages for students besides those in `docs/course`.
const PAGES: [&str; 4] =
    ["docs/checks.md", "docs/reading-a-run.md", "docs/sweeps.md", "docs/what-if.md"];
/// The directories that are handed out, except for the places in `KEPT_BACK`.
const DIRECTORIES: [&str; 8] =
    ["docs/course/", "docs/stories/", "kvraft/", "lab/", "labraft/", "labrpc/", "raft/", "tests/"];
/// Places that are not handed out: the lab's own tests, pages for teachers, and skeletons, which
/// take the place of other files.
const KEPT_BACK: [&str; 8] = [
    "docs/course/grading.md",
    "docs/course/handout.md",
    "docs/course/instructor.md",
    "kvraft/skeleton/",
    "raft/skeleton/",
    "tests/benches/",
    "tests/examples/",
    "tests/tests/",
];
/// The one file of `tests/tests/` for students: it makes `cargo test` run every test of the course.
const STUDENTS_TESTS: &str = "tests/tests/ported.rs";
/// The page that becomes the handout's `README.md`.
const README: &str = "docs/course/handout.md";
/// The line of that page that the list of parts replaces.
const LIST_OF_PARTS: &str = "<!-- the parts -->\n";
/// The source file that tells the tests which parts there are.
const PARTS_FILE: &str = "tests/src/parts.rs";

/// A range of parts.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) first: Part,
    pub(crate) last: Part,
}

impl Parts {
    /// Whether a part is in the range. The generated scenarios belong only to the whole course.
    pub(crate) fn contain(self, part: Part) -> bool {
        match part {
            Part::Beyond | Part::Search => self == Parts::default(),
            part => (self.first..=self.last).contains(&part),
        }
    }

    /// The parts of the course in the range, in order.
    pub(crate) fn course(self) -> impl Iterator<Item = Part> {
        Part::HANDED_OUT.into_iter().filter(move |&part| self.contain(part))
    }

    /// The directories in which a student may edit files.
    fn directories(self) -> &'static [&'static str] {
        if self.last.is_kv() { &["raft/src", "kvraft/src"] } else { &["raft/src"] }
    }
}

impl Default for Parts {
    fn default() -> Parts {
        Parts { first: Part::Raft2A, last: Part::Kv3B }
    }
}

impl FromStr for Parts {
    type Err = String;

    fn from_str(text: &str) -> Result<Parts, String> {
        let part = |name: &str| {
            let mut parts = Part::HANDED_OUT.into_iter();
            let found = parts.find(|part| part.name().eq_ignore_ascii_case(name));
            found.ok_or_else(|| {
                format!("there is no part {name:?}; the parts are 2A, 2B, 2C, 2D, 3A and 3B")
            })
        };
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let parts = Parts { first: part(first)?, last: part(last)? };
        if parts.first > parts.last {
            return Err(format!("{first} comes after {last}: give the first part first"));
        }
        Ok(parts)
    }
}

/// The files that students get.
pub(crate) struct Handout {
    pub(crate) tree: Tree,
    pub(crate) parts: Parts,
    /// The number of distinct lines of the solution that are left out.
    pub(crate) removed: usize,
}

impl Handout {
    /// Makes the handout from the lab's sources at `root`.
    ///
    /// # Errors
    /// If the sources cannot be read, or something is wrong with their markers.
    pub(crate) fn of_sources(root: &Path, parts: Parts) -> Result<Handout, CommandError> {
        let sources = Tree::of_sources(root).map_err(|error| {
            CommandError::Usage(format!("cannot read the sources at {}: {error}", root.display()))
        })?;
        let (mut tree, removed) = files(&sources, parts).map_err(CommandError::Usage)?;
        tree.insert("Cargo.lock", lock::reduced(&tree, root)?);
        let manifest =
            Manifest::new(&tree, [parts.first.name(), parts.last.name()], parts.directories());
        tree.insert(manifest::FILE, manifest.to_json());
        Ok(Handout { tree, parts, removed })
    }
}

/// The files of the handout, without the lock file and the manifest, and the number of distinct
/// lines of the solution that are left out.
fn files(sources: &Tree, parts: Parts) -> Result<(Tree, usize), String> {
    let mut tree = sources.clone();
    tree.retain(|path| is_handed_out(path, parts));
    let removed = strip_all(&mut tree, sources)?;
    tree.insert(PARTS_FILE, parts_file(parts));
    tree.insert("README.md", readme(sources, parts)?);
    cut_links(&mut tree);
    leaks::check(&tree, &removed)?;
    Ok((tree, removed.len()))
}

/// Whether the file at this path in the lab's sources is handed out.
fn is_handed_out(path: &str, parts: Parts) -> bool {
    let is_page_of = |part: &Part| path == format!("docs/course/{}.md", part.name().to_lowercase());
    let begins = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
    match path {
        STUDENTS_TESTS => true,
        _ if ROOT_FILES.contains(&path) || PAGES.contains(&path) => true,
        _ if begins(&KEPT_BACK) || !begins(&DIRECTORIES) => false,
        _ => Part::COURSE.iter().find(|part| is_page_of(part)).is_none_or(|&p| parts.contain(p)),
    }
}

/// Removes everything marked from the tree, and replaces whole files by their skeletons. Returns
/// the lines removed.
fn strip_all(tree: &mut Tree, sources: &Tree) -> Result<BTreeSet<String>, String> {
    let mut removed = BTreeSet::new();
    let mut skeletons: BTreeSet<&str> =
        sources.files().map(|(path, _)| path).filter(|path| path.contains("/skeleton/")).collect();
    let marked: Vec<String> = tree
        .files()
        .map(|(path, _)| path.to_string())
        .filter(|path| markers::may_be_marked(path))
        .collect();
    for path in marked {
        let text = std::str::from_utf8(tree.get(&path).unwrap_or_default())
            .map_err(|_| format!("{path} is not valid UTF-8"))?;
        let Stripped { text, removed: lines } = markers::strip(&path, text)
            .map_err(|error| format!("{path}:{}: {}", error.line, error.what))?;
        if markers::may_hold_solution(&path) {
            removed.extend(lines);
        }
        let skeleton = path.split_once('/').map(|(first, rest)| format!("{first}/skeleton/{rest}"));
        let skeleton = skeleton.filter(|skeleton| skeletons.remove(skeleton.as_str()));
        match (text, skeleton) {
            (Some(text), None) => tree.insert(&path, text),
            (None, Some(skeleton)) => {
                tree.insert(&path, sources.get(&skeleton).unwrap_or_default());
            }
            (None, None) => tree.remove(&path),
            (Some(_), Some(skeleton)) => {
                return Err(format!("there is {skeleton}, but {path} is not marked SOLUTION FILE"));
            }
        }
    }
    match skeletons.first() {
        Some(skeleton) => {
            Err(format!("{skeleton} does not belong to a file that is marked SOLUTION FILE"))
        }
        None => Ok(removed),
    }
}

/// The text of `PARTS_FILE`.
fn parts_file(parts: Parts) -> String {
    let variant = |part: Part| match part {
        Part::Raft2A | Part::Raft2B | Part::Raft2C | Part::Raft2D => format!("Raft{part}"),
        Part::Kv3A | Part::Kv3B => format!("Kv{part}"),
        Part::Shard4A | Part::Shard4B | Part::Shard4C => format!("Shard{part}"),
        Part::Beyond => "Beyond".into(),
        Part::Search => "Search".into(),
    };
    let last = if parts.contain(Part::Search) { Part::Search } else { parts.last };
    format!(
        "//! Which parts of the course are handed out.\n\nuse labraft::Part;\n\n\
         /// The first part.\npub(crate) const FIRST: Part = Part::{};\n\
         /// The last part.\npub(crate) const LAST: Part = Part::{};\n",
        variant(parts.first),
        variant(last)
    )
}

fn readme(sources: &Tree, parts: Parts) -> Result<String, String> {
    let page = sources.get(README).ok_or_else(|| format!("{README} is missing"))?;
    let page = std::str::from_utf8(page).map_err(|_| format!("{README} is not valid UTF-8"))?;
    let about = |part: Part| match part {
        Part::Raft2A => "leader election",
        Part::Raft2B => "the log",
        Part::Raft2C => "persistence, and a bad network",
        Part::Raft2D => "snapshots",
        Part::Kv3A => "a key/value service",
        Part::Kv3B => "its snapshots",
        Part::Shard4A => "a shard controller",
        Part::Shard4B => "a sharded key/value service",
        Part::Shard4C => "its challenges",
        Part::Beyond => "generated scenarios",
        Part::Search => "short scenarios for a search",
    };
    let list: String = parts
        .course()
        .map(|part| {
            let page = part.name().to_lowercase();
            format!("- [{part}](docs/course/{page}.md): {}\n", about(part))
        })
        .collect();
    if !page.contains(LIST_OF_PARTS) {
        return Err(format!("{README} has no line {:?}", LIST_OF_PARTS.trim()));
    }
    // The links are relative to docs/course, and the README is at the root.
    Ok(page.replace("](", "](docs/course/").replace(LIST_OF_PARTS, &list))
}

/// Removes links to files that are not handed out from all pages.
fn cut_links(tree: &mut Tree) {
    let cut: Vec<(String, String)> = tree
        .files()
        .filter(|(path, _)| path.ends_with(".md"))
        .map(|(path, file)| {
            let page = String::from_utf8_lossy(&file.content);
            (path.into(), links::without_dangling(path, &page, |target| tree.has(target)))
        })
        .collect();
    for (path, page) in cut {
        tree.insert(&path, page);
    }
}
