//! `course grade --self-test`: checks that grading tells right from wrong on this machine.
//!
//! The solution must get all points and the handout none; and each of a few known bugs must lose
//! points in its part, and none in the parts before.

use std::cmp::Ordering;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use labraft::Part;

use super::grader::{Depth, Grader};
use super::points::{Points, SubmissionGrade};
use crate::handout::contents::Handout;
use crate::handout::scope::{Parts, Scope};
use crate::mutants;
use lab::outcome::CommandError;
use lab::submit::submission::DIRECTORIES;
use lab::submit::tree::Tree;

/// The number of seeds of each kind, which is enough to find the bugs.
pub(super) const SEEDS: u64 = 10;

/// Bugs of `course/mutants`, each with the first part in which it loses points.
const BUGS: [(&str, Part); 9] = [
    ("candidate-no-restart", Part::Raft2A),
    ("commit-median-wrong-below", Part::Raft2B),
    ("persist-forgot-follower-append", Part::Raft2C),
    ("snap-not-read-at-restart", Part::Raft2D),
    ("kv-append-missing-key", Part::Kv3A),
    ("kv-dup-not-in-snapshot", Part::Kv3B),
    ("ctrl-shuffle", Part::Shard4A),
    ("shard-duplicates-not-sent", Part::Shard4B),
    ("shard-never-deleted", Part::Shard4C),
];

/// Grades all of them, prints each result, and returns whether all are right.
pub(super) fn run(grader: &Grader<'_>, root: &Path, place: &Path) -> Result<bool, CommandError> {
    let mut course = grader.course.clone();
    let optional = |name: &str| Part::COURSE.iter().any(|it| it.is_optional() && it.name() == name);
    course.parts.retain(|name| !optional(name));
    if course.parts.len() < grader.course.parts.len() {
        let what =
            "optional parts are left out: the solution offers them as another implementation only";
        writeln!(io::stdout(), "{what}")?;
    }
    if course.parts.is_empty() {
        return Err(CommandError::Usage("parts: there is nothing else to test".into()));
    }
    let grader = &Grader { course: &course, isolation: grader.isolation.clone(), ..*grader };
    let sources = Tree::of_sources(root).map_err(|error| cannot_use(root, &error))?;
    let mut all_right = true;

    let solution = grade(grader, &sources, &place.join("solution"), None)?;
    let is_full = solution.points() == solution.most();
    let mistake = (!is_full).then(|| describe_mistake("all points", &solution));
    all_right &= report("solution", &solution, mistake)?;

    let last = if grader.course.has_lab_4() { Part::Shard4C } else { Part::Kv3B };
    let parts = Parts { first: Part::Raft2A, last, last_optional: None };
    let handout = Handout::of_sources(root, Scope { parts, on_reference: false })?;
    let nothing = grade(grader, &handout.tree, &place.join("handout"), None)?;
    let is_right = nothing.points() == Points(0) && nothing.status() == "graded";
    let mistake = (!is_right).then(|| describe_mistake("no points", &nothing));
    all_right &= report("handout", &nothing, mistake)?;

    for (bug, part) in BUGS {
        if grader.course.tests().any(|(test, _)| test.part == part) {
            let graded = grade_bug(grader, root, &sources, place, bug, part)?;
            all_right &= report(bug, &graded, bug_mistake(&graded, part))?;
        }
    }
    Ok(all_right)
}

/// Prints a result, and returns whether it is right.
fn report(
    name: &str,
    graded: &SubmissionGrade,
    mistake: Option<String>,
) -> Result<bool, CommandError> {
    let is_right = mistake.is_none();
    let verdict = mistake.unwrap_or_else(|| "right".into());
    let points = graded.points();
    writeln!(io::stdout(), "{name}: {points} of {} points: {verdict}", graded.most())?;
    Ok(is_right)
}

/// Grades the solution with a bug in it, up to the part in which the bug must show.
fn grade_bug(
    grader: &Grader<'_>,
    root: &Path,
    sources: &Tree,
    place: &Path,
    bug: &str,
    part: Part,
) -> Result<SubmissionGrade, CommandError> {
    let patch = root.join(format!("course/mutants/{bug}.patch"));
    let mut course = grader.course.clone();
    course.parts.retain(|name| name.as_str() <= part.name());
    let grader = Grader { course: &course, isolation: grader.isolation.clone(), ..*grader };
    grade(&grader, sources, &place.join(bug), Some(&patch))
}

/// Checks the grade of a bug that must lose points in `part` but in no earlier part. Returns what is
/// wrong, if anything.
fn bug_mistake(graded: &SubmissionGrade, part: Part) -> Option<String> {
    for each in graded.parts() {
        let has_lost = each.points() != each.most();
        match each.part.cmp(&part) {
            Ordering::Less if has_lost => {
                return Some(describe_mistake(&format!("all points in {}", each.part), graded));
            }
            Ordering::Equal if !has_lost => {
                return Some(describe_mistake(&format!("points lost in {part}"), graded));
            }
            _ => {}
        }
    }
    None
}

/// Grades a tree of sources, with a patch applied if there is one.
fn grade(
    grader: &Grader<'_>,
    sources: &Tree,
    place: &Path,
    patch: Option<&Path>,
) -> Result<SubmissionGrade, CommandError> {
    let mut tree = sources.clone();
    let is_handed_in = |path: &str| DIRECTORIES.iter().any(|each| path.starts_with(each));
    tree.retain(is_handed_in);
    if place.exists() {
        fs::remove_dir_all(place).map_err(|error| cannot_use(place, &error))?;
    }
    tree.write(place).map_err(|error| cannot_use(place, &error))?;
    if let Some(patch) = patch {
        mutants::git_apply(place, patch, &[])?;
    }
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    grader.grade(&name, place, Depth::Run)
}

/// Describes a mistake: the points expected, the points given, and the first lines of the
/// compiler's output.
fn describe_mistake(expected: &str, graded: &SubmissionGrade) -> String {
    let parts: Vec<String> =
        graded.parts().iter().map(|part| format!("{} {}", part.part, part.points())).collect();
    let mut text = format!("WRONG: expected {expected}, got {}", parts.join(", "));
    for line in graded.refused.iter().chain(&graded.compiler).take(20) {
        text += "\n  ";
        text += line;
    }
    text
}

fn cannot_use(place: &Path, error: &io::Error) -> CommandError {
    CommandError::Internal(format!("cannot use {}: {error}", place.display()))
}
