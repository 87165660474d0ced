//! The proof that a handout is fit to be given out: it builds without a warning, and each test of each
//! part fails, saying what is not there yet.

use std::path::Path;

use lab::records::{self, Record};
use labraft::{Part, Verdict};

use super::handout::Handout;
use ::tests::SUITE;
use lab::outcome::CommandError;
use lab::submit::build::Bench;
use lab::submit::tree::Tree;

/// What is wrong with a handout; `None` when it is fit to be given out.
///
/// # Errors
/// When it cannot be found out.
pub(super) fn problem(handout: &Handout, root: &Path) -> Result<Option<String>, CommandError> {
    let bench = Bench::new(root, "handout");
    bench.put(&handout.tree)?;
    // The tests of the other crates are as they were, and know nothing of these.
    let what = ["--package=raft", "--package=kvraft", "--package=tests", "--all-targets"];
    let built = bench.build(&what)?;
    if !built.said.is_empty() || !built.succeeded {
        return Ok(Some(format!("it does not build without a word:\n{}", built.said.join("\n"))));
    }
    for part in handout.parts.course() {
        // With nothing of Raft there, what a test meets first may be of an earlier part.
        if let Some(problem) = fails_cleanly(&bench, part, None)? {
            return Ok(Some(problem));
        }
    }
    let of_service: Vec<Part> = handout.parts.course().filter(|part| part.is_kv()).collect();
    if of_service.is_empty() {
        return Ok(None);
    }
    // The service alone, on a Raft that works.
    bench.put(&with_reference(handout, root)?)?;
    let built = bench.build(&["--package", "tests", "--bin", "lab"])?;
    if !built.succeeded {
        let said = built.said.join("\n");
        return Ok(Some(format!("the service does not build on the reference:\n{said}")));
    }
    for part in of_service {
        if let Some(problem) = fails_cleanly(&bench, part, Some(Part::Kv3A))? {
            return Ok(Some(problem));
        }
    }
    Ok(None)
}

/// The handout with the reference in the place of its Raft.
fn with_reference(handout: &Handout, root: &Path) -> Result<Tree, CommandError> {
    let sources = Tree::of_sources(root)
        .map_err(|error| CommandError::Usage(format!("{}: {error}", root.display())))?;
    let is_raft = |path: &str| path.starts_with("raft/src/");
    let mut tree = handout.tree.clone();
    tree.retain(|path| !is_raft(path));
    for (path, file) in sources.files().filter(|(path, _)| is_raft(path)) {
        tree.insert(path, file.content.clone());
    }
    Ok(tree)
}

/// Whether every test of a part fails, and says what is not there yet, of the part `missing` if one is
/// given: else, what is wrong.
fn fails_cleanly(
    bench: &Bench,
    part: Part,
    missing: Option<Part>,
) -> Result<Option<String>, CommandError> {
    let out = bench.out.join(part.name());
    let out_name = out.to_string_lossy().into_owned();
    let output =
        bench.lab(&["run", part.name(), "--shard", "1/1", "--no-shrink", "--out", &out_name])?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.code() != Some(1) {
        let more = String::from_utf8_lossy(&output.stderr);
        return Ok(Some(format!("lab {part} ended with {}:\n{said}{more}", output.status)));
    }
    let path = records::path(&out);
    let found = records::read(&path).map_err(|error| {
        CommandError::Internal(format!("{} cannot be read: {error}", path.display()))
    })?;
    for test in SUITE.iter().filter(|test| test.part == part) {
        let record = found.all.iter().find(|record| record.test == test.name);
        match record {
            None => return Ok(Some(format!("{} was not run:\n{said}", test.name))),
            Some(record) => {
                if let Some(what) = is_unclean(record, missing) {
                    return Ok(Some(format!("{} {what}:\n{said}", test.name)));
                }
            }
        }
    }
    Ok(None)
}

/// What is wrong with a failure.
fn is_unclean(record: &Record, missing: Option<Part>) -> Option<String> {
    let hint = missing.map(|part| format!("(lab {part})")).unwrap_or_default();
    let is_hint = |line: &String| line.starts_with("not there yet: ") && line.contains(&hint);
    match (record.verdict, &record.problem) {
        (Verdict::Failed, Some(problem)) => {
            let reason = &problem.reason;
            let is_panic = reason.contains("panicked");
            let is_said = problem.details.iter().any(is_hint);
            match (is_panic, is_said) {
                (true, _) => Some(format!("panics where it should fail: {reason}")),
                (_, false) => Some(format!("does not say what is not there yet {hint}")),
                (false, true) => None,
            }
        }
        (verdict, _) => Some(format!("{} where it should fail", verdict.name())),
    }
}
