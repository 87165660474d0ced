//! `course grade --self-test`: whether grading tells right from wrong on this machine.
//!
//! The solution is graded, and gets everything; the handout, and gets nothing; and a few known bugs, each
//! of which loses points in its part and in none before it.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use labraft::Part;

use super::points::Points;
use super::{Bench, CommandError, Graded};
use crate::handout::handout::{Handout, Parts};
use crate::mutants;
use lab::submit::tree::Tree;

/// So many seeds of a kind are enough to find these bugs.
pub(super) const SEEDS: u64 = 10;

/// A bug of `course/mutants`, and the first part that it loses points in.
const BUGS: [(&str, Part); 6] = [
    ("candidate-no-restart", Part::Raft2A),
    ("commit-median-wrong-below", Part::Raft2B),
    ("persist-forgot-follower-append", Part::Raft2C),
    ("snap-not-read-at-restart", Part::Raft2D),
    ("kv-append-missing-key", Part::Kv3A),
    ("kv-dup-not-in-snapshot", Part::Kv3B),
];

/// Whether all of it is graded as it should be.
pub(super) fn run(bench: &Bench<'_>, root: &Path, place: &Path) -> Result<bool, CommandError> {
    let sources = Tree::of_sources(root).map_err(|error| cannot(root, &error))?;
    let is_graded = |part: Part| bench.course.tests().any(|(test, _)| test.part == part);
    let mut are_right = true;
    let mut judge = |name: &str, graded: &Graded, wrong: Option<String>| {
        let (points, most) = (graded.points(), graded.most());
        are_right &= wrong.is_none();
        let verdict = wrong.unwrap_or_else(|| "as it should be".into());
        writeln!(io::stdout(), "{name}: {points} of {most} points: {verdict}")
    };

    let solution = grade(bench, &sources, &place.join("solution"), None)?;
    let is_full = solution.points() == solution.most();
    judge("solution", &solution, (!is_full).then(|| unlike("everything", &solution)))?;

    let handout = Handout::of_sources(root, Parts::default())?;
    let nothing = grade(bench, &handout.tree, &place.join("handout"), None)?;
    let is_right = nothing.points() == Points(0) && nothing.status() == "graded";
    judge("handout", &nothing, (!is_right).then(|| unlike("nothing", &nothing)))?;

    for (bug, part) in BUGS.into_iter().filter(|(_, part)| is_graded(*part)) {
        let patch = root.join(format!("course/mutants/{bug}.patch"));
        // What comes after its part is of no interest.
        let mut course = bench.course.clone();
        course.parts.retain(|name| name.as_str() <= part.name());
        let bench = Bench { course: &course, walls: bench.walls.clone(), ..*bench };
        let graded = grade(&bench, &sources, &place.join(bug), Some(&patch))?;
        let wrong = graded.parts().into_iter().find_map(|(each, tests)| {
            let lost: Points = tests.iter().map(|test| Points(test.most.0 - test.points.0)).sum();
            match each.cmp(&part) {
                std::cmp::Ordering::Less if lost != Points(0) => {
                    Some(unlike(&format!("nothing lost in {each}"), &graded))
                }
                std::cmp::Ordering::Equal if lost == Points(0) => {
                    Some(unlike(&format!("points lost in {each}"), &graded))
                }
                _ => None,
            }
        });
        judge(bug, &graded, wrong)?;
    }
    Ok(are_right)
}

/// Grades the lab's own sources, with a bug in them if there is one.
fn grade(
    bench: &Bench<'_>,
    sources: &Tree,
    place: &Path,
    bug: Option<&Path>,
) -> Result<Graded, CommandError> {
    let mut tree = sources.clone();
    tree.retain(|path| path.starts_with(super::RAFT) || path.starts_with(super::KV));
    if place.exists() {
        fs::remove_dir_all(place).map_err(|error| cannot(place, &error))?;
    }
    tree.write(place).map_err(|error| cannot(place, &error))?;
    if let Some(patch) = bug {
        mutants::git_apply(place, patch, &[])?;
    }
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    bench.grade(&name, place, false)
}

/// What was expected, and what there is to say instead.
fn unlike(expected: &str, graded: &Graded) -> String {
    let parts = graded.parts().into_iter().map(|(part, tests)| {
        let points: Points = tests.iter().map(|test| test.points).sum();
        format!("{part} {points}")
    });
    let said: Vec<&String> = graded.refused.iter().chain(&graded.compiler).take(20).collect();
    let said = said.into_iter().map(|line| format!("\n  {line}")).collect::<String>();
    format!("WRONG: expected {expected}; {}{said}", parts.collect::<Vec<_>>().join(", "))
}

fn cannot(place: &Path, error: &io::Error) -> CommandError {
    CommandError::Internal(format!("{} cannot be used: {error}", place.display()))
}
