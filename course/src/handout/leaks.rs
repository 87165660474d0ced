//! Checks that no line of the solution, and no marker, is in a handout.

use std::collections::BTreeSet;

use super::markers;
use lab::submit::tree::Tree;

/// Searches the crates that students write, and the pages, for the lines that were removed.
///
/// A line that also occurs in sources that are handed out unchanged gives nothing away. `is_solved` says
/// which paths are those of crates that are handed out solved.
///
/// # Errors
/// If there are such lines. The message lists all of them.
pub(super) fn check(
    tree: &Tree,
    removed: &BTreeSet<String>,
    is_solved: impl Fn(&str) -> bool,
) -> Result<(), String> {
    let is_public = |path: &str| is_public_source(path) || is_solved(path);
    let public = public_lines(tree, is_public);
    let mut leaks = Vec::new();
    for (path, file) in tree.files() {
        let content = String::from_utf8_lossy(&file.content);
        if markers::may_be_marked(path) && markers::is_marked(&content) {
            return Err(format!("{path}: a marker would be handed out"));
        }
        if is_public(path) {
            continue;
        }
        for (i, line) in content.lines().enumerate() {
            let line = line.trim();
            let is_removed = markers::is_distinctive(line) && removed.contains(line);
            if is_removed && !public.contains(&without_ends(line)) {
                leaks.push(format!("{path}:{}: a line of the solution: {line}", i + 1));
            }
        }
    }
    if leaks.is_empty() { Ok(()) } else { Err(leaks.join("\n")) }
}

/// Whether the file is source code that is handed out as it is.
fn is_public_source(path: &str) -> bool {
    !markers::may_hold_solution(path) && path.ends_with(".rs")
}

fn public_lines(tree: &Tree, is_public: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for (_, file) in tree.files().filter(|(path, _)| is_public(path)) {
        lines.extend(String::from_utf8_lossy(&file.content).lines().map(without_ends));
    }
    lines
}

/// A line without the trailing characters in which a trait method's declaration differs from its
/// implementation.
fn without_ends(line: &str) -> String {
    line.trim().trim_end_matches(['{', ';', ',', ' ']).to_string()
}
