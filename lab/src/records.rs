//! The results of runs in a file, one JSON object per line, in the order in which the runs ended.
//!
//! A directory holds the results of one sweep, `results.jsonl`, and of the one before it,
//! `previous.jsonl`. Each line is written in one write when its run ends. A sweep that is killed loses
//! the runs under way, and leaves at most an incomplete last line.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::conditions::Conditions;
use crate::failure_record::FailureRecord;
use labraft::{Finding, Profile, RunReport, Verdict, Waypoints, Without};

/// The version of a result's format. Results of version 1, which had no `version`, lack the cause.
const VERSION: u32 = 2;
/// The longest line of a file of results. Nothing is read beyond it, so that no file, whatever it is, can
/// use up the memory.
const MAX_LINE_BYTES: u64 = 256 << 20;
/// The result of one run: a line of a file of results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The version of this format.
    #[serde(default = "first_version")]
    pub version: u32,
    /// The test's name.
    pub test: String,
    /// The seed.
    pub seed: u64,
    /// The name of the Raft that was tested.
    pub implementation: String,
    /// The faults that the run could meet.
    pub profile: Profile,
    /// The properties and thresholds by which the run was not judged.
    #[serde(default, skip_serializing_if = "Without::is_empty")]
    pub without: Without,
    /// The judgement of the run.
    pub verdict: Verdict,
    /// Why it did not pass; `None` when it passed.
    #[serde(flatten)]
    pub failure: Option<FailureRecord>,
    /// What the audit found, if the run was audited (`--audit`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// The virtual time that the run took.
    pub virtual_seconds: f64,
    /// The CPU time that the run took, in milliseconds. The only field that differs when the same
    /// program repeats the run.
    pub cpu_ms: f64,
    /// Calls handed to the network, in the parts that passed.
    pub rpcs: u64,
    /// Bytes sent, in the parts that passed.
    pub bytes: u64,
    /// Commands committed, or operations done, in the parts that passed.
    pub commands: u64,
    /// Polls of tasks and arrivals of messages.
    pub events: u64,
    /// The run's fingerprint, in hexadecimal; empty when the run did not finish.
    pub fingerprint: String,
    /// Whether a server did not answer `probe` when it was asked, so that its inside was not checked.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_probe_missing: bool,
    /// The waypoints that the run came to.
    #[serde(default, skip_serializing_if = "Waypoints::is_empty")]
    pub waypoints: Waypoints,
    /// The program that made the run.
    pub build: Build,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// The version of a result that names none.
const fn first_version() -> u32 {
    1
}

impl RunRecord {
    /// The record of a run that finished.
    pub fn new(
        report: &RunReport,
        implementation: &str,
        cpu: Duration,
        build: &Build,
    ) -> RunRecord {
        RunRecord {
            version: VERSION,
            test: report.test.name.into(),
            seed: report.spec.seed,
            implementation: implementation.into(),
            profile: report.profile,
            without: report.without,
            verdict: report.verdict(),
            findings: report.findings.clone(),
            failure: report.result.as_ref().err().map(|failure| {
                let mut failure = FailureRecord::of(failure, &report.names);
                let chaos = report.chaos.iter().map(|chaos| format!("faults: {chaos}"));
                failure.details.splice(0..0, chaos);
                failure
            }),
            virtual_seconds: report.elapsed.as_secs_f64(),
            cpu_ms: (cpu.as_secs_f64() * 1e6).round() / 1e3,
            rpcs: report.passed.iter().map(|passed| passed.rpcs).sum(),
            bytes: report.passed.iter().map(|passed| passed.bytes).sum(),
            commands: report.passed.iter().map(|passed| passed.commands).sum(),
            events: report.event_count,
            fingerprint: format!("{:016x}", report.fingerprint),
            is_probe_missing: report.is_probe_missing,
            waypoints: report.waypoints,
            build: build.clone(),
        }
    }

    /// The conditions of the run.
    pub fn conditions(&self) -> Conditions {
        Conditions { profile: self.profile, without: self.without }
    }

    /// The same record of a run under other conditions.
    pub(crate) fn under(self, conditions: Conditions) -> RunRecord {
        let Conditions { profile, without } = conditions;
        RunRecord { profile, without, ..self }
    }

    /// The record of a run that did not finish.
    pub fn ended(
        (test, seed): (&str, u64),
        implementation: &str,
        verdict: Verdict,
        failure: FailureRecord,
        build: &Build,
    ) -> RunRecord {
        let empty = RunRecord::empty(test, seed, implementation, build);
        RunRecord { verdict, failure: Some(failure), ..empty }
    }

