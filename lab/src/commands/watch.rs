//! `lab watch`: builds and runs again whenever a source changes.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use clap::Args;
use labraft::Verdict;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use crate::outcome::{CommandError, INTERRUPT, Outcome};
use crate::seeds::Seeds;
use crate::session::Program;

/// Editors write several files, or one file several times. Events within this time of each other
/// count as one change.
const QUIET: Duration = Duration::from_millis(150);
/// How often a wait checks whether Ctrl-C has been pressed.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

#[derive(Args)]
pub(crate) struct Watch {
    /// Which tests: a part (2, 2C), a name (Backup2B) or part of a name.
    #[arg(required = true)]
    patterns: Vec<String>,
    /// Which seeds to run once the seeds that failed have passed.
    #[arg(long, value_name = "N|A..B|@FILE", default_value = "20")]
    seeds: String,
    /// Which Raft to test [default: the program's first].
    #[arg(long, value_name = "NAME")]
    implementation: Option<String>,
}

impl Watch {
    /// Runs until it is interrupted.
    pub(crate) fn run(self, program: &Program<'_>) -> Result<Outcome, CommandError> {
        // A mistake in the command is reported now, and not after each change.
        program.chosen(&self.patterns)?;
        self.seeds.parse::<Seeds>().map_err(CommandError::Usage)?;
        let mut words = vec!["run".to_string()];
        words.extend(self.patterns);
        words.extend(["--failed-first", "--fail-fast", "--no-shrink", "--seeds"].map(String::from));
        words.push(self.seeds);
        if let Some(name) = self.implementation {
            words.extend(["--implementation".into(), name]);
        }
        watch(
            &words.into_iter().map(OsString::from).collect::<Vec<_>>(),
            program.build.profile == "release",
        )
    }
}

/// Rebuilds this program and runs it with these arguments, now and after each change below the
/// current directory, until it is interrupted.
fn watch(words: &[OsString], is_release: bool) -> Result<Outcome, CommandError> {
    let cannot = |error| CommandError::Usage(format!("cannot watch the sources: {error}"));
    let (sender, changes) = channel();
    let mut watcher = RecommendedWatcher::new(
        move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| is_change(&event)) {
                // Sending fails only when the receiver has gone, at the end of the command.
                _ = sender.send(());
            }
        },
        notify::Config::default(),
    )
    .map_err(cannot)?;
    watcher.watch(Path::new("."), RecursiveMode::Recursive).map_err(cannot)?;
    loop {
        let mut again = build_and_run(is_release)?;
        let status = again.args(words).status();
        if INTERRUPT.load(Ordering::Relaxed) {
            return Ok(Outcome::Interrupted);
        }
        let state = match status {
            Ok(status) if status.success() => "all passed",
            Ok(_) => "not yet",
            Err(error) => return Err(CommandError::Usage(format!("cannot run cargo: {error}"))),
        };
        writeln!(io::stdout(), "-- {state}; waiting for a change (Ctrl-C ends)")?;
        if !wait(&changes) {
            return Ok(Outcome::Judged(Verdict::Passed));
        }
    }
}

/// The `cargo run` command that builds and starts the running program.
fn build_and_run(is_release: bool) -> Result<Command, CommandError> {
    let program = std::env::current_exe()?;
    let name = program.file_stem().unwrap_or_default();
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["run", "--quiet", "--bin"]).arg(name);
    if is_release {
        command.arg("--release");
    }
    command.arg("--");
    Ok(command)
}

/// Whether a source file has changed, as opposed to a file that the build writes.
fn is_change(event: &notify::Event) -> bool {
    let is_source = |path: &Path| {
        let name = path.extension().and_then(|extension| extension.to_str());
        let is_built = path.components().any(|part| part.as_os_str() == "target");
        matches!(name, Some("rs" | "toml")) && !is_built
    };
    !event.kind.is_access() && event.paths.iter().any(|path| is_source(path))
}

/// Waits for a change, and then until changes stop. Returns false if it was interrupted.
fn wait(changes: &Receiver<()>) -> bool {
    // A change during the build may not be part of it, so it counts too.
    loop {
        match changes.recv_timeout(LOOK_INTERVAL) {
            Ok(()) => break,
            Err(RecvTimeoutError::Timeout) if !INTERRUPT.load(Ordering::Relaxed) => {}
            Err(_) => return false,
        }
    }
    while changes.recv_timeout(QUIET).is_ok() {}
    true
}
