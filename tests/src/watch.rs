//! `lab watch`: builds and runs again whenever a source changes.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use labraft::Verdict;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use crate::cli::{Ended, STOP, Stopped};

/// Editors write several files, or one several times: what comes within this time is one change.
const QUIET: Duration = Duration::from_millis(150);
/// How often a wait looks whether it is to end.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Builds this program anew and runs it with these words, now and after each change below the current
/// directory, until it is interrupted.
pub(crate) fn watch(words: &[OsString]) -> Result<Ended, Stopped> {
    let cannot = |error| Stopped::Wrong(format!("the sources cannot be watched: {error}"));
    let (sender, changes) = channel();
    let mut watcher = RecommendedWatcher::new(
        move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| is_change(&event)) {
                // Nobody listens any more when it is over.
                _ = sender.send(());
            }
        },
        notify::Config::default(),
    )
    .map_err(cannot)?;
    watcher.watch(Path::new("."), RecursiveMode::Recursive).map_err(cannot)?;
    loop {
        let mut again = build_and_run()?;
        let status = again.args(words).status();
        if STOP.load(Ordering::Relaxed) {
            return Ok(Ended::Interrupted);
        }
        let state = match status {
            Ok(status) if status.success() => "all passed",
            Ok(_) => "not yet",
            Err(error) => return Err(Stopped::Wrong(format!("cargo cannot be run: {error}"))),
        };
        writeln!(io::stdout(), "-- {state}; waiting for a change (Ctrl-C ends)")?;
        if !wait(&changes) {
            return Ok(Ended::Judged(Verdict::Passed));
        }
    }
}

/// `cargo run` for the program that is running.
fn build_and_run() -> Result<Command, Stopped> {
    let program = std::env::current_exe()?;
    let name = program.file_stem().unwrap_or_default();
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["run", "--quiet", "--bin"]).arg(name);
    if env!("LAB_PROFILE") == "release" {
        command.arg("--release");
    }
    command.arg("--");
    Ok(command)
}

/// Whether it is a source that has changed, and not what was built from one.
fn is_change(event: &notify::Event) -> bool {
    let is_source = |path: &Path| {
        let name = path.extension().and_then(|extension| extension.to_str());
        let is_built = path.components().any(|part| part.as_os_str() == "target");
        matches!(name, Some("rs" | "toml")) && !is_built
    };
    !event.kind.is_access() && event.paths.iter().any(|path| is_source(path))
}

/// Waits for a change, and then until nothing more changes. False when it was interrupted instead.
fn wait(changes: &Receiver<()>) -> bool {
    // What changed while it was being built may not be in it: that counts as well.
    loop {
        match changes.recv_timeout(LOOK_INTERVAL) {
            Ok(()) => break,
            Err(RecvTimeoutError::Timeout) if !STOP.load(Ordering::Relaxed) => {}
            Err(_) => return false,
        }
    }
    while changes.recv_timeout(QUIET).is_ok() {}
    true
}
