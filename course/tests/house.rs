//! House style that no lint can hold: the length of files, one binding per line, and no test that is never built.
//!
//! What is there already is counted. The limits may only go down.

use std::fs;
use std::path::{Path, PathBuf};

/// The crates of the workspace.
const CRATES: [&str; 12] = [
    "labrpc",
    "labraft",
    "raft",
    "kvraft",
    "shardctrler",
    "shardkv",
    "lab",
    "tests",
    "program",
    "course",
    "course/graded",
    "course/other-rafts",
];
/// A source file has at most this many lines.
const MOST_LINES: usize = 500;
/// How many lines are `let (a, b) = (x, y);`, which is read twice to find out which belongs to which.
const TUPLE_BINDINGS: usize = 84;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The sources of all crates, by their paths from the root; no tests, benches or examples.
fn sources() -> Vec<(String, String)> {
    let root = workspace();
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = CRATES.iter().map(|name| root.join(name).join("src")).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().display().to_string();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn files_are_short_enough_to_be_read() {
    let sources = sources();
    let is_long = |text: &str| text.lines().count() > MOST_LINES;
    let long = sources.iter().filter(|(_, text)| is_long(text)).map(|(name, _)| name.as_str());
    let long: Vec<&str> = long.collect();
    assert!(long.is_empty(), "over {MOST_LINES} lines: {long:?}");
}

/// Whether a line binds several names to the values of a tuple that it spells out.
fn is_tuple_binding(line: &str) -> bool {
    let line = line.trim_start();
    let sides = line.strip_prefix("let (").and_then(|rest| rest.split_once(") = "));
    sides.is_some_and(|(_, value)| value.starts_with('(') && value.ends_with(");"))
}

#[test]
fn a_line_binds_one_name() {
    let mut found = Vec::new();
    for (name, text) in sources() {
        for (number, line) in text.lines().enumerate().filter(|(_, line)| is_tuple_binding(line)) {
            found.push(format!("{name}:{}: {}", number + 1, line.trim()));
        }
    }
    let count = found.len();
    assert!(
        count <= TUPLE_BINDINGS,
        "{count} tuple bindings, {TUPLE_BINDINGS} are allowed; give each name a line of its own:\n{}",
        found.join("\n")
    );
    assert!(is_tuple_binding("    let (a, b) = (1, 2);"));
    assert!(!is_tuple_binding("    let (a, b) = f(1, 2);"));
}

/// In these crates the files of tests are listed by hand, and cargo does not warn of one that is missing from the list.
#[test]
fn every_file_of_tests_is_part_of_a_program() {
    for name in ["labrpc", "program"] {
        let package = workspace().join(name);
        let manifest = fs::read_to_string(package.join("Cargo.toml")).unwrap();
        let main = fs::read_to_string(package.join("tests/main.rs")).unwrap();
        for entry in fs::read_dir(package.join("tests")).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().display().to_string();
            let is_module = main.contains(&format!("mod {stem};\n"));
            let is_program = manifest.contains(&format!("[[test]]\nname = \"{stem}\"\n"));
            assert!(stem == "main" || is_module || is_program, "{} is not built", path.display());
        }
    }
}
