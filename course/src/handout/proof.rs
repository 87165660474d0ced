//! Proves that a handout is ready for students: it builds without warnings, and every test fails
//! with a hint at what is still to be written.

use std::path::Path;

use lab::records::{self, RunRecord};
use labraft::{CauseKind, MissingPiece, Part, Verdict};

use super::contents::Handout;
use super::scope::CRATES;
use ::tests::SUITE;
use lab::outcome::CommandError;
use lab::submit::scratch::Scratch;
use lab::submit::tree::Tree;

/// What is wrong with a handout; `None` when it is ready for students.
///
/// # Errors
/// If the handout cannot be built or run at all.
pub(super) fn problem(handout: &Handout, root: &Path) -> Result<Option<String>, CommandError> {
    let scratch = Scratch::new(root, "handout");
    scratch.put(&handout.tree)?;
    // The tests of the other crates do not depend on what students write.
    let crates = CRATES.iter().map(|each| each.name).filter(|name| handout.tree.has(name));
    let packages = crates.chain(["tests", "program"]).flat_map(|name| ["--package", name]);
    let what: Vec<&str> = packages.chain(["--all-targets"]).collect();
    let built = scratch.build(&what)?;
    if !built.diagnostics.is_empty() || !built.succeeded {
        return Ok(Some(format!(
            "it does not build without warnings:\n{}",
            built.diagnostics.join("\n")
        )));
    }
    // An optional part is an extension of what students have written: it has no skeleton.
    for part in handout.scope.parts.course().filter(|part| !part.is_optional()) {
        // Without a Raft, the first piece that is missing may belong to an earlier part.
        if let Some(problem) = check_failures(&scratch, part, None)? {
            return Ok(Some(problem));
        }
    }
    let sources = Tree::of_sources(root)
        .map_err(|error| CommandError::Usage(format!("{}: {error}", root.display())))?;
    for place in 1..CRATES.len() {
        if let Some(problem) = stage_problem(&scratch, handout, &sources, place)? {
            return Ok(Some(problem));
        }
    }
    Ok(None)
}

/// What is wrong with a handout in which the crates before this place are complete: the tests of the crate
/// at this place must fail because of that crate.
fn stage_problem(
    scratch: &Scratch,
    handout: &Handout,
    sources: &Tree,
    place: usize,
) -> Result<Option<String>, CommandError> {
    let complete: Vec<&str> = CRATES[..place].iter().map(|each| each.name).collect();
    let parts: Vec<Part> =
        CRATES[place].parts().filter(|&part| handout.scope.parts.contain(part)).collect();
    if parts.is_empty() {
        return Ok(None);
    }
    scratch.put(&with_reference(handout, sources, &complete))?;
    let built = scratch.build(&["--package", "program", "--bin", "lab"])?;
    if !built.succeeded {
        let errors = built.diagnostics.join("\n");
        let names = complete.join(", ");
        return Ok(Some(format!("it does not build on the reference's {names}:\n{errors}")));
    }
    for part in parts {
        let problem = check_failures(scratch, part, Some(CRATES[place].begins()))?;
        if problem.is_some() {
            return Ok(problem);
        }
    }
    Ok(None)
}

/// The handout with the reference in place of these crates.
fn with_reference(handout: &Handout, sources: &Tree, complete: &[&str]) -> Tree {
    let is_complete =
        |path: &str| complete.iter().any(|name| path.starts_with(&format!("{name}/src/")));
    let mut tree = handout.tree.clone();
    tree.retain(|path| !is_complete(path));
    for (path, file) in sources.files().filter(|(path, _)| is_complete(path)) {
        tree.insert(path, file.content.clone());
    }
    tree
}

/// Checks that every test of a part fails and names a piece that is not written yet, one of the
/// part `missing` if that is given. Returns what is wrong, if anything.
fn check_failures(
    scratch: &Scratch,
    part: Part,
    missing: Option<Part>,
) -> Result<Option<String>, CommandError> {
    let out = scratch.out.join(part.name());
    let out_name = out.to_string_lossy().into_owned();
    let output = scratch.run_lab(&[
        "run",
        part.name(),
        "--shard",
        "1/1",
        "--no-shrink",
        "--out",
        &out_name,
    ])?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.code() != Some(1) {
        let more = String::from_utf8_lossy(&output.stderr);
        return Ok(Some(format!("lab {part} ended with {}:\n{printed}{more}", output.status)));
    }
    let path = records::path(&out);
    let found = records::read(&path).map_err(|error| {
        CommandError::Internal(format!("cannot read {}: {error}", path.display()))
    })?;
    for test in SUITE.iter().filter(|test| test.part == part) {
        let record = found.all.iter().find(|record| record.test == test.name);
        match record {
            None => return Ok(Some(format!("{} was not run:\n{printed}", test.name))),
            Some(record) => {
                if let Some(what) = is_unclean(record, missing) {
                    return Ok(Some(format!("{} {what}:\n{printed}", test.name)));
                }
            }
        }
    }
    Ok(None)
}

/// What is wrong with a run of a skeleton, if anything. The run should fail without a panic and
/// name a piece that is not written yet, one of the part `missing` if that is given.
fn is_unclean(record: &RunRecord, missing: Option<Part>) -> Option<String> {
    let problem = match (record.verdict, &record.failure) {
        (Verdict::Failed, Some(problem)) => problem,
        (verdict, _) => return Some(format!("{} but should have failed", verdict.name())),
    };
    if let CauseKind::Panic { .. } = problem.cause.kind {
        return Some(format!("panicked instead of failing: {}", problem.reason));
    }
    let is_wanted = |piece: &MissingPiece| missing.is_none_or(|part| piece.part == part);
    if !problem.missing.iter().any(is_wanted) {
        let part = missing.map(|part| format!(" of lab {part}")).unwrap_or_default();
        return Some(format!("does not name a missing piece{part}"));
    }
    None
}
