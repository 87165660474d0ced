//! The contents of a handout: the lab's sources, but not the solution, the `course` crate and most
//! of the lab's own tests.

use std::collections::BTreeSet;
use std::path::Path;

use labraft::Part;

use super::markers::{self, Kept, Stripped};
use super::scope::{Parts, Scope};
use super::{leaks, links, lock, readme};
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
const PAGES: [&str; 5] = [
    "docs/checks.md",
    "docs/reading-a-run.md",
    "docs/shards.md",
    "docs/sweeps.md",
    "docs/what-if.md",
];
/// The directories that are handed out, except for the places in `KEPT_BACK`.
const DIRECTORIES: [&str; 11] = [
    "docs/course/",
    "docs/stories/",
    "kvraft/",
    "lab/",
    "labraft/",
    "labrpc/",
    "program/",
    "raft/",
    "shardctrler/",
    "shardkv/",
    "tests/",
];
/// Places that are not handed out: the lab's own tests, pages for teachers, and skeletons, which
/// take the place of other files.
const KEPT_BACK: [&str; 10] = [
    "docs/course/grading.md",
    readme::PAGE,
    "docs/course/instructor.md",
    "kvraft/skeleton/",
    "program/benches/",
    "program/examples/",
    "program/tests/",
    "raft/skeleton/",
    "shardctrler/skeleton/",
    "shardkv/skeleton/",
];
/// The one file of `program/tests/` for students: it makes `cargo test` run every test of the course.
const STUDENTS_TESTS: &str = "program/tests/ported.rs";
/// The page with the table of all parts.
const OVERVIEW: &str = "docs/course/README.md";
/// The source file that tells the tests which parts there are.
const PARTS_FILE: &str = "tests/src/parts.rs";

/// The files that students get.
pub(crate) struct Handout {
    pub(crate) tree: Tree,
    pub(crate) scope: Scope,
    /// The number of distinct lines of the solution that are left out.
    pub(crate) removed: usize,
}

impl Handout {
    /// Makes the handout from the lab's sources at `root`.
    ///
    /// # Errors
    /// If the sources cannot be read, or something is wrong with their markers.
    pub(crate) fn of_sources(root: &Path, scope: Scope) -> Result<Handout, CommandError> {
        let sources = Tree::of_sources(root).map_err(|error| {
            CommandError::Usage(format!("cannot read the sources at {}: {error}", root.display()))
        })?;
        let (mut tree, removed) = files(&sources, scope).map_err(CommandError::Usage)?;
        tree.insert("Cargo.lock", lock::reduced(&tree, root)?);
        let Parts { first, last, .. } = scope.parts;
        let editable: Vec<String> = scope.written().map(|name| format!("{name}/src")).collect();
        let manifest = Manifest::new(&tree, [first.name(), last.name()], &editable);
        tree.insert(manifest::FILE, manifest.to_json());
        Ok(Handout { tree, scope, removed })
    }
}

/// The files of the handout, without the lock file and the manifest, and the number of distinct
/// lines of the solution that are left out.
pub(crate) fn files(sources: &Tree, scope: Scope) -> Result<(Tree, usize), String> {
    let mut tree = sources.clone();
    tree.retain(|path| is_handed_out(path, scope.parts));
    let removed = strip_all(&mut tree, sources, scope)?;
    tree.insert(PARTS_FILE, parts_file(scope.parts));
    tree.insert("README.md", readme::of(page(sources, readme::PAGE)?, scope)?);
    tree.insert(OVERVIEW, overview(page(sources, OVERVIEW)?, scope.parts));
    cut_links(&mut tree);
    leaks::check(&tree, &removed, |path| scope.is_solved(path))?;
    Ok((tree, removed.len()))
}

/// Whether the file at this path in the lab's sources is handed out.
fn is_handed_out(path: &str, parts: Parts) -> bool {
    let begins = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
    match path {
        STUDENTS_TESTS => true,
        _ if ROOT_FILES.contains(&path) => true,
        _ if begins(&KEPT_BACK) || !(begins(&DIRECTORIES) || PAGES.contains(&path)) => false,
        _ => parts.have(path),
    }
}

