//! The names of submissions, used in reports and as the names of their folders.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lab::outcome::CommandError;

/// The file for the whole class, beside the folders of the submissions.
pub(super) const CLASS_FILE: &str = "class.csv";

const ARCHIVE_SUFFIXES: [&str; 4] = [".tar.gz", ".tgz", ".tar", ".zip"];

/// A name for each submission, in order.
///
/// # Errors
/// If a submission does not exist, or if two have the same name apart from upper and lower
/// case.
pub(super) fn submission_names(submissions: &[PathBuf]) -> Result<Vec<String>, CommandError> {
    let mut seen = BTreeSet::new();
    let mut names = Vec::new();
    for path in submissions {
        if path.symlink_metadata().is_err() {
            return Err(CommandError::Usage(format!("submission {path:?} not found")));
        }
        let name = submission_name(path);
        if name.is_empty() {
            return Err(CommandError::Usage(format!(
                "submission {path:?} has no name that could be used for its report"
            )));
        }
        if !seen.insert(name.to_lowercase()) {
            return Err(CommandError::Usage(format!(
                "two submissions are called {name:?} (the second one is {path:?}): give them \
                 different names, because their reports are named after them"
            )));
        }
        names.push(name);
    }
    Ok(names)
}

/// The file's name without its archive suffix, and without characters that are unsafe in a path or a web
/// page.
fn submission_name(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = ARCHIVE_SUFFIXES.iter().find_map(|suffix| file_name.strip_suffix(suffix));
    let name: String = stem.unwrap_or(&file_name).chars().map(harmless).collect();
    let name = name.trim_start_matches('.');
    // On some file systems, names in capitals are the same names.
    let is_taken = name.eq_ignore_ascii_case(CLASS_FILE);
    if is_taken { format!("{name}_") } else { name.to_string() }
}

fn harmless(c: char) -> char {
    if c.is_alphanumeric() || "-_.@".contains(c) { c } else { '_' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submission_is_named_after_its_file_without_the_suffix() {
        for (path, name) in [
            ("in/alice.zip", "alice"),
            ("in/bob_1.tar.gz", "bob_1"),
            ("in/.hidden", "hidden"),
            ("in/a b|c", "a_b_c"),
            ("in/lab.2", "lab.2"),
            ("in/a\u{202e}b.zip", "a_b"),
            // Its reports must not be where the class's file is.
            ("in/class.csv.zip", "class.csv_"),
            ("in/Class.CSV.tar.gz", "Class.CSV_"),
        ] {
            assert_eq!(submission_name(Path::new(path)), name);
        }
    }
}
