//! The repro file of a run: its specification, and how it must fail, if it failed.

use std::fs;
use std::path::Path;

use labrpc::RunSpec;
use serde::{Deserialize, Serialize};

use crate::failure_record::FailureRecord;
use crate::format;
use crate::records::{Build, RunRecord};
use crate::shrink::Effort;
use labraft::{Profile, Without};

/// The value of the field `format`.
const FORMAT: &str = "lab repro 2";

/// A run that the same build repeats bit for bit. In general, the failure is an `Option`: it may pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repro<Failure = FailureRecord> {
    /// The kind of file and its version.
    pub format: String,
    /// The test's name.
    pub test: String,
    /// Which Raft is tested.
    pub implementation: String,
    /// The profile of faults.
    pub profile: Profile,
    /// The properties and thresholds by which the run is not judged.
    #[serde(default, skip_serializing_if = "Without::is_empty")]
    pub without: Without,
    /// The specification of the run: its seed and overridden decisions.
    pub spec: RunSpec,
    /// The search that found the run, if it was shrunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shrunk: Option<Effort>,
    /// How it fails.
    pub failure: Failure,
    /// The run's fingerprint, in hexadecimal.
    pub fingerprint: String,
    /// The build that made the run.
    pub build: Build,
}

impl Repro {
    /// The file for a run that failed; `None` if the run did not fail or never finished.
    pub fn new(record: &RunRecord, spec: RunSpec) -> Option<Repro> {
        Repro::even_if_unfinished(record, spec).filter(|repro| !repro.fingerprint.is_empty())
    }

    /// The file for a run that failed, even if it never finished; `None` if it did not fail.
    pub fn even_if_unfinished(record: &RunRecord, spec: RunSpec) -> Option<Repro> {
        let failure = record.failure.clone()?;
        Some(Repro::with_failure(record, spec, failure))
    }

    /// Whether the text begins like a repro file, even if it is damaged.
    pub fn is_one(text: &str) -> bool {
        text.trim_start().trim_start_matches('{').trim_start().starts_with("\"format\"")
    }
}

impl Repro<Option<FailureRecord>> {
    /// The file for a run that failed, passed or never finished.
    pub fn of_any(record: &RunRecord, spec: RunSpec) -> Repro<Option<FailureRecord>> {
        Repro::with_failure(record, spec, record.failure.clone())
    }

    /// Parses the text of a repro file.
    ///
    /// # Errors
    /// When the text is damaged, or in another version of the format.
    pub fn parse(text: &str) -> Result<Repro<Option<FailureRecord>>, String> {
        format::check(text, FORMAT)?;
        serde_json::from_str(text).map_err(|error| format!("it is damaged: {error}"))
    }
}

impl<Failure: Serialize> Repro<Failure> {
    fn with_failure(record: &RunRecord, spec: RunSpec, failure: Failure) -> Repro<Failure> {
        let RunRecord { test, implementation, fingerprint, build, .. } = record;
        Repro {
            format: FORMAT.into(),
            test: test.clone(),
            implementation: implementation.clone(),
            profile: record.profile,
            without: record.without,
            spec,
            shrunk: None,
            failure,
            fingerprint: fingerprint.clone(),
            build: build.clone(),
        }
    }

    /// Writes a temporary file beside `path` and renames it, so that `path` is never half written.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let text = serde_json::to_string_pretty(self)? + "\n";
        let part = path.with_extension("part");
        fs::write(&part, text)?;
        fs::rename(&part, path)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use labrpc::{Address, Kind};

    use super::*;
    use labraft::{CauseKind, Verdict};

    fn repro() -> Repro {
        let at = |n| Address { kind: Kind::ReplyHold, from: 2, to: 0, n };
        let failure = FailureRecord {
            at: Some(1.5),
            details: vec!["how".into()],
            ..FailureRecord::new("it broke", CauseKind::Stuck)
        };
        let record = RunRecord::ended(
            ("Backup2B", 7),
            "reference",
            Verdict::Failed,
            failure,
            &Build::default(),
        );
        let record = RunRecord { fingerprint: "0123456789abcdef".into(), ..record };
        Repro::new(&record, RunSpec::only(7, BTreeMap::from([(at(3), 900)]))).unwrap()
    }

    #[test]
    fn a_file_says_all_that_the_run_is_made_of() {
        let text = serde_json::to_string_pretty(&repro()).unwrap();
        assert!(Repro::is_one(&text));
        let read = Repro::parse(&text).unwrap();
        assert_eq!(serde_json::to_string_pretty(&read).unwrap(), text);
        assert_eq!(read.failure, Some(repro().failure));
    }

    #[test]
    fn a_torn_a_foreign_and_an_older_file_are_told_apart() {
        let text = serde_json::to_string_pretty(&repro()).unwrap();
        let error = Repro::parse(&text[..text.len() / 2]).unwrap_err();
        assert!(error.contains("damaged"), "{error}");
        let error = Repro::parse(&text.replace("repro 2", "repro 1")).unwrap_err();
        assert!(error.contains("\"lab repro 1\"") && error.contains("\"lab repro 2\""), "{error}");
        let error = Repro::parse(&text.replace("ReplyHold 2->0 #3", "Reply 2->0")).unwrap_err();
        assert!(error.contains("not the address of a decision"), "{error}");
        assert!(!Repro::is_one("{\"test\": \"Backup2B\"}"));
    }
}
