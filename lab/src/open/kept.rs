//! Keeps a run: as a repro file, as a test for a crate, and as a story.

use std::fs;
use std::path::{Path, PathBuf};

use labrpc::RunSpec;
use serde::Deserialize;

use super::story::Story;
use crate::repro::Repro;
use crate::workers::Answer;

/// How somebody wants a run kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keeping {
    /// The name of the file.
    name: String,
    /// Whether to write a test that runs the file, and what must hold in it.
    #[serde(default)]
    test: Option<MustHold>,
}

/// What a kept test says.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum MustHold {
    /// The run passes.
    Passes,
    /// The run fails as it does now.
    Fails,
}

impl Keeping {
    pub(crate) fn is_test(&self) -> bool {
        self.test.is_some()
    }
}

/// The name of a file that somebody asks for: letters, digits and hyphens only, so that it stays in its
/// directory.
fn file_name(name: &str) -> Result<String, String> {
    let clean: String = name
        .trim()
        .chars()
        .map(|character| if character.is_ascii_alphanumeric() { character } else { '-' })
        .collect();
    let clean = clean.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    match clean.len() {
        0 => Err("give it a name of letters and digits".into()),
        1..=80 => Ok(clean.to_lowercase()),
        _ => Err("give it a name of at most 80 characters".into()),
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let cannot = |error| format!("{} cannot be written: {error}", path.display());
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(cannot)?;
    }
    fs::write(path, text).map_err(cannot)
}

/// Writes the repro file of a run. Returns its path, and whether there was another file there.
pub(super) fn repro(
    answer: &Answer,
    spec: &RunSpec,
    keeping: &Keeping,
    directory: &Path,
) -> Result<(PathBuf, bool), String> {
    let path = directory.join(format!("{}.json", file_name(&keeping.name)?));
    let is_there = path.exists();
    let repro = Repro::of_any(&answer.record, spec.clone());
    repro.write(&path).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    Ok((path, is_there))
}

/// Writes a test that runs a repro file beside it. Returns its path and its text.
pub(super) fn test(
    answer: &Answer,
    repro: &Path,
    keeping: &Keeping,
) -> Result<(String, String), String> {
    let name = file_name(&keeping.name)?.replace('-', "_");
    let is_passing = answer.record.failure.is_none();
    let must = match keeping.test {
        Some(MustHold::Fails) if is_passing => {
            return Err("the run passes, so no test can say that it fails".into());
        }
        Some(MustHold::Fails) => "fails_as_kept",
        _ => "passes",
    };
    let file = repro.file_name().unwrap_or_default().to_string_lossy();
    let prefix = if name.starts_with(|first: char| first.is_ascii_digit()) { "run_" } else { "" };
    let text = format!(
        "//! Kept with `lab open`. Put it, with {file}, into the folder `tests` of your crate.\n\n\
         #[test]\nfn {prefix}{name}() {{\n    \
         tests::kept(include_str!({file:?}), &[raft::REFERENCE]).{must}();\n}}\n"
    );
    let path = repro.with_file_name(format!("{name}.rs"));
    write(&path, &text)?;
    Ok((path.display().to_string(), text))
}

/// Writes a story, and returns its path.
pub(super) fn story(story: &Story, directory: &Path) -> Result<String, String> {
    if story.steps.is_empty() {
        return Err("a story has at least one step".into());
    }
    let path = directory.join(format!("{}.story.json", file_name(&story.title)?));
    let text = serde_json::to_string_pretty(story).map_err(|error| error.to_string())? + "\n";
    write(&path, &text)?;
    Ok(path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_the_directory() {
        assert_eq!(file_name(" ../../etc/pass wd\0 "), Ok("etc-pass-wd".into()));
        assert_eq!(file_name("Figure 8, with S1"), Ok("figure-8-with-s1".into()));
        assert!(file_name("../..").is_err());
        assert!(file_name(&"x".repeat(81)).is_err());
    }
}
