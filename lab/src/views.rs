//! `--html`, `--save`, `--perfetto`, `--shiviz`: a run as a file.

use std::fs;
use std::path::{Path, PathBuf};

use crate::recording;
use crate::view::{self, Filter};
use crate::workers::Answer;
use clap::Args;

use crate::outcome::CommandError;

/// Which files to write of a run.
#[derive(Args, Clone, Debug)]
pub(crate) struct Views {
    /// Write a page to look at in a browser: the whole run, with everything in one file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Keep the run with all its events in a file, for `lab diff`.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Write the run as a trace for Perfetto (ui.perfetto.dev) and viewers of its kind.
    #[arg(long, value_name = "FILE")]
    perfetto: Option<PathBuf>,
    /// Write the last events up to the failure, with vector clocks, as a log for ShiViz; --only,
    /// --servers, --from, --to, --around and --grep choose others.
    #[arg(long, value_name = "FILE", group = "events")]
    shiviz: Option<PathBuf>,
    /// How many events ShiViz gets: it takes no more than a browser's memory holds.
    #[arg(long, value_name = "N", default_value_t = 2000, requires = "shiviz")]
    shiviz_events: usize,
}

impl Views {
    /// Whether there is anything to write, and so events are to be kept.
    pub(crate) fn any(&self) -> bool {
        let files = [&self.html, &self.save, &self.perfetto, &self.shiviz];
        files.into_iter().any(Option::is_some)
    }

    /// Writes the files and names them. `replay` makes the run again; `story` says more about it.
    pub(crate) fn write(
        &self,
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
            recording::save(answer, path).map_err(|error| {
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

/// Writes a file that somebody asked for.
pub(crate) fn write_file(path: &Path, contents: &[u8]) -> Result<(), CommandError> {
    fs::write(path, contents).map_err(|error| {
        CommandError::Usage(format!("{} cannot be written: {error}", path.display()))
    })
}
