//! Saves a recorded run to a file: its specification and its result in the first line, then one event per line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::format;
use crate::workers::Answer;
use labraft::HarnessEvent;
use labrpc::RunSpec;

const FORMAT: &str = "lab run 3";
/// More servers than any run has. Each takes a column of the log, so that a damaged number must not
/// be taken for a server's.
const MOST_SERVERS: usize = 1000;

#[derive(Serialize, Deserialize)]
struct Head {
    format: String,
    /// What has to be run again for the same run.
    spec: RunSpec,
    answer: Answer,
}

/// Writes a recorded run.
///
/// # Errors
/// When the file cannot be written.
pub fn save(spec: &RunSpec, answer: &Answer, path: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let head = Answer { events: Vec::new(), decisions: Vec::new(), ..answer.clone() };
    let head = Head { format: FORMAT.into(), spec: spec.clone(), answer: head };
    serde_json::to_writer(&mut file, &head)?;
    file.write_all(b"\n")?;
    for event in &answer.events {
        serde_json::to_writer(&mut file, event)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}

/// Whether a file begins like a recorded run, of any version.
pub fn is_one(path: &Path) -> bool {
    let mut start = String::new();
    let file = File::open(path).map(BufReader::new);
    let read = file.and_then(|file| io::Read::take(file, 64).read_line(&mut start));
    read.is_ok() && start.starts_with("{\"format\":\"lab run ")
}

/// Reads a recorded run, and what it was a run of.
///
/// # Errors
/// When the file cannot be read, or is not what [`save`] writes.
pub fn load(path: &Path) -> io::Result<(RunSpec, Answer)> {
    let wrong = |line: usize, error: &dyn std::fmt::Display| {
        let path = path.display();
        let what = format!("line {line} of {path} does not belong to a recorded run: {error}");
        io::Error::new(io::ErrorKind::InvalidData, what)
    };
    let mut lines = BufReader::new(File::open(path)?).lines();
    let head = lines.next().transpose()?.unwrap_or_default();
    format::check(&head, FORMAT).map_err(|error| wrong(1, &error))?;
    let head: Head = serde_json::from_str(&head).map_err(|error| wrong(1, &error))?;
    let Head { spec, mut answer, .. } = head;
    for (number, line) in (2..).zip(lines) {
        let event = serde_json::from_str(&line?).map_err(|error| wrong(number, &error))?;
        if HarnessEvent::servers_in(&event) > MOST_SERVERS {
            return Err(wrong(number, &format!("no run has more than {MOST_SERVERS} servers")));
        }
        answer.events.push(event);
    }
    Ok((spec, answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_in_another_version_is_named_as_such() {
        let path = std::env::temp_dir().join(format!("lab-recording-{}.run", std::process::id()));
        std::fs::write(&path, "{\"format\":\"lab run 2\",\"answer\":{}}\n").unwrap();
        let (is_one, error) = (is_one(&path), load(&path).unwrap_err().to_string());
        std::fs::remove_file(&path).unwrap();
        assert!(is_one && error.contains("\"lab run 2\""), "{error}");
        assert!(error.contains("\"lab run 3\""), "{error}");
    }
}
