//! The files of a crate do not import one another in a circle.
//!
//! Read from the text: an arrow goes from a file to each file of the same crate that it names by a
//! path (`crate::...`, `super::...`, a child's name). Declaring a child or passing its names on with
//! `pub use` is no arrow, and neither is a doc comment or a unit test. The circles that stay are
//! listed below, with the reason in `docs/architecture.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The crates of the workspace, but for `program`, which is a single file.
const CRATES: [&str; 11] = [
    "labrpc",
    "labraft",
    "raft",
    "kvraft",
    "shardctrler",
    "shardkv",
    "lab",
    "tests",
    "course",
    "course/graded",
    "course/other-rafts",
];

/// Files that may name one another.
const ALLOWED: &[&[&str]] = &[
    &["labraft/src/lab.rs", "labraft/src/suite.rs"],
    &["raft/src/core.rs", "raft/src/core/invariants.rs"],
    &[
        "labrpc/src/network/calls.rs",
        "labrpc/src/network/client_end.rs",
        "labrpc/src/network/delivery.rs",
        "labrpc/src/network/mod.rs",
        "labrpc/src/network/server.rs",
    ],
];

/// A module's name, a segment each; the crate's root has none.
type Module = Vec<String>;

/// One source file without its comments and unit tests.
struct Source {
    path: String,
    /// The paths that it names, as they are written, and whether they are only passed on.
    named: Vec<Named>,
}

struct Named {
    segments: Vec<String>,
    is_passed_on: bool,
}

type Sources = BTreeMap<Module, Source>;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// All modules of a crate that have a file of their own.
fn read_crate(root: &Path, name: &str) -> Sources {
    let mut texts = BTreeMap::new();
    collect_files(&root.join(name).join("src"), &Vec::new(), &mut texts);
    let hidden: BTreeSet<Module> =
        texts.iter().flat_map(|(module, (_, text))| test_modules(module, text)).collect();
    texts.retain(|module, _| !hidden.contains(module));
    let children: BTreeSet<Module> = texts.keys().cloned().collect();
    let mut sources = Sources::new();
    for (module, (path, text)) in texts {
        let code = code_only(&text);
        let named = named_paths(&code, &module, &children);
        let path = path.strip_prefix(root).unwrap().display().to_string();
        sources.insert(module, Source { path, named });
    }
    sources
}

fn collect_files(folder: &Path, module: &Module, found: &mut BTreeMap<Module, (PathBuf, String)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_string();
        let mut child = module.clone();
        if path.is_dir() {
            child.push(stem);
            collect_files(&path, &child, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && stem != "main" {
            if stem != "lib" && stem != "mod" {
                child.push(stem);
            }
            let text = fs::read_to_string(&path).unwrap();
            found.insert(child, (path, text));
        }
    }
}

/// The child modules that are there for unit tests only.
fn test_modules(module: &Module, text: &str) -> Vec<Module> {
    let lines: Vec<&str> = text.lines().collect();
    let declared = lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]").filter_map(|pair| {
        let name = pair[1].strip_prefix("mod ")?.strip_suffix(';')?;
        Some(child_of(module, name))
    });
    declared.collect()
}

/// The text without comments, and without unit tests at its end.
fn code_only(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let begins_tests = line == "#[cfg(test)]"
            && lines.peek().is_some_and(|next| next.starts_with("mod ") && next.ends_with('{'));
        if begins_tests {
            break;
        }
        code += line.split("//").next().unwrap_or_default();
        code.push('\n');
    }
    code
}

fn child_of(module: &Module, name: &str) -> Module {
    let mut child = module.clone();
    child.push(name.to_string());
    child
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Every path of the code that begins at the crate, at a parent or at a child of this module.
fn named_paths(code: &str, module: &Module, modules: &BTreeSet<Module>) -> Vec<Named> {
    let mut named = Vec::new();
    let mut previous = ' ';
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let word: String = rest.chars().take_while(|c| is_word(*c)).collect();
        if word.is_empty() {
            previous = first;
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let is_child = modules.contains(&child_of(module, &word));
        let begins = matches!(word.as_str(), "crate" | "super" | "self") || is_child;
        if begins && previous != ':' && previous != '.' && rest[word.len()..].starts_with("::") {
            let before = &code[..code.len() - rest.len()];
            let statement = before.rsplit([';', '}']).next().unwrap_or_default().trim();
            let is_passed_on = statement.starts_with("pub") && statement.ends_with("use");
            let (paths, after) = path_tree(rest, Vec::new());
            let paths = paths.into_iter();
            named.extend(paths.map(|segments| Named { segments, is_passed_on }));
            rest = after;
        } else {
            rest = &rest[word.len()..];
        }
        previous = 'a';
    }
    named
}

/// The paths of a tree such as `crate::{a, b::{C, D}}`, and the text behind it.
fn path_tree(mut rest: &str, mut prefix: Vec<String>) -> (Vec<Vec<String>>, &str) {
    loop {
        let word: String = rest.chars().take_while(|c| is_word(*c)).collect();
        rest = &rest[word.len()..];
        if !word.is_empty() {
            prefix.push(word);
        }
        let Some(after) = rest.strip_prefix("::") else { return (vec![prefix], rest) };
        rest = after;
        if let Some(list) = rest.strip_prefix('{') {
            return path_list(list, &prefix);
        }
        if !rest.starts_with(is_word) {
            return (vec![prefix], rest);
        }
    }
}

/// The same for what stands between braces.
fn path_list<'a>(mut rest: &'a str, prefix: &[String]) -> (Vec<Vec<String>>, &'a str) {
    let mut paths = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ', '\n']);
        if let Some(after) = rest.strip_prefix('}') {
            return (paths, after);
        }
        let (found, after) = path_tree(rest, prefix.to_vec());
        paths.extend(found);
        // What is left of the item: an alias, a star.
        rest = after.trim_start_matches(|c| c != ',' && c != '}');
        if rest.is_empty() {
            return (paths, rest);
        }
    }
}

