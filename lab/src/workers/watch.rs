//! Traces of a run under observation: its events in one file, and the task being polled in another.
//! Both survive when the process is killed.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use labraft::{HarnessEvent, ServerNames};
use labrpc::{TaskInfo, Timed, Watch};

use crate::report::event_line;

/// When the file of events exceeds this size, it is set aside and a new one begun. Only one earlier
/// file is kept.
const MAX_LOG_BYTES: usize = 32 << 20;
/// The size of the file with the task, which is overwritten at every poll.
const TASK_BYTES: usize = 512;
/// How many of the last events are shown for a run that did not end.
const SHOWN: usize = 12;

/// Writes the events of a run as they happen, and the task being polled.
pub(super) struct Traces {
    path: PathBuf,
    log: File,
    written: usize,
    task: File,
    /// The names of the servers.
    names: ServerNames,
}

impl Traces {
    pub(super) fn begin(path: &Path) -> io::Result<Traces> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        Ok(Traces {
            path: path.into(),
            log: File::create(path)?,
            written: 0,
            task: File::create(task_path(path))?,
            names: ServerNames::default(),
        })
    }
}

impl Watch for Traces {
    // Errors are ignored: if the disk is full, there are simply fewer traces.
    fn event(&mut self, event: &Timed) {
        HarnessEvent::learn_names(event, &mut self.names);
        if self.written > MAX_LOG_BYTES {
            _ = std::fs::rename(&self.path, earlier(&self.path));
            self.written = 0;
            if let Ok(log) = File::create(&self.path) {
                self.log = log;
            }
        }
        let Ok(mut line) = serde_json::to_string(event) else { return };
        line.push('\n');
        self.written += line.len();
        _ = self.log.write_all(line.as_bytes());
    }

    fn poll(&mut self, task: &TaskInfo) {
        let mut text = task.told(&self.names.node(task.node)).into_bytes();
        text.resize(TASK_BYTES, b' ');
        _ = self.task.write_all_at(&text, 0);
    }
}

/// Removes the traces of a run, if there are any.
pub(super) fn remove(path: &Path) {
    for path in [path, &earlier(path), &task_path(path)] {
        _ = std::fs::remove_file(path);
    }
}

/// The place that a run has reached, by its traces: how many there are, the last one, and the task
/// being polled. `None` if it has not begun.
pub(super) fn place(path: &Path) -> Option<String> {
    let task = std::fs::read(task_path(path)).ok().filter(|task| !task.is_empty())?;
    let task = String::from_utf8_lossy(&task).trim().to_string();
    let log = std::fs::read(path).unwrap_or_default();
    let last = log.split(|&byte| byte == b'\n').rfind(|line| !line.is_empty()).unwrap_or_default();
    Some(format!("{} {} {task}", size(path), String::from_utf8_lossy(last)))
}

fn earlier(path: &Path) -> PathBuf {
    path.with_extension("earlier.jsonl")
}

fn task_path(path: &Path) -> PathBuf {
    path.with_extension("task")
}

/// The total size of the event files in bytes. It keeps changing while the run makes progress.
pub(super) fn size(path: &Path) -> u64 {
    let size = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
    size(path) + size(&earlier(path))
}

/// The events in the current file. An incomplete line at the end is skipped.
pub(super) fn events(path: &Path) -> Vec<Timed> {
    let log = std::fs::read(path).unwrap_or_default();
    let lines = log.split(|&byte| byte == b'\n');
    lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

/// Describes the traces line by line: the task being polled and the last events. Also returns the
/// virtual time of the last event, in seconds.
pub(super) fn tell(path: &Path) -> (Vec<String>, Option<f64>) {
    let task = std::fs::read(task_path(path)).unwrap_or_default();
    let task = String::from_utf8_lossy(&task).trim().to_string();
    _ = std::fs::remove_file(task_path(path));

    let mut lines = Vec::new();
    if !task.is_empty() {
        lines.push(format!("task being polled: {task}"));
    }
    let events = events(path);
    let last = &events[events.len().saturating_sub(SHOWN)..];
    if !last.is_empty() {
        lines.push(format!("the last events (more in {}):", path.display()));
        let names = HarnessEvent::names_in(&events);
        lines.extend(last.iter().map(|event| format!("  {}", event_line(event, &names))));
    }
    (lines, events.last().map(|event| event.at.as_secs_f64()))
}
