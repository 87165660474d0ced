//! `--html FILE`: a run as a file to look at.

use std::path::PathBuf;

use clap::Args;
use labraft::workers::Answer;
use labraft::{recording, view};

use crate::cli::Stopped;
use crate::show::write_file;

/// Which files to write of a run.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Views {
    /// Write a page to look at in a browser: the whole run, with everything in one file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Keep the run with all its events in a file, for `lab diff`.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

impl Views {
    /// Whether there is anything to write, and so events are to be kept.
    pub(crate) fn any(&self) -> bool {
        self.html.is_some() || self.save.is_some()
    }

    /// Writes the files and names them. `replay` makes the run again; `story` says more about it.
    pub(crate) fn write(
        &self,
        answer: &Answer,
        replay: &str,
        story: &[String],
    ) -> Result<(), Stopped> {
        if let Some(path) = &self.html {
            write_file(path, view::page(answer, replay, story).as_bytes())?;
            println!("page: {}", path.display());
        }
        if let Some(path) = &self.save {
            recording::save(answer, path).map_err(|error| {
                Stopped::Wrong(format!("{} cannot be written: {error}", path.display()))
            })?;
            println!("run:  {}", path.display());
        }
        Ok(())
    }
}
