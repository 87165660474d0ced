//! The files, headings and interfaces that the documents refer to exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::workspace;

/// `README.md` and everything in `docs/`.
fn documents() -> Vec<PathBuf> {
    let mut found = vec![workspace().join("README.md")];
    let mut folders = vec![workspace().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The lines of a document that are outside of code blocks, and its code blocks, each with the
/// words that follow the opening fence.
fn parts(text: &str) -> (Vec<&str>, Vec<(&str, Vec<&str>)>) {
    let mut prose = Vec::new();
    let mut blocks = Vec::new();
    let mut block: Option<(&str, Vec<&str>)> = None;
    for line in text.lines() {
        match (&mut block, line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => block = Some((language, Vec::new())),
            (None, None) => prose.push(line),
            (Some(_), Some(_)) => blocks.extend(block.take()),
            (Some((_, lines)), None) => lines.push(line),
        }
    }
    assert!(block.is_none(), "a code block is not closed");
    (prose, blocks)
}

/// The targets of the links in a line of prose.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

/// The anchor that GitHub makes of a heading.
fn anchor(heading: &str) -> String {
    let mut anchor = String::new();
    for c in heading.trim_start_matches('#').trim().chars() {
        match c {
            ' ' => anchor.push('-'),
            '-' | '_' => anchor.push(c),
            c if c.is_alphanumeric() => anchor.push(c.to_ascii_lowercase()),
            _ => {}
        }
    }
    anchor
}

fn anchors(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap();
    let (prose, _) = parts(&text);
    prose.iter().filter(|line| line.starts_with('#')).map(|line| anchor(line)).collect()
}

/// Describes what is wrong with a link in a document, or returns `None` if its target exists. Links
/// to other sites are not checked.
fn broken_link(document: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() {
        document.to_path_buf()
    } else {
        document.parent().unwrap().join(file)
    };
    if !path.exists() {
        return Some(format!("{}: no file {target}", document.display()));
    }
    if !heading.is_empty() && !anchors(&path).contains(heading) {
        return Some(format!("{}: no heading {target}", document.display()));
    }
    None
}

#[test]
fn all_links_lead_to_files_and_headings_that_exist() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for target in parts(&text).0.into_iter().flat_map(targets) {
            count += 1;
            wrong.extend(broken_link(&document, target));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 20, "only {count} links were found");
}

#[test]
fn a_broken_link_is_reported() {
    let readme = workspace().join("README.md");
    assert!(broken_link(&readme, "docs/no-such-page.md").is_some());
    assert!(broken_link(&readme, "docs/sweeps.md#no-such-heading").is_some());
    assert_eq!(broken_link(&readme, "docs/sweeps.md#what-is-kept"), None);
    assert_eq!(anchor("## What `rt` offers, in 2A"), "what-rt-offers-in-2a");
}

/// The paths that a page names in backticks, from the root of the workspace.
fn named_files(text: &str) -> impl Iterator<Item = &str> {
    let is_path = |word: &&str| word.contains('/') && !word.contains(' ');
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).filter(is_path)
}

#[test]
fn files_that_the_page_on_the_architecture_names_exist() {
    let page = fs::read_to_string(workspace().join("docs/architecture.md")).unwrap();
    let missing: Vec<&str> =
        named_files(&page).filter(|file| !workspace().join(file).exists()).collect();
    assert!(missing.is_empty(), "docs/architecture.md names {missing:?}");
    assert!(named_files(&page).count() > 40, "hardly any files were found");
}

#[test]
fn the_page_on_sweeps_lists_the_waypoints() {
    let page = fs::read_to_string(workspace().join("docs/sweeps.md")).unwrap();
    for waypoint in labraft::Waypoint::all() {
        let (name, part) = (waypoint.name(), waypoint.part());
        let row = format!("| `{name}` | {waypoint} | {part} |");
        assert!(page.contains(&row), "docs/sweeps.md has no row {row}");
    }
}

/// A block that begins with ` ```rust,contract` may leave out lines of the interfaces' sources, but
/// every line that it shows must be one of theirs.
#[test]
fn interfaces_are_shown_as_they_are() {
    let sources = [
        "labraft/src/raft.rs",
        "labraft/src/persister.rs",
        "labraft/src/cluster/slot.rs",
        "labraft/src/shard_probe.rs",
        "shardctrler/src/config.rs",
        "shardkv/src/setup.rs",
    ];
    let sources = sources.map(|path| fs::read_to_string(workspace().join(path)).unwrap());
    let known: BTreeSet<&str> =
        sources.iter().flat_map(|source| source.lines()).map(str::trim).collect();
    let mut count = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let (_, blocks) = parts(&text);
        for line in blocks.iter().filter(|block| block.0 == "rust,contract").flat_map(|b| &b.1) {
            count += 1;
            assert!(known.contains(line.trim()), "{}: {line}", document.display());
        }
    }
    assert!(count > 10, "only {count} lines were found");
}

/// The name of each part that has a page, and the page's text.
fn course_pages() -> Vec<(String, String)> {
    let folder = workspace().join("docs/course");
    let mut pages = Vec::new();
    for part in labraft::Part::COURSE {
        let file = format!("{}.md", part.name().to_lowercase());
        if let Ok(page) = fs::read_to_string(folder.join(file)) {
            pages.push((part.name().to_string(), page));
        }
    }
    pages
}

#[test]
fn pages_name_the_tests_of_their_parts_and_the_overview_has_their_points() {
    let overview = fs::read_to_string(workspace().join("docs/course/README.md")).unwrap();
    for (part, page) in course_pages() {
        let tests = tests::SUITE.iter().filter(|test| test.part.name() == part);
        let mut count = 0;
        let mut sum = 0;
        for test in tests {
            let row = page.lines().find(|line| line.starts_with(&format!("| `{}` |", test.name)));
            let points = format!("| {} |", test.points);
            let is_right = row.is_none_or(|row| row.ends_with(&points));
            assert!(is_right, "{part}: {} has {} points", test.name, test.points);
            assert!(page.contains(&format!("`{}`", test.name)), "{part}: {}", test.name);
            count += 1;
            sum += test.points;
        }
        let row = overview.lines().find(|line| line.starts_with(&format!("| [{part}]")));
        let figures = format!("| {count} | {sum} |");
        assert!(row.is_some_and(|row| row.ends_with(&figures)), "{part}: {figures}");
    }
}