/// Removes everything marked from the tree, but what is handed out solved or belongs to a lab that is
/// handed out, and replaces whole files by their skeletons. Returns the lines removed.
fn strip_all(tree: &mut Tree, sources: &Tree, scope: Scope) -> Result<BTreeSet<String>, String> {
    let mut removed = BTreeSet::new();
    let mut skeletons: BTreeSet<&str> =
        sources.files().map(|(path, _)| path).filter(|path| path.contains("/skeleton/")).collect();
    skeletons.retain(|path| scope.parts.have(path) && !scope.is_solved(path));
    let marked: Vec<String> = tree
        .files()
        .map(|(path, _)| path.to_string())
        .filter(|path| markers::may_be_marked(path))
        .collect();
    for path in marked {
        let text = std::str::from_utf8(tree.get(&path).unwrap_or_default())
            .map_err(|_| format!("{path} is not valid UTF-8"))?;
        let kept = Kept { solution: scope.is_solved(&path), lab_4: scope.parts.has_lab_4() };
        let Stripped { text, removed: lines } = markers::strip(&path, text, kept)
            .map_err(|error| format!("{path}:{}: {}", error.line, error.what))?;
        if markers::may_hold_solution(&path) {
            removed.extend(lines);
        }
        let skeleton = path.split_once('/').map(|(first, rest)| format!("{first}/skeleton/{rest}"));
        let skeleton = skeleton.filter(|skeleton| skeletons.remove(skeleton.as_str()));
        if text.is_none() && !markers::may_hold_solution(&path) {
            return Err(format!(
                "{path} is not a file that students write, so it cannot be marked SOLUTION FILE; list files that only \
                 lab 4 needs in scope.rs"
            ));
        }
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
        Part::Raft2E | Part::Raft2F | Part::Raft2G => format!("Raft{part}"),
        Part::Kv3A | Part::Kv3B => format!("Kv{part}"),
        Part::Shard4A | Part::Shard4B | Part::Shard4C => format!("Shard{part}"),
        Part::Beyond => "Beyond".into(),
        Part::Search => "Search".into(),
    };
    let last = if parts.contain(Part::Search) { Part::Search } else { parts.last };
    let last = parts.last_optional.map_or(last, |optional| last.max(optional));
    let optional = parts.last_optional.map(|part| format!("Some(Part::{})", variant(part)));
    format!(
        "//! Which parts of the course are handed out.\n\nuse labraft::Part;\n\n\
         /// The first part.\npub(crate) const FIRST: Part = Part::{};\n\
         /// The last part.\npub(crate) const LAST: Part = Part::{};\n\
         /// The last optional part, if any is handed out.\n\
         pub(crate) const LAST_OPTIONAL: Option<Part> = {};\n",
        variant(parts.first),
        variant(last),
        optional.as_deref().unwrap_or("None")
    )
}

/// The text of a page.
fn page<'a>(sources: &'a Tree, path: &str) -> Result<&'a str, String> {
    let page = sources.get(path).ok_or_else(|| format!("{path} is missing"))?;
    std::str::from_utf8(page).map_err(|_| format!("{path} is not valid UTF-8"))
}

/// The overview of the course without the rows of parts that are not handed out.
fn overview(page: &str, parts: Parts) -> String {
    let is_row_of = |line: &str, part: Part| line.starts_with(&format!("| [{part}]("));
    let is_kept =
        |line: &&str| Part::COURSE.iter().all(|&p| parts.contain(p) || !is_row_of(line, p));
    page.split_inclusive('\n').filter(is_kept).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_lab_cannot_be_marked_as_the_solution() {
        let mut tree = Tree::default();
        tree.insert("tests/src/shards/mod.rs", "// SOLUTION FILE\nmod a;\n");
        let error = strip_all(&mut tree.clone(), &tree, Scope::default()).unwrap_err();
        assert!(
            error.contains("tests/src/shards/mod.rs is not a file that students write"),
            "{error}"
        );
        let mut solution = Tree::default();
        solution.insert("raft/src/core.rs", "// SOLUTION FILE\nmod a;\n");
        let removed = strip_all(&mut solution.clone(), &solution, Scope::default()).unwrap();
        assert!(removed.contains("mod a;"));
    }
}
