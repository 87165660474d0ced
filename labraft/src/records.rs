//! The results of runs, kept in a file: one JSON object a line, in the order in which they came.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::runner::RunReport;

/// What is kept of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The test's name.
    pub test: String,
    /// The seed.
    pub seed: u64,
    /// Which Raft was tested.
    pub implementation: String,
    /// `passed`, `failed` or `unknown`.
    pub verdict: String,
    /// Why it has not passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Virtual time from beginning to end of the run.
    pub virtual_seconds: f64,
    /// Calls handed to the network, in the parts that passed.
    pub rpcs: u64,
    /// Bytes sent, in the parts that passed.
    pub bytes: u64,
    /// Commands committed, in the parts that passed.
    pub commands: u64,
    /// Polls of tasks and arrivals of messages.
    pub events: u64,
    /// The run's fingerprint, in hexadecimal.
    pub fingerprint: String,
    /// Tells the program that made the run from any other, in hexadecimal.
    pub build: String,
}

impl Record {
    /// What to keep of this run.
    pub fn new(report: &RunReport, implementation: &str, build: &str) -> Record {
        Record {
            test: report.test.name.into(),
            seed: report.spec.seed,
            implementation: implementation.into(),
            verdict: report.verdict().name().into(),
            reason: report.result.as_ref().err().map(ToString::to_string),
            virtual_seconds: report.elapsed.as_secs_f64(),
            rpcs: report.passed.iter().map(|passed| passed.rpcs).sum(),
            bytes: report.passed.iter().map(|passed| passed.bytes).sum(),
            commands: report.passed.iter().map(|passed| passed.commands).sum(),
            events: report.events,
            fingerprint: format!("{:016x}", report.fingerprint),
            build: build.into(),
        }
    }
}

/// A digest of the running program: the same for the same build only. Empty when the program cannot
/// read itself.
pub fn build_id() -> String {
    let bytes = std::env::current_exe().and_then(fs::read);
    bytes.map(|bytes| format!("{:016x}", labrpc::hash_bytes(&bytes))).unwrap_or_default()
}

fn path(directory: &Path) -> PathBuf {
    directory.join("results.jsonl")
}

/// Where records are added.
pub struct Writer {
    file: File,
}

impl Writer {
    /// Opens the file of a directory, which is made if it is not there.
    ///
    /// # Errors
    /// When the directory or the file cannot be made or written.
    pub fn open(directory: &Path) -> io::Result<Writer> {
        fs::create_dir_all(directory)?;
        let file = OpenOptions::new().create(true).append(true).open(path(directory))?;
        Ok(Writer { file })
    }

    /// Adds a record, in one write: a run that is killed leaves whole lines.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, record: &Record) -> io::Result<()> {
        let mut line = serde_json::to_string(record)?;
        line.push('\n');
        self.file.write_all(line.as_bytes())
    }
}

/// The records of a directory, in the order in which they came; none when there is no file. Lines
/// that are not records are passed over.
///
/// # Errors
/// When the file is there but cannot be read.
pub fn all(directory: &Path) -> io::Result<Vec<Record>> {
    let text = match fs::read_to_string(path(directory)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text?,
    };
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// The latest record of that run in a directory, if there is one.
///
/// # Errors
/// As [`all`].
pub fn latest(
    directory: &Path,
    test: &str,
    seed: u64,
    implementation: &str,
) -> io::Result<Option<Record>> {
    let records = all(directory)?.into_iter();
    Ok(records.rev().find(|record| {
        record.test == test && record.seed == seed && record.implementation == implementation
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_record_of_a_run_is_found_among_others_and_torn_lines() {
        let directory = std::env::temp_dir().join(format!("lab-records-{}", std::process::id()));
        let record = |seed, fingerprint: &str| Record {
            test: "Backup2B".into(),
            seed,
            implementation: "reference".into(),
            verdict: "passed".into(),
            reason: None,
            virtual_seconds: 1.5,
            rpcs: 4,
            bytes: 100,
            commands: 1,
            events: 7,
            fingerprint: fingerprint.into(),
            build: "b".into(),
        };
        let mut writer = Writer::open(&directory).unwrap();
        for each in [record(3, "old"), record(3, "new"), record(4, "other")] {
            writer.add(&each).unwrap();
        }
        writer.file.write_all(b"{\"test\":\"Backup2B\",\"se").unwrap();
        let find = |seed| latest(&directory, "Backup2B", seed, "reference").unwrap();
        assert_eq!(find(3), Some(record(3, "new")));
        assert_eq!(find(5), None);
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(find(3), None, "without a file there are no records");
    }
}
