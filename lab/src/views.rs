//! Writes a run to files: `--html`, `--save`, `--perfetto` and `--shiviz`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::recording;
use crate::view::{self, Filter};
use crate::workers::Answer;
use clap::Args;
use labrpc::RunSpec;

use crate::outcome::CommandError;

/// Options for the files to write about a run.
#[derive(Args, Clone, Debug)]
pub(crate) struct Views {
    /// Write the whole run as a page for the browser, in one self-contained file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Save the run with all its events to a file, for `lab diff`, `lab open` and `lab replay`.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Write the run as a trace for Perfetto (ui.perfetto.dev) and similar viewers.
    #[arg(long, value_name = "FILE")]
    perfetto: Option<PathBuf>,
    /// Write the last events up to the failure, with vector clocks, as a log for ShiViz; --only,
    /// --servers, --from, --to, --around and --grep select others.
    #[arg(long, value_name = "FILE", group = "events")]
    shiviz: Option<PathBuf>,
    /// The maximum number of events in the ShiViz log, since ShiViz keeps all of them in memory.
    #[arg(long, value_name = "N", default_value_t = 2000, requires = "shiviz")]
    shiviz_events: usize,
}

impl Views {
    /// Whether any file is requested, so that events have to be recorded.
    pub(crate) fn any(&self) -> bool {
        let files = [&self.html, &self.save, &self.perfetto, &self.shiviz];
        files.into_iter().any(Option::is_some)
    }

    /// Writes the files and prints their paths. `replay` is the command that repeats the run; `story` is
    /// further text about it.
    pub(crate) fn write(
        &self,
        spec: &RunSpec,
        answer: &Answer,
        replay: &str,
        story: &[String],
        filter: impl FnOnce() -> Result<Filter, CommandError>,
    ) -> Result<(), CommandError> {
        if let Some(path) = &self.html {
            write_file(path, view::page(answer, replay, story).as_bytes())?;
            println!("page: {}", path.display());
        }
        if let Some(path) = &self.save {
            recording::save(spec, answer, path).map_err(|error| {
                CommandError::Usage(format!("{} cannot be written: {error}", path.display()))
            })?;
            println!("run:  {}", path.display());
        }
        if let Some(path) = &self.perfetto {
            write_file(path, view::perfetto(answer).as_bytes())?;
            println!("trace for Perfetto: {}", path.display());
        }
        if let Some(path) = &self.shiviz {
            let log = view::shiviz(answer, &filter()?, self.shiviz_events);
            write_file(path, log.as_bytes())?;
            println!("log for ShiViz: {}", path.display());
        }
        Ok(())
    }
}

/// Writes a file that an option names.
pub(crate) fn write_file(path: &Path, contents: &[u8]) -> Result<(), CommandError> {
    fs::write(path, contents).map_err(|error| {
        CommandError::Usage(format!("{} cannot be written: {error}", path.display()))
    })
}