    fn empty(test: &str, seed: u64, implementation: &str, build: &Build) -> RunRecord {
        RunRecord {
            version: VERSION,
            test: test.into(),
            seed,
            implementation: implementation.into(),
            profile: Profile::Go,
            without: Without::NOTHING,
            verdict: Verdict::Passed,
            failure: None,
            findings: Vec::new(),
            virtual_seconds: 0.0,
            cpu_ms: 0.0,
            rpcs: 0,
            bytes: 0,
            commands: 0,
            events: 0,
            fingerprint: String::new(),
            is_probe_missing: false,
            waypoints: Waypoints::default(),
            build: build.clone(),
        }
    }
}

/// The program that made a run, and what it was built from. Fields whose value is unknown are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// A digest of the executable, in hexadecimal.
    pub program: String,
    /// The commit of the sources, with `-dirty` appended if they were changed since.
    pub commit: String,
    /// A digest of the lock file, in hexadecimal.
    pub lock: String,
    /// The compiler's name and version.
    pub compiler: String,
    /// The cargo profile: `debug` or `release`.
    pub profile: String,
}

impl Build {
    /// The running program. `known` provides everything but the digest of the executable.
    pub fn of_this_program(known: Build) -> Build {
        let digest = std::env::current_exe().and_then(|path| Build::digest(&path));
        Build { program: digest.unwrap_or_default(), ..known }
    }

    /// The digest of a program.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn digest(program: &Path) -> io::Result<String> {
        Ok(format!("{:016x}", labrpc::hash_bytes(&fs::read(program)?)))
    }

    /// Whether both are built from the same sources, perhaps on different machines, so that their
    /// results can be merged.
    pub fn is_same_source(&self, other: &Build) -> bool {
        let without_program = |build: &Build| Build { program: String::new(), ..build.clone() };
        let is_known = !self.commit.is_empty() && !self.commit.ends_with("-dirty");
        match is_known {
            true => without_program(self) == without_program(other),
            // Only the program itself tells what it was made from.
            false => self == other,
        }
    }
}

/// The path of the results in a directory.
pub fn path(directory: &Path) -> PathBuf {
    directory.join("results.jsonl")
}

fn previous_path(directory: &Path) -> PathBuf {
    directory.join("previous.jsonl")
}

/// The file whose lock a writer holds. It stays when results are renamed.
fn lock_path(directory: &Path) -> PathBuf {
    directory.join("lock")
}

/// A file of results that is open for appending. While it is, no other process can write to its
/// directory.
#[derive(Debug)]
pub struct Writer {
    file: File,
    path: PathBuf,
    /// Locked until it is closed, by this process or by the system at its end.
    _lock: File,
}

impl Writer {
    /// Starts a new file of results in a directory, which is created if it does not exist. An existing
    /// file becomes the previous results.
    ///
    /// # Errors
    /// When the directory or the file cannot be written, or another process is writing to it.
    pub fn begin(directory: &Path) -> io::Result<Writer> {
        let lock = lock(directory)?;
        let path = path(directory);
        if path.metadata().is_ok_and(|metadata| metadata.len() > 0) {
            fs::rename(&path, previous_path(directory))?;
        }
        let file = open(&path)?;
        Ok(Writer { file, path, _lock: lock })
    }

    /// Continues the results of a directory, and returns those that exist. An incomplete last line is
    /// removed.
    ///
    /// # Errors
    /// As [`begin`](Self::begin), and when a line of the file is not a record.
    pub fn resume(directory: &Path) -> io::Result<(Writer, Records)> {
        let lock = lock(directory)?;
        let path = path(directory);
        let file = open(&path)?;
        let records = parse(&file, &path)?;
        if let Some(torn) = records.torn {
            file.set_len(file.metadata()?.len().saturating_sub(torn))?;
        }
        Ok((Writer { file, path, _lock: lock }, records))
    }

    /// Appends a record, in one write.
    ///
    /// # Errors
    /// When it cannot be written, or the file is no longer where it was.
    pub fn add(&mut self, record: &RunRecord) -> io::Result<()> {
        let mut line = serde_json::to_string(record)?;
        line.push('\n');
        if line.len() as u64 > MAX_LINE_BYTES {
            return Err(io::Error::other(format!(
                "the result of {}, seed {}, has {} bytes; at most {MAX_LINE_BYTES} can be read again",
                record.test,
                record.seed,
                line.len()
            )));
        }
        self.file.write_all(line.as_bytes())?;
        self.check()
    }

