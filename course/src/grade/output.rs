//! Writes the reports: a folder for each submission, and on request Gradescope's file and the
//! output of a GitHub step.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine};

use super::points::SubmissionGrade;
use super::report::{self, Reader};
use crate::place;
use lab::outcome::CommandError;

pub(super) struct Output<'a> {
    /// The output directory, which gets a folder for each submission.
    pub(super) directory: &'a Path,
    /// The course's name.
    pub(super) course: &'a str,
    /// What students' own reports say about hidden seeds.
    pub(super) student_sees: Reader,
    /// Where Gradescope expects its results.
    pub(super) gradescope: Option<&'a Path>,
    /// Whether the result also goes to GitHub Classroom's reporter.
    pub(super) to_classroom: bool,
}

/// What to do about another grader that writes its reports to the same place.
const ADVICE: &str = "wait until it has finished, or give this one a place of its own with --out";
/// The same for Gradescope's file.
const FILE_ADVICE: &str = "wait until it has finished, or give this one another --gradescope";

impl Output<'_> {
    /// Keeps other graders from writing to the same places, until what is returned is dropped.
    pub(super) fn lock(&self) -> Result<Vec<File>, CommandError> {
        fs::create_dir_all(self.directory).map_err(|error| cannot_write(self.directory, &error))?;
        let mut locks = vec![place::lock(self.directory, ADVICE)?];
        if let Some(path) = self.gradescope {
            locks.push(place::lock_file(path, FILE_ADVICE)?);
        }
        Ok(locks)
    }

    /// Writes what Gradescope shows if the machine stops the grader before it is done.
    pub(super) fn write_unfinished(&self) -> Result<(), CommandError> {
        let Some(path) = self.gradescope else { return Ok(()) };
        fs::write(path, format!("{}\n", report::unfinished()))
            .map_err(|error| cannot_write(path, &error))
    }

    /// Writes all reports on one submission. One that the grader could not grade is reported neither
    /// to Gradescope, where it stays unfinished, nor to GitHub Classroom.
    pub(super) fn write(&self, grade: &SubmissionGrade) -> Result<(), CommandError> {
        let folder = Path::new(&grade.name);
        // Suspicious words are for the teacher, even when hidden seeds are published.
        let for_student = SubmissionGrade { suspicious: Vec::new(), ..grade.clone() };
        let page = report::page(&for_student, self.course, self.student_sees);
        self.write_file(&folder.join("report.md"), &page)?;
        let teacher = report::page(grade, self.course, Reader::Teacher);
        self.write_file(&folder.join("teacher.md"), &teacher)?;
        self.write_file(&folder.join("junit.xml"), &report::junit(grade, self.student_sees))?;
        let results = format!("{:#}\n", report::gradescope(grade, self.student_sees));
        self.write_file(&folder.join("results.json"), &results)?;
        if let Some(path) = self.gradescope.filter(|_| grade.broken.is_none()) {
            fs::write(path, &results).map_err(|error| cannot_write(path, &error))?;
        }
        if self.to_classroom && grade.broken.is_none() {
            write_step_output(&report::classroom(grade, self.student_sees).to_string())?;
        }
        self.write_file(&folder.join("runs.jsonl"), &run_records(grade)?)
    }

    /// Writes a file below the output directory.
    pub(super) fn write_file(&self, name: &Path, text: &str) -> Result<(), CommandError> {
        let path = self.directory.join(name);
        let parent = path.parent().unwrap_or(&path);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| cannot_write(&path, &error))
    }
}

/// The record of every run as JSON, one per line.
fn run_records(grade: &SubmissionGrade) -> Result<String, CommandError> {
    let mut lines = String::new();
    let results = grade.tests.iter().flat_map(|test| &test.results);
    for record in results.filter_map(|result| result.record.as_ref()) {
        let line = serde_json::to_string(record)
            .map_err(|error| CommandError::Internal(error.to_string()))?;
        lines += &line;
        lines.push('\n');
    }
    Ok(lines)
}

/// Adds `result` to the outputs of the step of a GitHub workflow that this process runs in.
fn write_step_output(result: &str) -> Result<(), CommandError> {
    let Some(path) = std::env::var_os("GITHUB_OUTPUT").map(PathBuf::from) else {
        return Err(CommandError::Usage(
            "--classroom works only in a step of a GitHub workflow: GITHUB_OUTPUT is not set"
                .into(),
        ));
    };
    let line = format!("result={}\n", BASE64_STANDARD.encode(result));
    let file = fs::OpenOptions::new().create(true).append(true).open(&path);
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .map_err(|error| cannot_write(&path, &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> CommandError {
    CommandError::Usage(format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_for_reports_has_one_grader_at_a_time() {
        let place = std::env::temp_dir().join(format!("lab-output-lock-{}", std::process::id()));
        let first = place.join("first");
        let second = place.join("second");
        let gradescope = place.join("results.json");
        let output = |directory, gradescope| Output {
            directory,
            course: "",
            student_sees: Reader::Student,
            gradescope,
            to_classroom: false,
        };
        let refused = |output: Output<'_>| match output.lock() {
            Err(CommandError::Usage(error)) => error,
            other => panic!("{other:?}"),
        };
        fs::create_dir_all(&place).unwrap();
        let locks = output(first.as_path(), Some(gradescope.as_path())).lock().unwrap();
        let error = refused(output(&first, None));
        assert!(error.contains("first;") && error.contains("--out"), "{error}");
        let error = refused(output(&second, Some(&gradescope)));
        assert!(error.contains("results.json") && error.contains("--gradescope"), "{error}");
        drop(output(&second, None).lock().unwrap());
        drop(locks);
        drop(output(&first, Some(&gradescope)).lock().unwrap());
        fs::remove_dir_all(&place).unwrap();
    }
}