/// The module in which something is defined that `module` names by this path.
fn resolve(sources: &Sources, module: &Module, segments: &[String], depth: usize) -> Module {
    let mut place = module.clone();
    let mut rest = segments;
    while let Some((first, others)) = rest.split_first() {
        match first.as_str() {
            "crate" => place.clear(),
            "super" => _ = place.pop(),
            "self" => {}
            name => {
                let child = child_of(&place, name);
                if !sources.contains_key(&child) {
                    break;
                }
                place = child;
            }
        }
        rest = others;
    }
    let (Some(name), Some(source)) = (rest.first(), sources.get(&place)) else { return place };
    let mut passed_on = source.named.iter().filter(|named| named.is_passed_on);
    match passed_on.find(|named| named.segments.last() == Some(name)) {
        Some(named) if depth < 8 => resolve(sources, &place, &named.segments, depth + 1),
        _ => place,
    }
}

/// From each file to those that it names.
fn arrows(sources: &Sources) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut arrows = BTreeMap::new();
    for (module, source) in sources {
        let to: &mut BTreeSet<&str> = arrows.entry(source.path.as_str()).or_default();
        for named in source.named.iter().filter(|named| !named.is_passed_on) {
            let target = resolve(sources, module, &named.segments, 0);
            if let Some(target) = sources.get(&target).filter(|_| target != *module) {
                to.insert(&target.path);
            }
        }
    }
    arrows
}

/// The files that can be reached from one along arrows.
fn reachable<'a>(
    arrows: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    from: &'a str,
) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for next in &arrows[file] {
            if reached.insert(*next) {
                open.push(next);
            }
        }
    }
    reached
}

/// Files that reach one another, each circle once.
fn circles(sources: &Sources) -> BTreeSet<BTreeSet<String>> {
    let arrows = arrows(sources);
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        arrows.keys().map(|file| (*file, reachable(&arrows, file))).collect();
    let mut circles = BTreeSet::new();
    for (file, others) in &reached {
        let back = others.iter().filter(|other| reached[*other].contains(file));
        let circle: BTreeSet<String> = back.map(ToString::to_string).collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles
}

fn is_allowed(circle: &BTreeSet<String>) -> bool {
    let is_within = |files: &&[&str]| circle.iter().all(|file| files.contains(&file.as_str()));
    ALLOWED.iter().any(is_within)
}

#[test]
fn no_files_name_one_another_but_those_that_are_listed() {
    let mut wrong = Vec::new();
    for name in CRATES {
        let sources = read_crate(&workspace(), name);
        assert!(!sources.is_empty(), "{name} has no sources");
        for circle in circles(&sources).iter().filter(|circle| !is_allowed(circle)) {
            wrong.push(describe(circle, &arrows(&sources)));
        }
    }
    assert!(wrong.is_empty(), "files that name one another:\n{}", wrong.join("\n"));
}

/// A circle, an arrow a line.
fn describe(circle: &BTreeSet<String>, arrows: &BTreeMap<&str, BTreeSet<&str>>) -> String {
    let mut lines = vec![format!("a circle of {} files", circle.len())];
    for file in circle {
        let to = arrows[file.as_str()].iter().filter(|to| circle.contains(**to));
        let to: Vec<&str> = to.copied().collect();
        lines.push(format!("    {file} -> {}", to.join(", ")));
    }
    lines.join("\n")
}

#[test]
fn the_page_on_the_architecture_names_each_circle_that_stays() {
    let page = fs::read_to_string(workspace().join("docs/architecture.md")).unwrap();
    for file in ALLOWED.iter().flat_map(|files| files.iter()) {
        assert!(page.contains(file), "{file} is not in docs/architecture.md");
    }
}

#[test]
fn a_circle_through_names_that_are_passed_on_is_found() {
    let texts = [
        ("lib.rs", "mod a;\nmod b;\npub use b::Thing;\n"),
        ("a.rs", "use crate::{Thing, other};\npub struct Part;\n"),
        ("b.rs", "fn f() -> crate::a::Part { todo!() }\npub struct Thing;\n"),
        ("c.rs", "//! See [`crate::a`].\n#[cfg(test)]\nmod tests {\n    use crate::a;\n}\n"),
    ];
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("circles");
    fs::create_dir_all(root.join("some/src")).unwrap();
    for (name, text) in texts {
        fs::write(root.join("some/src").join(name), text).unwrap();
    }
    let found = circles(&read_crate(&root, "some"));
    let expected = ["some/src/a.rs", "some/src/b.rs"].map(String::from);
    assert_eq!(found, BTreeSet::from([BTreeSet::from(expected)]));
}