    /// Checks that the results are still in the directory. If somebody has removed or replaced them,
    /// nobody will ever find what is written to them.
    ///
    /// # Errors
    /// When they are not.
    pub fn check(&self) -> io::Result<()> {
        match is_at(&self.file, &self.path)? {
            true => Ok(()),
            false => Err(io::Error::other(format!(
                "somebody has removed or replaced {} during the sweep",
                self.path.display()
            ))),
        }
    }
}

/// Opens a file of results for appending, and creates it if there is none.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    check_kind(path)?;
    OpenOptions::new().create(true).read(true).append(true).open(path)
}

/// Checks that a path names a regular file, or nothing. Opening a pipe might wait forever, and a device
/// may have no end.
fn check_kind(path: &Path) -> io::Result<()> {
    match path.metadata() {
        Ok(metadata) if !metadata.is_file() => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} is not a regular file", path.display()),
        )),
        _ => Ok(()),
    }
}

/// Locks a directory, which is created if it does not exist, against all other writers.
pub(crate) fn lock(directory: &Path) -> io::Result<File> {
    let is_taken = || io::Error::other("another lab is writing to it");
    fs::create_dir_all(directory)?;
    let path = lock_path(directory);
    let file = OpenOptions::new().create(true).append(true).open(&path)?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => is_taken(),
        TryLockError::Error(error) => error,
    })?;
    // If the directory was removed and made again since the file was opened, the lock is of no use.
    if is_at(&file, &path)? { Ok(file) } else { Err(is_taken()) }
}

/// Whether this open file is the one that the path names.
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match path.metadata() {
        Ok(found) => Ok((found.dev(), found.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The contents of a file of results.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Records {
    /// The records, in the order in which their runs ended.
    pub all: Vec<RunRecord>,
    /// The bytes of an incomplete last line, which a killed writer leaves behind.
    pub torn: Option<u64>,
}

/// Reads a file of results.
///
/// # Errors
/// When the file cannot be read, or a line other than an incomplete last one is not a record.
pub fn read(path: &Path) -> io::Result<Records> {
    check_kind(path)?;
    parse(&File::open(path)?, path)
}

/// Reads one line of a file of results.
///
/// # Errors
/// When the line is not a result, or one in another version of the format.
pub fn parse_line(line: &str) -> Result<RunRecord, String> {
    let record: RunRecord =
        serde_json::from_str(line).map_err(|error| format!("not a result of a run: {error}"))?;
    if record.version != VERSION {
        let found = record.version;
        return Err(format!(
            "a result in version {found} of the format; this lab reads version {VERSION}"
        ));
    }
    if record.verdict != Verdict::Passed && record.failure.is_none() {
        return Err(format!(
            "a run with the verdict {:?}, but without a cause",
            record.verdict.name()
        ));
    }
    Ok(record)
}

fn parse(file: &File, path: &Path) -> io::Result<Records> {
    let invalid = |number: u64, what: &str| {
        let what = format!("line {number} of {} is {what}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, what)
    };
    let mut reader = BufReader::new(file);
    let mut records = Records::default();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let length = (&mut reader).take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? as u64;
        let Some(whole) = line.strip_suffix(b"\n") else {
            if length == MAX_LINE_BYTES {
                return Err(invalid(number, "longer than any result"));
            }
            records.torn = (length > 0).then_some(length);
            break;
        };
        let text = std::str::from_utf8(whole).map_err(|_| invalid(number, "not text in UTF-8"))?;
        records.all.push(parse_line(text).map_err(|error| invalid(number, &error))?);
    }
    Ok(records)
}

/// The latest record of a run in a directory, from the last sweep or the one before.
///
/// # Errors
/// As [`read`], except that a file that does not exist holds no records.
pub fn latest(
    directory: &Path,
    test: &str,
    seed: u64,
    implementation: &str,
    conditions: Conditions,
) -> io::Result<Option<RunRecord>> {
    for path in [path(directory), previous_path(directory)] {
        let records = match read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            records => records?.all.into_iter(),
        };
        let found = records.rev().find(|record| {
            (record.test.as_str(), record.seed, record.conditions()) == (test, seed, conditions)
                && record.implementation == implementation
        });
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
