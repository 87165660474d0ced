//! The file of what a search has done, `search.jsonl`: one line of JSON for the search, and one for each
//! part of it that is complete.
//!
//! A part is many runs. A line for each of them, as a sweep has it, would be gigabytes that nobody reads:
//! nearly all of them pass. A search that is killed loses the parts under way.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::faults::Fault;
use crate::conditions::Conditions;
use crate::records::{self, Build};
use crate::workers::{Explore, Explored};

/// The value of the field `format`.
const FORMAT: &str = "lab search 1";

/// What a search depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    format: String,
    pub(crate) implementation: String,
    pub(crate) conditions: Conditions,
    pub(crate) seed: u64,
    /// The share, such as `2/4`.
    pub(crate) share: String,
    pub(crate) build: Build,
}

impl Header {
    pub(crate) fn new(
        implementation: &str,
        conditions: Conditions,
        seed: u64,
        share: String,
        build: Build,
    ) -> Header {
        let implementation = implementation.into();
        Header { format: FORMAT.into(), implementation, conditions, seed, share, build }
    }

    /// What differs from another search, whose parts are then of no use for this one.
    fn difference(&self, other: &Header) -> Option<&'static str> {
        let differences = [
            (self.format != other.format, "version of the lab"),
            (self.implementation != other.implementation, "implementation"),
            (self.conditions != other.conditions, "profile or --without setting"),
            (self.seed != other.seed, "seed"),
            (self.share != other.share, "share"),
            (!other.build.is_same_source(&self.build), "build"),
        ];
        differences.into_iter().find(|(differs, _)| *differs).map(|(_, what)| what)
    }
}

/// The runs of a test that have one fault more than the run with `faults`, or some of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) test: String,
    pub(crate) faults: Vec<Fault>,
    pub(crate) plan: Explore,
}

#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    part: Part,
    explored: Explored,
}

/// A journal that is open for appending.
pub struct Journal {
    known: BTreeMap<Part, Explored>,
    /// `None` if nothing is kept.
    written: Option<Written>,
}

/// The file of a journal.
struct Written {
    file: File,
    path: PathBuf,
    /// Locked until it is closed.
    _lock: File,
}

impl Journal {
    /// A journal that keeps nothing.
    pub fn unwritten() -> Journal {
        Journal { known: BTreeMap::new(), written: None }
    }

    /// Starts a new journal in a directory. An existing one becomes `previous-search.jsonl`.
    ///
    /// # Errors
    /// When it cannot be written, or another process is writing to the directory.
    pub(crate) fn begin(directory: &Path, header: &Header) -> io::Result<Journal> {
        let lock = records::lock(directory)?;
        let path = directory.join("search.jsonl");
        if path.metadata().is_ok_and(|metadata| metadata.len() > 0) {
            fs::rename(&path, directory.join("previous-search.jsonl"))?;
        }
        let file = records::open(&path)?;
        let mut written = Written { file, path, _lock: lock };
        written.write(header)?;
        Ok(Journal { known: BTreeMap::new(), written: Some(written) })
    }

    /// Continues the journal of a directory; starts one if there is none.
    ///
    /// # Errors
    /// As [`begin`](Self::begin). With the kind `InvalidData`, when it is the journal of another search, or
    /// damaged in other places than its end.
    pub(crate) fn resume(directory: &Path, header: &Header) -> io::Result<Journal> {
        let path = directory.join("search.jsonl");
        if !path.exists() {
            return Journal::begin(directory, header);
        }
        let lock = records::lock(directory)?;
        let file = records::open(&path)?;
        let invalid = |what: String| {
            let path = path.display();
            io::Error::new(io::ErrorKind::InvalidData, format!("{path} {what}"))
        };
        let mut reader = BufReader::new(&file);
        let mut known = BTreeMap::new();
        let mut whole = 0;
        for number in 1.. {
            let mut line = String::new();
            let length = reader.read_line(&mut line)?;
            if !line.ends_with('\n') {
                break;
            }
            whole += length as u64;
            let damaged = |error| {
                invalid(format!("cannot be continued: its line {number} is damaged: {error}"))
            };
            if number == 1 {
                let theirs: Header = serde_json::from_str(&line).map_err(damaged)?;
                if let Some(what) = header.difference(&theirs) {
                    return Err(invalid(format!(
                        "is of a search with another {what}; search without --resume, or with \
                         another --out"
                    )));
                }
                continue;
            }
            let Line { part, explored } = serde_json::from_str(&line).map_err(damaged)?;
            known.insert(part, explored);
        }
        if whole == 0 {
            return Err(invalid("is not the journal of a search; search without --resume".into()));
        }
        file.set_len(whole)?;
        Ok(Journal { known, written: Some(Written { file, path, _lock: lock }) })
    }

    /// What is known of a part. What came of looking ahead serves those who do not need it, too.
    pub(crate) fn known(&mut self, part: &Part) -> Option<Explored> {
        let ahead = Part { plan: Explore { looks_ahead: true, ..part.plan }, ..part.clone() };
        self.known.remove(part).or_else(|| self.known.remove(&ahead))
    }

    /// Appends a part that is complete.
    ///
    /// # Errors
    /// When it cannot be written, or the file is no longer where it was.
    pub(crate) fn add(&mut self, part: Part, explored: &Explored) -> io::Result<()> {
        let Some(written) = &mut self.written else { return Ok(()) };
        written.write(&Line { part, explored: explored.clone() })?;
        match records::is_at(&written.file, &written.path)? {
            true => Ok(()),
            false => Err(io::Error::other(format!(
                "somebody has removed or replaced {} during the search",
                written.path.display()
            ))),
        }
    }
}

impl Written {
    fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        self.file.write_all(text.as_bytes())
    }
}
